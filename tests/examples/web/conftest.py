# SPDX-License-Identifier: Apache-2.0
"""A browser that is driven as a person would: choose files, drop files, wait, read.

Chromium speaks its DevTools protocol over two pipes, so that nothing has to be installed for it.
"""

import json
import os
import selectors
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

WEB = Path(__file__).parents[3] / "examples" / "web"
DEADLINE_S = 150.0
POLL_S = 0.05
CHUNK_BYTES = 1 << 20
SOFTWARE_GRAPHICS = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader")
ONLY_THIS_MACHINE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"

WATCH = """
addEventListener("securitypolicyviolation", (event) => console.error(`CSP ${event.blockedURI}`));
globalThis.watch = () => {
  const seen = { frames: 0, longest: 0, last: performance.now() };
  const tick = () => {
    if (seen.isOver) return;
    const now = performance.now();
    seen.longest = Math.max(seen.longest, now - seen.last);
    seen.last = now;
    setTimeout(tick);
  };
  const frame = () => { seen.frames += 1; if (!seen.isOver) requestAnimationFrame(frame); };
  tick();
  frame();
  globalThis.seen = seen;
};
"""
"""Counts frames, and times the longest that the page's own thread was busy with one thing."""


class Browser:
    """One window of Chromium."""

    def __init__(self, command: Sequence[str]) -> None:
        """Start it on an empty page."""
        self._to_read, self._write = os.pipe()
        self._read, self._to_write = os.pipe()
        # Chromium reads from 3 and writes to 4
        shell = f'exec "$0" "$@" 3<&{self._to_read} 4>&{self._to_write}'
        self._process = subprocess.Popen(
            ["bash", "-c", shell, *command, "--remote-debugging-pipe", "about:blank"],
            pass_fds=(self._to_read, self._to_write),
            stderr=subprocess.DEVNULL,
        )
        os.close(self._to_read)
        os.close(self._to_write)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._read, selectors.EVENT_READ)
        self._buffer = b""
        self._count = 0
        self.events: list[dict[str, Any]] = []
        self._session: str | None = None
        self._session = self._attach()

    @property
    def process_id(self) -> int:
        """Number of its first process."""
        return self._process.pid

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait(DEADLINE_S)
        self._selector.close()
        os.close(self._read)
        os.close(self._write)

    def ask(self, method: str, **parameters: object) -> dict[str, Any]:
        """Send a command of the DevTools protocol about the page and wait for its answer."""
        return self._ask(self._session, method, **parameters)

    def _ask(self, session: str | None, method: str, **parameters: object) -> dict[str, Any]:
        self._count += 1
        message: dict[str, object] = {"id": self._count, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + DEADLINE_S
        while True:
            got = self._receive(until)
            if got.get("id") == self._count:
                assert "error" not in got, got
                return got["result"]
            if "method" in got:
                self.events.append(got)

    def evaluate(self, script: str) -> Any:
        """Return what JavaScript gives in the page, as JSON."""
        return self._evaluate(self._session, script)

    def evaluate_in_worker(self, script: str) -> Any:
        """Return what JavaScript gives in the page's worker."""
        attached = [one for one in self.events if one["method"] == "Target.attachedToTarget"]
        session = next(
            one["params"]["sessionId"]
            for one in attached
            if one["params"]["targetInfo"]["type"] == "worker"
        )
        return self._evaluate(session, script)

    def _evaluate(self, session: str | None, script: str) -> Any:
        answer = self._ask(
            session, "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait_for(self, script: str, *, deadline_s: float = DEADLINE_S) -> None:
        """Wait until JavaScript gives something true."""
        until = time.monotonic() + deadline_s
        while not self.evaluate(script):
            assert time.monotonic() < until, f"{script} was never true: {self.text()}"
            time.sleep(POLL_S)

    def open(self, url: str) -> None:
        """Load a page and wait for its modules."""
        self.ask("Page.navigate", url=url)
        self.wait_for(f"location.href === {json.dumps(url)} && document.readyState === 'complete'")

    def text(self) -> str:
        """Return what a person can read."""
        return str(self.evaluate("document.body.innerText"))

    def choose(self, selector: str, paths: Sequence[Path]) -> None:
        """Choose files, or one folder, in a field for files."""
        root = self.ask("DOM.getDocument")["root"]["nodeId"]
        node = self.ask("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.ask("DOM.setFileInputFiles", nodeId=node, files=[str(path) for path in paths])

    def drop(self, selector: str, paths: Sequence[Path]) -> None:
        """Drag files or a folder onto an element and let them go."""
        box = self.evaluate(
            f"(({{x, y, width, height}}) => [x + width / 2, y + height / 2])"
            f"(document.querySelector({json.dumps(selector)}).getBoundingClientRect())"
        )
        data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.ask("Input.dispatchDragEvent", type=kind, x=box[0], y=box[1], data=data)

    def save(self, selector: str, folder: Path) -> Path:
        """Click a link that saves a file, and return the file."""
        before = set(folder.iterdir())
        self.ask("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
        name = self.evaluate(
            f"((link) => (link.click(), link.download))(document.querySelector('{selector}'))"
        )
        until = time.monotonic() + DEADLINE_S
        while folder / name not in set(folder.iterdir()) - before:
            assert time.monotonic() < until, f"{name} was not saved"
            time.sleep(POLL_S)
        return folder / name

    def requested(self) -> set[str]:
        """Return all addresses that the page and its workers asked for."""
        self.evaluate("0")  # whatever came before has been received
        return {
            event["params"]["request"]["url"]
            for event in self.events
            if event["method"] == "Network.requestWillBeSent"
        }

    def complaints(self) -> list[str]:
        """Return what stands in the console as an error."""
        return [
            json.dumps(event["params"])
            for event in self.events
            if (
                event["method"] == "Runtime.consoleAPICalled" and event["params"]["type"] == "error"
            )
            or event["method"] == "Runtime.exceptionThrown"
            or (
                event["method"] == "Log.entryAdded" and event["params"]["entry"]["level"] == "error"
            )
        ]

    def _attach(self) -> str:
        target = next(
            one for one in self.ask("Target.getTargets")["targetInfos"] if one["type"] == "page"
        )
        self._session = self.ask(
            "Target.attachToTarget", targetId=target["targetId"], flatten=True
        )["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log", "DOM"):
            self.ask(f"{domain}.enable")
        self.ask(
            "Target.setAutoAttach", autoAttach=True, waitForDebuggerOnStart=False, flatten=True
        )
        self.ask("Page.addScriptToEvaluateOnNewDocument", source=WATCH)
        return self._session

    def _receive(self, until: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            assert self._selector.select(max(0.0, until - time.monotonic())), "Chromium is silent"
            chunk = os.read(self._read, CHUNK_BYTES)
            assert chunk, "Chromium has ended"
            self._buffer += chunk
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)


def browser_command(chromium: Sequence[str], profile: Path) -> list[str]:
    """Return the command of a browser that draws in software and reaches this machine alone."""
    return [*chromium, *SOFTWARE_GRAPHICS, ONLY_THIS_MACHINE, f"--user-data-dir={profile}"]


@pytest.fixture(scope="module")
def one_browser(chromium, tmp_path_factory) -> Iterator[Browser]:
    """A browser with a new profile, which can reach nothing but this machine."""
    window = Browser(browser_command(chromium, tmp_path_factory.mktemp("chromium") / "profile"))
    yield window
    window.close()


@pytest.fixture
def browser(one_browser) -> Browser:
    """The browser on an empty page, with nothing in its log."""
    one_browser.open("about:blank")
    one_browser.events.clear()
    return one_browser


@pytest.fixture
def serve() -> Iterator[Callable[..., tuple[str, subprocess.Popen]]]:
    """Serve an examples' folder with its own server; gives the page's address and the process."""
    started: list[subprocess.Popen] = []

    def start(web: Path = WEB) -> tuple[str, subprocess.Popen]:
        if shutil.which("node") is None:
            pytest.skip("there is no node")
        if not (web / "node_modules").exists():
            pytest.skip("first run: make examples")
        server = subprocess.Popen(
            ["node", str(web / "serve.mjs"), "0"], stdout=subprocess.PIPE, text=True
        )
        started.append(server)
        assert server.stdout is not None
        return server.stdout.readline().strip(), server

    yield start
    for server in started:
        server.kill()
        server.wait(DEADLINE_S)
        if server.stdout is not None:
            server.stdout.close()
