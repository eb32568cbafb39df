# SPDX-License-Identifier: Apache-2.0
"""From defaults, a TOML file and flags to one training config, and back."""

from collections.abc import Mapping
from typing import Any

from aminet_runtime.errors import UsageError
from aminet_train.fitting.config import TrainConfig
from aminet_train.fitting.defaults import MASK_DEFAULTS, MODEL_DEFAULTS, NO_AUGMENTATION
from aminet_train.networks import CONFIG_TYPES, Approach, head_of
from aminet_train.networks.heads import HEADS_WITH_MAP
from aminet_train.settings import from_tables, merge, to_tables, write_toml

MODEL = "model"
"""What users call the approach."""

MASKS = "masks"
"""Shorthand that lays MASK_DEFAULTS below the settings that were given."""

AUGMENTATION = "augmentation"
"""Shorthand that, where it is false, lays NO_AUGMENTATION below the settings that were given."""


def resolve(*layers: Mapping[str, Any]) -> TrainConfig:
    """Build the config of a run.

    Args:
        layers: Settings that were given, as tables; later ones win. `model` and `data` are needed.

    Raises:
        UsageError: A setting is unknown, missing, of another kind, or does not fit the others.
    """
    given = merge(*layers)
    approach = _approach(given.pop(MODEL, None))
    if "approach" in given:
        raise UsageError("unknown setting 'approach'", hint=f"the network is named by {MODEL!r}")
    masks = MASK_DEFAULTS if given.pop(MASKS, False) else {}
    still = {} if given.pop(AUGMENTATION, True) else NO_AUGMENTATION
    if masks and approach is Approach.SIMPLE_CNN:
        raise UsageError("simple_cnn has no map to learn masks on", hint="choose another --model")
    tables = merge(MODEL_DEFAULTS[approach], masks, still, given)
    network = tables.get("network", {})
    tables["network"] = from_tables(CONFIG_TYPES[approach], network, where="network.")
    config = from_tables(TrainConfig, {**tables, "approach": approach})
    _require_map_for_masks(config)
    return config


def written(config: TrainConfig) -> str:
    """Write a config as the TOML that `resolve` reads back."""
    tables = to_tables(config)
    return write_toml({MODEL: tables.pop("approach"), **tables})


def _approach(name: Any) -> Approach:
    networks = ", ".join(MODEL_DEFAULTS)
    if name is None:
        raise UsageError("no network is named", hint=f"add --model, one of {networks}")
    if name not in MODEL_DEFAULTS:
        raise UsageError(f"model {name!r} is none of {networks}")
    return Approach(name)


def _require_map_for_masks(config: TrainConfig) -> None:
    head = head_of(config.network)
    if config.loss.mask_weight and head not in HEADS_WITH_MAP:
        raise UsageError("a mask weight needs a dense head", hint="use --masks, or --head dense")
