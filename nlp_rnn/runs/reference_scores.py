"""Predictions of the majority class and of a linear model, fitted at the end of a run.

A test accuracy says little by itself; these say what simple models reach on the same splits. They
are cached by the digest of the data.
"""

import hashlib
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.caches import cache_dir
from nlp_rnn.data.labels import labels_of
from nlp_rnn.errors import DataError
from nlp_rnn.sources.arrow_cache import texts_of

if TYPE_CHECKING:
    from nlp_rnn.data.corpus import Corpus

__all__ = ["MAX_SECONDS", "MAX_SHARE", "References", "reference_predictions"]

VERSION = 1
"""Part of the key of the cache: raise it when the models would predict differently."""

MAX_SECONDS = 5.0
MAX_SHARE = 0.05
"""The linear model is fitted if that takes at most so many seconds, or this share of the run."""

SAMPLE = 300
"""Training texts that the time of the fit is estimated on."""


@dataclass(frozen=True)
class References:
    """Predictions of simple models for the validation and the test split.

    Attributes
    ----------
    predictions : mapping of str to mapping
        By model (`linear`, `majority`) and split: labels int64 (n,), or bool (n, C).
    majority : str
        The most frequent label of training.
    skipped : str or None
        Why there is no linear model.
    """

    predictions: Mapping[str, Mapping[str, NDArray[Any]]]
    majority: str
    skipped: str | None = None


def reference_predictions(corpus: "Corpus", run_seconds: float) -> References:
    """Fit the majority class and, if it is quick, a linear model, and predict both splits.

    Parameters
    ----------
    corpus : Corpus
        The data of the run.
    run_seconds : float
        Seconds that the run took, from which the time for the linear model follows.
    """
    from nlp_rnn.baselines.fitting import fit_majority

    train_labels, num_labels = labels_of(corpus.train), len(corpus.labels)
    majority = fit_majority(list(texts_of(corpus.train)), train_labels, num_labels)
    name = corpus.labels[int(majority.probabilities([""])[0].argmax())]
    predictions = {"majority": _predicted(majority, corpus)}
    digest = hashlib.sha256(f"{VERSION} {corpus.digest}".encode()).hexdigest()[:32]
    path = cache_dir() / "linear" / f"{digest}.npz"
    cached = _read(path)
    if cached is not None:
        return References({"linear": cached, **predictions}, name)
    allowed = max(MAX_SECONDS, MAX_SHARE * run_seconds)
    expected = _expected_seconds(corpus)
    if expected > allowed:
        reason = f"it would take about {expected:.0f} seconds; nlp-rnn baselines trains it"
        return References(predictions, name, reason)
    try:
        linear = _fit_linear(corpus)
    except DataError as error:
        return References(predictions, name, str(error).splitlines()[0])
    predictions = {"linear": _predicted(linear, corpus), **predictions}
    _write(path, predictions["linear"])
    return References(predictions, name)


def _fit_linear(corpus: "Corpus", rows: slice | None = None) -> Any:
    """Fit the linear baseline to the training split, or to some of its rows."""
    from nlp_rnn.baselines.fitting import fit_linear

    texts, labels = list(texts_of(corpus.train)), labels_of(corpus.train)
    if rows is not None:
        texts, labels = texts[rows], labels[rows]
    if labels.ndim == 1 and len(np.unique(labels)) < 2:
        raise DataError("the training texts have a single class")
    validation = list(texts_of(corpus.validation)), labels_of(corpus.validation)
    return fit_linear(texts, labels, len(corpus.labels), validation)


def _expected_seconds(corpus: "Corpus") -> float:
    """Estimate the time of fitting and predicting, from a fit to a sample of the training texts."""
    rows, labels = len(corpus.train), labels_of(corpus.train)
    if rows <= 10 * SAMPLE:
        return 0.0
    started = time.perf_counter()
    sample = slice(None, None, max(1, rows // SAMPLE))
    try:
        _fit_linear(corpus, sample)
    except DataError:
        return 0.0
    seconds = time.perf_counter() - started
    if labels.ndim == 1:  # each class is a model
        seconds *= len(np.unique(labels)) / len(np.unique(labels[sample]))
    total = rows + len(corpus.validation) + len(corpus.test)
    return seconds * total / (SAMPLE + len(corpus.validation))


def _predicted(baseline: Any, corpus: "Corpus") -> dict[str, NDArray[Any]]:
    from nlp_rnn.classifier.input_texts import text_chunks
    from nlp_rnn.scoring.metrics import predicted_labels

    def predicted(split: str) -> NDArray[Any]:
        # the probabilities of thousands of labels are not in memory together
        chunks = text_chunks(texts_of(getattr(corpus, split)), len(corpus.labels))
        return np.concatenate(
            [predicted_labels(baseline.predict_proba(c), baseline.thresholds) for c in chunks]
        )

    return {split: predicted(split) for split in ("validation", "test")}


def _read(path: "os.PathLike[str]") -> dict[str, NDArray[Any]] | None:
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as saved:
            return {split: saved[split] for split in ("validation", "test")}
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None


def _write(path: Any, predictions: Mapping[str, NDArray[Any]]) -> None:
    """Write the cache atomically; a folder that is not writable is no error."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with unfinished.open("wb") as file:
            np.savez_compressed(file, **dict(predictions))  # type: ignore[arg-type]
        os.replace(unfinished, path)
    except OSError:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
