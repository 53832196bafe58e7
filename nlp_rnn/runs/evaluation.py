"""A loaded classifier and a corpus become final metrics, and the files that explain them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nlp_rnn.classifier.latency import Predictor, prediction_latency
from nlp_rnn.classifier.manifest import INT8_GRAPH
from nlp_rnn.runs.label_evaluation import answer_label_splits, label_earliness
from nlp_rnn.sources.arrow_cache import texts_of

if TYPE_CHECKING:
    from datasets import Dataset
    from numpy.typing import NDArray

    from nlp_rnn.classifier.predictor import TextClassifier
    from nlp_rnn.data.corpus import Corpus
    from nlp_rnn.tracking.tracked_run import TrackedRun

__all__ = ["LATENCY_TEXTS", "answer_splits", "evaluate"]

# Test texts that the latency of one answer is measured on.
LATENCY_TEXTS = 100
# Test texts that the network in 8 bits answers too.
INT8_TEXTS = 2000
# Validation texts, and about how many tokens of them, that are read token by token.
EARLINESS_TEXTS, EARLINESS_TOKENS = 1000, 50_000


def evaluate(
    classifier: "TextClassifier", corpus: "Corpus", folder: Path, run: "TrackedRun"
) -> dict[str, float]:
    """Metrics of validation and test by the classifier as a user will load it.

    Beside what `answer_splits` writes, the model card goes into the classifier's own folder.
    """
    from nlp_rnn.runs.model_card import write_card
    from nlp_rnn.tracking.machine import machine_tags

    predictions: NDArray[Any]
    if corpus.task == "multi_label":
        metrics, predictions = answer_label_splits(classifier, corpus, folder, run)
    else:
        metrics, predictions = answer_splits(classifier, corpus, folder, run)
    texts = list(corpus.test[:INT8_TEXTS]["text"])
    one_direction = not classifier.config["architecture"]["bidirectional"]
    if one_direction:
        some = _spread(classifier, corpus.validation)
        if corpus.task == "multi_label":
            metrics |= label_earliness(classifier, some, run)
        else:
            metrics |= _earliness(classifier, some, folder, run)
    metrics |= _int8_agreement(classifier, texts, predictions[:INT8_TEXTS])
    metrics |= prediction_latency(classifier, texts[:LATENCY_TEXTS])
    write_card(
        classifier,
        Path(classifier.location),
        folder / "test_predictions.parquet",
        metrics,
        corpus.notes,
        machine_tags()["processor"],
    )
    return metrics


def answer_splits(
    classifier: Predictor, corpus: "Corpus", folder: Path, run: "TrackedRun"
) -> "tuple[dict[str, float], NDArray[np.int64]]":
    """Metrics of validation and test, and the label ids that were given to the test texts.

    Writes the answers to every text into `folder` and the run, and for the test split the
    classification report and the confusion matrix. Promise: the metrics are those of the written
    answers.
    """
    from nlp_rnn.scoring.metrics import score
    from nlp_rnn.scoring.predictions import (
        classification_report_text,
        write_confusion_matrix,
        write_predictions,
    )

    metrics: dict[str, float] = {}
    for split in ("validation", "test"):
        dataset = getattr(corpus, split)
        labels = np.asarray(dataset["label"], dtype=np.int64)
        probabilities = classifier.predict_proba(texts_of(dataset))
        lengths = classifier.token_counts(texts_of(dataset))
        # a probability that float32 rounds to 0 would cost an infinite loss
        logits = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny))
        metrics |= {f"{split}/{name}": value for name, value in score(labels, logits).items()}
        path = folder / f"{split}_predictions.parquet"
        write_predictions(
            path,
            rows=np.asarray(dataset["row"], dtype=np.int64),
            labels=labels,
            probabilities=probabilities,
            lengths=lengths,
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
    return metrics, predictions


def _spread(classifier: "TextClassifier", dataset: "Dataset") -> "Dataset":
    """Some texts of a split, few enough to be read token by token."""
    lengths = classifier.token_counts(texts_of(dataset))
    # evenly from all of them: data is often sorted by label
    count = min(len(lengths), EARLINESS_TEXTS, 1 + int(EARLINESS_TOKENS / lengths.mean()))
    return dataset.select(np.linspace(0, len(lengths) - 1, count).astype(int))


def _earliness(
    classifier: "TextClassifier", some: "Dataset", folder: Path, run: "TrackedRun"
) -> dict[str, float]:
    """How right the answers to validation texts are before a text ends; curves in the run."""
    from nlp_rnn.classifier.early_exit import choose_exit_threshold, earliness
    from nlp_rnn.scoring.earliness_plot import write_earliness_plot

    texts, labels = list(some["text"]), [classifier.labels[i] for i in some["label"]]
    found = earliness(classifier, texts, labels)
    for score in found.prefixes:
        curve = {
            "prefix/accuracy": score.accuracy,
            "prefix/loss": score.loss,
            "prefix/calibration_error": score.calibration_error,
        }
        run.log_metrics(curve, step=round(100 * score.share))
    threshold = choose_exit_threshold(found.exits)
    chosen = next(point for point in found.exits if point.threshold == threshold)
    picture = folder / "earliness.png"
    write_earliness_plot(
        picture,
        [(s.share, s.accuracy, s.confidence) for s in found.prefixes],
        [(point.threshold, point.tokens_read, point.accuracy) for point in found.exits],
        threshold,
    )
    run.log_file(picture)
    return {
        "prefix/mean_accuracy": float(np.mean([s.accuracy for s in found.prefixes])),
        "prefix/mean_loss": float(np.mean([s.loss for s in found.prefixes])),
        "early_exit/threshold": threshold,
        "early_exit/tokens_read": chosen.tokens_read,
        "early_exit/accuracy": chosen.accuracy,
    }


def part_accuracies(corpus: "Corpus", predictions: "NDArray[np.int64]") -> dict[str, float]:
    """Balanced accuracy of each part of the test split that has a name: `test/accuracy_2x`."""
    from nlp_rnn.scoring.metrics import balanced_accuracy, confusion_matrix

    rows, labels = (np.asarray(corpus.test[name], dtype=np.int64) for name in ("row", "label"))
    found = {}
    for name, part in corpus.parts.items():
        own = (rows >= part.start) & (rows < part.stop)
        confusion = confusion_matrix(labels[own], predictions[own], len(corpus.labels))
        found[f"test/accuracy_{name}"] = balanced_accuracy(confusion)
    return found


def _int8_agreement(
    classifier: "TextClassifier", texts: list[str], predictions: "NDArray[Any]"
) -> dict[str, float]:
    """The share of `texts` that the network in 8 bits gives the same labels, where it is kept."""
    if INT8_GRAPH not in classifier.config["files"]:
        return {}
    small = type(classifier).load(classifier.location, classifier.threads, "int8")
    probabilities = small.predict_proba(texts)
    if classifier.thresholds is None:
        same = probabilities.argmax(1) == predictions
    else:
        same = ((probabilities >= classifier.thresholds) == predictions).all(axis=1)
    return {"int8/agreement": float(same.mean()), "int8/texts": float(len(texts))}
