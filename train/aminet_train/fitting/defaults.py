# SPDX-License-Identifier: Apache-2.0
"""The settings that differ from network to network, and what some switches stand for.

Plain values, so that `aminet-train --help` can show them without loading torch.
"""

from collections.abc import Mapping
from typing import Any

Tables = Mapping[str, Any]
"""Settings as TOML holds them: values, and tables of values."""

MODEL_DEFAULTS: Mapping[str, Tables] = {
    "simple_cnn": {
        "weights": "none",
        "schedule": {"frozen_epochs": 0, "learning_rate": 9e-4},
        "loss": {"positive_weight": 15.65},
        "network": {
            "activation": "tanh",
            "dropout": 0.27,
            "extra_layers": 2,
            "features": 512,
            "pool": 4,
        },
    },
    "mobilenetv2": {
        "weights": "imagenet",
        "schedule": {"frozen_epochs": 5, "learning_rate": 7.01e-4},
        "loss": {"positive_weight": 15.59},
        "network": {"head": "gap", "dropout": 0.2},
    },
    "efficientformerv2": {
        "weights": "imagenet",
        "schedule": {"frozen_epochs": 5, "learning_rate": 1.3e-3},
        "loss": {"positive_weight": 13.54},
        "network": {"head": "gap", "dropout": 0.2},
    },
}
"""The source report's best trial of each network on CTA."""

MASK_DEFAULTS: Tables = {
    "network": {"head": "dense"},
    "loss": {"mask_weight": 0.3, "positive_weight": 4.0},
    "negatives_per_positive": 0.85,
}
"""What trained best on phantoms with clot masks (docs/experiments.md)."""

NO_AUGMENTATION: Tables = {
    "augment": {
        "rotation_deg": 0.0,
        "scale": 0.0,
        "shift": 0.0,
        "gain": 0.0,
        "noise": 0.0,
        "flip_share": 0.0,
    }
}
"""Slices as they were prepared; the source report mentions no augmentation."""
