# SPDX-License-Identifier: Apache-2.0
"""Patients or slices in, results or scores out: one bundle, opened once, for any number of them.

A session compiles its network for the first slice size that it meets and keeps it until another
size comes. It is not thread-safe: use one session a thread. Streams of one session may be consumed
in turns.
"""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from aminet_runtime.budget import MIB, Budget
from aminet_runtime.bundle import Bundle, default_bundle_path
from aminet_runtime.decision import find_regions
from aminet_runtime.engines.choice import EngineName, start_engine
from aminet_runtime.engines.engine import CompiledNetwork, Engine, NetworkAnswer
from aminet_runtime.errors import InputUnsuitable, printable
from aminet_runtime.memory_estimate import needed_bytes
from aminet_runtime.patient import PatientFolder
from aminet_runtime.process import peak_rss_bytes
from aminet_runtime.remarks import remarks_on
from aminet_runtime.result import InputSummary, ModelReference, PatientResult, utc_now
from aminet_runtime.scan import Scan
from aminet_runtime.slice_window import (
    RecentSlices,
    SliceSource,
    WriteSlice,
    fill_features,
    fill_planes,
    window_step,
)
from aminet_runtime.stopwatch import Stopwatch
from aminet_runtime.supervisor import OnProgress, Supervisor
from aminet_runtime.threads import chosen_threads

_LOGGER = logging.getLogger(__name__)

CASE_SLICE_NOT_FINITE = 21


@dataclass(frozen=True, slots=True, eq=False)
class SliceScore:
    """What the network says about one slice.

    Attributes:
        index: Position of the slice along the body, 0 is the lowest.
        probabilities: float32 [15] in 0..1.
        evidence: float32 [15, h, w], where the network looked; h x w covers the whole slice.
    """

    index: int
    probabilities: NDArray[np.float32]
    evidence: NDArray[np.float32]


class SliceObserver(Protocol):
    """Wants to see each slice of a patient beside its score, such as for pictures."""

    def see(self, scored: SliceScore, planes: NDArray[np.float32]) -> None:
        """Look at one slice, in stored order.

        Args:
            scored: What the network said about it.
            planes: float32, what it was shown: [C x window, H, W], or the slice alone, [C, H, W],
                where the network compares features; overwritten afterwards.
        """


class Session:
    """An opened bundle; use `Session.open` in a `with` block.

    Attributes:
        bundle: What runs.
        threads: Threads of one inference.
    """

    def __init__(self, bundle: Bundle, engine: Engine, *, threads: int) -> None:
        """Take over an engine; use `Session.open`."""
        self.bundle = bundle
        self.threads = threads
        self._engine: Engine | None = engine
        self._network: CompiledNetwork | None = None
        self._start_ms = 0.0
        self._opening_s = 0.0

    @classmethod
    def open(
        cls,
        bundle: str | Path | Bundle | None = None,
        *,
        threads: int | None = None,
        engine: EngineName = EngineName.OPENVINO,
        started: float | None = None,
    ) -> Self:
        """Verify a bundle and read its network.

        Args:
            bundle: A bundle or its folder; the one that comes with the package if None.
            threads: Threads of one inference; what the process may use if None.
            engine: What runs the network; ONNX Runtime is an extra.
            started: When the work began, by `time.perf_counter`, for the timings; now if None.

        Raises:
            ModelInvalid: The bundle cannot be read.
            ModelUntrusted: A file of the bundle was changed.
            ModelIncompatible: Bundle, engine and machine do not fit together.
            UsageError: `threads` is not within 1 to 1024.
        """
        begin = time.perf_counter()
        count = chosen_threads(threads)
        opened = bundle if isinstance(bundle, Bundle) else Bundle.open(_bundle_path(bundle))
        running = start_engine(EngineName(engine), opened, threads=count)
        _LOGGER.info("%s (%s) with %d threads", opened.name, running.version, count)
        session = cls(opened, running, threads=count)
        session._count_start(opening_began=begin, started=begin if started is None else started)
        return session

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the network's memory back; the session cannot be used any more."""
        self._network = None
        self._engine = None

    @property
    def members(self) -> "tuple[Session, ...]":
        """The sessions that decide: this one; an ensemble has several."""
        return (self,)

    @property
    def opening_s(self) -> float:
        """Seconds that opening took, as far as they count against the next patient's limit."""
        return self._opening_s

    @property
    def engine_version(self) -> str:
        """Name and version of the engine."""
        return self._opened_engine().version

    @property
    def runs_what_was_measured(self) -> bool:
        """Whether this is the network and the engine of the bundle's figures."""
        return self._opened_engine().runs_what_was_measured

    @property
    def engine_settings(self) -> Mapping[str, str]:
        """The engine's settings as it reports them; empty before the first slice."""
        return {} if self._network is None else self._network.settings

    def model_reference(self) -> ModelReference:
        """Return what results say about the model that answered."""
        metadata = self.bundle.metadata
        return ModelReference(
            id=metadata.model_id,
            approach=metadata.approach.value,
            precision=self._opened_engine().precision.value,
            bundle=metadata.name,
            engine=self.engine_version,
        )

    def run(
        self,
        patient: str | Path | PatientFolder,
        *,
        budget: Budget | None = None,
        on_progress: OnProgress | None = None,
        observer: SliceObserver | None = None,
    ) -> PatientResult:
        """Find the affected regions of one patient.

        Args:
            patient: The patient's folder; it is only read.
            budget: Limits of time and memory; the client's (`Budget()`) if None.
            on_progress: Called after each slice with how many are done and how many there are.
            observer: Sees each slice beside its score; what it saw counts only once this returns.

        Raises:
            InputError: A file is missing, damaged, not supported, or shows no head.
            ModelInvalid: The network cannot take these slices.
            ModelIncompatible: This machine cannot run the network.
            BudgetExceeded: Time or memory do not suffice.
        """
        began = time.perf_counter() - self._opening_s
        clock = self._begin_patient()
        folder = patient if isinstance(patient, PatientFolder) else PatientFolder.open(patient)
        supervisor = Supervisor(budget or Budget(), started=began, on_progress=on_progress)
        channels = self.bundle.metadata.input.channels
        with Scan.open(folder, channels, threads=self.threads) as scan:
            scan.count_in_view(self.bundle.metadata.input)
            scores = self._score_scan(scan, supervisor, clock, observer)
            scan.verify()
        return self._result(folder, scan, scores, clock)

    def stream(
        self, slices: Iterable[NDArray[np.float32]], *, slice_spacing_mm: float | None = None
    ) -> Iterator[SliceScore]:
        """Score slices as they arrive; the caller vouches that they show a head in HU.

        Args:
            slices: Arrays [C, H, W] in HU and canonical orientation (docs/architecture.md), one
                for each slice from the lowest up, one channel for each of the bundle's. An array
                may be reused once the next one is asked for.
            slice_spacing_mm: Distance of the slices; needed if the bundle's window is in mm.

        Yields:
            A score for each slice, in order; with a window of slices, later than its slice.

        Raises:
            ValueError: A slice has another shape than [C, H, W] or than the first one.
            InputUnsuitable: A slice holds values that are not finite.
        """
        step = self._step(slice_spacing_mm)
        arrays = iter(slices)
        first = next(arrays, None)
        if first is None:
            return
        height, width = _require_planes(first, len(self.bundle.metadata.input.channels))
        network = self._network_for(height, width)
        source = _copying(chain([first], arrays), shape=first.shape)
        yield from self._score(source, network, step=step)

    def answer(self, planes_hu: NDArray[np.float32]) -> NetworkAnswer:
        """Answer for one slice whose neighbours are given, too.

        Args:
            planes_hu: float32 [channels x window, H, W] in HU, in the order of docs/bundle.md.
        """
        planes = self.bundle.metadata.input.planes
        height, width = _require_planes(planes_hu, planes)
        network = self._network_for(height, width)
        if network.features is None:
            network.input_hu[:] = planes_hu
        else:
            for place, features in enumerate(network.features):
                network.input_hu[:] = planes_hu[place :: len(network.features)]
                features[:] = network.look()
        return network.infer()

    def _count_start(self, *, opening_began: float, started: float) -> None:
        """Let the first patient's timings include the start, and its limit the opening."""
        now = time.perf_counter()
        self._opening_s = now - opening_began
        self._start_ms = (now - started) * 1000.0

    def _begin_patient(self) -> Stopwatch:
        """Start the clock; the first patient's includes the start of the session."""
        start_ms, self._start_ms, self._opening_s = self._start_ms, 0.0, 0.0
        return Stopwatch(start_ms=start_ms)

    def _score_scan(
        self,
        scan: Scan,
        supervisor: Supervisor,
        clock: Stopwatch,
        observer: SliceObserver | None,
    ) -> NDArray[np.float32]:
        """Score all slices of a scan: float32 [Z, 15], lowest slice first."""
        depth, height, width = scan.shape
        step = self._step(scan.spacing_mm[2])
        supervisor.require_memory(
            needed_bytes(
                self.bundle, height=height, width=width, step=step, held_bytes=scan.held_bytes
            )
        )
        clock.lap("open")
        network = self._network_for(height, width)
        clock.lap("compile")
        regions = len(self.bundle.metadata.regions.names)
        scores = np.zeros((depth, regions), np.float32)
        slices, recent = scan.slices(), None
        if observer is not None and network.features is not None:
            slices = recent = RecentSlices(slices, window=len(network.features), step=step)
        for score in supervisor.watch(self._score(slices, network, step=step), depth):
            scores[score.index] = score.probabilities
            if observer is not None:
                observer.see(score, network.input_hu if recent is None else recent[score.index])
        clock.lap("stream")
        return scores

    def _score(
        self, source: SliceSource, network: CompiledNetwork, *, step: int
    ) -> Iterator[SliceScore]:
        if network.features is None:
            window = self.bundle.metadata.input.window
            filled = fill_planes(source, network.input_hu, window=window, step=step)
        else:
            filled = fill_features(source, partial(_look, network), network.features, step=step)
        for index in filled:
            answer = network.infer()
            yield SliceScore(index, answer.probabilities, answer.evidence)

    def _network_for(self, height: int, width: int) -> CompiledNetwork:
        """Return the network for this slice size; the one of another size is given up."""
        if self._network is None or self._network.input_hu.shape[1:] != (height, width):
            self._network = None
            self._network = self._opened_engine().compile(height=height, width=width)
            _LOGGER.debug("compiled for %d x %d with %s", width, height, self._network.settings)
        return self._network

    def _opened_engine(self) -> Engine:
        if self._engine is None:
            raise ValueError("the session is closed; open another one")
        return self._engine

    def _step(self, slice_spacing_mm: float | None) -> int:
        wanted_mm = self.bundle.metadata.input.window_spacing_mm
        return window_step(wanted_mm, slice_spacing_mm=slice_spacing_mm)

    def _result(
        self, folder: PatientFolder, scan: Scan, scores: NDArray[np.float32], clock: Stopwatch
    ) -> PatientResult:
        metadata = self.bundle.metadata
        timings = clock.timings()
        _LOGGER.info("%d slices in %.0f ms", len(scores), timings.stream)
        return PatientResult(
            patient=printable(folder.patient_id) or "unnamed",
            created=utc_now(),
            model=self.model_reference(),
            regions=find_regions(scores, metadata.decision, names=metadata.regions.names),
            min_consecutive_slices=metadata.decision.min_consecutive_slices,
            scores=scores,
            input=_summarise(scan),
            warnings=remarks_on(scan, metadata, self._opened_engine(), patient=folder.path),
            threads=self.threads,
            timings_ms=timings,
            peak_rss_mib=_peak_rss_mib(),
            disclaimer=metadata.disclaimer,
        )


def _look(network: CompiledNetwork, write: WriteSlice) -> NDArray[np.float32]:
    write(network.input_hu)
    return network.look()


def _require_planes(array: NDArray[np.float32], planes: int) -> tuple[int, int]:
    """Return height and width of an array [planes, H, W]."""
    if array.ndim != 3 or len(array) != planes or 0 in array.shape:
        raise ValueError(f"a slice of shape {array.shape}: [{planes}, H, W] is needed")
    return array.shape[1], array.shape[2]


def _bundle_path(bundle: str | Path | None) -> Path:
    return default_bundle_path() if bundle is None else Path(bundle)


def _copying(arrays: Iterable[NDArray[np.float32]], *, shape: tuple[int, ...]) -> SliceSource:
    """Number the caller's arrays, and let each be copied into the network's input."""
    for index, array in enumerate(arrays):
        if array.shape != shape:
            raise ValueError(f"slice {index} has shape {array.shape}, the first one had {shape}")
        if not np.isfinite(array).all():
            raise InputUnsuitable(
                f"slice {index} holds values that are not finite",
                case=CASE_SLICE_NOT_FINITE,
                hint="hand over HU as numbers",
            )
        yield index, partial(_copy, array)


def _copy(array: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    np.copyto(out, array, casting="same_kind")


def _summarise(scan: Scan) -> InputSummary:
    names = (printable(path.name) for path in scan.paths)
    return InputSummary(
        files=dict(zip(names, scan.file_hashes(), strict=True)),
        shape=scan.shape[::-1],
        spacing_mm=scan.spacing_mm,
    )


def _peak_rss_mib() -> float | None:
    peak = peak_rss_bytes()
    return None if peak is None else round(peak / MIB, 1)
