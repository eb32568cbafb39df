# SPDX-License-Identifier: Apache-2.0
"""What a container may use: CPU time and memory by control groups, version 1 and 2.

A container sees all cores and all memory of its machine, but is throttled or killed when it takes
more than its group allows. A group is bound by its ancestors, too, so the tightest of them counts.

Source: https://docs.kernel.org/admin-guide/cgroup-v2.html and cgroup-v1
"""

from collections.abc import Iterator
from pathlib import Path

_ROOT = Path("/")


def cpu_quota(root: Path = _ROOT) -> float | None:
    """Return how many cores' worth of time the process may use; None without a limit.

    Args:
        root: Where /proc and /sys are, for tests.
    """
    quotas = [_quota_of(folder) for folder in _group_folders("cpu", root)]
    return min((quota for quota in quotas if quota is not None), default=None)


def memory_headroom_bytes(root: Path = _ROOT) -> int | None:
    """Return how much more memory the process may take; None without a limit.

    Args:
        root: Where /proc and /sys are, for tests.
    """
    rooms = [_headroom_of(folder) for folder in _group_folders("memory", root)]
    return min((room for room in rooms if room is not None), default=None)


def _group_folders(controller: str, root: Path) -> Iterator[Path]:
    """Yield the folders of the process's group and of its ancestors, in both versions."""
    for line in _lines(root / "proc/self/cgroup"):
        number, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        mounts = root / "sys/fs/cgroup"
        if number == "0" and not controllers:
            yield from _with_ancestors(mounts, group)
        elif controller in controllers.split(","):
            yield from _with_ancestors(mounts / controllers, group)


def _with_ancestors(mount: Path, group: str) -> Iterator[Path]:
    """Yield mount/a/b, mount/a and mount; a group outside of our view is simply not there."""
    inside = [part for part in group.split("/") if part not in {"", ".."}]
    for depth in range(len(inside), -1, -1):
        yield mount.joinpath(*inside[:depth])


def _quota_of(folder: Path) -> float | None:
    if second := _lines(folder / "cpu.max"):
        quota, _, period = second[0].partition(" ")
        return _ratio(quota, period)
    quota_v1, period_v1 = _lines(folder / "cpu.cfs_quota_us"), _lines(folder / "cpu.cfs_period_us")
    return _ratio(quota_v1[0], period_v1[0]) if quota_v1 and period_v1 else None


def _ratio(quota: str, period: str) -> float | None:
    """Divide microseconds by microseconds; `max` and -1 mean no limit."""
    if not quota.isdigit() or not period.isdigit() or int(period) == 0:
        return None
    return int(quota) / int(period)


def _headroom_of(folder: Path) -> int | None:
    limit = _number(folder / "memory.max") or _number(folder / "memory.limit_in_bytes")
    used = _number(folder / "memory.current") or _number(folder / "memory.usage_in_bytes")
    if limit is None or used is None:
        return None
    return max(0, limit - max(0, used - _reclaimable_bytes(folder)))


def _reclaimable_bytes(folder: Path) -> int:
    """Files in the page cache count as used, but make room when memory is asked for."""
    entries = dict(line.split(" ", 1) for line in _lines(folder / "memory.stat") if " " in line)
    value = entries.get("total_inactive_file", entries.get("inactive_file", "0"))
    return int(value) if value.isdigit() else 0


def _number(path: Path) -> int | None:
    lines = _lines(path)
    return int(lines[0]) if lines and lines[0].isdigit() else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
    except OSError:
        return []
