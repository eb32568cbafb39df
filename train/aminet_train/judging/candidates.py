# SPDX-License-Identifier: Apache-2.0
"""What can be evaluated: a checkpoint, a bundle or an ensemble, each with its own decision rule.

Rules were chosen before, on validation patients (SPIRAL: on training patients); the split that is
evaluated never chooses anything.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from aminet_runtime.bundle import Bundle
from aminet_runtime.errors import InputInconsistent, InputMissing, ModelIncompatible
from aminet_runtime.regions import Regions
from aminet_runtime.session import Session, SliceScore
from aminet_train.checkpoint import CheckpointInfo, load_info, load_network, run_name
from aminet_train.cohort.pool import PatientPool
from aminet_train.cohort.prepared_patient import PreparedPatient
from aminet_train.cohort.splits import Split
from aminet_train.ensemble import Ensemble, is_bundle, is_ensemble, load_ensemble
from aminet_train.judging.answers import PatientAnswer, answer, vote
from aminet_train.judging.evaluate import score_patient
from aminet_train.judging.spiral import spiral_scores
from aminet_train.networks import Approach
from aminet_train.preprocessing import Preprocessing, PreprocessingConfig
from aminet_train.slice_window import SINGLE_SLICE
from aminet_train.thresholds import ChosenRule, fitted_threshold

CASE_WINDOWS = 25
NEVER = 2.0
"""Above any probability: the threshold of a region that is not assessed."""

OnPatient = Callable[[], None]
Answers = Mapping[str, PatientAnswer]


class Candidate(Protocol):
    """A model that is evaluated.

    Attributes:
        label: Its name in tables and file names.
        approach: How it answers.
        regions: What it answers for.
        leaking: Whether it learned from a split by slices.
        learned: Fingerprints of the scans that it learned from.
    """

    label: str
    approach: str
    regions: Regions
    leaking: bool
    learned: frozenset[str]

    @property
    def rule(self) -> ChosenRule | None:
        """Its decision rule; None where members decide by their own."""
        ...

    def patients(self, pool: PatientPool, splits: Sequence[Split]) -> list[PreparedPatient]:
        """List the patients of some splits that were prepared as it reads them."""
        ...

    def answers(self, pool: PatientPool, splits: Sequence[Split], on_patient: OnPatient) -> Answers:
        """Score and decide these patients, by name."""
        ...

    def evidence(self, patient: PreparedPatient, number: int) -> NDArray[np.float32] | None:
        """Return evidence 0..1 [15, h, w] of one slice; None if it has none for a cached slice."""
        ...


def open_candidate(path: Path, *, label: str | None = None) -> Candidate:
    """Open a checkpoint, a bundle or an ensemble.

    Args:
        path: Its folder.
        label: Its name in tables; that of its run or folder if None.

    Raises:
        ModelError: It cannot be read.
    """
    name = label or run_name(path)
    if is_ensemble(path):
        return EnsembleCandidate(name, load_ensemble(path))
    if is_bundle(path):
        return BundleCandidate(name, path)
    return CheckpointCandidate(name, path)


class CheckpointCandidate:
    """A network or the SPIRAL threshold, on cached inputs."""

    def __init__(self, label: str, folder: Path) -> None:
        self.info: CheckpointInfo = load_info(folder)
        self.label = label
        self.approach = self.info.approach.value
        self.regions = self.info.regions
        self.leaking = self.info.leaking
        self.learned = self.info.learned
        is_spiral = self.info.approach is Approach.SPIRAL
        self._network: nn.Module | None = None if is_spiral else load_network(folder, self.info)

    @property
    def rule(self) -> ChosenRule:
        """What the checkpoint says."""
        return self.info.rule

    def patients(self, pool: PatientPool, splits: Sequence[Split]) -> list[PreparedPatient]:
        """Choose cohorts with the checkpoint's preprocessing; SPIRAL takes any."""
        if self._network is None:
            return pool.of_any_kind(splits)
        return pool.of_kind(self.info.preprocessing, splits, label=self.label)

    def answers(self, pool: PatientPool, splits: Sequence[Split], on_patient: OnPatient) -> Answers:
        """Score from the cache and decide by the checkpoint's rule."""
        found = {}
        for patient in self.patients(pool, splits):
            found[patient.patient_id] = answer(self._scores(patient), self.rule)
            on_patient()
        return found

    def evidence(self, patient: PreparedPatient, number: int) -> NDArray[np.float32] | None:
        """Run the network on one slice."""
        if self._network is None:
            return None
        numbers = np.array([number], np.int32)
        with torch.inference_mode():
            _logits, evidence = self._network(patient.inputs(numbers, self.info.window))
        found: NDArray[np.float32] = evidence[0].float().sigmoid().numpy()
        return found

    def _scores(self, patient: PreparedPatient) -> NDArray[np.float32]:
        if self._network is None:
            return spiral_scores(patient)
        return score_patient(self._network, patient, self.info.window)


class BundleCandidate:
    """A bundle in the runtime's engine, fed with cached slices turned back to HU.

    A bundle holds no slice-level threshold: its answers are about patients. The one for slice-level
    figures is chosen on the validation patients of the cohorts, with the engine that ships.

    A bundle of the SPIRAL threshold reads maps that the cache does not hold; the maxima that it
    does hold are what the bundle's graph finds, as its export has proven.
    """

    def __init__(self, label: str, folder: Path) -> None:
        self._session = Session.open(Bundle.open(folder))
        self._about = self._session.bundle.metadata
        self._is_spiral = self._about.approach.value == Approach.SPIRAL.value
        self._slice_threshold: float | None = None
        self.label = label
        self.approach = f"{self._about.approach.value} {self._about.precision.value}"
        self.regions = self._about.regions
        self.leaking = False
        self.learned = frozenset(self._about.data.training.fingerprints)

    @property
    def rule(self) -> ChosenRule | None:
        """The bundle's, with the slice threshold once it is chosen."""
        if self._slice_threshold is None:
            return None
        decision = self._about.decision
        thresholds = tuple(NEVER if t is None else t for t in decision.thresholds)
        return ChosenRule(thresholds, self._slice_threshold, decision.min_consecutive_slices)

    def patients(self, pool: PatientPool, splits: Sequence[Split]) -> list[PreparedPatient]:
        """Choose cohorts with the bundle's channels, windows and size; SPIRAL takes any.

        Raises:
            InputMissing: No cohort was prepared so.
            ModelIncompatible: A channel has several windows.
        """
        if self._is_spiral:
            return pool.of_any_kind(splits)
        if self._about.input.window_counts is not None:
            raise ModelIncompatible(
                f"{self.label} has several windows a channel: prepared slices do not tell its HU",
                case=CASE_WINDOWS,
                hint="evaluate its checkpoint; the bundle's card has the figures of the bundle",
            )
        return pool.of_kind(self._preprocessing(), splits, label=self.label)

    def answers(self, pool: PatientPool, splits: Sequence[Split], on_patient: OnPatient) -> Answers:
        """Score in the runtime's engine and decide by the bundle's rule.

        Raises:
            InputInconsistent: Only some slices of a patient were kept.
        """
        self._slice_threshold = self._slice_threshold or self._choose_slice_threshold(pool)
        rule, found = self.rule, {}
        for patient in self.patients(pool, splits):
            if rule is not None:
                found[patient.patient_id] = answer(self._scores(patient), rule)
            on_patient()
        return found

    def evidence(self, patient: PreparedPatient, number: int) -> NDArray[np.float32] | None:
        """Take the map of the slice from the engine."""
        if self._is_spiral:
            return None
        whole = next(score.evidence for score in self._stream(patient) if score.index == number)
        return self._in_view(whole)

    def _in_view(self, evidence: NDArray[np.float32]) -> NDArray[np.float32]:
        """Cut off the margin that the network does not see and prepared images do not have."""
        preprocessing, (height, width) = self._preprocessing(), evidence.shape[1:]
        height_in_view = height * preprocessing.size_px[0] // preprocessing.frame_px[0]
        rows, columns = preprocessing.margin_cells(height_in_view)
        return evidence[:, rows : height - rows, columns : width - columns]

    def _scores(self, patient: PreparedPatient) -> NDArray[np.float32]:
        if self._is_spiral:
            return spiral_scores(patient)
        patient.require_complete()
        scores = np.stack([score.probabilities.copy() for score in self._stream(patient)])
        return scores[patient.slices]

    def _stream(self, patient: PreparedPatient) -> Iterator[SliceScore]:
        spacing_mm = patient.scan.spacing_mm[2]
        return self._session.stream(self._slices_hu(patient), slice_spacing_mm=spacing_mm)

    def _slices_hu(self, patient: PreparedPatient) -> Iterator[NDArray[np.float32]]:
        """Turn cached slices back to HU; at the size of the frame the resize is the identity."""
        preprocessing, images = Preprocessing(self._preprocessing()), patient.images()
        for number in patient.kept:
            alone = np.array([number], np.int32)
            planes = patient.planes(alone, SINGLE_SLICE, images=images)
            yield preprocessing.to_hu(planes)[0].numpy()

    def _preprocessing(self) -> PreprocessingConfig:
        about = self._about.input
        return PreprocessingConfig(
            channels=about.channels,
            views_hu=tuple((bounds,) for bounds in about.window_hu),
            size_px=about.network_size_px,
            margin_px=about.network_margin_px,
        )

    def _choose_slice_threshold(self, pool: PatientPool) -> float:
        validation = self.patients(pool, [Split.VALIDATION])
        if not validation:
            raise InputMissing(
                f"{self.label} has no slice-level threshold, and there are no validation patients "
                "to choose one on",
                hint="add a cohort with validation patients, or evaluate its checkpoint",
            )
        scores = np.concatenate([self._scores(patient) for patient in validation])
        truth = np.concatenate([patient.labels_here for patient in validation])
        return fitted_threshold(scores, truth.astype(bool))


class EnsembleCandidate:
    """Members that vote; each reads its own kind of cohort."""

    def __init__(self, label: str, ensemble: Ensemble) -> None:
        self.label = label
        self.approach = "ensemble"
        self.regions = ensemble.regions
        self.leaking = ensemble.leaking
        self.rule: ChosenRule | None = None
        self._members = [open_candidate(m.folder, label=m.name) for m in ensemble.members]
        self.learned = frozenset[str]().union(*(member.learned for member in self._members))

    def patients(self, pool: PatientPool, splits: Sequence[Split]) -> list[PreparedPatient]:
        """List the patients of the first member; the others must have the same ones."""
        return self._members[0].patients(pool, splits)

    def answers(self, pool: PatientPool, splits: Sequence[Split], on_patient: OnPatient) -> Answers:
        """Let the members answer, one after the other, and vote."""
        per_member = [
            member.answers(pool, splits, on_patient if member is self._members[0] else _nothing)
            for member in self._members
        ]
        if any(other.keys() != per_member[0].keys() for other in per_member):
            raise InputInconsistent(
                f"the members of {self.label} have different patients",
                hint="prepare the same patients, split alike, for every member",
            )
        return {name: vote([found[name] for found in per_member]) for name in per_member[0]}

    def evidence(self, patient: PreparedPatient, number: int) -> NDArray[np.float32] | None:
        """Return the first member's map: it reads the patient's cached images."""
        return self._members[0].evidence(patient, number)


def _nothing() -> None:
    pass
