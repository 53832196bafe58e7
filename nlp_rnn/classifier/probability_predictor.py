"""Probabilities of texts by a saved network, by n-gram models, or by an ensemble of both."""

import os
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.classifier.batched_network import BatchedNetwork, usable_threads
from nlp_rnn.classifier.classifier_folder import SavedClassifier, SavedNetwork
from nlp_rnn.classifier.input_texts import checked_strings, text_chunks
from nlp_rnn.classifier.runtime import start_runtime
from nlp_rnn.classifier.word_cache import WordCache
from nlp_rnn.errors import ClassifierError
from nlp_rnn.ngrams.probabilities import ensemble_logits, logits_of, probabilities_of
from nlp_rnn.sources.separator import escape_separator, unescape_separator
from nlp_rnn.tokens.special_tokens import unescapes_separator

__all__ = ["ProbabilityPredictor"]


class ProbabilityPredictor:
    """Saved network, n-gram models or both, which predict a probability of every label.

    Base of `TextClassifier`.

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
        self.runtime = runtime
        self.threads = threads
        self.location = os.path.abspath(saved.folder)
        self.risk_coverage = saved.risk_coverage
        self._network = (
            None if saved.network is None else _Network(saved, saved.network, threads, runtime)
        )
        self._ngrams, self._network_weight = saved.ngrams, saved.network_weight
        parts = [part for part in (self._network, self._ngrams) if part is not None]
        self.num_parameters: int = sum(part.num_parameters for part in parts)

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

    @property
    def is_ensemble(self) -> bool:
        """Whether the classifier is a network together with n-gram models."""
        return self._network is not None and self._ngrams is not None

    def predict_proba_of_parts(self, texts: Iterable[str]) -> dict[str, NDArray[np.float32]]:
        """Predict the probabilities of an ensemble and of its two parts for each text.

        Returns
        -------
        dict of str to float32 arrays of shape (n, C)
            `ensemble` as in `predict_proba`; `network`: those of the network alone; `ngrams`: those
            of the n-gram models alone.

        Raises
        ------
        ClassifierError
            As in `predict`; or the classifier is no ensemble.
        """
        network, table, multi_label = self._network, self._ngrams, self.thresholds is not None
        if network is None or table is None:
            raise ClassifierError(
                f"{self.location} is no ensemble of a network and n-gram models.\n"
                "Call predict_proba(texts)."
            )
        parts: dict[str, list[NDArray[np.float32]]] = {"ensemble": [], "network": [], "ngrams": []}
        for chunk in text_chunks(self._checked(texts), len(self.labels)):
            logits, scores = network.logits(chunk, windows=False), table.scores(chunk)
            together = ensemble_logits(logits, self._network_weight, scores)
            for name, values in zip(parts, (together, logits, scores), strict=True):
                parts[name].append(probabilities_of(values, multi_label))
        empty = np.empty((0, len(self.labels)), np.float32)
        return {name: np.concatenate([empty, *blocks]) for name, blocks in parts.items()}

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
            if self._network is not None:
                counts.extend(map(len, self._network.tokenizer.encode(chunk)))
            elif self._ngrams is not None:
                counts.extend(self._ngrams.token_counts(chunk))
        return np.array(counts, dtype=np.int64)

    def vocabulary(self) -> list[str]:
        """Return the tokens in the order of their ids, as the tokenizer spells them.

        N-gram models alone have no tokenizer; then these are frequent words of the training texts.
        """
        if self._network is None:
            return [] if self._ngrams is None else list(self._ngrams.frequent_words)
        ids: dict[str, int] = self._network.tokenizer.tokenizer.get_vocab()
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
        if self._network is None or self._network.reads_escapes:
            return checked
        return (unescape_separator(text, self.config["separator"]) for text in checked)

    def _probabilities(self, texts: Iterable[str], windows: bool) -> Iterator[NDArray[np.float32]]:
        """Yield the probabilities (n, C) of one chunk of texts after the other."""
        chunks = text_chunks(self._checked(texts), len(self.labels))
        if windows and self.config["max_length"] is None:
            raise ClassifierError(
                "windows=True has no effect: this classifier processes texts of any length."
            )
        return (self._chunk_probabilities(chunk, windows) for chunk in chunks)

    def _chunk_probabilities(self, texts: list[str], windows: bool) -> NDArray[np.float32]:
        """Return the probabilities (n, C) of a chunk of texts."""
        network, table, multi_label = self._network, self._ngrams, self.thresholds is not None
        if table is None and network is not None:
            if windows:
                return network.windowed(texts)
            return network.batched.probabilities(network.tokenizer.encode(texts))
        logits = None if network is None else network.logits(texts, windows)
        scores = None if table is None else table.scores(texts)
        return probabilities_of(ensemble_logits(logits, self._network_weight, scores), multi_label)


class _Network:
    """Network of a saved classifier: tokenizer, runtime and batches."""

    def __init__(
        self, saved: SavedClassifier, network: SavedNetwork, threads: int | None, runtime: str
    ) -> None:
        self.architecture = network.architecture
        self.num_parameters = network.architecture.parameter_counts()["total"]
        self.tokenizer = WordCache(network.tokenizer)
        separator = saved.config.get("separator")
        # tokenizers that were saved earlier know no escapes
        self.reads_escapes = separator is None or unescapes_separator(
            network.tokenizer.to_str(), separator
        )
        self._multi_label = saved.thresholds is not None
        self._max_length: int = saved.config["max_length"] or 0
        self.batched = BatchedNetwork(
            start_runtime(saved, network, runtime), usable_threads(threads), self._to_probabilities
        )
        self._returns_probabilities = self._multi_label and saved.ngrams is None
        sizes = network.architecture
        self.can_stream = not (sizes.bidirectional or sizes.ngrams)
        # only streams need the parameters
        self.weights = network.weights if self.can_stream else b""

    def logits(self, texts: list[str], windows: bool) -> NDArray[np.float32]:
        """Return the logits (n, C) of n texts in an ensemble."""
        if windows:
            return logits_of(self.windowed(texts), self._multi_label)
        return self.batched.outputs(self.tokenizer.encode(texts))

    def windowed(self, texts: list[str]) -> NDArray[np.float32]:
        """Return the mean probabilities (n, C) of the windows of each text."""
        return self.batched.windowed(self.tokenizer.encode_whole(texts), self._max_length)

    def _to_probabilities(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        if self._returns_probabilities:
            return outputs
        return probabilities_of(outputs, self._multi_label)
