"""A saved classifier and labelled texts become its scores on them."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.commands.argument_parser import choice, number, read_words
from nlp_rnn.errors import ClassifierError, ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from nlp_rnn.config.data import DataConfig
    from nlp_rnn.data.corpus import Corpus

__all__ = ["HELP", "data_config", "evaluate"]

HELP = """\
Test a saved classifier on labelled texts, which are named as for nlp-rnn train.

  nlp-rnn evaluate MODEL data=files data.path=more.csv data.text=review data.label=stars
  nlp-rnn evaluate MODEL data=imdb --split test --output scores.json

  --split NAME          test, validation, train or all; default: test where the data has a test
                        split, else all
  --output FILE         the scores as JSON
  --predictions FILE    the answer to every text as parquet
  --json                print the JSON and nothing else
  --windows             read texts that are longer than max_length to their end
  --threads N, --runtime NAME    as for nlp-rnn predict
"""

SPLITS = ("test", "validation", "train", "all")
OPTIONS = ("--split", "--output", "--predictions", "--threads", "--runtime")
# What shapes training only.
TRAINING_ONLY = ("data.limit", "data.validation_fraction")


def evaluate(words: list[str]) -> int:
    """Run the command."""
    given = read_words("evaluate", words, OPTIONS, ("--json", "--windows"))
    if not given.arguments or not any(word.startswith("data=") for word in given.arguments[1:]):
        raise ConfigError(
            "evaluate needs a classifier and data.\n"
            "Type nlp-rnn evaluate FOLDER_OR_URI data=files data.path=FILE, or "
            "nlp-rnn evaluate --help."
        )
    split = choice(given, "--split", SPLITS, "") if "--split" in given.options else None
    threads = number(given, "--threads", 1, 1024, whole=True)
    data = data_config(given.arguments[1:])
    import nlp_rnn

    classifier = nlp_rnn.load(
        given.arguments[0],
        threads=None if threads is None else int(threads),
        runtime=given.options.get("--runtime", "onnx"),
    )
    import numpy as np

    from nlp_rnn.data.corpus import load_corpus
    from nlp_rnn.scoring.metrics import score
    from nlp_rnn.scoring.predictions import classification_report_text, write_predictions
    from nlp_rnn.tracking.note import wilson_interval

    split = split or _default_split(data)
    corpus = load_corpus(data)
    if corpus.task != classifier.task:
        kinds = {"single_label": "one label", "multi_label": "several labels"}
        raise ClassifierError(
            f"The data has {kinds[corpus.task]} a text, the classifier gives "
            f"{kinds[classifier.task]}.\nName the column of its labels: data.label=COLUMN"
        )
    separator = classifier.config.get("separator")
    if corpus.separator != separator:
        told = "joined by" if separator else "not joined by"
        raise ClassifierError(
            f"The classifier was trained on texts {told} {separator or corpus.separator}.\n"
            + (
                "Type data.separator_token=true and the columns: 'data.text=[premise,hypothesis]'"
                if separator
                else "Leave data.separator_token out."
            )
        )
    texts, labels, rows = _rows(corpus, split)
    if classifier.task == "multi_label":
        from nlp_rnn.commands.label_scores import evaluate_labels

        return evaluate_labels(given, classifier, corpus, split, texts, labels, rows)
    truth = _as_the_classifiers(labels, corpus.labels, classifier.labels)
    probabilities = classifier.predict_proba(texts, windows="--windows" in given.flags)
    logits = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny))
    right = int((probabilities.argmax(1) == truth).sum())
    low, high = wilson_interval(right, len(texts))
    scores: dict[str, Any] = {
        "classifier": given.arguments[0],
        "checksum": classifier.config["checksum"],
        "data": corpus.name,
        "data_digest": corpus.digest,
        "split": split,
        "texts": len(texts),
        **score(truth, logits),
        "accuracy_interval_95": [low, high],
    }
    if path := given.options.get("--predictions"):
        write_predictions(
            Path(path),
            rows=rows,
            labels=truth,
            probabilities=probabilities,
            lengths=classifier.token_counts(texts),
            label_names=classifier.labels,
        )
    as_json = json.dumps(scores, indent=2) + "\n"
    if path := given.options.get("--output"):
        Path(path).write_text(as_json, encoding="utf-8")
    if "--json" in given.flags:
        print(as_json, end="")
        return 0
    print(
        f"{corpus.name}, {split}: {len(texts):,} texts\n"
        f"accuracy {scores['accuracy']:.4f} (95 % interval {low:.4f} to {high:.4f})  "
        f"macro-F1 {scores['macro_f1']:.4f}  loss {scores['loss']:.4f}\n"
    )
    print(classification_report_text(truth, probabilities.argmax(1), classifier.labels), end="")
    return 0


def data_config(overrides: list[str]) -> "DataConfig":
    """The data that `overrides` name, composed as for training.

    Raises:
        ConfigError: a word that does not belong to the data, or could have no effect here.
    """
    for word in overrides:
        key = word.partition("=")[0].lstrip("+~")
        if key != "data" and not key.startswith("data."):
            raise ConfigError(
                f"{word} was not understood here: only the data can be named.\n"
                "Type data=… and data.…=…; nlp-rnn evaluate --help shows an example."
            )
        if key in TRAINING_ONLY:
            raise ConfigError(f"{key} shapes what is trained on; here it would do nothing.")
    from nlp_rnn.launch import compose

    # the classifier cuts as it was trained to, whatever a tokenizer here would do
    return compose([*overrides, "tokenizer.max_length=1000000"]).data


def _default_split(data: "DataConfig") -> str:
    from nlp_rnn.data.corpus import quiet_datasets
    from nlp_rnn.sources.source import read_source

    with quiet_datasets():
        return "test" if "test" in read_source(data).splits else "all"


def _rows(corpus: "Corpus", split: str) -> "tuple[list[str], NDArray[Any], NDArray[np.int64]]":
    """Texts, labels of the corpus and row numbers of a split, or of all three."""
    import numpy as np

    from nlp_rnn.data.labels import labels_of

    wanted = ("train", "validation", "test") if split == "all" else (split,)
    parts = [getattr(corpus, name) for name in wanted]
    texts = [text for part in parts for text in part["text"]]
    labels = np.concatenate([labels_of(part) for part in parts])
    rows = np.concatenate([np.asarray(part["row"], dtype=np.int64) for part in parts])
    return texts, labels, rows


def _as_the_classifiers(
    ids: "NDArray[np.int64]", names: "tuple[str, ...]", known: list[str]
) -> "NDArray[np.int64]":
    """Label ids of the data as places among the classifier's labels.

    Raises:
        ClassifierError: the data has a label that the classifier does not.
    """
    import numpy as np

    place = {name: index for index, name in enumerate(known)}
    strange = [name for name in (names[each] for each in np.unique(ids)) if name not in place]
    if strange:
        raise ClassifierError(
            f"The data has labels that the classifier does not know: {', '.join(strange[:10])}.\n"
            f"It knows: {', '.join(known[:10])}{', …' if len(known) > 10 else ''}."
        )
    return np.array([place.get(name, -1) for name in names], dtype=np.int64)[ids]
