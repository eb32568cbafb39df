# SPDX-License-Identifier: Apache-2.0
"""What an export starts from: a checkpoint, and patients that fit it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from aminet_export.accuracy import Labels, Scores
from aminet_export.engines import Scorer
from aminet_export.openvino_scorer import fused_scorer, openvino_scorer
from aminet_export.scoring import score_cached, score_fused
from aminet_export.slices import CachedImages, CachedSlices, FolderSlice, folder_slices
from aminet_export.spiral_slices import DrawnMaxima, require_fitted_on
from aminet_export.steps import OnProgress
from aminet_runtime.errors import (
    InputInconsistent,
    InputMissing,
    ModelIncompatible,
    UsageError,
)
from aminet_train.checkpoint import CheckpointInfo, load_model
from aminet_train.cohort.patients import PatientsBySplit, gather_patients, held_out_among
from aminet_train.cohort.prepared import PreparedCohort
from aminet_train.cohort.prepared_patient import PreparedPatient
from aminet_train.cohort.splits import HELD_OUT, Split
from aminet_train.model import DeployableModel, deployable
from aminet_train.networks import Approach
from aminet_train.preprocessing import Preprocessing, PreprocessingConfig, planes_of_views
from aminet_train.thresholds import ChosenRule, choose_rule

CASE_DATA = 22
CASE_LEAKING = 23
CASE_SEVERAL_WINDOWS = 29


@dataclass(frozen=True, slots=True)
class Source:
    """A checkpoint and the patients of its data.

    Attributes:
        info: The checkpoint's.
        model: The whole model in torch; it takes a plane for each window of a channel.
        patients: By split; none is empty.
        shown: How these patients are shown to the engines.
        slices_alone: The same without neighbours, for a network that sees each slice alone.
        prepared: What their cohort was prepared with.
        on_progress: Called with patients done and their number.
    """

    info: CheckpointInfo
    model: DeployableModel
    patients: PatientsBySplit
    shown: CachedSlices
    prepared: PreprocessingConfig
    on_progress: OnProgress
    slices_alone: CachedSlices | None = None

    @property
    def is_spiral(self) -> bool:
        """Whether it is the SPIRAL threshold, which has no network and a rule from training."""
        return self.info.approach is Approach.SPIRAL

    @property
    def has_phantoms_only(self) -> bool:
        """Whether no patient of any split is a real one."""
        return all(p.scan.is_phantom for split in Split for p in self.patients[split])

    @property
    def planes(self) -> int:
        """Planes of the network's input."""
        return self.shown.shape[1]

    @property
    def cached_shape(self) -> tuple[int, int, int, int]:
        """Shape of one cached slice as the network's input."""
        return self.shown.shape

    @property
    def plane_of_view(self) -> list[int]:
        """For each plane of the network's input, the plane of the bundle's input that it shows."""
        return planes_of_views(self.info.preprocessing, self.info.window)

    @property
    def shares_planes(self) -> bool:
        """Whether a channel has several windows, each of which has a plane here."""
        return not self.info.preprocessing.has_one_view_each

    def labels(self, split: Split) -> Labels:
        """Return the truth of each patient of a split."""
        return [patient.truth.labels for patient in self.patients[split]]

    def score(self, model: ov.Model, split: Split) -> Scores:
        """Score all slices of a split in OpenVINO, as the runtime would."""
        if self.slices_alone is not None:
            shown, window = self.slices_alone, self.info.window
            scorer = fused_scorer(model, shown.shape)
            return score_fused(
                scorer, self.patients[split], shown, window, on_progress=self.on_progress
            )
        return self.score_patients(openvino_scorer(model, self.cached_shape), self.patients[split])

    def score_patients(
        self, scorer: Scorer, patients: list[PreparedPatient]
    ) -> list[NDArray[np.float32]]:
        """Score all cached slices of some patients."""
        return score_cached(scorer, patients, self.shown, on_progress=self.on_progress)

    def choose_rule(self, scores: Scores, labels: Labels) -> ChosenRule:
        """Choose how scores of validation patients become decisions.

        The SPIRAL threshold keeps its own, which was fitted on training patients as in the source
        report.
        """
        return self.info.rule if self.is_spiral else choose_rule(scores, labels)

    def validation_scorer(self) -> Callable[[ov.Model], Scores]:
        """Return a way to score networks on validation patients, and on no others."""
        return lambda model: self.score(model, Split.VALIDATION)

    def slice_hu(self, patient: PreparedPatient, number: int) -> NDArray[np.float32]:
        """Return a cached slice with its neighbours as float32 [1, C, h, w] in HU."""
        return self.shown.slice_hu(patient, number)

    def folder_slices(self, folder: Path) -> Iterator[FolderSlice]:
        """Yield the slices of a patient folder at full size, as the network's input."""
        return folder_slices(folder, self.info.preprocessing, self.info.window)

    def cached_planes(self, patient: PreparedPatient, number: int) -> NDArray[np.float32]:
        """Return a cached slice with its neighbours as float32 [1, C, h, w] in 0..1."""
        planes = patient.planes(np.array([number], np.int32), self.info.window)
        cached: NDArray[np.float32] = planes.numpy()
        return cached


def load_source(checkpoint: Path, data: tuple[Path, ...], *, on_progress: OnProgress) -> Source:
    """Load a checkpoint, and open the patients that calibrate, choose and judge.

    Raises:
        ModelInvalid: It is no checkpoint.
        ModelIncompatible: The data was prepared for another network.
        InputMissing: A split has no patients, or a patient has no SPIRAL map where one is needed.
        InputInconsistent: A held-out patient has not all slices, or the network has learned it,
            or the splits are by slice.
    """
    info, model = load_model(checkpoint)
    model = _with_a_plane_a_view(info, model)
    cohort, patients = gather_patients(each_once(data))
    _require_exportable(info, cohort)
    _require_all_splits(patients)
    if info.approach is Approach.SPIRAL:
        require_fitted_on(info, patients)
    else:
        _require_same_preparation(info, cohort)
        _require_all_slices(patients)
    _require_unseen(info, patients)
    shown = _shown(info, model)
    alone = _shown_alone(info) if info.window.late_fusion else None
    return Source(info, model, patients, shown, cohort.preprocessing, on_progress, alone)


def each_once(data: Sequence[Path]) -> tuple[Path, ...]:
    """Drop cohorts that are named twice: their patients would count twice."""
    return tuple({root.resolve(): root for root in reversed(data)}.values())[::-1]


def cohorts_for(info: CheckpointInfo, data: tuple[Path, ...]) -> tuple[Path, ...]:
    """Choose the cohorts that were prepared for a checkpoint; all of them if none was."""
    fitting = tuple(root for root in data if _fits(info, root))
    return fitting or data


def _fits(info: CheckpointInfo, root: Path) -> bool:
    cohort, patients = gather_patients([root])
    if info.approach is not Approach.SPIRAL:
        return cohort.preprocessing == info.preprocessing
    learned = {patient.fingerprint for patient in patients[Split.TRAIN]}
    return not learned.isdisjoint(info.training["data"][Split.TRAIN.value]["fingerprints"])


def _with_a_plane_a_view(info: CheckpointInfo, model: DeployableModel) -> DeployableModel:
    """Give each window of a channel a plane of its own, so that cached slices can be shown."""
    if info.preprocessing.has_one_view_each:
        return model
    apart = Preprocessing(info.preprocessing.one_plane_a_view(), info.window)
    return deployable(apart, model.network).eval()


def _shown(info: CheckpointInfo, model: DeployableModel) -> CachedSlices:
    if info.approach is Approach.SPIRAL:
        return DrawnMaxima()
    planes = info.preprocessing.views * info.window.size
    return CachedImages(model.preprocessing, planes)


def _shown_alone(info: CheckpointInfo) -> CachedSlices:
    """Show slices without their neighbours.

    Raises:
        UsageError: A channel has several windows, whose planes could not be shared by slices.
    """
    if not info.preprocessing.has_one_view_each:
        raise UsageError(
            "late fusion of channels with several HU windows is not exported",
            case=CASE_SEVERAL_WINDOWS,
            hint="prepare and train with one window for each channel",
        )
    return CachedImages(Preprocessing(info.preprocessing), info.preprocessing.views)


def _require_exportable(info: CheckpointInfo, cohort: PreparedCohort) -> None:
    if info.leaking or cohort.leaking:
        raise InputInconsistent(
            "slices of one patient are on both sides of the splits: no figure would mean anything",
            case=CASE_LEAKING,
            hint="prepare and train with splits by patient",
        )


def _require_same_preparation(info: CheckpointInfo, cohort: PreparedCohort) -> None:
    if cohort.preprocessing != info.preprocessing:
        raise ModelIncompatible(
            "the data was prepared with other channels, windows or sizes than the checkpoint's",
            case=CASE_DATA,
            path=cohort.root,
            hint="name the data that the network was trained with",
        )


def _require_all_splits(patients: PatientsBySplit) -> None:
    missing = [split.value for split in Split if not patients[split]]
    if missing:
        raise InputMissing(
            f"there are no {' and no '.join(missing)} patients",
            case=CASE_DATA,
            hint="export needs all three splits; add cohorts with --data",
        )


def _require_all_slices(patients: PatientsBySplit) -> None:
    for split in HELD_OUT:
        for patient in patients[split]:
            if not patient.is_complete:
                raise InputInconsistent(
                    f"{split} patient {patient.patient_id} was prepared with some slices only",
                    case=CASE_DATA,
                    hint="prepare validation and test patients with all slices",
                )


def _require_unseen(info: CheckpointInfo, patients: PatientsBySplit) -> None:
    """Compare with the scans that the checkpoint was trained on, whatever they are called now."""
    seen = held_out_among(patients, info.learned)
    if seen is not None:
        split, patient = seen
        raise InputInconsistent(
            f"the network was trained on {split} patient {patient.patient_id}",
            case=CASE_DATA,
            hint="name the data that the network was trained with",
        )
