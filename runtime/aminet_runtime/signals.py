# SPDX-License-Identifier: Apache-2.0
"""Ending a command by a signal without leaving half of anything behind."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

EXIT_TERMINATED = 143


@contextmanager
def terminating_cleanly() -> Iterator[None]:
    """Let SIGTERM unwind the stack, so that no half-written file stays."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may handle signals
        return

    def leave(_signal: int, _frame: FrameType | None) -> None:
        raise SystemExit(EXIT_TERMINATED)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
