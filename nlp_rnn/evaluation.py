"""A loaded classifier and a corpus become final metrics, and the files that explain them."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from nlp_rnn.classifier.predictor import TextClassifier
    from nlp_rnn.data.corpus import Corpus
    from nlp_rnn.tracking.run import TrackedRun

__all__ = ["evaluate"]

# Test texts that the latency of one answer is measured on.
LATENCY_TEXTS = 100


def evaluate(
    classifier: "TextClassifier", corpus: "Corpus", folder: Path, run: "TrackedRun"
) -> dict[str, float]:
    """Metrics of validation and test by the classifier as a user will load it.

    Writes the answers to every text into `folder` and the run, and for the test split the
    classification report and the confusion matrix. Promise: the metrics are those of the
    written answers.
    """
    from nlp_rnn.classifier.latency import answer_latency
    from nlp_rnn.tracking.artifacts import (
        classification_report_text,
        write_confusion_matrix,
        write_predictions,
    )
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
    report = classification_report_text(labels, predictions, corpus.labels)
    run.log_text(report, "classification_report.txt")
    picture = folder / "confusion_matrix.png"
    write_confusion_matrix(picture, labels, predictions, corpus.labels)
    run.log_file(picture)
    return metrics | answer_latency(classifier, texts[:LATENCY_TEXTS])
