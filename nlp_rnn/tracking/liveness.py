"""A run's tags say which process writes it, so that others can tell whether that still lives."""

import os
import platform
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

__all__ = ["alive", "here", "process_tags", "stop"]

SECONDS_TO_CLOSE = 10.0
"""How long a process that was asked to stop may take to close its run."""


def process_tags() -> dict[str, str]:
    """`host` and `process`: its number and when it started, for numbers are used again."""
    import psutil

    own = psutil.Process()
    return {"host": platform.node(), "process": f"{own.pid} started {own.create_time():.1f}"}


def here(tags: Mapping[str, str]) -> bool:
    """Whether the run was written from this machine."""
    return tags.get("host") == platform.node()


def alive(tags: Mapping[str, str]) -> bool:
    """Whether the process that opened the run is still there; False on another machine."""
    return here(tags) and _process(tags) is not None


def stop(tags: Mapping[str, str]) -> None:
    """Ask the process that writes the run to stop, and wait until it has; never this one."""
    import psutil

    process = _process(tags) if here(tags) else None
    if process is None or process.pid == os.getpid():
        return
    try:
        process.terminate()
        process.wait(SECONDS_TO_CLOSE)
    except psutil.TimeoutExpired:
        process.kill()
    except psutil.NoSuchProcess:
        pass


def _process(tags: Mapping[str, str]) -> "psutil.Process | None":
    import psutil

    number, _, started = tags.get("process", "").partition(" started ")
    try:
        process = psutil.Process(int(number))
        # the clock may have been set since
        return process if abs(process.create_time() - float(started)) < 2 else None
    except (ValueError, psutil.Error):
        return None
