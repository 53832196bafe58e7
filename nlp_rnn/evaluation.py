"""A loaded classifier and a corpus become final metrics, and the files that explain them."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nlp_rnn.classifier.manifest import INT8_GRAPH

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nlp_rnn.classifier.predictor import TextClassifier
    from nlp_rnn.data.corpus import Corpus
    from nlp_rnn.tracking.run import TrackedRun

__all__ = ["evaluate"]

# Test texts that the latency of one answer is measured on.
LATENCY_TEXTS = 100
# Test texts that the network in 8 bits answers too.
INT8_TEXTS = 2000


def evaluate(
    classifier: "TextClassifier", corpus: "Corpus", folder: Path, run: "TrackedRun"
) -> dict[str, float]:
    """Metrics of validation and test by the classifier as a user will load it.

    Writes the answers to every text into `folder` and the run, for the test split the
    classification report and the confusion matrix, and the model card into the classifier's own
    folder. Promise: the metrics are those of the
    written answers.
    """
    from nlp_rnn.card import write_card
    from nlp_rnn.classifier.latency import answer_latency
    from nlp_rnn.tracking.artifacts import (
        classification_report_text,
        write_confusion_matrix,
        write_predictions,
    )
    from nlp_rnn.tracking.machine import machine_tags
    from nlp_rnn.training.metrics import score

    metrics: dict[str, float] = {}
    for split in ("validation", "test"):
        dataset = getattr(corpus, split)
        texts, labels = list(dataset["text"]), np.asarray(dataset["label"], dtype=np.int64)
        probabilities = classifier.predict_proba(texts)
        # a probability that float32 rounds to 0 would cost an infinite loss
        logits = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny))
        metrics |= {f"{split}/{name}": value for name, value in score(labels, logits).items()}
        path = folder / f"{split}_predictions.parquet"
        write_predictions(
            path,
            rows=np.asarray(dataset["row"], dtype=np.int64),
            labels=labels,
            probabilities=probabilities,
            lengths=classifier.token_counts(texts),
            label_names=corpus.labels,
        )
        run.log_file(path, "predictions")
    predictions = probabilities.argmax(1)
    metrics |= part_accuracies(corpus, predictions)
    report = classification_report_text(labels, predictions, corpus.labels)
    run.log_text(report, "classification_report.txt")
    picture = folder / "confusion_matrix.png"
    write_confusion_matrix(picture, labels, predictions, corpus.labels)
    run.log_file(picture)
    metrics |= _int8_agreement(classifier, texts[:INT8_TEXTS], predictions[:INT8_TEXTS])
    metrics |= answer_latency(classifier, texts[:LATENCY_TEXTS])
    write_card(
        classifier,
        Path(classifier.location),
        path,
        metrics,
        corpus.notes,
        machine_tags()["processor"],
    )
    return metrics


def part_accuracies(corpus: "Corpus", predictions: "NDArray[np.int64]") -> dict[str, float]:
    """Balanced accuracy of each part of the test split that has a name: `test/accuracy_2x`."""
    from nlp_rnn.training.metrics import balanced_accuracy, confusion_matrix

    rows, labels = (np.asarray(corpus.test[name], dtype=np.int64) for name in ("row", "label"))
    found = {}
    for name, part in corpus.parts.items():
        own = (rows >= part.start) & (rows < part.stop)
        confusion = confusion_matrix(labels[own], predictions[own], len(corpus.labels))
        found[f"test/accuracy_{name}"] = balanced_accuracy(confusion)
    return found


def _int8_agreement(
    classifier: "TextClassifier", texts: list[str], predictions: "NDArray[np.int64]"
) -> dict[str, float]:
    """The share of `texts` that the network in 8 bits gives the same label, where it is kept."""
    if INT8_GRAPH not in classifier.config["files"]:
        return {}
    small = type(classifier).load(classifier.location, runtime="int8")
    same = small.predict_proba(texts).argmax(1) == predictions
    return {"int8/agreement": float(same.mean()), "int8/texts": float(len(texts))}
