# SPDX-License-Identifier: Apache-2.0
from aminet_benchmarks.phantom import cli
from aminet_benchmarks.phantom.pictures import sheet


def test_every_second_head_is_real(monkeypatch, anatomy_folder, tmp_path):
    shown = []
    monkeypatch.setattr(sheet, "draw_sheet", lambda patients, *_, **__: shown.extend(patients))

    small = ["--shape", "48", "48", "16", "--seeds", "1", "2", "3"]
    code = cli.main(["sheet", str(tmp_path / "a.png"), *small, "--anatomy", str(anatomy_folder)])

    assert code == 0
    assert [patient.anatomy.origin.kind for patient in shown] == ["grown", "real", "grown"]
