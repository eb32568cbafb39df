# SPDX-License-Identifier: Apache-2.0
"""The page in a real browser: it draws, fits narrow and wide windows, runs and loads nothing."""

import subprocess

import numpy as np
import pytest

from aminet_runtime.cli import main

WIDE, NARROW = (1200, 900), (500, 900)  # headless Chromium is no narrower than 500
WHITE = 255
MARGIN_PX = 12

pytestmark = pytest.mark.slow


@pytest.fixture
def browse(chromium, tmp_path):
    """Open a page in a browser of its own."""

    def run(page, *options):
        profile = f"--user-data-dir={tmp_path / 'profile'}"
        return subprocess.run(
            [*chromium, "--disable-gpu", profile, *options, page.as_uri()],
            check=True,
            capture_output=True,
            timeout=120,
            text=True,
        )

    return run


@pytest.fixture
def write_page(tmp_path, build_bundle, write_patient):
    """Run the command and return its page."""

    def write(code=0, *, name="379", spoil=False, affected=(4, 7), **recipe):
        folder = write_patient(name, affected=affected)
        if spoil:
            (folder / "CTA2regA.nii.gz").write_bytes(b"no scan")
        bundle = str(build_bundle(**recipe))
        assert main([str(folder), "--bundle", bundle, "-o", str(tmp_path / "results")]) == code
        return tmp_path / "results" / name / "report.html"

    return write


PAGES = {
    "affected": {},
    "none affected": {"affected": ()},
    "refused": {"spoil": True, "code": 12},
    "many regions": {"thresholds": (0.001,) * 14 + (None,)},
}


@pytest.mark.parametrize("case", PAGES)
@pytest.mark.parametrize("window", [WIDE, NARROW], ids=["wide", "narrow"])
def test_page_is_drawn_within_the_window(case, window, write_page, browse, tmp_path):
    images = pytest.importorskip("PIL.Image")
    shot = tmp_path / "shot.png"
    size = f"--window-size={window[0]},{window[1]}"
    browse(write_page(**PAGES[case]), size, f"--screenshot={shot}")

    with images.open(shot) as image:
        pixels = np.asarray(image.convert("L"))
    assert pixels.shape == window[::-1]
    assert (pixels[:, :MARGIN_PX] == WHITE).all()
    assert (pixels[:, -MARGIN_PX:] == WHITE).all(), "something sticks out at the right"
    assert pixels[:300].min() < 100, "the top says something"


def test_browser_takes_the_page_as_it_was_meant(write_page, browse):
    page = write_page()
    answer = browse(page, "--dump-dom", "--enable-logging=stderr", "--v=0")

    assert answer.stdout.count("<figure>") == 2
    assert answer.stdout.count("<tr class=") == 15
    assert "CONSOLE" not in answer.stderr, "nothing was blocked, since nothing was asked for"


def test_script_in_a_page_would_not_run(write_page, browse):
    page = write_page()
    script = "<script>document.title = 'it ran'</script></body>"
    page.write_text(page.read_text(encoding="utf-8").replace("</body>", script), encoding="utf-8")

    assert "<title>it ran" not in browse(page, "--dump-dom").stdout
