"""Peak memory of a process, read from /proc, because `ru_maxrss` starts with the parent's peak."""

from pathlib import Path

import pytest

STATUS = Path("/proc/self/status")

needs_peak_memory = pytest.mark.skipif(
    not STATUS.exists(), reason="only Linux reports the peak memory of a process in /proc"
)


def peak_megabytes() -> float:
    """Return the peak memory of this process since its start or its last `exec`."""
    lines = (line.split() for line in STATUS.read_text("utf-8").splitlines())
    return next(int(fields[1]) for fields in lines if fields[0] == "VmHWM:") / 1024
