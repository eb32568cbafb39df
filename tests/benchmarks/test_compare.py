# SPDX-License-Identifier: Apache-2.0
import json
import os

import pytest

from aminet_benchmarks.cli import main
from aminet_benchmarks.compare import (
    OURS,
    REPORT_WAY,
    SCRIPT,
    Comparison,
    compare_ways,
    comparison_table,
)
from aminet_benchmarks.measure import Run, Runs

CORES = sorted(os.sched_getaffinity(0))[:1]


def measured(name: str, *walls_s: float) -> Runs:
    return Runs(name, tuple(Run(wall_s, 100 * wall_s, "") for wall_s in walls_s))


@pytest.fixture
def comparison() -> Comparison:
    runs = (measured(OURS, 1.0, 2.0, 9.0), measured(SCRIPT, 3.0, 3.0, 3.0))
    return Comparison(runs, largest_difference=0.0, machine={"cpu": "a CPU"})


def test_all_ways_are_measured_and_give_the_same_answers(write_patient, bundle_path):
    comparison = compare_ways(write_patient(), bundle_path, rounds=1, cores=CORES)
    assert [found.name for found in comparison.runs] == [OURS, SCRIPT, REPORT_WAY]
    assert all(found.wall_s > 0 and found.peak_rss_mib > 10 for found in comparison.runs)
    # the script and our command run the same network on the same voxels
    assert comparison.largest_difference == 0.0
    assert {"cpu", "instruction_sets", "versions", "git_commit"} <= set(comparison.machine)


def test_table_relates_the_medians_of_every_way_to_ours(comparison):
    ours, script = comparison_table(comparison).splitlines()[2:]
    assert ours == f"| {OURS} | 2.00 | 1.00 x | 200 | 1.00 x |"
    assert script == f"| {SCRIPT} | 3.00 | 1.50 x | 300 | 1.50 x |"


def test_json_holds_every_single_run(comparison):
    values = json.loads(json.dumps(comparison.to_json()))
    assert values["ways"][OURS]["runs"] == [[1.0, 100.0], [2.0, 200.0], [9.0, 900.0]]
    assert values["machine"] == {"cpu": "a CPU"}


def test_command_names_a_missing_patient_in_one_line(tmp_path, bundle_path, capsys):
    arguments = ["compare", "--patient", str(tmp_path / "absent"), "--bundle", str(bundle_path)]
    assert main(arguments) == 10
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("aminet-benchmark: error[E10")
    assert printed.err.count("\n") == 1
