"""Search for the hidden size at which two recurrent cells have the same prediction latency.

So a GRU and an LSTM, for example, can be compared at equal latency (`model.match=latency:lstm`).
The latency is measured on this machine.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from nlp_rnn.classifier.onnx_export import build_graph
from nlp_rnn.model.architecture import Architecture

__all__ = ["equally_fast_size", "relative_latency"]

# Length of the text; measured predictions with each network, and unmeasured ones before them.
TOKENS = 100
ROUNDS, WARM_UP = 40, 5
# onnxruntime computes several units at once: sizes between multiples of this are not faster.
SIZE_STEP = 4
MAX_SIZE = 8192


def relative_latency(first: Architecture, second: Architecture) -> float:
    """Return the latency of `first` divided by that of `second`; above 1, `first` is slower.

    Latency is the median time of 40 predictions for one text of 100 tokens. Networks with random
    parameters run on onnxruntime with one CPU thread, in alternation. Tokenization is not included.
    """
    return _ratio(_prediction(first), _prediction(second))


def equally_fast_size(architecture: Architecture, cell: str) -> tuple[int, float]:
    """Find the hidden size at which `architecture` is as fast as the reference network.

    The reference is `architecture` with `cell` in place of its recurrent cell, at the unchanged
    hidden size. A bisection over multiples of 4 measures the latency at each size that it tries,
    which takes some seconds in total.

    Parameters
    ----------
    architecture : Architecture
        The architecture whose hidden size is sought.
    cell : str
        Name of the recurrent cell of the reference, such as `lstm`.

    Returns
    -------
    int
        The hidden size, among those tried, whose latency is the nearest to that of the reference.
    float
        The latency at this size, divided by that of the reference. It is not close to 1 if no size
        is equally fast.
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
    """Return a function that computes the logits of one text, with random parameters and tokens."""
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
    """Return the median duration of calls of `first`, divided by that of `second`."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for number in range(WARM_UP + ROUNDS):
        for call, taken in zip((first, second), seconds, strict=True):
            started = time.perf_counter()
            call()
            if number >= WARM_UP:
                taken.append(time.perf_counter() - started)
    return statistics.median(seconds[0]) / statistics.median(seconds[1])
