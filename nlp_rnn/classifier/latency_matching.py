"""An architecture becomes the hidden size at which its cell answers as fast as another here."""

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from nlp_rnn.classifier.onnx_export import build_graph
from nlp_rnn.model.architecture import Architecture

__all__ = ["equally_fast_size", "relative_latency"]

TOKENS = 100
ROUNDS, WARM_UP = 40, 5
# The runtime computes several units at once: sizes between multiples of this save no time.
STEP = 4
LARGEST = 8192


def relative_latency(first: Architecture, second: Architecture) -> float:
    """How many times as long as `second` `first` takes for one text of 100 tokens.

    On onnxruntime, one thread, without tokenization, the two taking turns; medians.
    """
    return _ratio(_answer(first), _answer(second))


def equally_fast_size(architecture: Architecture, cell: str) -> tuple[int, float]:
    """The size at which the architecture's cell takes as long as `cell` at the given size.

    Found by bisection over multiples of 4, measuring each; some seconds.

    Returns:
        The hidden size and its latency over the wanted one.
    """
    wanted = _answer(replace(architecture, cell=cell))
    measured: dict[int, float] = {}

    def ratio(size: int) -> float:
        if size not in measured:
            measured[size] = _ratio(_answer(replace(architecture, hidden_size=size)), wanted)
        return measured[size]

    low = high = max(STEP, round(architecture.hidden_size / STEP) * STEP)
    while ratio(high) < 1 and high < LARGEST:
        low, high = high, 2 * high
    while ratio(low) > 1 and low > STEP:
        low, high = max(STEP, low // 2 // STEP * STEP), low
    while high - low > STEP:
        middle = (low + high) // 2 // STEP * STEP
        low, high = (middle, high) if ratio(middle) < 1 else (low, middle)
    nearest = min(measured, key=lambda size: abs(measured[size] - 1))
    return nearest, measured[nearest]


def _answer(architecture: Architecture) -> Callable[[], Any]:
    """A call that answers one text by a network of random parameters."""
    import onnxruntime

    random = np.random.default_rng(0)
    state = {
        name: (0.05 * random.standard_normal(shape)).astype(np.float32)
        for name, shape in architecture.parameter_shapes().items()
    }
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        build_graph(architecture, state).SerializeToString(),
        options,
        providers=["CPUExecutionProvider"],
    )
    inputs = {
        "input_ids": random.integers(0, architecture.vocab_size, (1, TOKENS)),
        "lengths": np.array([TOKENS], dtype=np.int64),
    }
    return lambda: session.run(["logits"], inputs)


def _ratio(first: Callable[[], Any], second: Callable[[], Any]) -> float:
    seconds: tuple[list[float], list[float]] = ([], [])
    for number in range(WARM_UP + ROUNDS):
        for call, taken in zip((first, second), seconds, strict=True):
            started = time.perf_counter()
            call()
            if number >= WARM_UP:
                taken.append(time.perf_counter() - started)
    return statistics.median(seconds[0]) / statistics.median(seconds[1])
