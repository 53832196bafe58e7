"""State of a training between two updates: everything in a checkpoint that is not a tensor."""

from dataclasses import dataclass, field

__all__ = ["CHECKPOINT_FORMAT", "ProgressState", "TrainingState"]

CHECKPOINT_FORMAT = "nlp_rnn checkpoint 3"


@dataclass
class ProgressState:
    """Position, times and best results: the state that every kind of training has.

    Attributes
    ----------
    epoch : int
        The current epoch, from 1.
    position : int
        Updates of this epoch that are done.
    updates, tokens : int
        Updates, and tokens without padding, since the training began.
    seconds : float
        Wall time of training and validation.
    update_seconds : float
        Wall time of the updates alone.
    best_epoch : int
        The epoch with the best value of the monitored metric, from 1.
    best_value : float
        Best value of the monitored metric.
    best_metrics : dict
        The validation metrics of that epoch.
    stopped : str
        Why the training ended; empty while it runs.
    """

    epoch: int = 1
    position: int = 0
    updates: int = 0
    tokens: int = 0
    seconds: float = 0.0
    update_seconds: float = 0.0
    best_epoch: int = 0
    best_value: float = float("-inf")
    best_metrics: dict[str, float] = field(default_factory=dict)
    stopped: str = ""


@dataclass
class TrainingState(ProgressState):
    """State of the training of a classifier; `best_value` is negated when smaller is better.

    Attributes
    ----------
    loss_sums : dict
        Sum of each part of the loss over the texts of this epoch so far.
    norm_sum, norm_max : float
        Sum and maximum of the gradient norms of this epoch so far.
    spread : list
        Means and standard deviations of the embedding's features at the start, when the embedding
        is normalized.
    best_thresholds : list
        The best epoch's threshold for each label; empty for a single-label task.
    reductions, epochs_waited : int
        Schedule `plateau`: how often the learning rate was lowered, and the number of epochs
        without improvement since then.
    scaler : dict
        State of the gradient scaler in float16.
    values : list
        Value of the monitored metric after each epoch, negated when smaller is better.
    """

    loss_sums: dict[str, float] = field(default_factory=dict)
    norm_sum: float = 0.0
    norm_max: float = 0.0
    spread: list[list[float]] = field(default_factory=list)
    best_thresholds: list[float] = field(default_factory=list)
    reductions: int = 0
    epochs_waited: int = 0
    scaler: dict[str, float] = field(default_factory=dict)
    values: list[float] = field(default_factory=list)
