# SPDX-License-Identifier: Apache-2.0
"""Read one slice ahead, on a thread of its own: for machines with more than one core.

Inflating a file and running a network both leave Python to other threads, so with two cores the
next slice is read while the network works on this one. With one core there is nothing to win.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait

LONGEST_READ_S = 1.0  # a slice takes 1 ms, and one on a slow drive 0.1 s; beyond, the drive hangs


class ReadAhead:
    """A thread that reads one file, for one user."""

    def __init__(self) -> None:
        """Prepare a thread; it starts with the first read."""
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="aminet-read")
        self._pending: Future[None] | None = None

    def one_ahead(self, reads: Iterator[Callable[[], None]]) -> Iterator[None]:
        """Do one read after the other, each while the caller uses what the one before gave.

        Args:
            reads: At least one; two in a row may not fill the same buffer.

        Yields:
            Once for each read that is done; its error is raised here.
        """
        self._begin(next(reads))
        for read in reads:
            self._finish()
            self._begin(read)
            yield
        self._finish()
        yield

    def close(self, release: Callable[[], None]) -> None:
        """End the thread, and release what it reads: now, or once a read that hangs comes back.

        A file that is closed under a read would give its number to the next one that is opened,
        which then loses the bytes that the read takes.

        Args:
            release: Closes the file.
        """
        self._pool.shutdown(wait=False)
        if self._pending is None or self._pending.cancel():
            release()
        else:
            wait([self._pending], timeout=LONGEST_READ_S)
            self._pending.add_done_callback(lambda _: release())  # at once if it is done

    def _begin(self, read: Callable[[], None]) -> None:
        self._pending = self._pool.submit(read)

    def _finish(self) -> None:
        if self._pending is not None:
            self._pending.result()
            self._pending = None
