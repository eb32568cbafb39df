# SPDX-License-Identifier: Apache-2.0
"""One file over the network: verified before anybody looks into it, or an error."""

import hashlib
import http.client
import time
import urllib.error
import urllib.request
from pathlib import PurePosixPath

from aminet_runtime.errors import InputDamaged, InputMissing

CASE_NETWORK = 71
CASE_HTTP = 72
CASE_SIZE = 73
CASE_HASH = 74
TIMEOUT_S = 30.0  # of a connection, and of each wait for more
DEADLINE_S = 300.0  # of a whole file; the largest has 2 MB
BY_HAND = "get it by hand as docs/phantom.md describes, or try again later"


def download(url: str, *, size: int, sha256: str, timeout_s: float = TIMEOUT_S) -> bytes:
    """Return the content of a URL.

    Args:
        url: HTTP or HTTPS; the caller made it, no user's file did.
        size: Bytes that it must have; no more are read.
        sha256: Hash (hex) that it must have.
        timeout_s: Longest wait for the server.

    Raises:
        InputMissing: There is no network, or the server has no such file.
        InputDamaged: The content has another size or hash.
    """
    data = _read(url, limit=size + 1, timeout_s=timeout_s)
    if len(data) != size:
        found = "more" if len(data) > size else f"only {len(data)}"
        raise InputDamaged(
            f"{url} should have {size} bytes and has {found}",
            case=CASE_SIZE,
            path=_name(url),
            hint=BY_HAND,
        )
    if hashlib.sha256(data).hexdigest() != sha256:
        raise InputDamaged(
            f"{url} is not the file that it was: its SHA-256 is not {sha256}",
            case=CASE_HASH,
            path=_name(url),
            hint="do not use it, and tell us",
        )
    return data


def _read(url: str, *, limit: int, timeout_s: float) -> bytes:
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"{url} is neither HTTP nor HTTPS")
    try:
        with urllib.request.urlopen(url, timeout=timeout_s) as answer:  # noqa: S310 - checked above
            return _read_before(answer, limit=limit, deadline_s=time.monotonic() + DEADLINE_S)
    except urllib.error.HTTPError as error:
        raise InputMissing(
            f"the server answers {error.code} to {url}",
            case=CASE_HTTP,
            path=_name(url),
            hint=BY_HAND,
        ) from error
    except http.client.IncompleteRead as error:
        return bytes(error.partial)
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise InputMissing(
            f"{url} cannot be reached ({reason})",
            case=CASE_NETWORK,
            path=_name(url),
            hint=f"is there a network and no proxy in the way? Else {BY_HAND}",
        ) from error


def _read_before(answer: http.client.HTTPResponse, *, limit: int, deadline_s: float) -> bytes:
    """Read up to a limit, but not for ever from a server that sends drop by drop."""
    data = bytearray()
    while len(data) < limit:
        chunk = answer.read1(limit - len(data))
        if not chunk:
            break
        data += chunk
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"not there after {DEADLINE_S:g} s")
    return bytes(data)


def _name(url: str) -> str:
    return PurePosixPath(url).name
