"""Hidden size at which one cell is as fast as another on this machine."""

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
# onnxruntime computes several units at once: sizes between multiples of this are not faster.
SIZE_STEP = 4
MAX_SIZE = 8192


def relative_latency(first: Architecture, second: Architecture) -> float:
    """Return the latency of `first` for one text of 100 tokens, divided by that of `second`.

    Both run alternately on onnxruntime with one thread, without tokenization; medians are
    compared.
    """
    return _ratio(_prediction(first), _prediction(second))


def equally_fast_size(architecture: Architecture, cell: str) -> tuple[int, float]:
    """Find the hidden size at which the architecture is as fast as with `cell` at its own size.

    A bisection over multiples of 4 measures each size; it takes some seconds.

    Returns
    -------
    int
        The hidden size.
    float
        Its latency, divided by that of `cell`.
    """
    target = _prediction(replace(architecture, cell=cell))
    measured: dict[int, float] = {}

    def ratio(size: int) -> float:
        if size not in measured:
            measured[size] = _ratio(_prediction(replace(architecture, hidden_size=size)), target)
        return measured[size]

    low = high = max(SIZE_STEP, round(architecture.hidden_size / SIZE_STEP) * SIZE_STEP)
    while ratio(high) < 1 and high < MAX_SIZE:
        low, high = high, 2 * high
    while ratio(low) > 1 and low > SIZE_STEP:
        low, high = max(SIZE_STEP, low // 2 // SIZE_STEP * SIZE_STEP), low
    while high - low > SIZE_STEP:
        middle = (low + high) // 2 // SIZE_STEP * SIZE_STEP
        low, high = (middle, high) if ratio(middle) < 1 else (low, middle)
    nearest = min(measured, key=lambda size: abs(measured[size] - 1))
    return nearest, measured[nearest]


def _prediction(architecture: Architecture) -> Callable[[], Any]:
    """Return a function that predicts one text with a network of random parameters."""
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
