# SPDX-License-Identifier: Apache-2.0
"""What is not good enough is not published: every check here ends in exit code 23, none in a note.

There is no way around the gate. Whoever accepts a larger loss says how large with --max-drop, and
the bundle's receipt repeats it.
"""

from collections.abc import Sequence

from aminet_export.accuracy import Drops
from aminet_export.layers import LayerGain
from aminet_runtime.errors import GateFailed
from aminet_runtime.metadata import Precision

MAX_DROP = 0.01
"""Largest loss of F1 at either level. Source: DESIGN, section 10."""

MAX_FLOAT_DIFFERENCE = 1e-4
"""Largest difference in probability between engines that all compute in float32."""

CASE_ACCURACY = 1
CASE_FLOAT_ENGINES = 2
CASE_INSTRUCTION_SETS = 3
CASE_SELFTEST = 4
CASE_MAXIMA = 6

_LAYERS_TO_NAME = 3


def exceeds(drops: Drops, max_drop: float) -> bool:
    """Whether F1 falls by more than is allowed, at any level."""
    return not all(drop.drop <= max_drop for drop in drops.values())  # NaN exceeds, too


def require_findings(drops: Drops, *, patients: int) -> None:
    """Refuse to compare with a float network that finds nothing: it could lose nothing.

    Raises:
        GateFailed: Its F1 is 0 at some level.
    """
    blind = [level for level, drop in drops.items() if drop.reference == 0]
    if blind:
        raise GateFailed(
            f"the float network finds nothing on {patients} test patients at {blind[0]} level, "
            "so that no loss can be measured",
            case=CASE_ACCURACY,
            hint="train it longer, or add test patients with clots",
        )


def require_accuracy(
    drops: Drops,
    *,
    max_drop: float,
    patients: int,
    precision: Precision,
    worst: Sequence[LayerGain],
) -> None:
    """Refuse a network that loses more F1 on test patients than is allowed.

    Args:
        drops: Float against what ships, by level.
        max_drop: Allowed at either level.
        patients: How many test patients were scored.
        precision: Of the network that ships.
        worst: Layers by how much of the error they make, the worst first.

    Raises:
        GateFailed: It does; the message has figures, interval and the worst layers.
    """
    if not exceeds(drops, max_drop):
        return
    figures = "; ".join(f"{level} level {drop}" for level, drop in drops.items())
    layers = ", ".join(layer.name for layer in worst[:_LAYERS_TO_NAME])
    raise GateFailed(
        f"{precision} loses more than {max_drop:g} of F1 on {patients} test patients: {figures}"
        + (f"; most of the error is made by {layers}" if layers else ""),
        case=CASE_ACCURACY,
        hint=_hint(drops, max_drop, precision),
    )


def require_float_agreement(difference: float, names: Sequence[str]) -> None:
    """Refuse float engines that do not agree.

    Raises:
        GateFailed: They differ by more than rounding explains.
    """
    if not difference <= MAX_FLOAT_DIFFERENCE:  # NaN fails, too
        raise GateFailed(
            f"{' and '.join(names)} differ by {difference:.2g} in probability, "
            f"more than {MAX_FLOAT_DIFFERENCE:g}",
            case=CASE_FLOAT_ENGINES,
            hint="please report this with the checkpoint",
        )


def _hint(drops: Drops, max_drop: float, precision: Precision) -> str:
    """Tell a loss from too few patients to know."""
    wider = "fp16 or fp32" if precision is Precision.INT8 else "fp32"
    failing = [drop for drop in drops.values() if drop.drop > max_drop]
    if all(drop.low <= max_drop for drop in failing):
        unsure = "the interval holds the allowed loss"
        return f"{unsure}: measure on more test patients, or ship {wider}"
    return f"ship {wider}, or train longer"
