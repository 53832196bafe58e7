"""Evaluation of a saved classifier on validation and test, and the files that a run logs of it."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nlp_rnn.classifier.classifier_folder import read_classifier
from nlp_rnn.classifier.latency import Predictor, prediction_latency
from nlp_rnn.classifier.manifest import INT8_GRAPH
from nlp_rnn.classifier.risk_coverage import RISK_COVERAGE, Table, risk_coverage, write_table
from nlp_rnn.data.labels import labels_of
from nlp_rnn.sources.arrow_cache import texts_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datasets import Dataset
    from numpy.typing import NDArray

    from nlp_rnn.classifier.early_exit import Earliness
    from nlp_rnn.classifier.predictor import TextClassifier
    from nlp_rnn.data.corpus import Corpus
    from nlp_rnn.scoring.predictions import Predictions
    from nlp_rnn.tracking.tracked_run import TrackedRun

__all__ = [
    "LATENCY_TEXTS",
    "evaluate",
    "evaluate_splits",
    "log_risk_coverage",
    "part_accuracies",
    "predict_split",
]

# Test texts that the latency of one text is measured on.
LATENCY_TEXTS = 100
# Test texts that the 8-bit network is compared on.
INT8_TEXTS = 2000
# Validation texts, and about how many tokens of them, that are read token by token.
EARLINESS_TEXTS, EARLINESS_TOKENS = 1000, 50_000


def evaluate(
    classifier: "TextClassifier",
    corpus: "Corpus",
    folder: Path,
    run: "TrackedRun",
    unseen: "TextClassifier | None" = None,
    known: "Mapping[str, float] | None" = None,
) -> dict[str, float]:
    """Evaluate the classifier as a user will load it, and return its metrics.

    Beside the files of `evaluate_splits`, it writes the model card and the risk–coverage table into
    the classifier folder. A one-directional classifier is also scored on the beginnings of
    validation texts.

    Parameters
    ----------
    classifier : TextClassifier
        The saved classifier.
    corpus : Corpus
        The data that it was trained on.
    folder : Path
        The run folder.
    run : TrackedRun
        The MLflow run.
    unseen : TextClassifier, optional
        The same classifier, fitted without the validation split. It predicts the validation texts
        if the saved classifier was fitted to them.
    known : mapping of str to float, optional
        Metrics of the run that are known already, for the model card.
    """
    from nlp_rnn.runs.model_card import write_card
    from nlp_rnn.tracking.machine import machine_tags

    unseen = unseen or classifier
    metrics, predictions = evaluate_splits(classifier, corpus, folder, run, unseen)
    test, table = predictions["test"], log_risk_coverage(predictions["validation"], folder, run)
    write_table(Path(classifier.location), table)
    texts = list(corpus.test[:INT8_TEXTS]["text"])
    if classifier.can_stream:
        metrics |= _prefix_scores(unseen, _sample(unseen, corpus.validation), folder, run)
    metrics |= _int8_agreement(classifier, texts, test.predictions[:INT8_TEXTS])
    metrics |= prediction_latency(classifier, texts[:LATENCY_TEXTS])
    if test.parts:
        saved = replace(read_classifier(Path(classifier.location)), ngrams=None)
        network = type(classifier)(saved, classifier.threads)
        alone = prediction_latency(network, texts[:LATENCY_TEXTS])
        metrics |= {
            f"latency/network_{name.removeprefix('latency/')}": value
            for name, value in alone.items()
        }
    processor = machine_tags()["processor"]
    of_run = {**(known or {}), **metrics}
    write_card(classifier, Path(classifier.location), test, of_run, corpus.notes, processor, table)
    return metrics


def evaluate_splits(
    classifier: Predictor,
    corpus: "Corpus",
    folder: Path,
    run: "TrackedRun",
    unseen: Predictor | None = None,
) -> "tuple[dict[str, float], dict[str, Predictions]]":
    """Return the metrics of validation and test, and the predictions by split.

    The metrics of an ensemble have names such as `test/accuracy`, those of its parts alone
    `test/network_accuracy` and `test/ngrams_accuracy`. In the multi-label task, the thresholds of
    the parts are chosen on validation, too.

    Writes the predictions for both splits into `folder` and the run; for the test split also the
    classification report and a figure, which is the confusion matrix or, in the multi-label task,
    F1, precision and recall of every label.

    Guarantee: the metrics are those of the written predictions.
    """
    from nlp_rnn.scoring.metrics import score_probabilities
    from nlp_rnn.scoring.plots import write_score_figure
    from nlp_rnn.scoring.predictions import classification_report_text, write_predictions

    metrics: dict[str, float] = {}
    thresholds: dict[str, NDArray[np.float64]] = {}
    by_split: dict[str, Predictions] = {}
    for split, predictor in (("validation", unseen or classifier), ("test", classifier)):
        predictions = predict_split(predictor, getattr(corpus, split), corpus.labels, thresholds)
        by_split[split] = predictions
        scores = score_probabilities(
            predictions.labels, predictions.probabilities, classifier.thresholds
        )
        metrics |= {f"{split}/{name}": value for name, value in scores.items()}
        for part, alone in predictions.parts.items():
            scores = score_probabilities(
                predictions.labels, alone.probabilities, thresholds.get(part)
            )
            metrics |= {f"{split}/{part}_{name}": value for name, value in scores.items()}
        path = folder / f"{split}_predictions.parquet"
        write_predictions(path, predictions)
        run.log_file(path, "predictions")
    metrics |= part_accuracies(corpus, predictions.predictions)
    run.log_text(classification_report_text(predictions), "classification_report.txt")
    run.log_file(write_score_figure(folder, predictions))
    return metrics, by_split


def log_risk_coverage(validation: "Predictions", folder: Path, run: "TrackedRun") -> Table:
    """Log the risk–coverage table of the validation texts and its curve; return the table."""
    from nlp_rnn.scoring.plots import write_risk_coverage_plot

    table = risk_coverage(validation.labels, validation.probabilities)
    path = folder / "risk_coverage.png"
    write_risk_coverage_plot(path, table["rows"], validation.multi_label)
    run.log_file(path)
    run.log_table(("threshold", "coverage", "accuracy"), table["rows"], RISK_COVERAGE)
    return table


def predict_split(
    classifier: Predictor,
    dataset: "Dataset",
    label_names: tuple[str, ...],
    part_thresholds: "dict[str, NDArray[np.float64]] | None" = None,
) -> "Predictions":
    """Return the predictions for a split of a corpus with these labels.

    Parameters
    ----------
    classifier : Predictor
        The classifier. If it is an ensemble, the predictions of its parts are returned too.
    dataset : Dataset
        The split.
    label_names : tuple of str
        The labels.
    part_thresholds : dict of str to float64 (C,), optional
        Multi-label thresholds of the parts of an ensemble. Those that are missing are chosen on
        this split and added. By default the parts are left out.
    """
    from nlp_rnn.classifier.predictor import TextClassifier
    from nlp_rnn.scoring.metrics import choose_thresholds, predicted_labels
    from nlp_rnn.scoring.predictions import PARTS, PartPredictions, Predictions

    labels, of_parts = labels_of(dataset), {}
    if (
        part_thresholds is not None
        and isinstance(classifier, TextClassifier)
        and "network_weight" in classifier.config
    ):
        tables = classifier.predict_proba_of_parts(texts_of(dataset))
        probabilities = tables.pop("ensemble")
        for part in PARTS:
            if classifier.thresholds is not None and part not in part_thresholds:
                part_thresholds[part] = choose_thresholds(labels, tables[part])
            predicted = predicted_labels(tables[part], part_thresholds.get(part))
            of_parts[part] = PartPredictions(predicted, tables[part])
    else:
        probabilities = classifier.predict_proba(texts_of(dataset))
    whole = Predictions.from_probabilities(
        rows=dataset["row"],
        labels=labels,
        probabilities=probabilities,
        lengths=classifier.token_counts(texts_of(dataset)),
        label_names=label_names,
        thresholds=classifier.thresholds,
    )
    return replace(whole, parts=of_parts)


def _sample(classifier: "TextClassifier", dataset: "Dataset") -> "Dataset":
    """Return evenly spaced texts of a split, few enough to be read token by token."""
    lengths = classifier.token_counts(texts_of(dataset))
    # evenly spaced: data is often sorted by label
    count = min(len(lengths), EARLINESS_TEXTS, 1 + int(EARLINESS_TOKENS / lengths.mean()))
    return dataset.select(np.linspace(0, len(lengths) - 1, count).astype(int))


def _prefix_scores(
    classifier: "TextClassifier", dataset: "Dataset", folder: Path, run: "TrackedRun"
) -> dict[str, float]:
    """Score predictions from the beginnings of texts, and log them by percentage of tokens read.

    Multi-label predictions are made at the thresholds of whole texts. Single-label ones are also
    scored for stopping at a threshold, with a figure.
    """
    from nlp_rnn.classifier.early_exit import SHARES, earliness, prefix_probabilities
    from nlp_rnn.scoring.metrics import score_probabilities

    texts, labels = list(dataset["text"]), labels_of(dataset)
    early_exit: dict[str, float] = {}
    if classifier.thresholds is None:
        names = ("accuracy", "loss", "calibration_error")
        curve = earliness(classifier, texts, [classifier.labels[label] for label in labels])
        scores = [{name: getattr(point, name) for name in names} for point in curve.prefixes]
        early_exit = _early_exit(curve, folder, run)
    else:
        names = ("micro_f1", "macro_f1", "loss")
        prefixes = prefix_probabilities(classifier, texts)
        scores = [
            score_probabilities(labels, prefixes[:, index], classifier.thresholds)
            for index in range(len(SHARES))
        ]
    for share, values in zip(SHARES, scores, strict=True):
        run.log_metrics({f"prefix/{n}": values[n] for n in names}, step=round(100 * share))
    return {
        f"prefix/mean_{name}": float(np.mean([values[name] for values in scores]))
        for name in (names[0], "loss")
    } | early_exit


def _early_exit(curve: "Earliness", folder: Path, run: "TrackedRun") -> dict[str, float]:
    """Choose the threshold of early exit and draw the curve that it is chosen from."""
    from nlp_rnn.classifier.early_exit import choose_exit_threshold
    from nlp_rnn.scoring.plots import write_earliness_plot

    threshold = choose_exit_threshold(curve.exits)
    chosen = next(point for point in curve.exits if point.threshold == threshold)
    path = folder / "earliness.png"
    write_earliness_plot(
        path,
        [(point.share, point.accuracy, point.confidence) for point in curve.prefixes],
        [(point.threshold, point.tokens_read, point.accuracy) for point in curve.exits],
        threshold,
    )
    run.log_file(path)
    return {
        "early_exit/threshold": threshold,
        "early_exit/tokens_read": chosen.tokens_read,
        "early_exit/accuracy": chosen.accuracy,
    }


def part_accuracies(corpus: "Corpus", predictions: "NDArray[np.int64]") -> dict[str, float]:
    """Return the balanced accuracy of each named part of the test split: `test/accuracy_2x`."""
    from nlp_rnn.scoring.metrics import balanced_accuracy, label_counts

    rows, labels = np.asarray(corpus.test["row"], dtype=np.int64), labels_of(corpus.test)
    metrics = {}
    for name, part in corpus.parts.items():
        inside = (rows >= part.start) & (rows < part.stop)
        counts = label_counts(labels[inside], predictions[inside], len(corpus.labels))
        metrics[f"test/accuracy_{name}"] = balanced_accuracy(counts)
    return metrics


def _int8_agreement(
    classifier: "TextClassifier", texts: list[str], predictions: "NDArray[Any]"
) -> dict[str, float]:
    """Return the share of `texts` with the same labels from the 8-bit network, if it was saved."""
    from nlp_rnn.scoring.metrics import predicted_labels

    if INT8_GRAPH not in classifier.config["files"]:
        return {}
    small = type(classifier).load(classifier.location, classifier.threads, "int8")
    same = predicted_labels(small.predict_proba(texts), classifier.thresholds) == predictions
    if same.ndim == 2:
        same = same.all(axis=1)
    return {"int8/agreement": float(same.mean()), "int8/texts": float(len(texts))}
