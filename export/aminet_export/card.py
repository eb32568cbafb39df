# SPDX-License-Identifier: Apache-2.0
"""The model card: README.md of a bundle."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aminet_export.contents import BundleContents
from aminet_export.isa_sweep import sweep_table
from aminet_export.parity import parity_table
from aminet_export.plan import Verdict
from aminet_runtime.engines.openvino_import import ISA_CAP
from aminet_runtime.input_contract import NO_MARGIN_PX, InputContract
from aminet_runtime.metadata import Approach, Metadata, Precision
from aminet_train.averaging import AVERAGED
from aminet_train.fitting.starting_network import HUB_WEIGHTS, NO_WEIGHTS
from aminet_train.levels import Level


def model_card(metadata: Metadata, contents: BundleContents) -> str:
    """Return the card as Markdown; every figure in it was measured by the export that wrote it."""
    verdict, words = contents.verdict, _words(metadata)
    parts = (
        _summary(metadata, contents, words),
        _measured(verdict, words),
        _stages(verdict, words),
        _processors(verdict),
        _limits(metadata, contents, words),
    )
    return "\n".join(parts)


def _summary(metadata: Metadata, contents: BundleContents, words: "_Words") -> str:
    data, decision = metadata.data, metadata.decision
    thresholds = " ".join(f"{threshold:.2f}" for threshold in decision.thresholds)
    kind = " phantoms" if contents.source.has_phantoms_only else ""
    return f"""# {metadata.name}

{metadata.intended_use}

**{metadata.disclaimer}**

| | |
|---|---|
| approach | {metadata.approach}, {metadata.precision} |
| input | {", ".join(metadata.input.channels)}, {_unit(metadata)}, axial, LPS |
| regions | {len(metadata.regions.names)} |
| decision | thresholds {thresholds}, reached by {decision.min_consecutive_slices} slices in a row |
| training patients | {data.training.count}{kind} |
| validation patients | {data.validation.count}{kind}{words.validation} |
| test patients | {data.test.count}{kind} |
| calibration patients | {data.calibration.count} of the training patients |
| id | `{metadata.model_id}` |
"""


def _measured(verdict: Verdict, words: "_Words") -> str:
    return f"""## Measured on the test patients

{_metrics_table(verdict.metrics)}

{words.thresholds} F1
is micro-averaged, the interval a bootstrap over patients. "Exact" is the share of patients whose
set of regions was found without a miss and without a false alarm.

{_lost(verdict)}
"""


def _stages(verdict: Verdict, words: "_Words") -> str:
    return f"""## From torch to this bundle, on held-out patients

{_parity(verdict, words)}

{words.difference.format(difference=verdict.preprocessing_difference)}
{_onnx_int8(verdict)}"""


def _processors(verdict: Verdict) -> str:
    return f"""## The same answer on every CPU

{sweep_table(verdict.swept)}

{verdict.swept.slices} held-out slices through the whole graph, each instruction set in a process of
its own, against the exporting process. SSE41 and AVX are older than AVX2, which the runtime asks
for: they are shown, and judge nothing. The runtime caps itself at {ISA_CAP}, so that machines
with AMX give the answers of the others; what the cap costs them is time, which was not measured
here.
"""


def _limits(metadata: Metadata, contents: BundleContents, words: "_Words") -> str:
    pixel_mm, _, slice_mm = metadata.input.training_spacing_mm
    of_phantoms = contents.source.has_phantoms_only
    lines = [
        "- Phantoms are not patients. No figure above says anything about a real scan."
        if of_phantoms
        else "- Patients of another scanner or another clinic may be read worse.",
        "- A region that is not flagged may hold a clot all the same.",
        f"- {words.subject} has seen pixels of {pixel_mm:.2f} and slices of {slice_mm:.2f} mm.",
        *_view(metadata.input),
        words.limits or _start(contents),
    ]
    return "## Limits\n\n" + "\n".join(lines) + "\n"


def _view(contract: InputContract) -> list[str]:
    """Say how much of a slice the network sees, where it is not all."""
    if contract.network_margin_px == NO_MARGIN_PX:
        return []
    rows, columns = (
        f"{100 * seen / whole:.0f} %"
        for seen, whole in zip(contract.network_size_px, contract.frame_px, strict=True)
    )
    seen = f"{rows} of its rows and {columns} of its columns"
    return [f"- The network sees the middle of the slice, {seen}, and no clot beyond."]


def _start(contents: BundleContents) -> str:
    """Say with which weights the training began; a bundle may be bound to their licence."""
    config = contents.info.training.get("config", {})
    if AVERAGED in config:
        return f"- The weights are the mean of those of the runs {_listed(config[AVERAGED])}."
    before, weights = config.get("start_from"), config.get("weights", NO_WEIGHTS)
    if before is not None:
        return f"- Training went on from the run `{before}`."
    if weights == NO_WEIGHTS:
        return "- Training began with random weights."
    if weights == HUB_WEIGHTS:
        return "- Training began with ImageNet weights of timm's hub; see their licence."
    return f"- Training began with the weights in `{weights}`; see their licence."


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


@dataclass(frozen=True, slots=True)
class _Words:
    """What is said of a network, and what of the SPIRAL threshold.

    Attributes:
        validation: What validation patients were for.
        thresholds: Where the decision rule comes from.
        slices: On what the stages were compared.
        difference: What the graph was compared with.
        subject: What was made of the training patients.
        limits: A further one; empty for what training began with.
    """

    validation: str
    thresholds: str
    slices: str
    difference: str
    subject: str
    limits: str


_OF_NETWORK = _Words(
    validation=", which chose the decision rule",
    thresholds="Each network has thresholds of its own, chosen on validation patients in "
    "OpenVINO, which ships.",
    slices="Cached slices",
    difference="Window and resize in the graph differ from the training cache by "
    "{difference:.2g} of the input's 0..1 at most; the cache is rounded to 1/255.",
    subject="The network",
    limits="",
)
_OF_SPIRAL = _Words(
    validation=", which chose nothing",
    thresholds="There is no network: a region's score is the highest SPIRAL value in it. One "
    "threshold for all regions\nwas fitted on training patients, as in the source report.",
    slices="Slices that were drawn from the prepared maxima of each region",
    difference="The maxima that the graph finds differ from those that preparation found by "
    "{difference:.2g}.",
    subject="The threshold",
    limits="- Fingerprints are those of the files that the cohort was prepared with, not of the "
    "map and the atlas:\n  a runtime cannot tell that it is shown a training patient.",
)


def _words(metadata: Metadata) -> _Words:
    return _OF_SPIRAL if metadata.approach is Approach.SPIRAL else _OF_NETWORK


def _unit(metadata: Metadata) -> str:
    in_hu = [channel.in_hu for channel in metadata.input.channels]
    return "raw HU" if all(in_hu) else "raw HU and maps as stored" if any(in_hu) else "as stored"


def _lost(verdict: Verdict) -> str:
    if verdict.drops is None:
        return "This is the float network itself: nothing is lost."
    lines = [f"- {level} level: {drop}" for level, drop in verdict.drops.items()]
    kept = ", ".join(f"`{name}`" for name in verdict.restored_layers)
    lines += [f"- put back to float by accuracy control: {kept}"] if kept else []
    return "From float to what ships, on the same patients:\n\n" + "\n".join(lines)


def _parity(verdict: Verdict, words: _Words) -> str:
    tables = [f"{words.slices}:\n\n{parity_table(verdict.parity)}"]
    if verdict.full_size:
        tables.append(f"One patient folder at full size:\n\n{parity_table(verdict.full_size)}")
    return "\n\n".join(tables)


def _onnx_int8(verdict: Verdict) -> str:
    judged = verdict.onnx_int8
    if judged is None:
        return ""
    lines = "\n".join(f"- {level} level: {drop}" for level, drop in judged.drops.items())
    table = parity_table({"ONNX int8": judged.against_ir}, reference="the IR")
    return f"""
## INT8 in ONNX Runtime

{_PUBLISHED if judged.is_published else _LEFT_OUT}

{lines}

Against the INT8 network in OpenVINO, on all test patients:

{table}
"""


_PUBLISHED = (
    "`model-int8.onnx` decides by the thresholds above. From float to it, on the test patients,\n"
    "in ONNX Runtime, which cannot be told to play another CPU than the exporting one:"
)
_LEFT_OUT = (
    "**`model-int8.onnx` was left out**: it loses more on the test patients than was allowed. A\n"
    "host with ONNX Runtime has `model.onnx`, in float. From float to what was left out:"
)


def _metrics_table(metrics: Mapping[Precision, dict[str, Any]]) -> str:
    lines = [
        "| network | level | F1 | 95 % interval | precision | recall | exact |",
        "|---|---|---|---|---|---|---|",
    ]
    for precision, report in metrics.items():
        for level in Level:
            values = report[level]
            low, high = values["f1_ci95"]
            exact = f"{values['exact']:.2f}" if "exact" in values else ""
            lines.append(
                f"| {precision} | {level} | {values['f1']:.3f} | {low:.3f} to {high:.3f} "
                f"| {values['precision']:.3f} | {values['recall']:.3f} | {exact} |"
            )
    return "\n".join(lines)
