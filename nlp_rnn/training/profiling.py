"""Some updates of a training become a table of where their time went."""

import torch
from torch.profiler import ProfilerActivity, _ExperimentalConfig, profile  # type: ignore[attr-defined]

__all__ = ["UpdateProfile"]

WARM_UP, UPDATES, ROWS = 3, 20, 30


class UpdateProfile:
    """torch's profiler over `UPDATES` updates after `WARM_UP` others; `table` is empty before."""

    def __init__(self, device: torch.device, total_updates: int) -> None:
        """Wait for the first update; with few in all, for fewer to warm up."""
        self.table = ""
        self._sort_by = "self_cuda_time_total" if device.type == "cuda" else "self_cpu_time_total"
        self._first = min(WARM_UP, total_updates - 1)
        self._seen = 0
        activities = [ProfilerActivity.CPU]
        if device.type == "cuda":
            activities.append(ProfilerActivity.CUDA)
        self._profile: profile | None = profile(
            activities=activities,
            acc_events=True,  # or torch warns that a second profile would lose the first
            # the two directions of a layer run on threads of their own
            experimental_config=_ExperimentalConfig(profile_all_threads=True),
        )

    def before_update(self) -> None:
        """Begin or end where it is time to."""
        if self._profile is not None and self._seen == self._first:
            self._profile.start()
        elif self._seen == self._first + UPDATES:
            self.end()
        self._seen += 1

    def end(self) -> None:
        """Make the table, if updates were seen: validation has no place in it."""
        if self._profile is None or self._seen <= self._first:
            return
        self._profile.stop()
        count = min(self._seen - self._first, UPDATES)
        averages = self._profile.key_averages()
        table = averages.table(sort_by=self._sort_by, row_limit=ROWS, max_name_column_width=45)
        self.table = f"{count} updates\n{table}"
        self._profile = None
