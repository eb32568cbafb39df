# SPDX-License-Identifier: Apache-2.0
"""The start of worker processes, which the system may refuse, for all packages that have some."""

from collections.abc import Iterator
from contextlib import contextmanager

from aminet_runtime.errors import AminetError, BudgetExceeded

CASE_NO_PROCESS = 7


@contextmanager
def as_start_errors() -> Iterator[None]:
    """Translate what the operating system refuses while the block starts processes.

    Raises:
        BudgetExceeded: It gives no further process, pipe or semaphore, or no memory for one.
    """
    try:
        yield
    except AminetError:  # some of ours are OSErrors, too
        raise
    except OSError as error:
        raise BudgetExceeded(
            f"the system starts no further process ({error.strerror or error})",
            case=CASE_NO_PROCESS,
            hint="use fewer --jobs",
        ) from error
