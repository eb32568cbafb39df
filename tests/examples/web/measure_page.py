# SPDX-License-Identifier: Apache-2.0
"""Time the browser's page on a patient: python tests/examples/web/measure_page.py BUNDLE PATIENT.

It prints seconds, the processor time of all of Chromium, and the longest time that the page's own
thread did not turn, idle and during the run; and what differs from ONNX Runtime in Python.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from aminet_runtime import Session
from conftest import WEB, Browser, browser_command

IDLE_S = 10.0
LONGEST_RUN_S = 600.0


def measure(bundle: Path, patient: Path) -> dict[str, Any]:
    """Choose a bundle and drop a patient as a person would, and read what comes."""
    command = ["node", str(WEB / "serve.mjs"), "0"]
    with (
        tempfile.TemporaryDirectory() as scratch,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server,
    ):
        browser = Browser(browser_command(_chromium(), Path(scratch) / "profile"))
        try:
            assert server.stdout is not None
            browser.open(server.stdout.readline().strip())
            browser.choose("#bundle", [bundle])
            browser.wait_for("document.querySelector('#bundle-name').textContent")
            figures: dict[str, Any] = {"idle": _watched(browser, lambda: time.sleep(IDLE_S))}
            figures["run"] = _watched(browser, lambda: _run(browser, patient))
            saved = browser.save("#save", Path(scratch))
            return figures | _beside_python(saved, bundle, patient)
        finally:
            browser.close()
            server.kill()


def _chromium() -> list[str]:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        sys.exit("there is no chromium")
    return [found, "--headless", "--no-sandbox"]


def _run(browser: Browser, patient: Path) -> None:
    browser.drop("#drop", [patient])
    is_hidden = "document.querySelector('#{}').hidden".format
    browser.wait_for(f"!{is_hidden('result')} || !{is_hidden('error')}", deadline_s=LONGEST_RUN_S)
    if browser.evaluate(is_hidden("result")):
        sys.exit(browser.evaluate("document.querySelector('#error').innerText"))


def _watched(browser: Browser, what: Callable[[], None]) -> dict[str, float]:
    before, start = _processor_s(browser), time.perf_counter()
    browser.evaluate("watch()")
    what()
    seen = browser.evaluate("(seen.isOver = true, {...seen})")
    return {
        "seconds": round(time.perf_counter() - start, 2),
        "processor_s": round(_processor_s(browser) - before, 2),
        "longest_block_ms": round(seen["longest"]),
    }


def _processor_s(browser: Browser) -> float:
    whole = psutil.Process(browser.process_id)
    times = [process.cpu_times() for process in (whole, *whole.children(recursive=True))]
    return sum(one.user + one.system for one in times)


def _beside_python(saved: Path, bundle: Path, patient: Path) -> dict[str, float]:
    """Compare the page's regions with those of ONNX Runtime in Python."""
    theirs = json.loads(saved.read_text())["regions"]
    with Session.open(bundle, engine="onnxruntime") as session:
        pairs = list(zip(theirs, session.run(patient).regions, strict=True))
    return {
        "largest_difference": max(abs(one["probability"] - two.probability) for one, two in pairs),
        "decisions_changed": sum(one["affected"] is not two.affected for one, two in pairs),
    }


if __name__ == "__main__":
    figures = measure(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
    sys.stdout.write(json.dumps(figures, indent=1) + "\n")
