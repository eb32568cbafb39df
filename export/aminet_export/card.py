# SPDX-License-Identifier: Apache-2.0
"""The model card: README.md of a bundle."""

from collections.abc import Mapping
from typing import Any

from aminet_export.parity import Parity, parity_table
from aminet_runtime.metadata import Metadata, Precision


def model_card(
    metadata: Metadata,
    metrics: Mapping[Precision, dict[str, Any]],
    parity: Mapping[str, Parity],
) -> str:
    """Return the card as Markdown; every figure in it was measured by the export that wrote it."""
    data = metadata.data
    thresholds = " ".join(f"{threshold:.2f}" for threshold in metadata.decision.thresholds)
    return f"""# {metadata.name}

{metadata.intended_use}

**{metadata.disclaimer}**

| | |
|---|---|
| approach | {metadata.approach}, {metadata.precision} |
| input | {", ".join(metadata.input.channels)}, raw HU, axial, LPS |
| regions | {len(metadata.regions.names)} |
| decision | thresholds {thresholds}, reached by {metadata.decision.min_consecutive_slices} \
slices in a row |
| training patients | {data.training.count} phantoms |
| validation patients | {data.validation.count} phantoms, which chose the decision rule |
| test patients | {data.test.count} phantoms |
| calibration patients | {data.calibration.count} of the training patients |
| id | `{metadata.model_id}` |

## Measured on the test patients

{_metrics_table(metrics)}

Thresholds were chosen on validation patients with the network that ships. F1 is micro-averaged,
the interval a bootstrap over patients. "Exact" is the share of patients whose set of regions was
found without a miss and without a false alarm.

## One full-size patient, slice by slice

{parity_table(parity)}

## Limits

- Phantoms are not patients. No figure above says anything about a real scan.
- A region that is not flagged may hold a clot all the same.
- The network has seen heads of {metadata.input.training_spacing_mm[0]:.2f} mm pixels and
  {metadata.input.training_spacing_mm[2]:.2f} mm slices (medians), without metal or motion.
- The ImageNet weights that training started from are those of `mobilenet_v2_1.0_224`
  (Apache-2.0), if the checkpoint says so.
"""


def _metrics_table(metrics: Mapping[Precision, dict[str, Any]]) -> str:
    lines = [
        "| network | level | F1 | 95 % interval | precision | recall | exact |",
        "|---|---|---|---|---|---|---|",
    ]
    for precision, report in metrics.items():
        for level in ("slice", "patient"):
            values = report[level]
            low, high = values["f1_ci95"]
            exact = f"{values['exact']:.2f}" if "exact" in values else ""
            lines.append(
                f"| {precision} | {level} | {values['f1']:.3f} | {low:.3f} to {high:.3f} "
                f"| {values['precision']:.3f} | {values['recall']:.3f} | {exact} |"
            )
    return "\n".join(lines)
