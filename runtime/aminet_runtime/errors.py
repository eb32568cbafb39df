# SPDX-License-Identifier: Apache-2.0
"""Every error that AMI-Net raises on purpose, and the exit code that each one means.

    AminetError
    ├── UsageError                 2   a bad option, or an output place inside the patient folder
    ├── InputError                     the patient folder
    │   ├── InputMissing          10   a file is not there or is not a regular file
    │   ├── InputDamaged          11   truncated, wrong CRC, bytes behind the end
    │   ├── InputUnsupported      12   header, dimensions, datatype, orientation, limits
    │   ├── InputInconsistent     13   grids, phases or labels disagree
    │   └── InputUnsuitable       14   not in HU, not a head
    ├── ModelError                     the bundle
    │   ├── ModelInvalid          20   cannot be parsed
    │   ├── ModelUntrusted        21   a hash differs, or a path leaves the bundle
    │   ├── ModelIncompatible     22   schema, OpenVINO or CPU does not fit
    │   └── GateFailed            23   a parity, latency, memory or F1 gate failed
    ├── OutputError                    the place for the results
    │   ├── OutputNotWritable     30   no permission, no space, not a folder
    │   └── OutputExists          31   there already, and not to be replaced
    ├── BudgetExceeded            40   over the time or memory limit
    └── InternalError             70   our own assertion failed; please report it

A `code` such as `E1102` is stable for machines: its first two digits are the exit code, the last
two tell the cases of one class apart. Messages may change, codes do not.
"""

from pathlib import Path
from typing import ClassVar


class AminetError(Exception):
    """The root of all errors that AMI-Net raises on purpose.

    Attributes:
        exit_code: Process exit code of the class.
        code: Stable code for machines, `E` + exit code + two digits for the case.
        message: What is wrong, in one sentence.
        path: The file or folder at fault, if there is one.
        hint: What the user can do, if there is something.
    """

    exit_code: ClassVar[int] = 70

    def __init__(
        self,
        message: str,
        *,
        case: int = 0,
        path: str | Path | None = None,
        hint: str | None = None,
    ) -> None:
        """Keep the parts apart, so that JSON and the one-line form can both be made of them."""
        super().__init__(message)
        self.message = message
        self.code = f"E{self.exit_code:02d}{case:02d}"
        self.path = None if path is None else Path(path)
        self.hint = hint

    @property
    def located_message(self) -> str:
        """`file name: message`; a path without a name, such as `.`, stands as it is."""
        where = "" if self.path is None else f"{self.path.name or self.path}: "
        return f"{where}{self.message}"

    def __str__(self) -> str:
        """Return `file name: message; hint` on one line, whatever the file is called."""
        what_to_do = "" if self.hint is None else f"; {self.hint}"
        return printable(f"{self.located_message}{what_to_do}")


class UsageError(AminetError, ValueError):
    """A bad option, or an output place inside the patient folder."""

    exit_code = 2


class InputError(AminetError):
    """Something is wrong with the patient folder."""


class InputMissing(InputError, FileNotFoundError):  # noqa: N818 - the tree's names are the contract
    """A file is not there or is not a regular file."""

    exit_code = 10


class InputDamaged(InputError, EOFError):  # noqa: N818
    """A file is truncated, fails its CRC or goes on behind its end."""

    exit_code = 11


class InputUnsupported(InputError, ValueError):  # noqa: N818
    """A header, dimension, datatype, orientation or size is outside of what we read."""

    exit_code = 12


class InputInconsistent(InputError, ValueError):  # noqa: N818
    """Grids, phases or labels of one patient disagree."""

    exit_code = 13


class InputUnsuitable(InputError, ValueError):  # noqa: N818
    """The scan is not a head CT in Hounsfield units."""

    exit_code = 14


class ModelError(AminetError):
    """Something is wrong with the bundle."""


class ModelInvalid(ModelError, ValueError):  # noqa: N818
    """A file of the bundle cannot be parsed."""

    exit_code = 20


class ModelUntrusted(ModelError, ValueError):  # noqa: N818
    """A hash differs, or a path leaves the bundle."""

    exit_code = 21


class ModelIncompatible(ModelError, RuntimeError):  # noqa: N818
    """The schema, the OpenVINO release or the CPU does not fit the bundle."""

    exit_code = 22


class GateFailed(ModelError, RuntimeError):  # noqa: N818
    """A parity, latency, memory or F1 gate failed."""

    exit_code = 23


class OutputError(AminetError, OSError):
    """Something is wrong with the place for the results."""

    exit_code = 30


class OutputNotWritable(OutputError):  # noqa: N818
    """The results cannot be written: permission, space, or not a folder."""

    exit_code = 30


class OutputExists(OutputError, FileExistsError):  # noqa: N818
    """The result is there already, and it was asked not to be replaced."""

    exit_code = 31


class BudgetExceeded(AminetError, TimeoutError):  # noqa: N818
    """The run is over its time or memory limit."""

    exit_code = 40


class InternalError(AminetError, AssertionError):
    """An assertion of our own failed; this is a bug and asks for a report."""

    exit_code = 70


def printable(text: str) -> str:
    """Escape what is no printable character, so that a name cannot break a line or a terminal."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode()
        for char in text
    )
