"""State of a pretraining between two updates: everything in a checkpoint that is not a weight."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from nlp_rnn.pretraining.language_models import States
from nlp_rnn.training.training_state import ProgressState

__all__ = ["CHECKPOINT_FORMAT", "PretrainingState", "named_states", "nested_states"]

CHECKPOINT_FORMAT = "nlp_rnn pretraining 1"


@dataclass
class PretrainingState(ProgressState):
    """State of a pretraining; its metric is the validation loss, so a smaller value is better.

    Attributes
    ----------
    losses : list of float
        Summed cross-entropy in nats of this epoch so far, one sum for each direction.
    foretold : int
        Number of tokens that each direction predicted in this epoch so far.
    """

    losses: list[float] = field(default_factory=list)
    foretold: int = 0
    best_value: float = float("inf")


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
