# SPDX-License-Identifier: Apache-2.0
"""An export is a list of named steps, each with result and time; a failure names its step."""

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field

from aminet_runtime.errors import AminetError, OutputNotWritable
from aminet_runtime.publish import CASE_NO_SPACE


@dataclass(frozen=True, slots=True)
class StepReport:
    """A step that is done.

    Attributes:
        name: Of the step.
        result: What came out of it, in a few words.
        seconds: How long it took.
        cpu_seconds: Of processor time on all cores, also of processes that it started and awaited:
            what a busy machine does not lengthen.
    """

    name: str
    result: str
    seconds: float
    cpu_seconds: float

    def to_json(self) -> dict[str, str | float]:
        """Return plain JSON values."""
        return asdict(self)


OnStep = Callable[[StepReport], None]
"""Called after each step."""

OnProgress = Callable[[int, int], None]
"""Called with done and total within a step."""


@dataclass(slots=True)
class Step:
    """A step that is running; whoever runs it says what came out.

    Attributes:
        result: What came out of it, in a few words.
    """

    result: str = "done"


@dataclass(slots=True)
class StepLog:
    """Which steps are done.

    Attributes:
        on_step: Called after each step.
        done: The reports, in order.
    """

    on_step: OnStep
    done: list[StepReport] = field(default_factory=list)

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Time a step; put its name in front of the message of what goes wrong in it."""
        started, cpu_started = time.perf_counter(), _cpu_seconds()
        step = Step()
        try:
            yield step
        except AminetError as error:
            raise _named(error, name) from error
        except OSError as error:
            if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
                raise
            raise OutputNotWritable(
                f"step '{name}': there is no space left", case=CASE_NO_SPACE, hint="free some"
            ) from error
        seconds, cpu_seconds = time.perf_counter() - started, _cpu_seconds() - cpu_started
        self.done.append(StepReport(name, step.result, seconds, cpu_seconds))
        self.on_step(self.done[-1])


def _cpu_seconds() -> float:
    return sum(os.times()[:4])  # user and system, of this process and of those awaited


def _named(error: AminetError, step: str) -> AminetError:
    case = int(error.code[-2:])
    message = f"step '{step}': {error.message}"
    return type(error)(message, case=case, path=error.path, hint=error.hint)
