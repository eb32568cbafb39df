# SPDX-License-Identifier: Apache-2.0
"""Accuracy control: put the worst layers back to float until validation patients lose too little.

Everything here looks at training patients (which layers are worst) and at validation patients (is
it enough). Test patients judge once, at the end, and shape nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import openvino as ov

from aminet_export.accuracy import Decided, Drops, Labels, Scores, f1_drops, largest_drop
from aminet_export.gate import exceeds
from aminet_export.layers import LayerGain
from aminet_train.thresholds import choose_rule

REVERTED = (1, 2, 4, 8, 16)
"""How many of the worst layers are put back, attempt by attempt."""

LARGEST_SHARE = 0.5
"""A network of which more than half of the layers are float is not an INT8 network."""


@dataclass(frozen=True, slots=True)
class Restored:
    """A network of which some layers went back to float.

    Attributes:
        model: The network.
        layers: Names of those layers.
        validation: Its scores on validation patients and the rule chosen on them.
        drops: Its loss on validation patients.
    """

    model: ov.Model
    layers: tuple[str, ...]
    validation: Decided
    drops: Drops


@dataclass(frozen=True, slots=True)
class Validation:
    """Validation patients, and how a network is scored on them.

    Attributes:
        score: Scores a network on all slices of the patients.
        labels: Their truth.
        reference: The float network's scores and rule.
        max_drop: Largest loss of F1 at either level.
    """

    score: Callable[[ov.Model], Scores]
    labels: Labels
    reference: Decided
    max_drop: float

    def judge(self, model: ov.Model, layers: Sequence[str] = ()) -> Restored:
        """Score a network, choose its rule and compare it with the float network."""
        scores = self.score(model)
        decided = Decided(scores, choose_rule(scores, self.labels))
        drops = f1_drops(self.reference, decided, self.labels)
        return Restored(model, tuple(layers), decided, drops)

    def is_enough(self, attempt: Restored) -> bool:
        """Whether an attempt loses no more than is allowed."""
        return not exceeds(attempt.drops, self.max_drop)


def restore_accuracy(
    quantised: Restored,
    ranking: Sequence[LayerGain],
    quantise_without: Callable[[Sequence[str]], ov.Model],
    validation: Validation,
) -> Restored:
    """Leave ranked layers in float, twice as many in each attempt.

    Each attempt quantises afresh, since the layers that stay INT8 were corrected for the errors of
    those that leave.

    Args:
        quantised: The fully quantised network and what it loses.
        ranking: Layers, the worst first.
        quantise_without: Quantises the float network but for some layers.
        validation: Who judges.

    Returns:
        The first attempt that loses little enough, or else the one that loses least; it may be
        the network as it came.
    """
    best = quantised
    for number in _attempts(len(ranking)):
        if validation.is_enough(best):
            break
        names = [layer.name for layer in ranking[:number]]
        attempt = validation.judge(quantise_without(names), names)
        best = min(best, attempt, key=lambda tried: largest_drop(tried.drops))
    return best


def _attempts(layers: int) -> list[int]:
    limit = int(layers * LARGEST_SHARE)
    return sorted({min(number, limit) for number in REVERTED} - {0})
