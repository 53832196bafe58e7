"""Memory horizon of a classifier: half-lives of its gates, accuracy on the first or last k tokens.

Both are measured on labelled texts, for comparisons of cells.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.classifier.batched_network import BatchedNetwork, usable_threads
from nlp_rnn.classifier.classifier_folder import SavedClassifier, read_classifier
from nlp_rnn.classifier.location import local_folder
from nlp_rnn.classifier.runtime import start_runtime
from nlp_rnn.classifier.weights import unpack_weights
from nlp_rnn.errors import ClassifierError
from nlp_rnn.inspection.gates import half_lives, trace_layers
from nlp_rnn.tokens.tokenizer import encode

__all__ = ["MemoryHorizon", "excerpt_accuracies", "mean_half_lives", "measure_memory_horizon"]

EXCERPT_LENGTHS = (1, 3, 10, 30, 100, 300)
"""Numbers of tokens at the start or the end of a text that are classified without the rest."""

MAX_TRACED = 20
"""Number of texts whose half-lives are averaged; gates are computed step by step in numpy."""


@dataclass(frozen=True)
class MemoryHorizon:
    """How far back the predictions of one classifier reach.

    Attributes
    ----------
    half_lives : dict of str to float
        Half-life in tokens by layer and direction. Empty without a forget or update gate.
    first, last : dict of int to float
        Accuracy (0 to 1) by the number of tokens at the start or the end of a text that the
        classifier reads.
    full : float
        Accuracy on the full texts, after the truncation of the tokenizer.
    num_texts : int
        Number of texts on which the accuracies were measured.
    num_traced : int
        Number of texts over which the half-lives are averaged.
    """

    half_lives: dict[str, float]
    first: dict[int, float]
    last: dict[int, float]
    full: float
    num_texts: int
    num_traced: int


def measure_memory_horizon(
    location: str | os.PathLike[str], texts: Sequence[str], labels: Sequence[str]
) -> MemoryHorizon:
    """Measure half-lives and the accuracy on excerpts of texts.

    Parameters
    ----------
    location : str or path
        Classifier folder or MLflow URI.
    texts : sequence of str
        Texts, at least one.
    labels : sequence of str
        True labels of the texts.

    Returns
    -------
    MemoryHorizon

    Raises
    ------
    ClassifierError
        There is no classifier, or it does not have one of the labels.
    """
    with local_folder(location) as folder:
        saved = read_classifier(folder)
    rows = np.unique(np.linspace(0, len(texts) - 1, MAX_TRACED).astype(int))
    traced = [texts[row] for row in rows]
    first, last, full = excerpt_accuracies(saved, texts, labels)
    lives = mean_half_lives(saved, traced)
    return MemoryHorizon(lives, first, last, full, len(texts), len(traced))


def mean_half_lives(saved: SavedClassifier, texts: Sequence[str]) -> dict[str, float]:
    """Return the median half-life of the units in tokens, averaged over `texts`.

    The keys are the names of the layers and directions. The mean is geometric, because half-lives
    differ by orders of magnitude. Empty for a network without a forget or update gate.
    """
    network = saved.required_network()
    weights = unpack_weights(network.weights)
    log_lives: dict[str, list[float]] = {}
    for ids in encode(network.tokenizer, texts):
        for layer in trace_layers(network.architecture, weights, np.array(ids, dtype=np.int64)):
            lives: Any = half_lives(layer)
            if lives is not None:
                log_lives.setdefault(layer.name, []).append(float(np.log(np.median(lives))))
    return {name: float(np.exp(np.mean(values))) for name, values in log_lives.items()}


def excerpt_accuracies(
    saved: SavedClassifier, texts: Sequence[str], labels: Sequence[str]
) -> tuple[dict[int, float], dict[int, float], float]:
    """Return the accuracies on the first k tokens, on the last k tokens and on the full texts.

    k takes the values of `EXCERPT_LENGTHS` that are below the length of the longest text; shorter
    texts are read in full. A classifier was trained on excerpts only with `trainer.prefixes`.

    Raises
    ------
    ClassifierError
        The classifier does not have one of the labels.
    """
    unknown = sorted(set(labels) - set(saved.labels))
    if unknown:
        raise ClassifierError(
            f"The classifier does not have the label {unknown[0]!r}; "
            f"its labels are {', '.join(map(repr, saved.labels[:10]))}."
        )
    network = saved.required_network()
    run = start_runtime(saved, network, "onnx")
    ids = encode(network.tokenizer, texts)
    truth = np.array([saved.labels.index(label) for label in labels])
    batched = BatchedNetwork(run, usable_threads(None), lambda outputs: outputs)

    def accuracy(excerpts: list[list[int]]) -> float:
        predictions: NDArray[np.int64] = batched.outputs(excerpts).argmax(axis=1)
        return float((predictions == truth).mean())

    counts = [count for count in EXCERPT_LENGTHS if count < max(map(len, ids))]
    return (
        {count: accuracy([row[:count] for row in ids]) for count in counts},
        {count: accuracy([row[-count:] for row in ids]) for count in counts},
        accuracy(ids),
    )
