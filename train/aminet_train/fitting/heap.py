# SPDX-License-Identifier: Apache-2.0
"""Memory that one step gives back is what the next one takes."""

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of malloc.h
_NEVER = -1


def keep_freed_memory() -> bool:
    """Let the C library keep what tensors give back.

    glibc maps each large block anew and unmaps it as soon as it is freed, and the kernel fills
    every page of it with zeros again: up to half of a training step (docs/experiments.md 28). It is
    for processes that do the same steps over and over; their memory stays at its peak.

    Returns:
        Whether the library is one that can be told.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # not glibc
        return False
    told = [mallopt(_M_MMAP_MAX, 0), mallopt(_M_TRIM_THRESHOLD, _NEVER)]
    return all(told)
