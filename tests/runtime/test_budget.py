# SPDX-License-Identifier: Apache-2.0
"""Limits of time and memory, and what machine and process have."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from ctypes import addressof
from pathlib import Path

import pytest

from aminet_runtime import budget, cgroup, process, threads, windows
from aminet_runtime.budget import GIB, MIB, Budget, available_memory_bytes, watchdog
from aminet_runtime.errors import BudgetExceeded
from aminet_runtime.stopwatch import Stopwatch

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
with_alarms = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs alarm signals")


def test_defaults_are_the_clients_limits():
    assert Budget() == Budget(time_limit_s=300.0, memory_limit_bytes=8 * GIB)


@pytest.mark.parametrize("limits", [(0.0, GIB), (-1.0, GIB), (float("nan"), GIB), (1.0, 0)])
def test_limits_that_nothing_can_meet_are_refused(limits):
    with pytest.raises(ValueError, match="must be above 0"):
        Budget(*limits)


def test_deadline_passes_only_once_it_is_over():
    Budget(time_limit_s=60.0).deadline().check()
    with pytest.raises(BudgetExceeded, match="time limit of 60 s") as caught:
        Budget(time_limit_s=60.0).deadline(started=time.perf_counter() - 61.0).check()

    assert caught.value.code == "E4001"


@with_alarms
def test_watchdog_interrupts_a_read_that_hangs():
    reader, writer = os.pipe()
    began = time.perf_counter()
    try:
        with pytest.raises(BudgetExceeded), watchdog(Budget(time_limit_s=0.2).deadline()):
            os.read(reader, 1)
    finally:
        os.close(reader)
        os.close(writer)

    assert 0.1 < time.perf_counter() - began < 5.0


@with_alarms
def test_watchdog_lets_work_that_looks_at_the_time_end_by_itself():
    """Nothing that was being opened at the deadline is then left open."""
    deadline = Budget(time_limit_s=0.05).deadline()
    ended_by_itself = False

    def work():
        nonlocal ended_by_itself
        try:
            while True:
                deadline.check()
        finally:
            ended_by_itself = isinstance(sys.exception(), BudgetExceeded)

    with pytest.raises(BudgetExceeded), watchdog(deadline):
        work()

    assert ended_by_itself


def test_watchdog_begins_nothing_once_the_time_is_up():
    deadline = Budget(time_limit_s=1.0).deadline(started=time.perf_counter() - 2.0)

    with pytest.raises(BudgetExceeded, match="time limit of 1 s"), watchdog(deadline):
        pytest.fail("it began")


@with_alarms
def test_watchdog_leaves_no_alarm_and_the_old_handler():
    before = signal.getsignal(signal.SIGALRM)

    with watchdog(Budget().deadline()):
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 0

    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) is before


@pytest.mark.parametrize("seconds", [1e10, 1e300, sys.float_info.max])
def test_limit_of_any_length_can_be_watched(seconds):
    with watchdog(Budget(time_limit_s=seconds).deadline()):
        pass


def run_too_long():
    """Run a block that is longer than it may be, and return how far it came."""
    done = []
    try:
        with watchdog(Budget(time_limit_s=0.01).deadline()):
            time.sleep(0.3)
            done.append("block")
    except BudgetExceeded:
        done.append("refused")
    return done


def test_without_alarm_signals_a_block_is_refused_once_it_ends(monkeypatch):
    monkeypatch.delattr(signal, "setitimer", raising=False)

    assert run_too_long() == ["block", "refused"]


def test_outside_of_the_main_thread_a_block_is_refused_once_it_ends():
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(run_too_long).result() == ["block", "refused"]


@with_alarms
def test_block_that_ends_before_the_alarm_is_refused_all_the_same():
    with pytest.raises(BudgetExceeded), watchdog(Budget(time_limit_s=0.01).deadline()):
        time.sleep(0.05)


def test_need_above_the_limit_is_refused(monkeypatch):
    monkeypatch.setattr(budget, "rss_bytes", lambda: 100 * MIB)
    limited = Budget(memory_limit_bytes=200 * MIB)

    limited.require_memory(100 * MIB)
    with pytest.raises(BudgetExceeded, match=r"about 201 MiB are needed, .* 200 MiB") as caught:
        limited.require_memory(101 * MIB)

    assert caught.value.code == "E4002"


def test_need_above_what_is_free_is_refused(monkeypatch):
    monkeypatch.setattr(budget, "available_memory_bytes", lambda: 50 * MIB)

    with pytest.raises(BudgetExceeded, match=r"51 MiB are needed, 50 MiB are free") as caught:
        Budget().require_memory(51 * MIB)

    assert caught.value.code == "E4003"


def test_unknown_memory_does_not_stop_a_run(monkeypatch):
    monkeypatch.setattr(budget, "available_memory_bytes", lambda: None)
    monkeypatch.setattr(budget, "rss_bytes", lambda: None)

    Budget().require_memory(GIB)
    Budget().check_memory()


def test_available_memory_is_the_tighter_of_machine_and_container(monkeypatch):
    monkeypatch.setattr(budget, "memory_headroom_bytes", lambda: 10 * MIB)

    assert available_memory_bytes() == 10 * MIB


@on_linux
def test_available_memory_is_that_of_the_kernel():
    lines = Path("/proc/meminfo").read_text().splitlines()
    kib = next(int(line.split()[1]) for line in lines if line.startswith("MemTotal"))

    assert 0 < available_memory_bytes() <= kib * 1024


# --- control groups, on trees of files as the kernel shows them


def write_tree(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


V2 = {"proc/self/cgroup": "0::/box/job\n"}
V1 = {"proc/self/cgroup": "4:memory:/docker/1\n3:cpu,cpuacct:/docker/1\n2:cpuset:/docker/1\n"}


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, None),
        ({**V2}, None),
        ({**V2, "sys/fs/cgroup/box/job/cpu.max": "max 100000\n"}, None),
        ({**V2, "sys/fs/cgroup/box/job/cpu.max": "150000 100000\n"}, 1.5),
        (
            {
                **V2,
                "sys/fs/cgroup/box/job/cpu.max": "400000 100000\n",
                "sys/fs/cgroup/box/cpu.max": "200000 100000\n",
            },
            2.0,
        ),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "50000 100000\n"}, 0.5),
        ({"proc/self/cgroup": "0::/../other\n", "sys/fs/cgroup/cpu.max": "1 2\n"}, 0.5),
        ({**V2, "sys/fs/cgroup/box/job/cpu.max": "garbage\n"}, None),
        ({**V2, "sys/fs/cgroup/box/job/cpu.max": "1 0\n"}, None),
        (
            {
                **V1,
                "sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_period_us": "100000\n",
            },
            None,
        ),
        (
            {
                **V1,
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "300000\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            },
            3.0,
        ),
    ],
)
def test_cpu_quota_is_that_of_the_tightest_group(tmp_path, files, quota):
    write_tree(tmp_path, files)

    assert cgroup.cpu_quota(tmp_path) == quota


@pytest.mark.parametrize(
    ("files", "room"),
    [
        ({}, None),
        ({**V2, "sys/fs/cgroup/box/job/memory.max": "max\n"}, None),
        (
            {
                **V2,
                "sys/fs/cgroup/box/job/memory.max": "1000\n",
                "sys/fs/cgroup/box/job/memory.current": "600\n",
            },
            400,
        ),
        (
            {
                **V2,
                "sys/fs/cgroup/box/job/memory.max": "1000\n",
                "sys/fs/cgroup/box/job/memory.current": "600\n",
                "sys/fs/cgroup/box/job/memory.stat": "anon 100\ninactive_file 500\n",
            },
            900,
        ),
        (
            {
                **V2,
                "sys/fs/cgroup/box/memory.max": "1000\n",
                "sys/fs/cgroup/box/memory.current": "1200\n",
            },
            0,
        ),
        (
            {
                **V1,
                "sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes": "1000\n",
                "sys/fs/cgroup/memory/docker/1/memory.usage_in_bytes": "100\n",
                "sys/fs/cgroup/memory/docker/1/memory.stat": "total_inactive_file 50\n",
            },
            950,
        ),
    ],
)
def test_memory_headroom_is_that_of_the_tightest_group(tmp_path, files, room):
    write_tree(tmp_path, files)

    assert cgroup.memory_headroom_bytes(tmp_path) == room


# --- threads


@pytest.mark.parametrize(
    ("cores", "quota", "expected"),
    [(8, None, 8), (8, 2.9, 2), (8, 0.5, 1), (1, 4.0, 1), (2000, None, 1024)],
)
def test_threads_are_bound_by_affinity_and_quota(monkeypatch, cores, quota, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    monkeypatch.setattr(threads, "cpu_quota", lambda: quota)

    assert threads.available_threads() == expected


@pytest.mark.parametrize(("cores", "expected"), [(6, 6), (None, 1)])
def test_threads_are_those_of_the_machine_where_nothing_can_be_bound(monkeypatch, cores, expected):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(threads, "cpu_quota", lambda: None)
    monkeypatch.setattr(os, "cpu_count", lambda: cores)

    assert threads.available_threads() == expected


# --- the process


def in_child(code):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return float(answer.stdout)


@on_linux
def test_start_of_the_process_is_before_its_first_line():
    age_s = in_child(
        "import time; began = time.perf_counter(); time.sleep(0.3);"
        "from aminet_runtime import process; print(began - process.started_at())"
    )

    assert -0.011 <= age_s < 5.0, "ticks of 10 ms; before the interpreter's own start"


@on_linux
def test_peak_memory_is_not_that_of_a_large_parent():
    block = b"x" * (200 * MIB)

    peak = in_child("from aminet_runtime import process; print(process.peak_rss_bytes())")

    assert len(block) > peak > MIB


@on_linux
def test_memory_figures_follow_the_process():
    before = process.rss_bytes()
    block = bytearray(b"x" * (64 * MIB))

    assert process.rss_bytes() - before > 48 * MIB
    assert process.peak_rss_bytes() >= process.rss_bytes() - MIB
    del block


def test_figures_are_unknown_where_there_is_no_proc(monkeypatch):
    monkeypatch.setattr(process, "_STATUS", Path("/nowhere"))
    monkeypatch.setattr(process, "_STAT", Path("/nowhere"))
    monkeypatch.setattr(budget, "_MEMINFO", Path("/nowhere"))
    monkeypatch.setattr(budget, "memory_headroom_bytes", lambda: None)

    assert process.started_at() is None
    assert process.rss_bytes() is None
    assert available_memory_bytes() is None


def test_peak_is_that_of_getrusage_where_there_is_no_proc(monkeypatch):
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(process, "_STATUS", Path("/nowhere"))

    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert process.peak_rss_bytes() >= peak_kib * 1024

    monkeypatch.setitem(sys.modules, "resource", None)
    assert process.peak_rss_bytes() is None


class Kernel32:
    """Fills the structures as Windows does, at the offsets that its headers give."""

    def __init__(self):
        self.GetCurrentProcess = _Function(lambda: 42)
        self.K32GetProcessMemoryInfo = _Function(self._counters)

    def GlobalMemoryStatusEx(self, reference):  # noqa: N802 - the name is Windows'
        status = reference._obj
        assert status.length == 64
        write_at(status, 16, 7 * GIB)  # ullAvailPhys
        return 1

    def _counters(self, handle, reference, length):
        assert (handle, length) == (42, 72)
        write_at(reference._obj, 8, 300 * MIB)  # PeakWorkingSetSize
        write_at(reference._obj, 16, 200 * MIB)  # WorkingSetSize
        return 1


class _Function:
    """A foreign function: it can be called and takes attributes."""

    def __init__(self, body):
        self.body = body

    def __call__(self, *arguments):
        return self.body(*arguments)


def write_at(structure, offset, value):
    import ctypes  # noqa: PLC0415

    ctypes.c_uint64.from_address(addressof(structure) + offset).value = value


@pytest.mark.skipif(sys.maxsize < 2**32, reason="offsets of 64-bit Windows")
def test_windows_figures_are_read_at_the_right_offsets(monkeypatch):
    monkeypatch.setattr(windows.ctypes, "WinDLL", lambda _: Kernel32(), raising=False)

    assert windows.available_physical_bytes() == 7 * GIB
    assert windows.peak_working_set_bytes() == 300 * MIB
    assert windows.working_set_bytes() == 200 * MIB


@pytest.mark.skipif(sys.platform == "win32", reason="has a kernel32")
def test_windows_figures_are_unknown_elsewhere():
    assert windows.available_physical_bytes() is None
    assert windows.working_set_bytes() is None
    assert windows.peak_working_set_bytes() is None


def test_stopwatch_tells_phases_apart():
    clock = Stopwatch(start_ms=100.0)
    clock.lap("open")
    time.sleep(0.03)
    clock.lap("compile")
    clock.lap("stream")

    timings = clock.timings()

    assert timings.start == 100.0
    assert timings.compile >= 30.0
    assert timings.stream < timings.compile
    assert timings.total >= timings.start + timings.compile + timings.stream
