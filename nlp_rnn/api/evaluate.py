"""Evaluation of a saved classifier: the function behind `nlp_rnn.evaluate` and its command."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.api.arguments import Overrides, as_arguments
from nlp_rnn.api.evaluation import Evaluation
from nlp_rnn.api.evaluation_data import (
    SPLITS,
    EvaluationData,
    data_config,
    load_data,
    training_text_notes,
)
from nlp_rnn.errors import ClassifierError, ConfigError, DataError

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from nlp_rnn.classifier.predictor import TextClassifier
    from nlp_rnn.classifier.training_texts import TrainingTexts
    from nlp_rnn.data.corpus import Corpus
    from nlp_rnn.scoring.predictions import Predictions

__all__ = ["evaluate", "load_with_training_texts"]


def evaluate(
    classifier: "TextClassifier | str | os.PathLike[str]",
    data: Any = None,
    *,
    text: str | Sequence[str] | None = None,
    label: str | Sequence[str] | None = None,
    split: str | None = None,
    windows: bool = False,
    threads: int | None = None,
    runtime: str = "onnx",
    overrides: Overrides = (),
) -> Evaluation:
    """Evaluate a saved classifier on labelled texts, as `nlp-rnn evaluate` does.

    Parameters
    ----------
    classifier : TextClassifier, str or path
        A loaded classifier, or one of the locations of `nlp_rnn.load`.
    data : path, DataFrame, Dataset, mapping, or pair of sequences
        The labelled texts, as in `nlp_rnn.train`. Without `data`, `overrides` name the data.
    text, label : str or list of str, optional
        Columns of the texts and labels; by default those of the training.
    split : {"test", "validation", "train", "all", "unseen"}, optional
        By default the test split, if the data has one or is the data that the classifier was
        trained on, and all texts otherwise. `unseen` are the texts that it was not trained on.
    windows : bool, default False
        As in `TextClassifier.predict_proba`.
    threads, runtime
        As in `nlp_rnn.load`, for a location.
    overrides : list of str, or mapping
        Options of the data, such as `["data=imdb"]` or `{"data.delimiter": "tab"}`. Those that are
        not set have the values of the training where they apply.

    Returns
    -------
    Evaluation
        The scores and the predictions.

    Raises
    ------
    ClassifierError
        There is no classifier, or the data has another task or unknown labels.
    ConfigError
        An option is wrong.
    DataError
        The data cannot be read.

    Examples
    --------
    >>> import nlp_rnn
    >>> texts = ["Warm, quick and on time.", "Cold and late."] * 20
    >>> evaluation = nlp_rnn.evaluate("reviews", (texts, ["positive", "negative"] * 20))
    >>> evaluation.metrics["accuracy"]
    1.0
    """
    if split is not None and split not in SPLITS:
        raise ConfigError(f"split is {split!r}; the choices are {', '.join(SPLITS)}.")
    loaded, training_texts = load_with_training_texts(classifier, threads, runtime)
    with tempfile.TemporaryDirectory(prefix="nlp_rnn_") as folder:
        arguments = [
            *_data_arguments(data, text, label, loaded, Path(folder)),
            *as_arguments(overrides, {}),
        ]
        return _evaluated(loaded, training_texts, arguments, split, windows)


def load_with_training_texts(
    classifier: "TextClassifier | str | os.PathLike[str]",
    threads: int | None = None,
    runtime: str = "onnx",
) -> "tuple[TextClassifier, TrainingTexts | None]":
    """Return a classifier, and the hashes of the texts that it was trained on.

    Parameters
    ----------
    classifier : TextClassifier, str or path
        A loaded classifier, or a location.
    threads, runtime
        As in `nlp_rnn.load`, for a location.
    """
    from nlp_rnn.classifier.location import local_folder
    from nlp_rnn.classifier.predictor import TextClassifier
    from nlp_rnn.classifier.training_texts import read_training_texts

    loaded = classifier if isinstance(classifier, TextClassifier) else None
    location = classifier.location if isinstance(classifier, TextClassifier) else classifier
    with local_folder(location) as folder:
        if loaded is None:
            loaded = TextClassifier.load(folder, threads, runtime)
        return loaded, read_training_texts(folder, loaded.config)


def _data_arguments(
    data: Any,
    text: str | Sequence[str] | None,
    label: str | Sequence[str] | None,
    classifier: "TextClassifier",
    folder: Path,
) -> list[str]:
    """Return the data as arguments of the command; data in memory is saved in `folder`."""
    import os

    from nlp_rnn.api.tables import data_arguments
    from nlp_rnn.sources.reading import saved_reading

    columns = {"data.text": text, "data.label": label}
    options = {key: value for key, value in columns.items() if value is not None}
    if data is None:
        return as_arguments(options, {})
    if isinstance(data, str | os.PathLike):
        path = Path(data).expanduser().absolute()
        return as_arguments({"data": "files", "data.path": path} | options, {})
    saved = saved_reading(classifier.config).get("options", {})
    return data_arguments(
        data,
        None,
        None,
        text or saved.get("text", "text"),
        label or saved.get("label", "label"),
        folder,
    )


def _evaluated(
    classifier: "TextClassifier",
    training_texts: "TrainingTexts | None",
    arguments: Sequence[str],
    split: str | None,
    windows: bool,
) -> Evaluation:
    from nlp_rnn.scoring.metrics import score_probabilities, wilson_interval

    notes: list[str] = []
    data = load_data(data_config(arguments), arguments, classifier, training_texts, split, notes)
    corpus = data.corpus
    _check_same_task(classifier, corpus)
    predictions, texts = _predictions(classifier, data, windows)
    fitted_to = classifier.config["provenance"].get("fitted_to", ())
    known_texts, more_notes = training_text_notes(data, "validation" in fitted_to)
    interval = None
    if not predictions.multi_label:
        interval = wilson_interval(int(predictions.correct.sum()), len(predictions.rows))
    return Evaluation(
        corpus.name,
        corpus.digest,
        str(classifier.config["checksum"]),
        data.split,
        score_probabilities(predictions.labels, predictions.probabilities, classifier.thresholds),
        interval,
        known_texts,
        (*notes, *more_notes),
        predictions,
        texts,
    )


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
) -> "tuple[Predictions, list[str]]":
    """Return the classifier's predictions for the chosen rows, and their texts."""
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
            f"{data.corpus.name} has no rows in its {data.split} split.\n"
            "Evaluate all of its rows (--split all)."
        )
    texts = [text for part in parts for text in part["text"]]
    labels = np.concatenate([labels_of(part) for part in parts])
    predictions = Predictions.from_probabilities(
        rows=np.concatenate([np.asarray(part["row"]) for part in parts]),
        labels=_classifier_labels(labels, data.corpus.labels, classifier.labels),
        probabilities=classifier.predict_proba(texts, windows=windows),
        lengths=classifier.token_counts(texts),
        label_names=classifier.labels,
        thresholds=classifier.thresholds,
    )
    return predictions, texts


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
