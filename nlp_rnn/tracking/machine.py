"""Machine, software and checkout become tags, so that a number can be traced back to them."""

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from nlp_rnn.version import __version__

__all__ = ["machine_tags"]


def machine_tags() -> dict[str, str]:
    """Return what a measurement depends on besides its configuration.

    Keys: `host`, `processor`, `cores` (that this process may use), `memory_gb`, `platform`,
    `python`, `torch`, `nlp_rnn`, and `commit` (with `-dirty` if tracked files were changed) when
    the working directory lies in a git checkout.
    """
    import psutil

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    tags = {
        "host": platform.node(),
        "processor": _processor(),
        "cores": str(cores),
        "memory_gb": f"{psutil.virtual_memory().total / 2**30:.1f}",
        "platform": platform.platform(),
        "python": platform.python_version(),
        "nlp_rnn": __version__,
    }
    try:
        tags["torch"] = version("torch")  # its metadata: importing it would take a second
    except PackageNotFoundError:
        pass
    commit = _commit()
    if commit:
        tags["commit"] = commit
    return tags


def _processor() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _commit() -> str | None:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None  # no git, or a very slow disk: the run matters more than this tag
    return answer.stdout.strip() if answer.returncode == 0 else None
