# SPDX-License-Identifier: Apache-2.0
"""The values of a bundle's metadata.json, checked while they are read; docs/bundle.md has the keys.

A `Metadata` that exists is one that can be run: channels, windows and regions fit together. What
the network itself says about its inputs and outputs is compared with it by the engine.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Self, TypeVar

from aminet_runtime.decision import DecisionRule
from aminet_runtime.errors import InputInconsistent, ModelIncompatible, ModelInvalid
from aminet_runtime.input_contract import InputContract
from aminet_runtime.portable_name import is_portable_plain_name
from aminet_runtime.regions import REGION_COUNT, Regions
from aminet_runtime.strict_json import JsonObject, parse_object
from aminet_runtime.track_record import SHA256, DataSummary, Metrics

SCHEMA = "aminet.bundle/1"

CASE_METADATA = 1
CASE_SCHEMA = 2

_Choice = TypeVar("_Choice", bound=StrEnum)


class Approach(StrEnum):
    """How the probabilities are made."""

    SPIRAL = "spiral"
    SIMPLE_CNN = "simple_cnn"
    MOBILENETV2 = "mobilenetv2"
    EFFICIENTFORMERV2 = "efficientformerv2"
    ENSEMBLE = "ensemble"


class Precision(StrEnum):
    """The number format that most of the network computes in."""

    FP32 = "fp32"
    FP16 = "fp16"
    INT8 = "int8"
    MIXED = "mixed"  # of an ensemble only


@dataclass(frozen=True, slots=True)
class Metadata:
    """All that a bundle says about itself.

    Attributes:
        model_id: sha256 (hex) over the bytes of model.xml followed by those of model.bin.
        name: The bundle's name, such as `mobilenetv2-int8`.
        approach: How the probabilities are made.
        precision: Number format of the network.
        input: What the network wants to see.
        regions: Names of its 15 outputs.
        decision: Thresholds and slices in a row.
        metrics: What was measured on the test split; None if nothing was.
        data: Whose scans made it.
        versions: Version by tool.
        intended_use: What it is for, in one or two sentences.
        disclaimer: What every result says.
    """

    model_id: str
    name: str
    approach: Approach
    precision: Precision
    input: InputContract
    regions: Regions
    decision: DecisionRule
    metrics: Metrics | None
    data: DataSummary
    versions: Mapping[str, str]
    intended_use: str
    disclaimer: str

    @classmethod
    def from_json(cls, data: bytes, *, path: Path | None = None) -> Self:
        """Read the bytes of a metadata.json.

        Args:
            data: The file's content.
            path: The file, for messages.

        Raises:
            ModelIncompatible: The schema is not the one that this version reads.
            ModelInvalid: It is no JSON, or a key is missing or wrong; the message names the key.
        """

        def refuse(message: str) -> ModelInvalid:
            hint = "export the bundle again"
            return ModelInvalid(message, case=CASE_METADATA, path=path, hint=hint)

        values = parse_object(data, refuse=refuse)
        _require_schema(values, path=path)
        metrics = values.inner_or_none("metrics")
        return cls(
            model_id=_model_id(values),
            name=folder_name(values, "name"),
            approach=_choice(values, "approach", Approach),
            precision=_precision(values),
            input=InputContract.from_json(values.inner("input")),
            regions=_regions(values.inner("regions")),
            decision=_decision(values.inner("decision")),
            metrics=None if metrics is None else Metrics.from_json(metrics),
            data=DataSummary.from_json(values.inner("data")),
            versions=values.inner("versions").text_by_key(),
            intended_use=values.text("intended_use"),
            disclaimer=values.text("disclaimer"),
        )

    def to_json(self) -> dict[str, object]:
        """Return plain JSON values; `from_json` reads them back to an equal value."""
        mirror = self.regions.mirror
        return {
            "schema": SCHEMA,
            "id": self.model_id,
            "name": self.name,
            "approach": self.approach.value,
            "precision": self.precision.value,
            "input": self.input.to_json(),
            "regions": {
                "names": list(self.regions.names),
                "mirror": None if mirror is None else list(mirror),
            },
            "decision": {
                "thresholds": list(self.decision.thresholds),
                "min_consecutive_slices": self.decision.min_consecutive_slices,
            },
            "metrics": None if self.metrics is None else self.metrics.to_json(),
            "data": self.data.to_json(),
            "versions": dict(self.versions),
            "intended_use": self.intended_use,
            "disclaimer": self.disclaimer,
        }

    def to_bytes(self) -> bytes:
        """Return the content of a metadata.json: UTF-8, indented, ending in a line break."""
        return (json.dumps(self.to_json(), indent=1, ensure_ascii=False) + "\n").encode()


def _require_schema(values: JsonObject, *, path: Path | None) -> None:
    schema = values.text("schema")
    if schema != SCHEMA:
        raise ModelIncompatible(
            f"the schema is not {SCHEMA}, the only one that this version reads",
            case=CASE_SCHEMA,
            path=path,
            hint="install the aminet release that the bundle was made with",
        )


def _model_id(values: JsonObject) -> str:
    model_id = values.text("id")
    if not SHA256.fullmatch(model_id):
        raise values.error("id", "is no sha256 sum")
    return model_id


def folder_name(values: JsonObject, key: str) -> str:
    """Read a name that is safe to print and that every system takes for a folder."""
    name = values.text(key)
    if not is_portable_plain_name(name):
        raise values.error(
            key,
            "may hold letters, digits, dots, dashes and underscores only, not end in a dot, and "
            "not be a device of Windows",
        )
    return name


def _choice(values: JsonObject, key: str, choices: type[_Choice]) -> _Choice:
    value = values.text(key)
    if value not in list(choices):
        raise values.error(key, f"is none of {', '.join(choices)}")
    return choices(value)


def _precision(values: JsonObject) -> Precision:
    precision = _choice(values, "precision", Precision)
    if precision is Precision.MIXED:
        raise values.error("precision", "is mixed, which a single network is not")
    return precision


def _regions(values: JsonObject) -> Regions:
    mirror = None if values.is_null("mirror") else values.counts("mirror", length=REGION_COUNT)
    try:
        return Regions(names=values.texts("names"), mirror=mirror)
    except InputInconsistent as cause:
        raise values.error("names", f"or mirror cannot be right: {cause.message}") from cause


def _decision(values: JsonObject) -> DecisionRule:
    try:
        return DecisionRule(
            thresholds=values.numbers_or_nones("thresholds", length=REGION_COUNT),
            min_consecutive_slices=values.count("min_consecutive_slices"),
        )
    except ValueError as cause:
        if isinstance(cause, ModelInvalid):
            raise
        raise values.error("thresholds", f"or slices cannot be right: {cause}") from cause
