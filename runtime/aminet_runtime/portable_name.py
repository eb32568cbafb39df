# SPDX-License-Identifier: Apache-2.0
"""Names of files and folders that every system takes, so that results and bundles can travel.

What is a name on one system is none on Windows, or not the same: `NUL` and `nul.txt` are devices,
`a.` and `a ` are `a`, `a:b` is a part of the file `a`. Results often lie in a folder that several
systems share, so names are judged alike on all of them.

Source: Microsoft, Naming Files, Paths, and Namespaces; `os.path.isreserved` of Python 3.13 asks for
the same on Windows.
"""

import re

PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""Names in a bundle: safe to print, and no path."""

_DEVICES = frozenset(
    {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"}
    | {f"{port}{number}" for port in ("COM", "LPT") for number in "123456789¹²³"}
)
_REFUSED = re.compile(r'[\x00-\x1f<>:"/\\|?*\udc80-\udcff]|%(?=[0-9A-Fa-f]{2})')
"""What Windows refuses, bytes that are no text (PEP 383), and what could be taken for an escape."""


def is_portable_plain_name(name: str) -> bool:
    """Whether a name is plain and means one file, the same one, on every system."""
    return PLAIN_NAME.fullmatch(name) is not None and name == portable_name(name)


def portable_name(name: str) -> str:
    """Return the name, with `%` and two hex digits for what some system would not take.

    Most names come back as they are. Different names stay different: putting the characters back
    gives the name again.

    Args:
        name: That of a file or folder, not empty; bytes that are no text as surrogates.
    """
    escaped = _REFUSED.sub(lambda found: _percent(found[0]), name)
    if escaped[-1] in ". ":
        escaped = escaped[:-1] + _percent(escaped[-1])
    if _is_device(escaped):
        escaped = _percent(escaped[0]) + escaped[1:]
    return escaped


def _is_device(name: str) -> bool:
    """Whether Windows opens a device; it does so whatever the suffix and the case."""
    return name.partition(".")[0].rstrip(" ").upper() in _DEVICES


def _percent(char: str) -> str:
    """Escape one character; of a surrogate the byte that it stands for."""
    return f"%{ord(char) & 0xFF:02X}"
