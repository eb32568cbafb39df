# SPDX-License-Identifier: Apache-2.0
import json

import pytest

from aminet_export.bundle_table import bundle_rows, rows_table
from aminet_export.cli import main
from aminet_export.pipeline import export_bundle
from aminet_runtime.metadata import Precision

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # inside torch.onnx


@pytest.fixture(scope="module")
def report(simple, tmp_path_factory):
    output = tmp_path_factory.mktemp("table") / "simple_cnn-fp32"
    return export_bundle(simple.plan(output, precision=Precision.FP32))


def test_a_row_has_the_figures_of_the_bundle(report):
    (row,) = bundle_rows([report.bundle], rounds=2)

    figures = report.verdict.metrics[Precision.FP32]
    assert (row.slice_f1, row.patient_f1) == (figures["slice"]["f1"], figures["patient"]["f1"])
    assert row.max_difference == report.verdict.parity["IR float"].max_difference
    assert row.size_mb == pytest.approx(
        sum((report.bundle / name).stat().st_size for name in ("model.xml", "model.bin")) / 1e6
    )
    assert row.slice_ms > 0


def test_a_bundle_without_receipt_leaves_its_distance_open(report, monkeypatch):
    monkeypatch.setattr("aminet_export.bundle_table.PARITY", "absent.json")

    (row,) = bundle_rows([report.bundle], rounds=1)

    assert row.max_difference is None
    assert rows_table([row]).endswith("|  |")


def test_the_command_prints_a_row_a_bundle(report, capsys):
    folder = str(report.bundle)

    assert main(["--table", folder]) == 0
    assert "| simple_cnn-fp32 |" in capsys.readouterr().out

    assert main(["--table", folder, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["name"] == "simple_cnn-fp32"
