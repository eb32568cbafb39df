# SPDX-License-Identifier: Apache-2.0
"""An export is a list of named steps: each is timed, and a failure says which step it was."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from aminet_runtime.errors import AminetError

OnStep = Callable[[str, float], None]
"""Called with the name of a step and the seconds that it took."""


@dataclass(slots=True)
class StepLog:
    """Which steps are done, and how long each took.

    Attributes:
        on_step: Called after each step.
        seconds: By step, in order.
    """

    on_step: OnStep
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a step; put its name in front of the message of what goes wrong in it."""
        started = time.perf_counter()
        try:
            yield
        except AminetError as error:
            raise _named(error, name) from error
        self.seconds[name] = time.perf_counter() - started
        self.on_step(name, self.seconds[name])


def _named(error: AminetError, step: str) -> AminetError:
    case = int(error.code[-2:])
    message = f"step '{step}': {error.message}"
    return type(error)(message, case=case, path=error.path, hint=error.hint)
