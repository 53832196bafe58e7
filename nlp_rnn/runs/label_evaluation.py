"""A loaded classifier and texts with any number of labels become metrics and explaining files."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from nlp_rnn.data.labels import labels_of
from nlp_rnn.sources.arrow_cache import texts_of

if TYPE_CHECKING:
    from datasets import Dataset
    from numpy.typing import NDArray

    from nlp_rnn.classifier.predictor import TextClassifier
    from nlp_rnn.data.corpus import Corpus
    from nlp_rnn.tracking.tracked_run import TrackedRun

__all__ = ["LabelAnswerer", "answer_label_splits", "label_earliness"]


class LabelAnswerer(Protocol):
    """What `answer_label_splits` needs: a `TextClassifier` or a control has it."""

    @property
    def thresholds(self) -> "NDArray[np.float64] | None":
        """The probability (C,) from which on a text has each label."""
        ...

    def predict_proba(self, texts: Iterable[str]) -> "NDArray[np.float32]":
        """Probabilities float32 (n, C)."""
        ...

    def token_counts(self, texts: Iterable[str]) -> "NDArray[np.int64]":
        """Tokens of each text, int64 (n,)."""
        ...


def answer_label_splits(
    classifier: LabelAnswerer, corpus: "Corpus", folder: Path, run: "TrackedRun"
) -> "tuple[dict[str, float], NDArray[np.bool_]]":
    """As `answer_splits`, where a text may have several labels; the answers are bool (n, C).

    In place of the confusion matrix there is a picture of every label's F1, precision and recall.
    """
    from nlp_rnn.scoring.label_artifacts import write_label_picture, write_label_predictions
    from nlp_rnn.scoring.predictions import classification_report_text
    from nlp_rnn.scoring.several import score_several

    thresholds = classifier.thresholds
    assert thresholds is not None
    metrics: dict[str, float] = {}
    for split in ("validation", "test"):
        dataset = getattr(corpus, split)
        labels = labels_of(dataset)
        probabilities = classifier.predict_proba(texts_of(dataset))
        predictions: NDArray[np.bool_] = probabilities >= thresholds
        scores = score_several(labels, probabilities, thresholds)
        metrics |= {f"{split}/{name}": value for name, value in scores.items()}
        path = folder / f"{split}_predictions.parquet"
        write_label_predictions(
            path,
            rows=np.asarray(dataset["row"], dtype=np.int64),
            labels=labels,
            predictions=predictions,
            probabilities=probabilities,
            lengths=classifier.token_counts(texts_of(dataset)),
            label_names=corpus.labels,
        )
        run.log_file(path, "predictions")
    report = classification_report_text(labels, predictions, corpus.labels)
    run.log_text(report, "classification_report.txt")
    picture = folder / "label_scores.png"
    write_label_picture(picture, labels, predictions, corpus.labels)
    run.log_file(picture)
    return metrics, predictions


def label_earliness(
    classifier: "TextClassifier", some: "Dataset", run: "TrackedRun"
) -> dict[str, float]:
    """How good the answers to validation texts are before a text ends; curves in the run.

    At the thresholds of whole texts, with the percentage of the tokens as the step.
    """
    from nlp_rnn.classifier.early_exit import SHARES, prefix_probabilities
    from nlp_rnn.scoring.several import score_several

    thresholds = classifier.thresholds
    assert thresholds is not None
    labels = labels_of(some)
    found = prefix_probabilities(classifier, list(some["text"]))
    scores = [score_several(labels, found[:, k], thresholds) for k in range(len(SHARES))]
    for share, score in zip(SHARES, scores, strict=True):
        curve = {f"prefix/{name}": score[name] for name in ("micro_f1", "macro_f1", "loss")}
        run.log_metrics(curve, step=round(100 * share))
    return {
        f"prefix/mean_{name}": float(np.mean([score[name] for score in scores]))
        for name in ("micro_f1", "loss")
    }
