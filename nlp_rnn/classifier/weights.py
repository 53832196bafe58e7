"""A network's parameters become `model.safetensors` and back, names and shapes checked."""

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
    """The bytes of `model.safetensors`, float32.

    Raises:
        ClassifierError: a parameter is NaN or infinite, as after a diverged training.
        ValueError: the names or shapes are not the architecture's.
    """
    from safetensors.numpy import save

    shapes = {name: tuple(value.shape) for name, value in state.items()}
    if shapes != architecture.parameter_shapes():
        raise ValueError(f"parameters {shapes} do not belong to {architecture}")
    for name, value in state.items():
        if not np.isfinite(value).all():
            raise ClassifierError(
                f"The parameter {name} holds numbers that are not finite: the training diverged.\n"
                "Train again with a smaller optimizer.learning_rate."
            )
    # safetensors writes the memory as it lies, so it must lie in order.
    packed: bytes = save(
        {name: np.ascontiguousarray(value, np.float32) for name, value in state.items()}
    )
    return packed


def check_weights(data: bytes, architecture: Architecture) -> None:
    """Check names, types, shapes and size by the header alone, without the safetensors library.

    Raises:
        ClassifierError: not the safetensors file of this architecture, for instance a pickle.
    """
    try:
        length = int.from_bytes(data[:8], "little")
        if not 2 <= length <= min(_MAX_HEADER_BYTES, len(data) - 8):
            raise ValueError("no header")
        header: dict[str, dict[str, Any]] = json.loads(data[8 : 8 + length])
        header.pop("__metadata__", None)
        found = {name: (entry["dtype"], *entry["shape"]) for name, entry in header.items()}
        places = {name: tuple(entry["data_offsets"]) for name, entry in header.items()}
        numbers = [*places.values(), *(shape for _, *shape in found.values())]
        if not all(type(number) is int for several in numbers for number in several):
            raise TypeError("shapes and places are whole numbers")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ClassifierError(
            "model.safetensors is not a safetensors file, whatever its name says.\n"
            "Fetch the classifier folder again from where it was trained."
        ) from error
    shapes = architecture.parameter_shapes()
    expected = {name: ("F32", *shape) for name, shape in shapes.items()}
    size = sum(4 * math.prod(shape) for shape in shapes.values())
    # one parameter after the other, as the format demands, in whatever order
    order = sorted(places, key=lambda name: places[name])
    sizes = (4 * math.prod(shapes.get(name, ())) for name in order)
    expected_places = list(itertools.pairwise([0, *itertools.accumulate(sizes)]))
    sound = [places[name] for name in order] == expected_places
    if found != expected or len(data) != 8 + length + size or not sound:
        raise ClassifierError(
            "model.safetensors holds other parameters than the network in config.json has.\n"
            "Fetch the classifier folder again: its files come from two trainings."
        )


def unpack_weights(data: bytes) -> dict[str, NDArray[np.float32]]:
    """The parameters in the bytes of a `model.safetensors` that `check_weights` let pass.

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
