"""Teacher whose predictions are in a file, or in a table in memory: those of any model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.config.data import TableConfig
from nlp_rnn.config.signature import content_digest
from nlp_rnn.data.labels import labels_of
from nlp_rnn.errors import DataError
from nlp_rnn.sources.file_format import delimiter_character
from nlp_rnn.teachers.label_matching import LabelMatching
from nlp_rnn.teachers.prediction_rows import PredictionRows
from nlp_rnn.teachers.prediction_table import PredictionTable, find_columns, read_table
from nlp_rnn.teachers.prediction_values import PredictionValues
from nlp_rnn.teachers.teacher_predictions import (
    FloatArray,
    TeacherDescription,
    TeacherPredictions,
    predicted_rows,
)

if TYPE_CHECKING:
    from nlp_rnn.config.data import DataConfig
    from nlp_rnn.config.teacher import TeacherConfig
    from nlp_rnn.data.corpus import Corpus
    from nlp_rnn.teachers.pool import Pool

__all__ = ["PredictionFile"]

SPLITS = ("train", "validation", "test")

FEW_ROWS = 20
"""Labelled rows with predictions below which their accuracy says nothing."""

CERTAIN = 0.999
"""Probability of a prediction without doubt, such as a label."""

NO_TRUE_LABELS = (
    "teacher: data.path and teacher.path are the same file, so all labels are predictions of the "
    "teacher: nothing measures the true accuracy"
)

WRONG_ORDER = 0.1
"""Accuracy that another order of the classes has to add before the order is called wrong."""


class PredictionFile:
    """Predictions of any model, in a file.

    Parameters
    ----------
    config : TeacherConfig
        The options of the teacher.
    data : DataConfig
        The options of the data, by whose text columns and label names rows are matched.
    pool : Pool
        The unlabelled texts.
    """

    def __init__(self, config: "TeacherConfig", data: "DataConfig", pool: "Pool") -> None:
        self._config, self._data, self._pool = config, data, pool

    def predict(self, corpus: "Corpus", unlabelled: Sequence[str]) -> TeacherPredictions:
        """Read the predictions, and match them with the texts of the corpus and the pool.

        Raises
        ------
        DataError
            The file cannot be read or matched, or a prediction is wrong.
        """
        path = Path(self._config.path).expanduser()
        table = read_table(path)
        data, multi_label = self._data, corpus.task == "multi_label"
        label = separator = None
        if isinstance(data, TableConfig):
            label = data.label if isinstance(data.label, str) else None
            if data.label_separator is not None:
                separator = delimiter_character(data.label_separator, "")
        columns = find_columns(table, corpus.labels, self._config.column, label)
        matching = LabelMatching(
            corpus.labels, table.where, self._config.unknown, _aliases(self._data)
        )
        values = PredictionValues(table, columns, matching, multi_label, separator)
        probabilities = values.probabilities()
        notes = [note for note in (matching.note(),) if note]
        text = _text_columns(data)
        rows = PredictionRows(table, probabilities, text, corpus.separator, bool(unlabelled))
        matched = {split: rows.match_split(split, getattr(corpus, split)) for split in SPLITS}
        matched["unlabelled"] = rows.match_unlabelled(unlabelled, self._pool.rows)
        used = np.logical_or.reduce([one.used for one in matched.values()])
        if not any(
            predicted_rows(matched[split].probabilities).any() for split in ("train", "unlabelled")
        ):
            raise self._nothing_matches(table, used, bool(unlabelled))
        of_split = {split: one.probabilities for split, one in matched.items()}
        if values.in_order_of_data and not multi_label:
            notes.append(_checked_order(table.where, of_split["train"], corpus))
        notes += _notes(of_split, rows, int((~used).sum()))
        digest = content_digest(str(path))
        same = _is_labelled_data(self._data, digest)
        notes += [NO_TRUE_LABELS] if same else _suspicions(of_split, corpus)
        description = TeacherDescription(
            "predictions", path.name, digest[:16], gives_all_labels=same, notes=tuple(notes)
        )
        return TeacherPredictions(**of_split, teacher=description)

    def _nothing_matches(
        self, table: PredictionTable, used: NDArray[np.bool_], has_pool: bool
    ) -> DataError:
        if not used.any() and not has_pool:
            return DataError(
                f"{table.where}: no row has a text of the data.\nSet data.unlabelled to a file "
                "with the texts that were predicted, or correct data.text."
            )
        where = "only of validation and test texts" if used.any() else "of no text of the data"
        return DataError(
            f"{table.where} has predictions {where}: there is nothing to learn.\nPredict the "
            "texts of data.unlabelled or of the training split."
        )


def _is_labelled_data(data: "DataConfig", digest: str) -> bool:
    """Return whether the labelled data is the file of predictions itself."""
    path = Path(data.path).expanduser() if isinstance(data, TableConfig) else None
    return path is not None and path.is_file() and content_digest(str(path)) == digest


def _text_columns(data: "DataConfig") -> list[str]:
    if not isinstance(data, TableConfig):
        return ["text"]
    return [str(name) for name in (data.text if isinstance(data.text, list) else [data.text])]


def _aliases(data: "DataConfig") -> dict[str, str]:
    """Return the names that labels have in the source, as `data.label_names` maps them."""
    names = data.label_names if isinstance(data, TableConfig) else None
    pairs = names.items() if isinstance(names, Mapping) else enumerate(names or ())
    return {str(old): str(new) for old, new in pairs}


def _checked_order(where: str, probabilities: FloatArray, corpus: "Corpus") -> str:
    """Return a note about the order of the classes in lists without names.

    Raises
    ------
    DataError
        The labels of the training rows show that the order is another one.
    """
    from scipy.optimize import linear_sum_assignment

    covered = predicted_rows(probabilities)
    names = ", ".join(corpus.labels)
    labels, guesses = labels_of(corpus.train)[covered], probabilities[covered].argmax(axis=1)
    if len(labels) >= FEW_ROWS:
        table = np.zeros((len(corpus.labels),) * 2)
        np.add.at(table, (guesses, labels), 1)
        best = linear_sum_assignment(-table)[1]
        right, most = np.trace(table), table[np.arange(len(table)), best].sum()
        if most - right > WRONG_ORDER * len(labels):
            order = ", ".join(corpus.labels[index] for index in best)
            raise DataError(
                f"{where}: the probabilities are in another order than the labels of the data "
                f"({names}). So read, {right / len(labels):.0%} of {len(labels):,} labelled texts "
                f"are predicted correctly; in the order {order} it would be "
                f"{most / len(labels):.0%}.\nWrite dictionaries, or columns named "
                "probability_LABEL."
            )
    return f"teacher: lists of probabilities are read in the order {names}"


def _notes(of_split: Mapping[str, FloatArray], rows: PredictionRows, unused: int) -> list[str]:
    notes = []
    for split in ("train", "unlabelled"):
        covered = predicted_rows(of_split[split])
        if len(covered) and not covered.all():
            notes.append(
                f"teacher: no prediction for {int((~covered).sum()):,} of {len(covered):,} "
                f"{'unlabelled' if split == 'unlabelled' else 'training'} texts"
            )
    if differing := rows.contradictions():
        notes.append(f"teacher: {differing:,} texts have different predictions, which are averaged")
    if unused:
        what = "texts" if rows.by_text else "rows"
        notes.append(f"teacher: {unused:,} predictions for other {what} than those of the data")
    return notes


def _suspicions(of_split: Mapping[str, FloatArray], corpus: "Corpus") -> list[str]:
    """Return a note where the predictions of the training texts seem to be no predictions."""
    if corpus.task == "multi_label":
        return []
    right, certain = {}, True
    for split in ("train", "validation"):
        covered = predicted_rows(of_split[split])
        labels = labels_of(getattr(corpus, split))[covered]
        right[split] = labels == of_split[split][covered].argmax(axis=1)
        certain = certain and bool((of_split[split][covered].max(axis=1) > CERTAIN).all())
    train, validation = right["train"], right["validation"]
    if len(train) >= FEW_ROWS and train.all() and certain:
        return [
            "teacher: every prediction for a training text is its label; if the file holds the "
            "labels themselves, set teacher.column to the predictions"
        ]
    if min(len(train), len(validation)) >= FEW_ROWS:
        error = np.sqrt(validation.var() / len(validation) + train.var() / len(train))
        if train.mean() - validation.mean() > 3 * error:
            return [
                f"teacher: {train.mean():.1%} of its predictions are correct on train, but "
                f"{validation.mean():.1%} on validation: it was probably fitted to the training "
                "texts, for which out-of-sample predictions are better"
            ]
    return []
