"""N-gram path in arithmetic, ONNX nodes and numpy steps: a linear model on the n-grams of a text.

A single token has the row of its id in the table of weights. Longer n-grams are hashed into the
rows after the vocabulary (Joulin et al. 2016, arXiv:1607.01759); n-grams with the same hash share a
row. The arithmetic is the same in torch, numpy and ONNX. Imports no torch: the torch module is
`nlp_rnn.model.ngram_path.NgramPath`.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.model.architecture import Architecture

if TYPE_CHECKING:
    from nlp_rnn.layers.onnx_graph import Graph

__all__ = [
    "LARGEST_ORDER",
    "MULTIPLIER",
    "PRIME",
    "NgramSteps",
    "add_ngram_nodes",
    "add_row_nodes",
    "extend",
    "row",
]

# Both are below 2**31, so that no product of them exceeds int64 and nothing is ever negative.
PRIME = 2**31 - 1
MULTIPLIER = 1_640_531_527  # 2**32 less Knuth's 2654435769, about 0.76 of PRIME

LARGEST_ORDER = 3

FLOAT = 1  # as onnx.TensorProto numbers it: a stream needs no onnx


def extend(hashes: Any, tokens: Any) -> Any:
    """Return the hashes of n-grams with one more token: int64 of any shape, 0 to `PRIME` - 1.

    `hashes` are those of the n-grams without their last token, or the ids of single tokens;
    `tokens` are the last tokens.
    """
    return (hashes * MULTIPLIER + tokens + 1) % PRIME


def row(hashes: Any, vocab_size: int, buckets: int) -> Any:
    """Return the rows, int64, of n-grams of two or more tokens."""
    return hashes % buckets + vocab_size


def add_ngram_nodes(graph: "Graph", architecture: Architecture, weight: Any) -> str:
    """Add the nodes that compute logits (B, C) from the values `tokens` (T, B) and `lengths` (B,).

    `weight` is the table (rows, C). Each row counts once in a text: the rows of a text are sorted,
    and one that equals its predecessor is ignored.
    """
    middle = graph.constant("wide_middle_axis", [1], np.int64)
    last = graph.constant("wide_last_axis", [-1], np.int64)
    rows, within = add_row_nodes(graph, architecture)  # (N · T, B)
    none = graph.constant("wide_beyond", architecture.ngram_table_rows, np.int64)
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
    highest = graph.constant("wide_highest", architecture.ngram_table_rows - 1, np.int64)
    index = graph.node("Min", ["wide_ordered", highest], "wide_index")
    weights, scale = graph.columns("wide_weight", weight, index, "wide_found")  # (B, N · T, C)
    chosen = graph.node("Unsqueeze", [counted, last], "wide_own")
    zero = graph.constant("wide_zero", 0.0)
    weights = graph.node("Where", [chosen, weights, zero], "wide_kept")
    total = graph.node("ReduceSum", [weights, middle], "wide_total", keepdims=0)  # (B, C)
    if scale is not None:
        total = graph.node("Mul", [total, scale], "wide_scaled")
    ones = graph.node("Cast", [counted], "wide_ones", to=FLOAT)
    count = graph.node("ReduceSum", [ones, middle], "wide_count", keepdims=1)  # (B, 1)
    return graph.node("Div", [total, graph.node("Sqrt", [count], "wide_root")], "wide_logits")


def add_row_nodes(graph: "Graph", architecture: Architecture) -> tuple[str, str]:
    """Add the row of the n-gram that ends at each token, and whether it lies within the text.

    Both results are (N · T, B), int64 and bool, for n-grams of up to N tokens.
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


class NgramSteps:
    """N-gram path for any number of streams, one token at a time.

    A stream remembers the n-grams that it has processed with one bit for each row: 34 KB at
    262,144 buckets.

    Parameters
    ----------
    architecture : Architecture
        Sizes of the network.
    weight : float32 (rows, C)
        The table.
    """

    def __init__(self, architecture: Architecture, weight: NDArray[np.float32]) -> None:
        self._order = architecture.ngrams
        self._sizes = architecture.vocab_size, architecture.ngram_buckets
        self._weight = weight

    def start(self, streams: int) -> dict[str, NDArray[Any]]:
        """Return the state of `streams` streams before their first token: sums and hashes."""
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
        """Return the logits (n, C) after one more token int64 (n,) of n streams; update `state`."""
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
        logits: NDArray[np.float32] = (state["wide"] / np.sqrt(state["wide_count"])).astype(
            np.float32
        )
        return logits

    def _add(
        self, state: dict[str, NDArray[Any]], rows: NDArray[np.int64], present: NDArray[np.bool_]
    ) -> None:
        """Count one row of each stream where it is `present` and was not counted before."""
        streams, seen = np.arange(len(rows)), state["wide_seen"]
        bits = (1 << (rows & 7)).astype(np.uint8)
        new = present & (seen[streams, rows >> 3] & bits == 0)
        seen[streams[new], rows[new] >> 3] |= bits[new]
        state["wide"] += np.where(new[:, None], self._weight[rows], 0)
        state["wide_count"] += new[:, None]
