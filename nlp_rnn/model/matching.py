"""Hidden size at which a cell has as many recurrent parameters as another cell."""

from dataclasses import replace

from nlp_rnn.model.architecture import Architecture

__all__ = ["matching_hidden_size", "recurrent_parameters"]


def recurrent_parameters(architecture: Architecture, cell: str, hidden_size: int) -> int:
    """Return the recurrent parameters of all layers and directions with another cell and size."""
    other = replace(architecture, cell=cell, hidden_size=hidden_size)
    return other.parameter_counts()["recurrent"]


def matching_hidden_size(architecture: Architecture, cell: str) -> tuple[int, float]:
    """Return the size at which `architecture`'s cell matches the recurrent parameters of `cell`.

    `architecture.hidden_size` is the size of `cell`. Embedding and head are not counted, because
    the head grows with the states.

    Returns
    -------
    tuple of int and float
        The nearest hidden size, and the relative difference of its parameters: 0.01 is 1 % too
        many.
    """
    target = recurrent_parameters(architecture, cell, architecture.hidden_size)

    def parameters(size: int) -> int:
        return recurrent_parameters(architecture, architecture.cell, size)

    low, high = 1, 1
    while parameters(high) < target:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if parameters(middle) < target else (low, middle)
    nearest = min((low, high), key=lambda size: abs(parameters(size) - target))
    return nearest, parameters(nearest) / target - 1
