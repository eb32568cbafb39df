# SPDX-License-Identifier: Apache-2.0
"""Memory figures on Windows, which has no /proc: three calls into kernel32.

Source: GlobalMemoryStatusEx and K32GetProcessMemoryInfo, https://learn.microsoft.com/windows/win32
"""

import ctypes
from ctypes import c_size_t, c_uint32, c_uint64, c_void_p


class _MemoryStatus(ctypes.Structure):
    """MEMORYSTATUSEX."""

    _fields_ = (
        ("length", c_uint32),
        ("memory_load", c_uint32),
        ("total_physical", c_uint64),
        ("available_physical", c_uint64),
        ("total_page_file", c_uint64),
        ("available_page_file", c_uint64),
        ("total_virtual", c_uint64),
        ("available_virtual", c_uint64),
        ("available_extended_virtual", c_uint64),
    )


class _MemoryCounters(ctypes.Structure):
    """PROCESS_MEMORY_COUNTERS."""

    _fields_ = (
        ("length", c_uint32),
        ("page_fault_count", c_uint32),
        ("peak_working_set", c_size_t),
        ("working_set", c_size_t),
        ("quota_peak_paged_pool", c_size_t),
        ("quota_paged_pool", c_size_t),
        ("quota_peak_nonpaged_pool", c_size_t),
        ("quota_nonpaged_pool", c_size_t),
        ("page_file", c_size_t),
        ("peak_page_file", c_size_t),
    )


def available_physical_bytes() -> int | None:
    """Return the memory that is free on this machine; None where there is no kernel32."""
    kernel32 = _kernel32()
    status = _MemoryStatus()
    status.length = ctypes.sizeof(status)
    if kernel32 is None or not kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
        return None
    return int(status.available_physical)


def working_set_bytes() -> int | None:
    """Return the memory that this process holds now; None where there is no kernel32."""
    counters = _counters()
    return None if counters is None else int(counters.working_set)


def peak_working_set_bytes() -> int | None:
    """Return the most memory that this process has held; None where there is no kernel32."""
    counters = _counters()
    return None if counters is None else int(counters.peak_working_set)


def _counters() -> _MemoryCounters | None:
    kernel32 = _kernel32()
    if kernel32 is None:
        return None
    kernel32.GetCurrentProcess.restype = c_void_p
    kernel32.K32GetProcessMemoryInfo.argtypes = (c_void_p, c_void_p, c_uint32)
    counters = _MemoryCounters()
    counters.length = ctypes.sizeof(counters)
    process = kernel32.GetCurrentProcess()
    answered = kernel32.K32GetProcessMemoryInfo(process, ctypes.byref(counters), counters.length)
    return counters if answered else None


def _kernel32() -> ctypes.CDLL | None:
    """Load kernel32, or return None on other systems."""
    loader = getattr(ctypes, "WinDLL", None)
    return None if loader is None else loader("kernel32")
