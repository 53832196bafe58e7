"""The number of CPU cores that a process may use, in a container too."""

import math
import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["available_cores"]

CGROUP_ROOT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def available_cores() -> int:
    """Return the number of CPU cores that this process may use, at least 1.

    It is the smallest of these numbers: the cores of the CPU affinity (`taskset`, a batch system),
    the CPU time that the control group of the process may use (`docker run --cpus`, the limits of
    Kubernetes), rounded up to whole cores, and the cores that a Slurm job has requested. More
    threads than that would take turns.
    """
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    requested = os.environ.get("SLURM_CPUS_PER_TASK", "")
    if requested.isdecimal() and "SLURM_JOB_ID" in os.environ:
        cores = min(cores, int(requested))
    return max(1, min([cores, *(math.ceil(quota) for quota in _cgroup_quotas())]))


def _cgroup_quotas() -> Iterator[float]:
    """Yield the limits of CPU time of this process's control groups, in cores.

    A group is also subject to the limits of the groups above it. Version 2 has the limit in
    `cpu.max`, version 1 in `cpu.cfs_quota_us` and `cpu.cfs_period_us`.
    """
    try:
        lines = MEMBERSHIP.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return  # not Linux
    for line in lines:
        _, _, entry = line.partition(":")
        controllers, _, path = entry.partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        group = Path(path.lstrip("/"))
        mounts = (controllers, "cpu") if controllers else ("", "unified")
        # within a container the path may be that on the host: then only the root exists
        for folder in (group, *group.parents):
            for mount in mounts:
                yield from _quota(CGROUP_ROOT / mount / folder)


def _quota(folder: Path) -> Iterator[float]:
    """Yield the limit of one control group, if it has one."""
    for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        try:
            values = " ".join((folder / name).read_text(encoding="ascii") for name in names)
            quota, period = map(int, values.split())
        except (OSError, ValueError):
            continue  # no such file, or "max": no limit
        if quota > 0 and period > 0:
            yield quota / period
