"""The wide path of a saved classifier: as nodes of its ONNX graph, and token by token in numpy."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.model.architecture import Architecture
from nlp_rnn.model.ngrams import MULTIPLIER, PRIME, extend, row

if TYPE_CHECKING:
    from nlp_rnn.layers.onnx_graph import Graph

__all__ = ["StepWidePath", "add_rows", "add_wide_path"]

INT64, FLOAT = 7, 1  # as onnx.TensorProto numbers them: a stream needs no onnx


def add_wide_path(graph: "Graph", architecture: Architecture, weight: Any) -> str:
    """Add the nodes that make wide logits (B, C) of the graph's `tokens` (T, B) and `lengths`.

    A row counts once: sorted, it is the one that differs from the row before it.
    """
    middle = graph.constant("wide_middle_axis", [1], np.int64)
    last = graph.constant("wide_last_axis", [-1], np.int64)
    rows, within = add_rows(graph, architecture)  # (N · T, B)
    none = graph.constant("wide_beyond", architecture.wide_rows, np.int64)
    rows = graph.node("Where", [within, rows, none], "wide_within_rows")
    rows = graph.node("Transpose", [rows], "wide_by_text", perm=[1, 0])
    every = graph.node("Shape", [rows], "wide_many", start=1, end=2)
    graph.node(
        "TopK", [rows, every], ["wide_ordered", "wide_order"], axis=1, largest=0, sorted=1
    )  # (B, N · T)
    ahead = graph.constant("wide_ahead", [0, 1, 0, -1], np.int64)
    nothing = graph.constant("wide_nothing", -1, np.int64)
    before = graph.node("Pad", ["wide_ordered", ahead, nothing], "wide_before")
    new = graph.node("Less", [before, "wide_ordered"], "wide_new")
    there = graph.node("Less", ["wide_ordered", none], "wide_there")
    counted = graph.node("And", [new, there], "wide_counted")
    highest = graph.constant("wide_highest", architecture.wide_rows - 1, np.int64)
    index = graph.node("Min", ["wide_ordered", highest], "wide_index")
    found, scale = graph.columns("wide_weight", weight, index, "wide_found")  # (B, N · T, C)
    own = graph.node("Unsqueeze", [counted, last], "wide_own")
    found = graph.node("Where", [own, found, graph.constant("wide_zero", 0.0)], "wide_kept")
    total = graph.node("ReduceSum", [found, middle], "wide_total", keepdims=0)  # (B, C)
    if scale is not None:
        total = graph.node("Mul", [total, scale], "wide_scaled")
    ones = graph.node("Cast", [counted], "wide_ones", to=FLOAT)
    count = graph.node("ReduceSum", [ones, middle], "wide_count", keepdims=1)  # (B, 1)
    return graph.node("Div", [total, graph.node("Sqrt", [count], "wide_root")], "wide_logits")


def add_rows(graph: "Graph", architecture: Architecture) -> tuple[str, str]:
    """Add the rows of the n-grams that end at each token, and whether they lie within the text.

    Both (N · T, B): int64 and bool, by the arithmetic of `model.ngrams`.
    """
    first = graph.constant("wide_first_axis", [0], np.int64)
    last = graph.constant("wide_last_axis_of_steps", [-1], np.int64)
    one = graph.constant("wide_one", 1, np.int64)
    time = graph.node("Shape", ["tokens"], "wide_time", start=0, end=1)
    time = graph.node("Squeeze", [time, first], "wide_time_scalar")
    numbers = [graph.constant("wide_start", 0, np.int64), time, one]
    step = graph.node("Range", numbers, "wide_numbers")
    step = graph.node("Unsqueeze", [step, last], "wide_step")  # (T, 1)
    inside = graph.node("Less", [step, "lengths"], "wide_inside")
    if architecture.ngrams == 1:
        return "tokens", inside
    rows, within = ["tokens"], [inside]
    multiplier = graph.constant("wide_multiplier", MULTIPLIER, np.int64)
    prime = graph.constant("wide_prime", PRIME, np.int64)
    buckets = graph.constant("wide_buckets", architecture.ngram_buckets, np.int64)
    offset = graph.constant("wide_offset", architecture.vocab_size, np.int64)
    later = graph.constant("wide_later", [1, 0, -1, 0], np.int64)
    hashed = "tokens"
    for size in range(2, architecture.ngrams + 1):
        name = f"wide{size}"
        before = graph.node("Pad", [hashed, later], f"{name}_before")
        product = graph.node("Mul", [before, multiplier], f"{name}_product")
        more = graph.node("Add", [product, "tokens"], f"{name}_sum")
        more = graph.node("Add", [more, one], f"{name}_more")
        hashed = graph.node("Mod", [more, prime], f"{name}_hash")
        bucket = graph.node("Mod", [hashed, buckets], f"{name}_bucket")
        rows.append(graph.node("Add", [bucket, offset], f"{name}_row"))
        short = graph.constant(f"{name}_short", size - 2, np.int64)
        long = graph.node("Greater", [step, short], f"{name}_long")
        within.append(graph.node("And", [inside, long], f"{name}_within"))
    return (
        graph.node("Concat", rows, "wide_rows", axis=0),
        graph.node("Concat", within, "wide_within", axis=0),
    )


class StepWidePath:
    """The wide path of any number of streams, a token at a time.

    A stream remembers in one bit a row which n-grams it has read: 34 KB at 262,144 buckets.
    """

    def __init__(self, architecture: Architecture, weight: NDArray[np.float32]) -> None:
        self._order = architecture.ngrams
        self._sizes = architecture.vocab_size, architecture.ngram_buckets
        self._weight = weight

    def start(self, streams: int) -> dict[str, NDArray[Any]]:
        """What is remembered before the first token: sums, and hashes of what ends there."""
        rows, labels = self._weight.shape
        return {
            # float64, so that a stream of millions of tokens loses nothing
            "wide": np.zeros((streams, labels)),
            "wide_count": np.zeros((streams, 1), np.int64),
            "wide_tokens": np.zeros((streams, 1), np.int64),
            "wide_hashes": np.zeros((streams, self._order - 1), np.int64),
            "wide_seen": np.zeros((streams, -(-rows // 8)), np.uint8),
        }

    def read(
        self, state: dict[str, NDArray[Any]], tokens: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Wide logits (n, C) after one more token int64 (n,) each; `state` is changed."""
        before, read = state["wide_hashes"], state["wide_tokens"][:, 0]
        hashes = np.empty_like(before)
        hashed = tokens
        self._add(state, tokens, np.ones(len(tokens), bool))
        for size in range(2, self._order + 1):
            hashes[:, size - 2] = hashed
            hashed = extend(before[:, size - 2], tokens)
            self._add(state, row(hashed, *self._sizes), read >= size - 1)
        state["wide_hashes"] = hashes
        state["wide_tokens"] += 1
        found: NDArray[np.float32] = (state["wide"] / np.sqrt(state["wide_count"])).astype(
            np.float32
        )
        return found

    def _add(
        self, state: dict[str, NDArray[Any]], rows: NDArray[np.int64], there: NDArray[np.bool_]
    ) -> None:
        """Count one row of each stream where it is `there` and has not been seen."""
        streams, seen = np.arange(len(rows)), state["wide_seen"]
        bits = (1 << (rows & 7)).astype(np.uint8)
        new = there & (seen[streams, rows >> 3] & bits == 0)
        seen[streams[new], rows[new] >> 3] |= bits[new]
        state["wide"] += np.where(new[:, None], self._weight[rows], 0)
        state["wide_count"] += new[:, None]
