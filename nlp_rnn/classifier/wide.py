"""The wide path of a saved classifier: as nodes of its ONNX graph, and token by token in numpy."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.model.architecture import Architecture
from nlp_rnn.model.ngrams import MULTIPLIER, PRIME, count, extend, row

if TYPE_CHECKING:
    from nlp_rnn.classifier.onnx_graph import Graph

__all__ = ["StepWidePath", "add_wide_path"]


def add_wide_path(graph: "Graph", architecture: Architecture, weight: Any) -> str:
    """Add the nodes that make wide logits (B, C) of the graph's `tokens` (T, B) and `lengths`.

    The same whole numbers as `model.ngrams`; a test holds them equal.
    """
    first = graph.constant("wide_first_axis", [0], np.int64)
    last = graph.constant("wide_last_axis", [-1], np.int64)
    one = graph.constant("wide_one", 1, np.int64)
    inside = graph.node("Less", [_steps(graph, first, last, one), "lengths"], "wide_inside")
    rows, within = ["tokens"], [inside]
    counted = "lengths"
    hashed = "tokens"
    if architecture.ngrams > 1:  # a constant that no node reads is warned of
        multiplier = graph.constant("wide_multiplier", MULTIPLIER, np.int64)
        prime = graph.constant("wide_prime", PRIME, np.int64)
        buckets = graph.constant("wide_buckets", architecture.ngram_buckets, np.int64)
        offset = graph.constant("wide_offset", architecture.vocab_size, np.int64)
        shift = graph.constant("wide_shift", [1, 0, -1, 0], np.int64)
        zero = graph.constant("wide_zero", 0, np.int64)
    for size in range(2, architecture.ngrams + 1):
        name = f"wide{size}"
        before = graph.node("Pad", [hashed, shift], f"{name}_before")
        product = graph.node("Mul", [before, multiplier], f"{name}_product")
        total = graph.node("Add", [product, "tokens"], f"{name}_sum")
        total = graph.node("Add", [total, one], f"{name}_more")
        hashed = graph.node("Mod", [total, prime], f"{name}_hash")
        bucket = graph.node("Mod", [hashed, buckets], f"{name}_bucket")
        rows.append(graph.node("Add", [bucket, offset], f"{name}_row"))
        shorter = graph.constant(f"{name}_shorter", size - 2, np.int64)
        late = graph.node("Greater", ["wide_step", shorter], f"{name}_late")
        within.append(graph.node("And", [inside, late], f"{name}_within"))
        fewer = graph.constant(f"{name}_fewer", size - 1, np.int64)
        longer = graph.node("Sub", ["lengths", fewer], f"{name}_longer")
        longer = graph.node("Max", [longer, zero], f"{name}_count")
        counted = graph.node("Add", [counted, longer], f"{name}_counted")
    if architecture.ngrams > 1:
        rows = [graph.node("Concat", rows, "wide_rows", axis=0)]  # (N · T, B)
        within = [graph.node("Concat", within, "wide_within", axis=0)]
    found = graph.rows("wide_weight", weight, rows[0], "wide_found")  # (N · T, B, C)
    own = graph.node("Unsqueeze", [within[0], last], "wide_own")
    found = graph.node("Where", [own, found, graph.constant("wide_none", 0.0)], "wide_kept")
    total = graph.node("ReduceSum", [found, first], "wide_total", keepdims=0)  # (B, C)
    counted = graph.node("Unsqueeze", [counted, last], "wide_count")
    counted = graph.node("Cast", [counted], "wide_count_float", to=1)
    root = graph.node("Sqrt", [counted], "wide_root")
    return graph.node("Div", [total, root], "wide_logits")


def _steps(graph: "Graph", first: str, last: str, one: str) -> str:
    """The number of each step, int64 (T, 1)."""
    time = graph.node("Shape", ["tokens"], "wide_time", start=0, end=1)
    time = graph.node("Squeeze", [time, first], "wide_time_scalar")
    start = graph.constant("wide_start", 0, np.int64)
    numbers = graph.node("Range", [start, time, one], "wide_numbers")
    return graph.node("Unsqueeze", [numbers, last], "wide_step")


class StepWidePath:
    """The wide path of any number of streams, a token at a time."""

    def __init__(self, architecture: Architecture, weight: NDArray[np.float32]) -> None:
        self._order = architecture.ngrams
        self._sizes = architecture.vocab_size, architecture.ngram_buckets
        self._weight = weight

    def start(self, streams: int) -> dict[str, NDArray[Any]]:
        """What is remembered before the first token: sums, and hashes of what ends there."""
        return {
            # float64, so that a stream of millions of tokens loses nothing
            "wide": np.zeros((streams, self._weight.shape[1])),
            "wide_count": np.zeros((streams, 1), np.int64),
            "wide_hashes": np.zeros((streams, self._order - 1), np.int64),
        }

    def read(
        self, state: dict[str, NDArray[Any]], tokens: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Wide logits (n, C) after one more token int64 (n,) each; `state` is changed."""
        total, read = state["wide"], state["wide_count"]
        total += self._weight[tokens]
        before = state["wide_hashes"]
        hashes = np.empty_like(before)
        hashed = tokens
        for size in range(2, self._order + 1):
            hashes[:, size - 2] = hashed
            hashed = extend(before[:, size - 2], tokens)
            there = (read[:, 0] >= size - 1)[:, None]
            total += np.where(there, self._weight[row(hashed, *self._sizes)], 0)
        read += 1
        state["wide_hashes"] = hashes
        found: NDArray[np.float32] = (total / np.sqrt(count(read, self._order))).astype(np.float32)
        return found
