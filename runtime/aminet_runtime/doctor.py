# SPDX-License-Identifier: Apache-2.0
"""Is this machine fit to run this bundle? A list of checks, one verdict, one exit code."""

import importlib.metadata
import platform
import shutil
import time
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from itertools import repeat
from pathlib import Path
from statistics import median

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from aminet_runtime.budget import MIB, available_memory_bytes
from aminet_runtime.cpu import cpu_name, has_required_instructions, instruction_sets
from aminet_runtime.diagnosis import Check, CheckStatus, Diagnosis
from aminet_runtime.engines.choice import EngineName
from aminet_runtime.engines.openvino_import import ISA_VARIABLE, isa_limit
from aminet_runtime.engines.saturation import EXACT_SUM, int8_sum
from aminet_runtime.errors import (
    AminetError,
    BudgetExceeded,
    ModelIncompatible,
    OutputNotWritable,
)
from aminet_runtime.memory_estimate import needed_bytes
from aminet_runtime.metadata import Precision
from aminet_runtime.selftest import TOLERANCE, largest_difference, read_selftest
from aminet_runtime.session import Session
from aminet_runtime.sessions import open_session
from aminet_runtime.threads import available_threads
from aminet_runtime.version import VERSION

USUAL_SLICES = 257
USUAL_SIZE_PX = 512
USUAL_SPACING_MM = 0.64
REPEATS = 9
MIN_FREE_DISK_BYTES = 16 * MIB
DEPENDENCIES = ("numpy", "openvino", "isal")
FOR_INT8 = ("cpu", "arithmetic")
"""Checks whose failure matters to INT8 bundles alone; their hint is to use a float bundle."""

CASE_CPU = 30
CASE_SELFTEST = 31
CASE_MEMORY = 5
CASE_DISK = 5
CASE_CURRENT_FOLDER = 7


def diagnose(
    bundle: Path | None = None,
    *,
    threads: int | None = None,
    engine: EngineName = EngineName.OPENVINO,
) -> Diagnosis:
    """Examine this machine, and run a bundle's self-test on it.

    Args:
        bundle: The bundle's folder; the one that comes with the package if None.
        threads: Threads of one inference; what the process may use if None.
        engine: What runs the network.
    """
    checks = [_examine("versions", _versions)]
    if engine is EngineName.OPENVINO:
        checks += [_examine("cpu", _cpu), _examine("arithmetic", _arithmetic)]
    checks += [
        _examine("threads", _threads),
        _examine("disk", _disk),
    ]
    began = time.perf_counter()
    try:
        opened = open_session(bundle, threads=threads, engine=engine)
    except AminetError as error:
        return Diagnosis((*checks, _failed("bundle", error)), seconds_per_patient=None)
    with opened:
        if not any(_is_int8(session) for session in opened.members):
            checks = [_as_note(check) if check.name in FOR_INT8 else check for check in checks]
        for session in opened.members:
            checks.append(_examine("bundle", partial(_bundle, session)))
            checks.append(_examine("memory", partial(_memory, session)))
            checks.append(_examine("self-test", partial(_selftest, session)))
        if any(check.status is CheckStatus.FAILED for check in checks):
            return Diagnosis(tuple(checks), seconds_per_patient=None)
        seconds = time.perf_counter() - began
        seconds += sum(_seconds_per_pass(session) for session in opened.members)
    checks.append(Check("speed", CheckStatus.OK, f"{seconds:.2f} s for {USUAL_SLICES} slices"))
    return Diagnosis(tuple(checks), seconds_per_patient=round(seconds, 2))


def _examine(name: str, look: Callable[[], str | Check]) -> Check:
    """Make a check of what a look returns or raises."""
    try:
        seen = look()
    except AminetError as error:
        return _failed(name, error)
    return seen if isinstance(seen, Check) else Check(name, CheckStatus.OK, seen)


def _failed(name: str, error: AminetError) -> Check:
    return Check(name, CheckStatus.FAILED, f"[{error.code}] {error}", error.exit_code)


def _is_int8(session: Session) -> bool:
    return session.bundle.metadata.precision is Precision.INT8


def _as_note(check: Check) -> Check:
    """Let what only INT8 bundles need be no failure for a float bundle."""
    if check.status is not CheckStatus.FAILED:
        return check
    return Check(check.name, CheckStatus.NOTE, f"{check.detail}, which this one is")


def _versions() -> str:
    packages = [f"{name} {_version_of(name)}" for name in DEPENDENCIES]
    python = f"Python {platform.python_version()}"
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    return ", ".join((f"aminet {VERSION}", *packages, python, system))


def _version_of(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "(not installed as a package)"


def _cpu() -> str:
    if not has_required_instructions():
        raise ModelIncompatible(
            f"{cpu_name()} has no AVX2, which OpenVINO needs for INT8 networks",
            case=CASE_CPU,
            hint="use another machine, or a float bundle",
        )
    return f"{cpu_name()} ({', '.join(instruction_sets()) or platform.machine()})"


def _arithmetic() -> str | Check:
    """Look for saturating INT8 sums; our bundles are made to avoid them, others may not be."""
    found = int8_sum()
    limit = f"{ISA_VARIABLE}={isa_limit()}"
    if found == EXACT_SUM:
        return f"INT8 sums are exact ({found}), {limit}"
    return Check(
        "arithmetic",
        CheckStatus.NOTE,
        f"INT8 sums saturate ({found} of {EXACT_SUM}), {limit}; bundles that were exported with "
        "the overflow fix stay exact",
    )


def _threads() -> str:
    return f"{available_threads()} may be used"


def _disk() -> str:
    """Look at the current folder, where results usually go."""
    try:
        free = shutil.disk_usage(Path.cwd()).free
    except OSError as cause:
        raise OutputNotWritable(
            f"the current folder cannot be used ({cause.strerror})",
            case=CASE_CURRENT_FOLDER,
            hint="change to another folder",
        ) from cause
    if free < MIN_FREE_DISK_BYTES:
        raise OutputNotWritable(
            f"{free // MIB} MiB are free in the current folder",
            case=CASE_DISK,
            hint="make room, or write the results elsewhere",
        )
    return f"{free // MIB} MiB are free in the current folder"


def _bundle(session: Session) -> str:
    metadata = session.bundle.metadata
    return (
        f"{metadata.name}, all {len(session.bundle.hashes)} files as published, "
        f"id {metadata.model_id}, {session.engine_version}"
    )


def _memory(session: Session) -> str:
    needed = needed_bytes(
        session.bundle, height=USUAL_SIZE_PX, width=USUAL_SIZE_PX, step=1, held_bytes=0
    )
    free = available_memory_bytes()
    if free is None:
        return f"about {needed // MIB} MiB are needed; this system does not tell what is free"
    if free < needed:
        raise BudgetExceeded(
            f"about {needed // MIB} MiB are needed, {free // MIB} MiB are free",
            case=CASE_MEMORY,
            hint="close other programs, or give the container more memory",
        )
    return f"about {needed // MIB} MiB are needed, {free // MIB} MiB are free"


def _selftest(session: Session) -> str | Check:
    """Compare the bundle's slices with the answers that were exported with them."""
    selftest = read_selftest(session.bundle)
    worst = largest_difference(selftest, lambda planes: session.answer(planes).probabilities)
    if worst > TOLERANCE and not session.runs_what_was_measured:
        return Check(
            "self-test",
            CheckStatus.NOTE,
            f"the answers differ by up to {worst:.3f} from those of the network that the bundle's "
            "figures are about, which is not the one that this engine runs",
        )
    if worst > TOLERANCE:
        raise ModelIncompatible(
            f"the answers differ by up to {worst:.3f} from those of the export, "
            f"{TOLERANCE} is allowed",
            case=CASE_SELFTEST,
            path=session.bundle.path,
            hint="do not use this bundle on this machine, and report it with this output",
        )
    count = len(selftest.slices_hu)
    return f"{count} slices, largest difference {worst:.2g} of {TOLERANCE} allowed"


def _seconds_per_pass(session: Session) -> float:
    """Estimate from the first slice, which compiles, and from the median of a few slices."""
    began = time.perf_counter()
    channels = len(session.bundle.metadata.input.channels)
    voxels = np.zeros((channels, USUAL_SIZE_PX, USUAL_SIZE_PX), np.float32)
    scores = session.stream(repeat(voxels), slice_spacing_mm=USUAL_SPACING_MM)
    next(scores)
    compile_s = time.perf_counter() - began
    slice_s = median(_repeat(lambda: next(scores)))
    compressed = _compressed_slice()
    reading_s = median(_repeat(lambda: isal_zlib.decompress(compressed)))
    return compile_s + USUAL_SLICES * (slice_s + channels * reading_s)


def _compressed_slice() -> bytes:
    """Return a compressed slice with about the entropy of a CT."""
    shape = (USUAL_SIZE_PX, USUAL_SIZE_PX)
    noise: NDArray[np.int16] = np.random.default_rng(0).normal(0, 20, shape).astype(np.int16)
    return zlib.compress(noise.tobytes(), level=1)


def _repeat(work: Callable[[], object]) -> Iterator[float]:
    """Yield the seconds of each repetition."""
    for _ in range(REPEATS):
        began = time.perf_counter()
        work()
        yield time.perf_counter() - began
