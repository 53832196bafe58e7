"""What a process has had in memory at most. `ru_maxrss` begins with what its parent had."""

from pathlib import Path

import pytest

STATUS = Path("/proc/self/status")

told_by_the_system = pytest.mark.skipif(
    not STATUS.exists(), reason="only Linux tells a process's own peak"
)


def peak_megabytes() -> float:
    """Of this process, since it began or since its last `exec`."""
    lines = (line.split() for line in STATUS.read_text("utf-8").splitlines())
    return next(int(words[1]) for words in lines if words[0] == "VmHWM:") / 1024
