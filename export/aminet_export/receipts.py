# SPDX-License-Identifier: Apache-2.0
"""calibration.json and parity.json: what calibrated a network, and what judged it."""

from aminet_export.calibration import describe
from aminet_export.contents import BundleContents
from aminet_export.judge import parity_patients

CALIBRATION = "calibration.json"
PARITY = "parity.json"


def calibration_receipt(contents: BundleContents) -> dict[str, object]:
    """Return what calibration.json holds."""
    patients, seed = contents.source.patients, contents.plan.seed
    return describe(contents.networks.calibration, patients, seed=seed)


def parity_receipt(contents: BundleContents) -> dict[str, object]:
    """Return what parity.json holds."""
    verdict = contents.verdict
    drops, onnx_int8 = verdict.drops or {}, verdict.onnx_int8
    return {
        "patients": [patient.fingerprint for patient in parity_patients(contents.source)],
        "cached": {name: parity.to_json() for name, parity in verdict.parity.items()},
        "full_size": {name: parity.to_json() for name, parity in verdict.full_size.items()},
        "preprocessing_difference": verdict.preprocessing_difference,
        "accuracy": {
            "max_drop": contents.plan.max_drop,
            "drops": {level.value: drop.to_json() for level, drop in drops.items()},
            "restored_layers": list(verdict.restored_layers),
        },
        "onnx_int8": onnx_int8 and onnx_int8.to_json(),
        "instruction_sets": verdict.swept.to_json(),
    }
