"""Clock of a training: wall time over all resumed parts, and time since the last checkpoint."""

import time

from nlp_rnn.training.training_state import ProgressState

__all__ = ["TrainingClock"]


class TrainingClock:
    """Adds wall time to the `seconds` of a state, and says when the next checkpoint is due."""

    def __init__(self, state: ProgressState) -> None:
        self.state = state
        self.start()

    def start(self) -> None:
        """Start to count the time now; earlier time is not added to the state."""
        self._last_tick = self._last_checkpoint = time.perf_counter()

    def tick(self) -> None:
        """Add the time since the previous tick to the state."""
        now = time.perf_counter()
        self.state.seconds += now - self._last_tick
        self._last_tick = now

    def checkpoint_written(self) -> None:
        """Count the time until the next checkpoint from now."""
        self._last_checkpoint = time.perf_counter()

    def checkpoint_due(self, minutes: float) -> bool:
        """Return whether the last checkpoint is at least `minutes` old."""
        return time.perf_counter() - self._last_checkpoint >= 60 * minutes

    def is_over(self, max_minutes: float | None) -> bool:
        """Return whether the training has taken `max_minutes`; without a limit it never has."""
        return bool(max_minutes) and self.state.seconds >= 60 * (max_minutes or 0)
