# SPDX-License-Identifier: Apache-2.0
"""What a reader of a result should know beside the findings: comparisons of scan and bundle."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from aminet_runtime.engines.engine import Engine
from aminet_runtime.errors import InputError
from aminet_runtime.metadata import Metadata
from aminet_runtime.regions import Regions, find_regions_json, load_regions
from aminet_runtime.result import ResultWarning, WarningCode
from aminet_runtime.scan import Scan
from aminet_runtime.track_record import scan_fingerprint

USUAL_SPACING_RATIO = 1.5
"""Coarser or finer than the training data by more than this is worth a remark."""


OUTSIDE_SHARE = 0.05
"""A region may lose its rim to the margin: 8 of 1150 training phantoms lose more of one."""


def remarks_on(
    scan: Scan, metadata: Metadata, engine: Engine, *, patient: Path
) -> tuple[ResultWarning, ...]:
    """Collect what is worth a remark about one patient.

    Args:
        scan: The scan, read to its end.
        metadata: The bundle that answered.
        engine: What ran it.
        patient: The patient's folder.
    """
    return (
        *_on_spacing(scan, metadata),
        *_on_region_names(metadata, patient=patient),
        *_on_view(scan, metadata),
        *_on_independence(scan, metadata),
        *engine.remarks(),
    )


def _on_spacing(scan: Scan, metadata: Metadata) -> Iterator[ResultWarning]:
    """Remark on a scan that is much coarser or finer than those of the training."""
    trained_mm = metadata.input.training_spacing_mm
    ratios = [here / trained for here, trained in zip(scan.spacing_mm, trained_mm, strict=True)]
    if not all(1 / USUAL_SPACING_RATIO <= ratio <= USUAL_SPACING_RATIO for ratio in ratios):
        yield ResultWarning(
            WarningCode.UNUSUAL_SPACING,
            f"the voxels are {_sizes(scan.spacing_mm)} mm, the network was trained on "
            f"{_sizes(trained_mm)} mm; it may find less than its figures promise",
        )


def _on_region_names(metadata: Metadata, *, patient: Path) -> Iterator[ResultWarning]:
    """Remark on a cohort that names its regions otherwise than the bundle does."""
    path = find_regions_json(patient)
    if path is None:
        return
    try:
        names = load_regions(path).names
    except InputError as error:
        yield ResultWarning(
            WarningCode.REGION_NAMES_DIFFER,
            f"the names of the bundle are used, since those of the cohort cannot be: {error}",
        )
        return
    if metadata.regions.names not in {names, Regions.numbered().names}:
        differing = sum(a != b for a, b in zip(names, metadata.regions.names, strict=True))
        yield ResultWarning(
            WarningCode.REGION_NAMES_DIFFER,
            f"{path.name} names {differing} of {len(names)} regions otherwise than the bundle; "
            "the bundle's names are used, check that both mean one atlas",
        )


def _on_view(scan: Scan, metadata: Metadata) -> Iterator[ResultWarning]:
    """Remark on regions that reach beyond the middle of the slices that the network sees."""
    names = [metadata.regions.names[region] for region in scan.regions_cut_off(OUTSIDE_SHARE)]
    if names:
        yield ResultWarning(
            WarningCode.OUT_OF_VIEW,
            f"more than {OUTSIDE_SHARE:.0%} of {', '.join(names)} lies outside of the middle of "
            "the slices, which is all that the network sees; a clot there is not found",
        )


def _on_independence(scan: Scan, metadata: Metadata) -> Iterator[ResultWarning]:
    """Remark on a scan that the bundle has learned from."""
    split = metadata.data.split_that_shaped(scan_fingerprint(scan.file_hashes()))
    if split is not None:
        yield ResultWarning(
            WarningCode.NOT_INDEPENDENT,
            f"this scan is one of the bundle's {split} patients, so its answer proves nothing",
        )


def _sizes(values: Sequence[float]) -> str:
    return " x ".join(f"{value:.3g}" for value in values)
