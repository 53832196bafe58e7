"""Probabilities of texts by a saved network: tokenization, batches and windows."""

import os
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.classifier.batched_network import BatchedNetwork, usable_threads
from nlp_rnn.classifier.classifier_folder import SavedClassifier
from nlp_rnn.classifier.input_texts import checked_strings, text_chunks
from nlp_rnn.classifier.runtime import start_runtime
from nlp_rnn.classifier.word_cache import WordCache
from nlp_rnn.errors import ClassifierError
from nlp_rnn.sources.separator import escape_separator, unescape_separator
from nlp_rnn.tokens.special_tokens import unescapes_separator

__all__ = ["ProbabilityPredictor"]


class ProbabilityPredictor:
    """Saved network that predicts a probability of every label; base of `TextClassifier`.

    Parameters
    ----------
    saved : SavedClassifier
        Contents of a classifier folder, read by `read_classifier` for the same `runtime`.
    threads, runtime
        As in `nlp_rnn.load`.
    """

    def __init__(
        self, saved: SavedClassifier, threads: int | None = None, runtime: str = "onnx"
    ) -> None:
        self.config: dict[str, Any] = saved.config
        self.labels: list[str] = saved.labels
        self.classes_: NDArray[np.str_] = np.array(saved.labels, dtype=np.str_)
        self.task: str = "single_label" if saved.thresholds is None else "multi_label"
        self.thresholds = None if saved.thresholds is None else np.array(saved.thresholds)
        self.num_parameters: int = saved.architecture.parameter_counts()["total"]
        self.runtime = runtime
        self.threads = threads
        self.location = os.path.abspath(saved.folder)
        self._architecture = saved.architecture
        self._tokenizer = WordCache(saved.tokenizer)
        separator = saved.config.get("separator")
        # tokenizers that were saved earlier know no escapes
        self._escaped = separator is None or unescapes_separator(
            saved.tokenizer.to_str(), separator
        )
        self._network = BatchedNetwork(
            start_runtime(saved, runtime), usable_threads(threads), softmax=self.thresholds is None
        )
        # only one-directional networks can stream, and streams need the parameters
        self._weights = b"" if saved.architecture.bidirectional else saved.weights

    def predict_proba(self, texts: Iterable[str], *, windows: bool = False) -> NDArray[np.float32]:
        """Predict the probability of every label for each text.

        Parameters
        ----------
        texts : iterable of str
            The texts.
        windows : bool, default False
            Process texts that are longer than `max_length` to their end, in windows of at most
            `max_length` tokens whose lengths differ by at most one. The result is the mean of
            the windows, weighted by their tokens. By default such texts are truncated.

        Returns
        -------
        float32 array of shape (n, C)
            Probabilities of n texts, with columns in the order of `classes_`. Each row sums to 1
            unless the classifier is multi-label.

        Raises
        ------
        ClassifierError
            As in `predict`.
        """
        parts = list(self._probabilities(texts, windows))
        if len(parts) == 1:
            return parts[0]
        table = np.empty((sum(map(len, parts)), len(self.labels)), np.float32)
        end = len(table)
        while parts:  # each part is released once it is copied
            part = parts.pop()
            table[end - len(part) : end] = part
            end -= len(part)
        return table

    def predict_proba_iter(
        self, texts: Iterable[str], *, windows: bool = False
    ) -> Iterator[NDArray[np.float32]]:
        """Yield the rows (C,) of `predict_proba` one by one, for texts larger than memory."""
        return (row for part in self._probabilities(texts, windows) for row in part)

    def token_counts(self, texts: Iterable[str]) -> NDArray[np.int64]:
        """Return how many tokens of each text the network reads: 1 to `max_length`, int64 (n,).

        Raises
        ------
        ClassifierError
            As in `predict`.
        """
        counts: list[int] = []
        for chunk in text_chunks(self._checked(texts)):
            counts.extend(map(len, self._tokenizer.encode(chunk)))
        return np.array(counts, dtype=np.int64)

    def vocabulary(self) -> list[str]:
        """Return the tokens in the order of their ids, as the tokenizer spells them."""
        ids: dict[str, int] = self._tokenizer.tokenizer.get_vocab()
        return sorted(ids, key=lambda token: ids[token])

    def join_texts(self, *texts: str) -> str:
        """Join the texts of one pair as the columns of the training data were joined.

        The texts have the order of those columns. A separator such as `[SEP]` that is part of one
        of the texts remains text.

        Returns
        -------
        str
            The text for `predict`: the texts with the separator of the classifier between them,
            or a blank if it has none.

        Examples
        --------
        >>> import nlp_rnn
        >>> nlp_rnn.load("reviews/classifier").join_texts("Warm, quick", "and on time.")
        'Warm, quick and on time.'
        """
        separator = self.config.get("separator")
        if separator is None:
            return " ".join(texts)
        return f" {separator} ".join(escape_separator(text, separator) for text in texts)

    def _checked(self, texts: Iterable[str]) -> Iterator[str]:
        """Check that each text is a `str`, and return the texts as the tokenizer reads them."""
        checked = checked_strings(texts, "texts")
        if self._escaped:
            return checked
        return (unescape_separator(text, self.config["separator"]) for text in checked)

    def _probabilities(self, texts: Iterable[str], windows: bool) -> Iterator[NDArray[np.float32]]:
        """Yield the probabilities (n, C) of one chunk of texts after the other."""
        chunks = text_chunks(self._checked(texts))
        network, tokenizer, size = self._network, self._tokenizer, self.config["max_length"]
        if not windows:
            return (network.probabilities(tokenizer.encode(chunk)) for chunk in chunks)
        if size is None:
            raise ClassifierError(
                "windows=True has no effect: this classifier processes texts of any length."
            )
        return (network.windowed(tokenizer.encode_whole(chunk), size) for chunk in chunks)
