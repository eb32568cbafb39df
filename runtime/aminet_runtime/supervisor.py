# SPDX-License-Identifier: Apache-2.0
"""Keeps one patient within its budget, slice by slice, and tells how far it is."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from aminet_runtime.budget import Budget

SLICES_BETWEEN_MEMORY_CHECKS = 16
"""Reading the process's memory takes 0.03 ms, and a slice takes no more than a few MiB."""

OnProgress = Callable[[int, int], None]
"""Called with the number of slices that are done, and that there are."""

_Item = TypeVar("_Item")


class Supervisor:
    """The limits of one patient, and who wants to know about its progress."""

    def __init__(
        self, budget: Budget, *, started: float, on_progress: OnProgress | None = None
    ) -> None:
        """Set the limits.

        Args:
            budget: Time and memory.
            started: When the patient's time began, by `time.perf_counter`.
            on_progress: Called after each slice.
        """
        self._budget = budget
        self._deadline = budget.deadline(started=started)
        self._on_progress = on_progress

    def require_memory(self, needed_bytes: int) -> None:
        """Refuse work that would not fit, before it allocates.

        Raises:
            BudgetExceeded: It is more than the limit allows or than the machine has free.
        """
        self._budget.require_memory(needed_bytes)

    def watch(self, slices: Iterable[_Item], total: int) -> Iterator[_Item]:
        """Pass slices on, and look at time and memory after each.

        Raises:
            BudgetExceeded: The time is up, or the process holds too much memory.
        """
        for done, item in enumerate(slices, start=1):
            yield item
            self._deadline.check()
            if done % SLICES_BETWEEN_MEMORY_CHECKS == 0:
                self._budget.check_memory()
            if self._on_progress is not None:
                self._on_progress(done, total)
