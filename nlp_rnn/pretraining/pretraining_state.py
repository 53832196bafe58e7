"""State of a pretraining between two updates: everything in a checkpoint that is not a weight."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from nlp_rnn.pretraining.language_models import States

__all__ = ["CHECKPOINT_FORMAT", "PretrainingState", "named_states", "nested_states"]

CHECKPOINT_FORMAT = "nlp_rnn pretraining 1"


@dataclass
class PretrainingState:
    """Position, sums and best results of a pretraining.

    Attributes
    ----------
    epoch : int
        The current epoch, from 1.
    position : int
        Windows of this epoch that are done.
    updates, tokens : int
        Updates, and tokens read, since the pretraining began.
    seconds : float
        Wall time of training and validation.
    update_seconds : float
        Wall time of the updates alone.
    losses : list of float
        Summed cross-entropy in nats of this epoch so far, one sum for each direction.
    foretold : int
        Tokens predicted in this epoch so far by each direction.
    best_epoch : int
        The epoch with the lowest validation loss, from 1.
    best_value : float
        That loss, in nats for one token.
    best_metrics : dict
        The validation metrics of that epoch.
    stopped : str
        Why the pretraining ended; empty while it runs.
    """

    epoch: int = 1
    position: int = 0
    updates: int = 0
    tokens: int = 0
    seconds: float = 0.0
    update_seconds: float = 0.0
    losses: list[float] = field(default_factory=list)
    foretold: int = 0
    best_epoch: int = 0
    best_value: float = float("inf")
    best_metrics: dict[str, float] = field(default_factory=dict)
    stopped: str = ""


def named_states(states: States | None) -> dict[str, Tensor]:
    """Return recurrent states as a flat dictionary with names `DIRECTION/LAYER/NUMBER`."""
    return {
        f"{direction}/{layer}/{number}": tensor
        for direction, layers in enumerate(states or [])
        for layer, tensors in enumerate(layers)
        for number, tensor in enumerate(tensors)
    }


def nested_states(tensors: Mapping[str, Tensor]) -> States | None:
    """Return the recurrent states that `named_states` made flat; None if there are none."""
    states: defaultdict[int, defaultdict[int, dict[int, Tensor]]]
    states = defaultdict(lambda: defaultdict(dict))
    for name, tensor in tensors.items():
        direction, layer, number = map(int, name.split("/"))
        states[direction][layer][number] = tensor
    return [
        [tuple(parts[i] for i in sorted(parts)) for _, parts in sorted(layers.items())]
        for _, layers in sorted(states.items())
    ] or None
