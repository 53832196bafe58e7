"""Parameters of a network as the bytes of `model.safetensors`, with names and shapes checked."""

import itertools
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.errors import ClassifierError
from nlp_rnn.model.architecture import Architecture

__all__ = ["check_weights", "pack_weights", "unpack_weights"]

# The header of a network of any depth that trains is a few kilobytes.
_MAX_HEADER_BYTES = 1 << 20


def pack_weights(architecture: Architecture, state: Mapping[str, NDArray[np.float32]]) -> bytes:
    """Return the bytes of a `model.safetensors` with all parameters in float32.

    Raises
    ------
    ClassifierError
        A parameter is NaN or infinite, as after a training that diverged.
    ValueError
        Names or shapes differ from those of the architecture.
    """
    from safetensors.numpy import save

    shapes = {name: tuple(value.shape) for name, value in state.items()}
    if shapes != architecture.parameter_shapes():
        raise ValueError(f"parameters {shapes} do not belong to {architecture}")
    for name, value in state.items():
        if not np.isfinite(value).all():
            raise ClassifierError(
                f"The parameter {name} has values that are not finite: the training diverged.\n"
                "Train again with a smaller optimizer.learning_rate."
            )
    # safetensors writes the memory as it is, so arrays must be contiguous.
    packed: bytes = save(
        {name: np.ascontiguousarray(value, np.float32) for name, value in state.items()}
    )
    return packed


def check_weights(data: bytes, architecture: Architecture) -> None:
    """Check names, types, shapes and size from the header, without the safetensors library.

    Raises
    ------
    ClassifierError
        The bytes are not a safetensors file of this architecture; for instance a pickle.
    """
    try:
        length = int.from_bytes(data[:8], "little")
        if not 2 <= length <= min(_MAX_HEADER_BYTES, len(data) - 8):
            raise ValueError("no header")
        header: dict[str, dict[str, Any]] = json.loads(data[8 : 8 + length])
        header.pop("__metadata__", None)
        actual = {name: (entry["dtype"], *entry["shape"]) for name, entry in header.items()}
        offsets = {name: tuple(entry["data_offsets"]) for name, entry in header.items()}
        numbers = [*offsets.values(), *(shape for _, *shape in actual.values())]
        if not all(type(number) is int for several in numbers for number in several):
            raise TypeError("shapes and offsets are whole numbers")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ClassifierError(
            "model.safetensors is not a safetensors file.\n"
            "Copy the classifier folder again from where it was trained."
        ) from error
    shapes = architecture.parameter_shapes()
    expected = {name: ("F32", *shape) for name, shape in shapes.items()}
    size = sum(4 * math.prod(shape) for shape in shapes.values())
    # the format requires parameters without gaps, in any order
    order = sorted(offsets, key=lambda name: offsets[name])
    sizes = (4 * math.prod(shapes.get(name, ())) for name in order)
    expected_offsets = list(itertools.pairwise([0, *itertools.accumulate(sizes)]))
    contiguous = [offsets[name] for name in order] == expected_offsets
    if actual != expected or len(data) != 8 + length + size or not contiguous:
        raise ClassifierError(
            "The parameters in model.safetensors are not those of the network in config.json.\n"
            "Copy the classifier folder again: its files come from two trainings."
        )


def unpack_weights(data: bytes) -> dict[str, NDArray[np.float32]]:
    """Return the parameters in the bytes of a `model.safetensors` that passed `check_weights`.

    They are read-only views of `data`: nothing is copied, and no library is needed.
    """
    start = 8 + int.from_bytes(data[:8], "little")
    header: dict[str, dict[str, Any]] = json.loads(data[8:start])
    header.pop("__metadata__", None)
    return {
        name: np.frombuffer(
            data, "<f4", count=math.prod(entry["shape"]), offset=start + entry["data_offsets"][0]
        ).reshape(entry["shape"])
        for name, entry in header.items()
    }
