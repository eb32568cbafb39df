# SPDX-License-Identifier: Apache-2.0
import os
import subprocess
import sys

import pytest

from aminet_benchmarks.measure import Run, run_interleaved, run_once
from aminet_runtime.errors import GateFailed

CORES = sorted(os.sched_getaffinity(0))[:1]


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def test_wall_time_covers_the_whole_process():
    run = run_once(python("import time; time.sleep(0.3)"), cores=CORES)
    assert 0.3 <= run.wall_s < 5.0


def test_peak_memory_is_the_high_water_mark_and_not_the_last_value():
    small = run_once(python("pass"), cores=CORES)
    program = (
        "import time; held = bytearray(200_000_000); time.sleep(0.1); del held; time.sleep(0.1)"
    )
    large = run_once(python(program), cores=CORES)
    # 200 MB are 191 MiB; a poll may come some milliseconds early
    assert large.peak_rss_mib - small.peak_rss_mib == pytest.approx(191, abs=5)


def test_memory_of_children_counts():
    child = "held = bytearray(100_000_000); import time; time.sleep(1.0)"
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    run = run_once(python(program), cores=CORES)
    assert run.peak_rss_mib > run.kernel_rss_mib + 80


def test_a_sleeping_process_uses_no_processor():
    run = run_once(python("import time; time.sleep(1.0)"), cores=CORES)
    assert 0 < run.cpu_s < run.wall_s


def test_runs_on_the_cores_that_were_asked_for_and_gives_ours_back():
    before = os.sched_getaffinity(0)
    run = run_once(python("import os; print(sorted(os.sched_getaffinity(0)))"), cores=CORES)
    assert run.output.strip() == str(CORES)
    assert os.sched_getaffinity(0) == before


def test_commands_take_turns_and_the_first_round_is_not_counted(tmp_path):
    log = tmp_path / "log"
    commands = {name: python(f"open({str(log)!r}, 'a').write({name!r})") for name in "AB"}
    seen: list[tuple[int, int]] = []
    runs = run_interleaved(
        commands, rounds=2, cores=CORES, on_progress=lambda done, total: seen.append((done, total))
    )
    assert log.read_text() == "ABABAB"
    assert [(found.name, len(found.runs)) for found in runs] == [("A", 2), ("B", 2)]
    assert seen[-1] == (6, 6)


def test_a_command_that_takes_far_longer_is_run_twice(monkeypatch):
    walls_s = {"quick": 1.0, "similar": 2.9, "slow": 10.0}
    order: list[str] = []

    def pretend(command, **_where):
        order.append(command[0])
        return Run(walls_s[command[0]], 1.0, "", cpu_s=1.0, kernel_rss_mib=1.0)

    monkeypatch.setattr("aminet_benchmarks.measure.run_once", pretend)
    seen: list[tuple[int, int]] = []
    runs = run_interleaved(
        {name: [name] for name in walls_s},
        rounds=4,
        cores=CORES,
        on_progress=lambda done, total: seen.append((done, total)),
    )
    assert {one.name: len(one.runs) for one in runs} == {"quick": 4, "similar": 4, "slow": 2}
    assert order == ["quick", "similar", "slow"] * 2 + ["quick", "similar"] * 3
    assert seen[-1][0] == len(order)


def test_a_command_that_fails_is_no_measurement():
    with pytest.raises(GateFailed, match="ended with code 3: no such luck"):
        run_once(python("import sys; sys.stderr.write('no such luck'); sys.exit(3)"), cores=CORES)


def test_environment_reaches_the_command():
    run = run_once(
        python("import os; print(os.environ['AMINET_TEST'])"),
        cores=CORES,
        environment={"AMINET_TEST": "yes"},
    )
    assert run.output.strip() == "yes"


def test_sleeping_counts_and_waiting_for_a_processor_does_not():
    """Four processes on one core: each computes for a quarter of the wall time that it takes."""
    busy = python("import time\nwhile time.process_time() < 0.4: pass")
    others = [subprocess.Popen(["taskset", "-c", str(CORES[0]), *busy]) for _ in range(3)]
    try:
        run = run_once(busy, cores=CORES)
    finally:
        for other in others:
            other.wait(timeout=60)
    assert run.queued_s > 0.1
    # what is left is computing, a tenth of which may be other threads' of the start
    assert run.cpu_s * 0.9 < run.undisturbed_s < run.wall_s - 0.1

    asleep = run_once(python("import time; time.sleep(0.5)"), cores=CORES)
    assert asleep.undisturbed_s > 0.5


def test_a_command_that_prints_much_does_not_wait_for_us():
    run = run_once(python("print('x' * 1_000_000)"), cores=CORES)
    assert len(run.output) == 1_000_001


def test_a_command_that_does_not_end_is_killed(monkeypatch):
    monkeypatch.setattr("aminet_benchmarks.measure.LONGEST_RUN_S", 0.5)
    with pytest.raises(GateFailed, match=r"did not end within 0\.5 s"):
        run_once(python("import time; time.sleep(60)"), cores=CORES)
