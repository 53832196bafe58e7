"""Profile of some updates: a table of the operations that take the most time."""

import torch
from torch.profiler import ProfilerActivity, _ExperimentalConfig, profile  # type: ignore[attr-defined]

__all__ = ["UpdateProfile"]

WARM_UP, UPDATES, ROWS = 3, 20, 30


class UpdateProfile:
    """torch's profiler over `UPDATES` updates, after `WARM_UP` updates that it ignores.

    Parameters
    ----------
    device : torch.device
        The device that the updates run on.
    total_updates : int
        Updates of the training. If there are few, fewer are ignored.

    Attributes
    ----------
    table : str
        The table; empty until the profile is complete.
    """

    def __init__(self, device: torch.device, total_updates: int) -> None:
        self.table = ""
        self._sort_by = "self_cuda_time_total" if device.type == "cuda" else "self_cpu_time_total"
        self._first = min(WARM_UP, total_updates - 1)
        self._seen = 0
        activities = [ProfilerActivity.CPU]
        if device.type == "cuda":
            activities.append(ProfilerActivity.CUDA)
        self._profile: profile | None = profile(
            activities=activities,
            acc_events=True,  # otherwise torch warns that a second profile discards the first
            # each direction of a layer runs on a thread of its own
            experimental_config=_ExperimentalConfig(profile_all_threads=True),
        )

    def before_update(self) -> None:
        """Start or end the profile when its first or last update is due."""
        if self._profile is not None and self._seen == self._first:
            self._profile.start()
        elif self._seen == self._first + UPDATES:
            self.end()
        self._seen += 1

    def end(self) -> None:
        """End the profile and create the table, so that validation is not part of it."""
        if self._profile is None or self._seen <= self._first:
            return
        self._profile.stop()
        count = min(self._seen - self._first, UPDATES)
        averages = self._profile.key_averages()
        table = averages.table(sort_by=self._sort_by, row_limit=ROWS, max_name_column_width=45)
        self.table = f"{count} updates\n{table}"
        self._profile = None
