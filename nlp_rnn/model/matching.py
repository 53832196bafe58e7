"""An architecture becomes the hidden size at which its cell has as many parameters as another's."""

from dataclasses import replace

from nlp_rnn.model.architecture import Architecture

__all__ = ["matching_hidden_size", "recurrent_parameters"]


def recurrent_parameters(architecture: Architecture, cell: str, hidden_size: int) -> int:
    """Recurrent parameters, all layers and directions, of `cell` at `hidden_size` instead."""
    other = replace(architecture, cell=cell, hidden_size=hidden_size)
    return other.parameter_counts()["recurrent"]


def matching_hidden_size(architecture: Architecture, cell: str) -> tuple[int, float]:
    """The size of `architecture`'s cell whose recurrent parameters come nearest to `cell`'s.

    `architecture.hidden_size` is the size of `cell`. Embedding and head are not counted: the head
    grows with the states, and so does what a text is pooled to.

    Returns:
        The hidden size, and its parameters over the wanted ones less 1: 0.01 is 1 % too many.
    """
    wanted = recurrent_parameters(architecture, cell, architecture.hidden_size)

    def parameters(size: int) -> int:
        return recurrent_parameters(architecture, architecture.cell, size)

    low, high = 1, 1
    while parameters(high) < wanted:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if parameters(middle) < wanted else (low, middle)
    nearest = min((low, high), key=lambda size: abs(parameters(size) - wanted))
    return nearest, parameters(nearest) / wanted - 1
