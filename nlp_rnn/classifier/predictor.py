"""Texts become labels and probabilities: a saved classifier, answering without torch."""

import os
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.classifier.batched_network import BatchedNetwork, usable_threads
from nlp_rnn.classifier.classifier_folder import SavedClassifier, read_classifier
from nlp_rnn.classifier.input_texts import chunks, label_lists, strings
from nlp_rnn.classifier.label_choice import Prediction, check_choice, choose
from nlp_rnn.classifier.recurrent_step import StepNetwork
from nlp_rnn.classifier.runtime import RUNTIMES, start_runtime
from nlp_rnn.classifier.stream import Reader, TextStream
from nlp_rnn.classifier.stream_pool import StreamPool
from nlp_rnn.classifier.weights import unpack_weights
from nlp_rnn.classifier.word_cache import WordCache
from nlp_rnn.errors import ClassifierError
from nlp_rnn.tokens.tokenizer import encode

__all__ = ["TextClassifier"]


class TextClassifier:
    """A saved classifier with scikit-learn's manners; safe to share between threads.

    Texts are any iterable of `str`, read a few thousand at a time. A classifier can be pickled
    to another process: what travels is where its folder is and the checksum of its config.

    Promise: a text's probabilities do not depend on the texts beside it, on their order or on
    `threads`, beyond floating-point rounding.
    """

    def __init__(
        self, saved: SavedClassifier, threads: int | None = None, runtime: str = "onnx"
    ) -> None:
        """Make a classifier of what `read_classifier` gave for `runtime`; `load` does both."""
        self.config: dict[str, Any] = saved.config
        self.labels: list[str] = saved.labels
        self.classes_: NDArray[np.str_] = np.array(saved.labels, dtype=np.str_)
        self.task: str = "single_label" if saved.thresholds is None else "multi_label"
        self.thresholds = None if saved.thresholds is None else np.array(saved.thresholds)
        self.num_parameters: int = saved.architecture.parameter_counts()["total"]
        self.runtime = runtime
        self.location = os.path.abspath(saved.folder)
        self._architecture = saved.architecture
        self._tokenizer = saved.tokenizer
        self._words = WordCache(saved.tokenizer)
        self.threads = threads
        self._network = BatchedNetwork(
            start_runtime(saved, runtime), usable_threads(threads), softmax=self.thresholds is None
        )
        # a stream reads in one direction, and needs the parameters
        self._weights = b"" if saved.architecture.bidirectional else saved.weights

    @classmethod
    def load(
        cls,
        folder: str | os.PathLike[str],
        threads: int | None = None,
        runtime: str = "onnx",
    ) -> "TextClassifier":
        """Load a classifier folder; `nlp_rnn.load` also takes MLflow URIs.

        Args:
            folder: holds config.json, tokenizer.json, model.safetensors and model.onnx.
            threads: batches that are answered at the same time; None means one a core. One
                batch, and so one text, is always answered on one thread, which is fastest.
            runtime: `onnx`; `int8`, the same network with its weights in 8 bits, where the
                folder holds it; `torch`, which needs the whole of nlp_rnn.

        Raises:
            ClassifierError: the folder holds no classifier, or a changed or newer one, or the
                runtime is not to be had.
        """
        if runtime not in RUNTIMES:
            raise ClassifierError(f"runtime is {runtime!r}; there are {', '.join(RUNTIMES)}.")
        return cls(read_classifier(Path(folder), runtime), threads, runtime)

    @overload
    def predict(self, texts: Iterable[str], *, windows: bool = ...) -> list[str]: ...
    @overload
    def predict(
        self, texts: Iterable[str], *, threshold: float, windows: bool = ...
    ) -> list[str | None]: ...
    @overload
    def predict(
        self,
        texts: Iterable[str],
        *,
        top_k: int,
        threshold: float | None = ...,
        windows: bool = ...,
    ) -> list[list[tuple[str, float]]]: ...

    def predict(
        self,
        texts: Iterable[str],
        *,
        top_k: int | None = None,
        threshold: float | None = None,
        windows: bool = False,
    ) -> list[Any]:
        """The most probable label of each text; where it may have several, the list of them.

        Args:
            texts: any iterable of `str`.
            top_k: answer each text with its `top_k` most probable labels instead, as a list of
                (label, probability), the most probable first.
            threshold: a label less probable than this is none: the answer is None, or with
                `top_k` the label is left out. Where a text may have several labels, it has those
                that reach it; without it, those that reach `thresholds`, each its own. The most
                probable is the first.
            windows: as for `predict_proba`.

        Raises:
            ClassifierError: `texts` is one text, or one of them is no `str`; `top_k`,
                `threshold` or `windows` could have no effect.
        """
        return list(self.predict_iter(texts, top_k=top_k, threshold=threshold, windows=windows))

    def predict_iter(
        self,
        texts: Iterable[str],
        *,
        top_k: int | None = None,
        threshold: float | None = None,
        windows: bool = False,
    ) -> Iterator[Prediction]:
        """As `predict`, an answer at a time: for more texts than fit into memory."""
        check_choice(top_k, threshold, len(self.labels))
        rows = self.predict_proba_iter(texts, windows=windows)
        return (choose(row, self.labels, top_k, threshold, self.thresholds) for row in rows)

    def predict_proba(self, texts: Iterable[str], *, windows: bool = False) -> NDArray[np.float32]:
        """Probabilities float32 (n, C) of n texts; columns as in `classes_`.

        Each row sums to 1, unless a text may have several labels.

        Args:
            texts: any iterable of `str`.
            windows: read a text that is longer than `max_length` whole, in windows of at most
                `max_length` tokens whose sizes differ by at most one, and give the mean of
                their probabilities weighted by tokens. False reads its beginning.

        Raises:
            ClassifierError: as `predict`.
        """
        parts = list(self._answers(texts, windows))
        if len(parts) == 1:
            return parts[0]
        return np.concatenate([np.empty((0, len(self.labels)), np.float32), *parts])

    def predict_proba_iter(
        self, texts: Iterable[str], *, windows: bool = False
    ) -> Iterator[NDArray[np.float32]]:
        """As `predict_proba`, a row (C,) at a time: for more texts than fit into memory."""
        answers = self._answers(texts, windows)
        return (row for part in answers for row in part)

    def stream(self, *, threshold: float | None = None, state: str | None = None) -> TextStream:
        """Read one text as it comes, with probabilities after every token.

        Args:
            threshold: stop reading at the token after which a label is as probable.
            state: what `TextStream.to_json` gave, to go on there.

        Raises:
            ClassifierError: the network reads from both ends; `threshold` is no probability, or
                a text may have several labels; `state` is not that of a stream of this classifier.
        """
        check_choice(None, threshold, len(self.labels))
        if threshold is not None and self.thresholds is not None:
            raise ClassifierError(
                "A text may have several labels here, so that one of them does not end the "
                "reading.\nLeave threshold out, and look at the stream's probabilities."
            )
        stream = TextStream(self._reader, threshold)
        if state is not None:
            stream.restore(state)
        return stream

    def stream_pool(self) -> StreamPool:
        """Read many texts as they come, the tokens of one step together.

        Raises:
            ClassifierError: the network reads from both ends.
        """
        return StreamPool(self._reader)

    def score(self, texts: Iterable[str], labels: Iterable[Any]) -> float:
        """Accuracy of `predict(texts)` against the true `labels`, between 0 and 1.

        Where a text may have several labels, each of `labels` is a list of them, and the score is
        the share of texts whose labels are all right, as in scikit-learn.

        Raises:
            ClassifierError: as `predict`; no text; not one label a text.
        """
        several = self.thresholds is not None
        truth: list[Any] = list(label_lists(labels) if several else strings(labels, "labels"))
        predicted: list[Any] = self.predict(texts)
        if not predicted or len(predicted) != len(truth):
            raise ClassifierError(
                f"score needs one label a text and at least one text; found {len(predicted)} "
                f"texts and {len(truth)} labels."
            )
        if several:
            predicted = [set(some) for some in predicted]
        right = sum(a == b for a, b in zip(predicted, truth, strict=True))
        return float(right / len(predicted))

    def token_counts(self, texts: Iterable[str]) -> NDArray[np.int64]:
        """Tokens of each text that the network reads, int64 (n,): at least 1, at most max_length.

        Raises:
            ClassifierError: as `predict`.
        """
        counts: list[int] = []
        for chunk in chunks(strings(texts, "texts")):
            counts.extend(map(len, self._words.encode(chunk)))
        return np.array(counts, dtype=np.int64)

    def vocabulary(self) -> list[str]:
        """The tokens in the order of their ids, as the tokenizer writes them."""
        known: dict[str, int] = self._tokenizer.get_vocab()
        return sorted(known, key=lambda token: known[token])

    def _answers(self, texts: Iterable[str], windows: bool) -> Iterator[NDArray[np.float32]]:
        """Probabilities (n, C) of one chunk of texts after the other."""
        checked = strings(texts, "texts")
        answer = self._windowed if windows else self._plain
        if windows and self.config["max_length"] is None:
            raise ClassifierError(
                "This classifier reads texts of any length whole; windows=True would do nothing."
            )
        return (answer(chunk) for chunk in chunks(checked))

    def _plain(self, texts: list[str]) -> NDArray[np.float32]:
        return self._network.probabilities(self._words.encode(texts))

    def _windowed(self, texts: list[str]) -> NDArray[np.float32]:
        ids = encode(self._uncut_tokenizer, texts)
        return self._network.windowed(ids, self.config["max_length"])

    @cached_property
    def _uncut_tokenizer(self) -> Any:
        # a copy: cutting is a state of the tokenizer, which other threads are using
        uncut = type(self._tokenizer).from_str(self._tokenizer.to_str())
        uncut.no_truncation()
        return uncut

    @cached_property
    def _reader(self) -> Reader:
        if not self._weights:
            raise ClassifierError(
                "This classifier reads texts from both ends, so it has no answer before a text "
                "ends.\nTrain one that has: nlp-rnn train experiment=streaming"
            )
        several = self.thresholds is not None
        network = StepNetwork(self._architecture, unpack_weights(self._weights), several)
        return Reader(
            network, self._uncut_tokenizer, self.labels, self.config["checksum"], self.thresholds
        )

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """For another process: where to load it from, and what must be there."""
        known = (self.location, self.config["checksum"], self.threads, self.runtime)
        return _load_again, known

    def __repr__(self) -> str:
        sizes = self._architecture
        if sizes.cell == "average":
            network = "average of embeddings"
        else:
            both = "bidirectional " if sizes.bidirectional else ""
            layers = f"{sizes.num_layers} × {sizes.hidden_size}"
            network = f"{both}{sizes.cell.upper()} {layers}"
        more = ", …" if len(self.labels) > 5 else ""
        several = "any of " if self.thresholds is not None else ""
        return (
            f"<TextClassifier: {network}, {sizes.pooling} pooling, "
            f"{self.num_parameters:,} parameters, {sizes.vocab_size:,} tokens, "
            f"{several}{len(self.labels)} labels ({', '.join(self.labels[:5])}{more})>"
        )


def _load_again(location: str, checksum: str, threads: int | None, runtime: str) -> TextClassifier:
    """The classifier that another process pickled."""
    import nlp_rnn

    classifier = nlp_rnn.load(location, threads, runtime)
    if classifier.config["checksum"] != checksum:
        raise ClassifierError(
            f"{location} holds another classifier than the one that was pickled.\n"
            "Load it where it is used: nlp_rnn.load(location)."
        )
    return classifier
