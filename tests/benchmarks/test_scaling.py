# SPDX-License-Identifier: Apache-2.0
import json
import os

import pytest

from aminet_benchmarks.cli import main
from aminet_benchmarks.plots import scaling_plot
from aminet_benchmarks.scaling import plan as plans
from aminet_benchmarks.scaling.curve import Curve, Point, curve_table, exponent, median_point
from aminet_benchmarks.scaling.making import making_curves
from aminet_benchmarks.scaling.plan import FULL, QUICK, ScalingPlan
from aminet_train.networks import Approach

CORES = sorted(os.sched_getaffinity(0))[:1]
NOTHING = ScalingPlan(
    slices=(),
    edge_px=(),
    patients=(),
    threads=(),
    jobs=(),
    input_px=(),
    prepared_slices=(),
    calibration_slices=(),
    approach=Approach.SIMPLE_CNN,
    rounds=1,
)


def curve(*points: tuple[int, float, float | None]) -> Curve:
    made = (Point(size, wall_s, peak, items=size) for size, wall_s, peak in points)
    return Curve("slices of a patient", "slices", tuple(made))


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_exponent_is_that_of_a_power_law(power):
    points = [(size, 0.3 * size**power) for size in (50.0, 200.0, 1200.0)]
    assert exponent(points) == pytest.approx(power, abs=1e-9)


def test_two_points_have_a_ratio_and_no_exponent():
    two = curve((1, 4.0, None), (2, 2.0, None))
    assert two.time_exponent is None
    assert curve_table(two).endswith("2 times as large: 0.50 times the time.")


def test_table_tells_throughput_and_growth():
    table = curve_table(curve((50, 1.0, 100.0), (100, 2.0, 100.0), (200, 4.0, 100.0)))
    assert "| 200 | 4 | 50 | 100 |" in table
    assert "exponent 1.00; 1.00 times the memory, exponent" in table


def test_points_of_a_size_become_their_median():
    points = [Point(5, wall_s, peak, 1) for wall_s, peak in ((1.0, 9.0), (7.0, 8.0), (2.0, 7.0))]
    assert median_point(points) == Point(5, 2.0, 8.0, 1)


def test_plot_has_a_panel_a_curve():
    curves = [curve((1, 1.0, 100.0), (2, 2.0, 100.0)), curve((1, 1.0, None), (2, 2.0, None))]
    assert scaling_plot(curves, title="two").startswith(b"\x89PNG")


def test_plans_reach_as_far_as_the_design_says():
    assert (FULL.slices[0], FULL.slices[-1]) == (50, 1200)
    assert (FULL.edge_px[0], FULL.edge_px[-1]) == (256, 1024)
    assert (FULL.patients[0], FULL.patients[-1]) == (1, 50)
    assert QUICK.points < FULL.points
    assert FULL.on(1).jobs == FULL.on(1).threads == (1,)


def test_command_measures_patients_and_writes_page_json_and_plot(
    write_patient, bundle_path, tmp_path, capsys, monkeypatch
):
    small = {"slices": (12, 24), "edge_px": (60, 120), "edge_slices": 12, "patients": (1, 2)}
    more = {"threads": (1,), "jobs": (1,), "job_patients": 2, "small_slices": 12}
    sizes = {**{name: getattr(NOTHING, name) for name in NOTHING.__slots__}, **small, **more}
    monkeypatch.setattr(plans, "QUICK", ScalingPlan(**sizes))
    place = ["--patient", str(write_patient()), "--bundle", str(bundle_path)]
    output = tmp_path / "results"

    cores = [str(core) for core in CORES]
    assert main(["scaling", "--quick", *place, "-o", str(output), "--cores", *cores]) == 0

    assert "## Patients in a call" in capsys.readouterr().out
    assert "Made by `aminet-benchmark scaling --quick" in (output / "scaling.md").read_text()
    values = json.loads((output / "scaling.json").read_text())
    names = [one["name"] for one in values["curves"]]
    assert names[:2] == ["slices of a patient", "columns and rows of a slice"]
    assert names[2:] == ["patients in a call", "jobs", "threads"]
    assert [point["size"] for point in values["curves"][1]["points"]] == [60, 120]
    assert all(point["peak_rss_mib"] > 10 for point in values["curves"][0]["points"])
    assert (output / "scaling.png").read_bytes().startswith(b"\x89PNG")


def test_training_and_preparation_have_curves(tmp_path):
    sizes = {name: getattr(NOTHING, name) for name in NOTHING.__slots__}
    plan = ScalingPlan(**{**sizes, "input_px": (32, 64), "prepared_slices": (8, 16)})
    seen: list[str] = []
    trained, prepared = making_curves(plan, tmp_path, on_point=seen.append)
    assert [point.size for point in trained.points] == [32, 64]
    assert [point.items for point in prepared.points] == [8, 16]
    assert all(point.wall_s > 0 for one in (trained, prepared) for point in one.points)
    assert len(seen) == 4
