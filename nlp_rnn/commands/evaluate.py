"""The command `evaluate`: metrics of a saved classifier on labelled texts."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.commands.argument_parser import choice, number, parse_arguments
from nlp_rnn.errors import ClassifierError, ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nlp_rnn.classifier.predictor import TextClassifier
    from nlp_rnn.config.data import DataConfig
    from nlp_rnn.data.corpus import Corpus
    from nlp_rnn.scoring.predictions import Predictions

__all__ = ["HELP", "data_config", "evaluate"]

HELP = """\
Test a saved classifier on labelled texts, with the data options of nlp-rnn train.

  nlp-rnn evaluate MODEL data=files data.path=more.csv data.text=review data.label=stars
  nlp-rnn evaluate MODEL data=imdb --split test --output scores.json

  --split NAME          test, validation, train or all; default: test if the data has a test split
                        or is the data that the classifier was trained on, otherwise all
  --output FILE         write the metrics as JSON
  --predictions FILE    write the prediction for every text as Parquet
  --json                print the JSON and nothing else
  --windows             read texts that are longer than max_length to their end
  --threads N, --runtime NAME    as for nlp-rnn predict
"""

SPLITS = ("test", "validation", "train", "all")
OPTIONS = ("--split", "--output", "--predictions", "--threads", "--runtime")
# Options that have an effect only on training.
TRAINING_ONLY = ("data.limit", "data.validation_fraction")


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
    data = data_config(overrides)
    import nlp_rnn

    classifier = nlp_rnn.load(
        parsed.positional[0],
        threads=None if threads is None else int(threads),
        runtime=parsed.options.get("--runtime", "onnx"),
    )
    from nlp_rnn.scoring.metrics import score_probabilities, wilson_interval
    from nlp_rnn.scoring.predictions import classification_report_text, write_predictions

    corpus, is_training_data = _load(data, overrides, classifier)
    split = split or ("test" if is_training_data else _default_split(data))
    _check_same_task(classifier, corpus)
    predictions = _predictions(classifier, corpus, split, "--windows" in parsed.flags)
    known_texts = len(corpus.train) if is_training_data and split in ("train", "all") else 0
    if is_training_data:
        print(_training_data_note(corpus, split, known_texts), file=sys.stderr)
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


def data_config(overrides: list[str]) -> "DataConfig":
    """Return the data configuration of `overrides`, composed as for training.

    Raises
    ------
    ConfigError
        An override is not about the data, or has no effect here.
    """
    for override in overrides:
        key = override.partition("=")[0].lstrip("+~")
        if key != "data" and not key.startswith("data."):
            raise ConfigError(
                f"{override} is not supported by evaluate, which takes only options of the data.\n"
                "Set data=… and data.…=…; nlp-rnn evaluate --help shows an example."
            )
        if key in TRAINING_ONLY:
            raise ConfigError(
                f"{key} has an effect only on training. Remove it; evaluate reads the whole split."
            )
    from nlp_rnn.config.compose import compose

    # the classifier truncates texts itself; the tokenizer of this configuration is not used
    return compose([*overrides, "tokenizer.max_length=1000000"]).data


def _load(
    data: "DataConfig", overrides: list[str], classifier: "TextClassifier"
) -> "tuple[Corpus, bool]":
    """Load the corpus, and return whether it is the one that the classifier was trained on.

    The options that cut and sample the splits are those of the training, unless they are set. The
    digest shows whether the texts, labels and splits are then the same.
    """
    from nlp_rnn.data.corpus import load_corpus

    provenance = classifier.config["provenance"]
    keys = {override.partition("=")[0] for override in overrides}
    saved = provenance.get("data_options", {})
    options = {name: value for name, value in saved.items() if f"data.{name}" not in keys}
    like_training = replace(data, **options)
    corpus = load_corpus(like_training, classifier.labels)
    if corpus.digest == provenance.get("data_digest"):
        return corpus, True
    if like_training != data:
        corpus = load_corpus(data, classifier.labels)
    return corpus, False


def _training_data_note(corpus: "Corpus", split: str, known_texts: int) -> str:
    if known_texts:
        return (
            f"Warning: the classifier was trained on {known_texts:,} of these texts, so the "
            "metrics are too high for new texts.\nUse --split test for the texts that were kept "
            "apart."
        )
    if split == "validation":
        return (
            "The classifier was trained on this data, and its weights were chosen on the "
            "validation split.\nUse --split test for the texts that were kept apart."
        )
    return (
        f"The classifier was trained on this data. The {split} split has the "
        f"{len(getattr(corpus, split)):,} texts that it was not trained on."
    )


def _default_split(data: "DataConfig") -> str:
    from nlp_rnn.data.corpus import quiet_datasets
    from nlp_rnn.sources.source import read_source

    with quiet_datasets():
        return "test" if "test" in read_source(data).splits else "all"


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
    classifier: "TextClassifier", corpus: "Corpus", split: str, windows: bool
) -> "Predictions":
    """Return the classifier's predictions for a split, or for all three."""
    import numpy as np

    from nlp_rnn.data.labels import labels_of
    from nlp_rnn.scoring.predictions import Predictions

    names = ("train", "validation", "test") if split == "all" else (split,)
    parts = [getattr(corpus, name) for name in names]
    texts = [text for part in parts for text in part["text"]]
    labels = np.concatenate([labels_of(part) for part in parts])
    return Predictions.from_probabilities(
        rows=np.concatenate([np.asarray(part["row"]) for part in parts]),
        labels=_classifier_labels(labels, corpus.labels, classifier.labels),
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
