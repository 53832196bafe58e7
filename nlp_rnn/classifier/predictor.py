"""Texts become labels and probabilities: a saved classifier, answering on onnxruntime alone."""

import os
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.classifier.bundle import Bundle, read_bundle
from nlp_rnn.classifier.manifest import GRAPH
from nlp_rnn.data.tokenizer import PAD_ID, encode
from nlp_rnn.errors import ClassifierError

__all__ = ["TextClassifier"]

# Texts whose token ids are in memory at a time.
_CHUNK_TEXTS = 8192
# A batch ends at this many texts or this many token places, padding included. More of either
# gained no speed (LSTM and GRU, 128 hidden, one core) and costs memory.
_BATCH_TEXTS = 64
_BATCH_TOKENS = 16_384


class TextClassifier:
    """A saved classifier with scikit-learn's manners; safe to share between threads.

    Promise: a text's probabilities do not depend on the texts beside it, on their order or on
    `threads`, beyond floating-point rounding.
    """

    def __init__(self, bundle: Bundle, threads: int | None = None) -> None:
        """Make a classifier of what `read_bundle` gave; `load` does both."""
        self.config: dict[str, Any] = bundle.config
        self.labels: list[str] = bundle.labels
        self.classes_: NDArray[np.str_] = np.array(bundle.labels, dtype=np.str_)
        self.num_parameters: int = bundle.architecture.parameter_counts()["total"]
        self._architecture = bundle.architecture
        self._tokenizer = bundle.tokenizer
        self._threads = _usable_threads(threads)
        self._session = _start(bundle)

    @classmethod
    def load(cls, folder: str | os.PathLike[str], threads: int | None = None) -> "TextClassifier":
        """Load a classifier folder; `nlp_rnn.load` also takes MLflow URIs.

        Args:
            folder: holds config.json, tokenizer.json, model.safetensors and model.onnx.
            threads: batches that are answered at the same time; None means one a core. One
                batch, and so one text, is always answered on one thread, which is fastest.

        Raises:
            ClassifierError: the folder holds no classifier, or a changed or newer one.
        """
        return cls(read_bundle(Path(folder)), threads)

    def predict(self, texts: Iterable[str]) -> list[str]:
        """The most probable label of each text.

        Raises:
            ClassifierError: `texts` is one text, or one of them is no `str`.
        """
        return [self.labels[index] for index in self.predict_proba(texts).argmax(axis=1)]

    def predict_proba(self, texts: Iterable[str]) -> NDArray[np.float32]:
        """Probabilities float32 (n, C) of n texts; columns as in `classes_`, each row sums to 1.

        Raises:
            ClassifierError: as `predict`.
        """
        logits = self._logits(_strings(texts, "texts"))
        # the largest becomes exp(0) = 1, so that nothing overflows
        weights = np.exp(logits - logits.max(axis=1, keepdims=True), dtype=np.float64)
        shares: NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
        return shares.astype(np.float32)

    def score(self, texts: Iterable[str], labels: Iterable[str]) -> float:
        """Accuracy of `predict(texts)` against the true `labels`, between 0 and 1.

        Raises:
            ClassifierError: as `predict`; no text; not one label a text.
        """
        texts, truth = _strings(texts, "texts"), _strings(labels, "labels")
        if not texts or len(texts) != len(truth):
            raise ClassifierError(
                f"score needs one label a text and at least one text; found {len(texts)} texts "
                f"and {len(truth)} labels."
            )
        right = [a == b for a, b in zip(self.predict(texts), truth, strict=True)]
        return sum(right) / len(right)

    def token_counts(self, texts: Iterable[str]) -> NDArray[np.int64]:
        """Tokens of each text that the network reads, int64 (n,): at least 1, at most max_length.

        Raises:
            ClassifierError: as `predict`.
        """
        checked = _strings(texts, "texts")
        counts: list[int] = []
        for start in range(0, len(checked), _CHUNK_TEXTS):
            ids = encode(self._tokenizer, checked[start : start + _CHUNK_TEXTS])
            counts.extend(map(len, ids))
        return np.array(counts, dtype=np.int64)

    def _logits(self, texts: list[str]) -> NDArray[np.float32]:
        """Logits (n, C) in the order of `texts`."""
        logits = np.empty((len(texts), len(self.labels)), np.float32)
        for start in range(0, len(texts), _CHUNK_TEXTS):
            ids = encode(self._tokenizer, texts[start : start + _CHUNK_TEXTS])
            batches = list(_batches([len(tokens) for tokens in ids]))

            def answer(
                rows: NDArray[np.int64], ids: list[list[int]] = ids, start: int = start
            ) -> None:
                logits[start + rows] = self._run([ids[row] for row in rows])

            if len(batches) == 1 or self._threads == 1:
                for rows in batches:
                    answer(rows)
            else:
                with ThreadPoolExecutor(min(self._threads, len(batches))) as pool:
                    list(pool.map(answer, batches))
        return logits

    def _run(self, ids: list[list[int]]) -> NDArray[np.float32]:
        """Logits (B, C) of one batch of token ids."""
        lengths = np.array([len(tokens) for tokens in ids], dtype=np.int64)
        input_ids = np.full((len(ids), lengths.max()), PAD_ID, dtype=np.int64)
        for row, tokens in enumerate(ids):
            input_ids[row, : len(tokens)] = tokens
        logits: NDArray[np.float32]
        (logits,) = self._session.run(["logits"], {"input_ids": input_ids, "lengths": lengths})
        return logits

    def __repr__(self) -> str:
        sizes = self._architecture
        if sizes.cell == "average":
            network = "average of embeddings"
        else:
            both = "bidirectional " if sizes.bidirectional else ""
            layers = f"{sizes.num_layers} × {sizes.hidden_size}"
            network = f"{both}{sizes.cell.upper()} {layers}"
        more = ", …" if len(self.labels) > 5 else ""
        return (
            f"<TextClassifier: {network}, {sizes.pooling} pooling, "
            f"{self.num_parameters:,} parameters, {sizes.vocab_size:,} tokens, "
            f"{len(self.labels)} labels ({', '.join(self.labels[:5])}{more})>"
        )


def _usable_threads(threads: int | None) -> int:
    if threads is None:
        # what this process may use, which in a container or under taskset is less than the machine
        if hasattr(os, "sched_getaffinity"):
            return len(os.sched_getaffinity(0))
        return os.cpu_count() or 1
    if type(threads) is not int or threads < 1:
        raise ClassifierError(f"threads is {threads!r}; type a whole number from 1, or None.")
    return threads


def _start(bundle: Bundle) -> Any:
    """An onnxruntime session on the graph, tried once on the highest token id."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # Threads inside one batch made every size slower than one; batches run side by side instead.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what fails is raised, not printed
    last = np.array([[bundle.architecture.vocab_size - 1]], dtype=np.int64)
    try:
        session = onnxruntime.InferenceSession(
            bundle.graph, options, providers=["CPUExecutionProvider"]
        )
        inputs = {"input_ids": last, "lengths": np.array([1], dtype=np.int64)}
        (logits,) = session.run(["logits"], inputs)
    except Exception as error:  # onnxruntime's errors have no common class
        reason = " ".join(str(error).split())[:160]
        raise ClassifierError(
            f"onnxruntime {onnxruntime.__version__} cannot run {bundle.folder / GRAPH}: {reason}\n"
            "Install the newest onnxruntime, or fetch the classifier folder again."
        ) from error
    if logits.shape != (1, len(bundle.labels)) or logits.dtype != np.float32:
        raise ClassifierError(
            f"{bundle.folder / GRAPH} answers {logits.dtype} {logits.shape}, not one number for "
            f"each of {len(bundle.labels)} labels.\nFetch the classifier folder again."
        )
    return session


def _batches(lengths: list[int]) -> Iterator[NDArray[np.int64]]:
    """Rows of texts of similar length, longest first, so that memory is asked for once."""
    order = np.argsort(np.negative(lengths), kind="stable")
    start = 0
    while start < len(order):
        longest = lengths[order[start]]
        size = max(1, min(_BATCH_TEXTS, _BATCH_TOKENS // longest))
        yield order[start : start + size]
        start += size


def _strings(values: Iterable[str], name: str) -> list[str]:
    """`values` as a list, after checking that they are a sequence of `str`."""
    if isinstance(values, str | bytes):
        raise ClassifierError(
            f"{name} is one {type(values).__name__}, not a list of str.\n"
            "Put a single one into a list: [text]."
        )
    if hasattr(values, "columns"):
        raise ClassifierError(
            f"{name} is a table with the columns {', '.join(map(str, values.columns))}.\n"
            'Give one of them: predict(table["text"]).'
        )
    if isinstance(values, Mapping | AbstractSet):
        raise ClassifierError(
            f"{name} is {type(values).__name__}, not a list of str.\n"
            "Give a list; its order is the order of the answers."
        )
    try:
        strings = list(values)
    except TypeError:
        raise ClassifierError(
            f"{name} is {type(values).__name__}, not a list of str.\n"
            "Put a text into a list: [text]."
        ) from None
    for position, value in enumerate(strings):
        if not isinstance(value, str):
            raise ClassifierError(
                f"{name}[{position}] is {type(value).__name__} {_shortened(value)}, not a str.\n"
                "Drop it, or turn it into text first."
            )
    return strings


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:40] + "…"
