"""The command `evaluate`: metrics of a saved classifier on labelled texts."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.api.evaluation_data import (
    SPLITS,
    EvaluationData,
    data_config,
    load_data,
    warn_of_training_texts,
)
from nlp_rnn.commands.argument_parser import choice, number, parse_arguments
from nlp_rnn.errors import ClassifierError, ConfigError, DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nlp_rnn.classifier.predictor import TextClassifier
    from nlp_rnn.classifier.training_texts import TrainingTexts
    from nlp_rnn.data.corpus import Corpus
    from nlp_rnn.scoring.predictions import Predictions

__all__ = ["HELP", "evaluate", "load_classifier"]

HELP = """\
Test a saved classifier on labelled texts, with the data options of nlp-rnn train. Options that are
not set have the values of the training where they apply.

  nlp-rnn evaluate MODEL data=files data.path=more.csv data.text=review data.label=stars
  nlp-rnn evaluate MODEL data=imdb --split test --output scores.json

  --split NAME          test, validation, train, all, or unseen (texts that the classifier was not
                        trained on); default: test if the data has a test split or is the data
                        that the classifier was trained on, otherwise all
  --output FILE         write the metrics as JSON
  --predictions FILE    write the prediction for every text as Parquet
  --json                print the JSON and nothing else
  --windows             read texts that are longer than max_length to their end
  --threads N, --runtime NAME    as for nlp-rnn predict
"""

OPTIONS = ("--split", "--output", "--predictions", "--threads", "--runtime")


def evaluate(arguments: list[str]) -> int:
    """Run the command with its arguments and return the exit code."""
    parsed = parse_arguments("evaluate", arguments, OPTIONS, ("--json", "--windows"))
    overrides = parsed.positional[1:]
    if not any(override.startswith("data=") for override in overrides):
        raise ConfigError(
            "evaluate needs a classifier and data.\n"
            "Run nlp-rnn evaluate FOLDER_OR_URI data=files data.path=FILE, or "
            "nlp-rnn evaluate --help."
        )
    split = choice(parsed, "--split", SPLITS, "") if "--split" in parsed.options else None
    threads = number(parsed, "--threads", 1, 1024, whole=True)
    config = data_config(overrides)
    from nlp_rnn.scoring.metrics import score_probabilities, wilson_interval
    from nlp_rnn.scoring.predictions import classification_report_text, write_predictions

    classifier, training_texts = load_classifier(
        parsed.positional[0],
        None if threads is None else int(threads),
        parsed.options.get("--runtime", "onnx"),
    )
    data = load_data(config, overrides, classifier, training_texts, split)
    corpus, split = data.corpus, data.split
    _check_same_task(classifier, corpus)
    predictions = _predictions(classifier, data, "--windows" in parsed.flags)
    fitted_to = classifier.config["provenance"].get("fitted_to", ())
    known_texts = warn_of_training_texts(data, "validation" in fitted_to)
    scores: dict[str, Any] = {
        "classifier": parsed.positional[0],
        "checksum": classifier.config["checksum"],
        "data": corpus.name,
        "data_digest": corpus.digest,
        "split": split,
        "texts": len(predictions.rows),
        "training_texts": known_texts,
        **score_probabilities(predictions.labels, predictions.probabilities, classifier.thresholds),
    }
    if predictions.multi_label:
        main = (
            f"micro-F1 {scores['micro_f1']:.4f}  macro-F1 {scores['macro_f1']:.4f}  "
            f"all labels correct {scores['subset_accuracy']:.4f}"
        )
    else:
        low, high = wilson_interval(int(predictions.correct.sum()), len(predictions.rows))
        scores["accuracy_interval_95"] = [low, high]
        main = (
            f"accuracy {scores['accuracy']:.4f} (95 % interval {low:.4f} to {high:.4f})  "
            f"macro-F1 {scores['macro_f1']:.4f}"
        )
    if path := parsed.options.get("--predictions"):
        write_predictions(Path(path), predictions)
    as_json = json.dumps(scores, indent=2) + "\n"
    if path := parsed.options.get("--output"):
        Path(path).write_text(as_json, encoding="utf-8")
    if "--json" in parsed.flags:
        print(as_json, end="")
        return 0
    print(f"{corpus.name}, {split}: {scores['texts']:,} texts\n{main}  loss {scores['loss']:.4f}\n")
    print(classification_report_text(predictions), end="")
    return 0


def load_classifier(
    location: str, threads: int | None, runtime: str
) -> "tuple[TextClassifier, TrainingTexts | None]":
    """Load a classifier, and the hashes of the texts that it was trained on."""
    from nlp_rnn.classifier.location import local_folder
    from nlp_rnn.classifier.predictor import TextClassifier
    from nlp_rnn.classifier.training_texts import read_training_texts

    with local_folder(location) as folder:
        classifier = TextClassifier.load(folder, threads, runtime)
        return classifier, read_training_texts(Path(folder), classifier.config)


def _check_same_task(classifier: "TextClassifier", corpus: "Corpus") -> None:
    """Raise an error if the classifier was trained on another task or another form of texts."""
    if corpus.task != classifier.task:
        names = {"single_label": "single-label", "multi_label": "multi-label"}
        raise ClassifierError(
            f"The data is {names[corpus.task]}, the classifier {names[classifier.task]}.\n"
            "Set data.label=COLUMN to a column with labels for the task of the classifier."
        )
    separator = classifier.config.get("separator")
    if corpus.separator != separator:
        joined = "joined by" if separator else "not joined by"
        raise ClassifierError(
            f"The classifier was trained on texts {joined} {separator or corpus.separator}.\n"
            + (
                "Set data.separator_token=true and the columns: 'data.text=[premise,hypothesis]'"
                if separator
                else "Leave data.separator_token out."
            )
        )


def _predictions(
    classifier: "TextClassifier", data: EvaluationData, windows: bool
) -> "Predictions":
    """Return the classifier's predictions for the chosen rows."""
    import numpy as np

    from nlp_rnn.data.labels import labels_of
    from nlp_rnn.scoring.predictions import Predictions

    parts = [
        part if rows is None else part.select(rows)
        for part, rows in ((getattr(data.corpus, name), rows) for name, rows in data.rows)
    ]
    parts = [part for part in parts if len(part)]
    if not parts:
        raise DataError(
            f"{data.corpus.name} has no rows in its {data.split} split.\nSet --split all."
        )
    texts = [text for part in parts for text in part["text"]]
    labels = np.concatenate([labels_of(part) for part in parts])
    return Predictions.from_probabilities(
        rows=np.concatenate([np.asarray(part["row"]) for part in parts]),
        labels=_classifier_labels(labels, data.corpus.labels, classifier.labels),
        probabilities=classifier.predict_proba(texts, windows=windows),
        lengths=classifier.token_counts(texts),
        label_names=classifier.labels,
        thresholds=classifier.thresholds,
    )


def _classifier_labels(
    labels: "NDArray[Any]", names: tuple[str, ...], known: list[str]
) -> "NDArray[Any]":
    """Return labels of a corpus, int64 (n,) or bool (n, C), numbered as the classifier does.

    Raises
    ------
    ClassifierError
        The data has a label that the classifier does not know.
    """
    import numpy as np

    multi_label = labels.ndim == 2
    occurring = np.flatnonzero(labels.any(axis=0)) if multi_label else np.unique(labels)
    index_of = {name: index for index, name in enumerate(known)}
    unknown = [names[label] for label in occurring if names[label] not in index_of]
    if unknown:
        raise ClassifierError(
            f"The data has labels that the classifier does not know: {', '.join(unknown[:10])}.\n"
            f"It knows: {', '.join(known[:10])}{', …' if len(known) > 10 else ''}."
        )
    numbers = np.array([index_of.get(name, -1) for name in names], dtype=np.int64)
    if multi_label:
        renumbered = np.zeros((len(labels), len(known)), bool)
        renumbered[:, numbers[occurring]] = labels[:, occurring]
    else:
        renumbered = numbers[labels]
    return renumbered
