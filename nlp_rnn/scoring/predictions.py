"""Predictions for a split, single-label or multi-label: Parquet file, classification report."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nlp_rnn.errors import TrackingError
from nlp_rnn.scoring.metrics import label_counts, predicted_labels

if TYPE_CHECKING:
    import pyarrow

__all__ = [
    "PARTS",
    "PART_NAMES",
    "PartPredictions",
    "Predictions",
    "classification_report_text",
    "read_predictions",
    "write_predictions",
]

PART_NAMES = {"network": "network alone", "ngrams": "n-gram models alone"}
"""How the parts of an ensemble are called, by the prefix of their columns and metrics."""

PARTS = tuple(PART_NAMES)
"""Parts of an ensemble whose own predictions are saved."""

MAX_LIST_VALUES = 1 << 28
"""Number of probabilities in one Arrow array."""

ROW_GROUP_VALUES = 1 << 26
"""Number of probabilities that are encoded in memory at a time, one row group of the file."""

EMPTY = np.empty(0, np.float32)

LABEL_NAMES = b"label_names"
"""Key of the schema's metadata that holds the label names as a JSON list."""


@dataclass(frozen=True)
class PartPredictions:
    """Predictions of one part of an ensemble, for the same texts as those of the ensemble.

    Attributes
    ----------
    predictions : int64 (n,) or bool (n, C)
        The labels that the part alone predicts.
    probabilities : float32 (n, C)
        The probabilities that the part alone predicts.
    """

    predictions: NDArray[Any]
    probabilities: NDArray[np.float32]


@dataclass(frozen=True)
class Predictions:
    """Labels and predictions of the n texts of a split.

    Attributes
    ----------
    rows : int64 (n,)
        Index of each text's row in the split that was read, before any rows were removed.
    labels : int64 (n,) or bool (n, C)
        The true label as an index into `label_names`; in the multi-label task, whether a text has
        each label.
    predictions : int64 (n,) or bool (n, C)
        The predicted labels in the same form.
    probabilities : float32 (n, C)
        Predicted probability of each label; in the multi-label task they need not sum to 1.
    lengths : int64 (n,)
        Length of each text in tokens.
    label_names : tuple of C str
        Names of the C labels.
    parts : mapping of str to PartPredictions
        The predictions of the parts of an ensemble, by the names of `PARTS`; empty for a
        classifier that is none.

    Raises
    ------
    ValueError
        The shapes do not match.
    """

    rows: NDArray[np.int64]
    labels: NDArray[Any]
    predictions: NDArray[Any]
    probabilities: NDArray[np.float32]
    lengths: NDArray[np.int64]
    label_names: tuple[str, ...]
    parts: Mapping[str, PartPredictions] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that the shapes match."""
        table = (len(self.rows), len(self.label_names))
        label_shape = table if self.multi_label else table[:1]
        expected = {
            "labels": label_shape,
            "predictions": label_shape,
            "probabilities": table,
            "lengths": table[:1],
        }
        for name, wanted in expected.items():
            if getattr(self, name).shape != wanted:
                raise ValueError(f"{name} have the shape {getattr(self, name).shape}, not {wanted}")
        for part, alone in self.parts.items():
            for name in ("predictions", "probabilities"):
                wanted, shape = expected[name], getattr(alone, name).shape
                if shape != wanted:
                    raise ValueError(f"{name} of {part} have the shape {shape}, not {wanted}")

    @classmethod
    def from_probabilities(
        cls,
        rows: ArrayLike,
        labels: ArrayLike,
        probabilities: ArrayLike,
        lengths: ArrayLike,
        label_names: Sequence[str],
        thresholds: NDArray[np.float64] | None = None,
    ) -> "Predictions":
        """Return predictions made from probabilities.

        The other parameters are the attributes of the same names.

        Parameters
        ----------
        thresholds : float64 (C,), optional
            In the multi-label task, the smallest probability at which each label is predicted. By
            default the task is single-label, and the most probable label is predicted.
        """
        table = np.asarray(probabilities, dtype=np.float32)
        return cls(
            rows=np.asarray(rows, dtype=np.int64),
            labels=np.asarray(labels, dtype=np.int64 if thresholds is None else np.bool_),
            predictions=predicted_labels(table, thresholds),
            probabilities=table,
            lengths=np.asarray(lengths, dtype=np.int64),
            label_names=tuple(label_names),
        )

    def of(self, part: str) -> "Predictions":
        """Return the predictions of a part alone; of a classifier without parts, its own."""
        if part not in self.parts:
            return self
        alone = self.parts[part]
        return replace(
            self, predictions=alone.predictions, probabilities=alone.probabilities, parts={}
        )

    @property
    def multi_label(self) -> bool:
        """Whether a text may have any number of labels."""
        return self.labels.ndim == 2

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether the predicted label, or the whole set of labels, is correct, bool (n,)."""
        same = self.labels == self.predictions
        correct: NDArray[np.bool_] = same.all(axis=1) if self.multi_label else same
        return correct


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write predictions as a Parquet file, one row per text; the file is written atomically.

    Columns: `row` int64; `label` and `prediction` string, in the multi-label task lists of string;
    `length` int64; `probabilities`, a list of C float32 in the order of the label names. For an
    ensemble also `network_prediction`, `network_probabilities`, `ngrams_prediction` and
    `ngrams_probabilities`: what each part alone predicts. The label names are a JSON list in the
    schema's metadata, under the key `label_names`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = np.asarray(predictions.label_names, dtype=object)

    def named(labels: NDArray[Any]) -> Any:
        if not predictions.multi_label:
            return pa.array(names[labels], pa.string())
        return pa.array([list(names[row]) for row in labels], pa.list_(pa.string()))

    columns = {
        "row": pa.array(predictions.rows),
        "label": named(predictions.labels),
        "prediction": named(predictions.predictions),
        "length": pa.array(predictions.lengths),
        "probabilities": _lists(predictions.probabilities),
    }
    for part, alone in predictions.parts.items():
        columns[f"{part}_prediction"] = named(alone.predictions)
        columns[f"{part}_probabilities"] = _lists(alone.probabilities)
    content = pa.table(columns).replace_schema_metadata(
        {LABEL_NAMES: json.dumps(list(predictions.label_names))}
    )
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        size = max(1, ROW_GROUP_VALUES // max(len(names), 1))
        pq.write_table(content, unfinished, row_group_size=size, compression="zstd")
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def _lists(table: NDArray[np.float32]) -> "pyarrow.ChunkedArray":
    """Return the rows of a table (n, C) as lists, in arrays whose 32-bit offsets are sufficient."""
    import pyarrow as pa

    table = np.ascontiguousarray(table, dtype=np.float32)
    width = table.shape[1]
    size = max(1, MAX_LIST_VALUES // max(width, 1))
    arrays = []
    for start in range(0, len(table), size):
        rows = table[start : start + size]
        offsets = np.arange(len(rows) + 1, dtype=np.int32) * np.int32(width)
        arrays.append(pa.ListArray.from_arrays(offsets, rows.ravel()))
    return pa.chunked_array(arrays, pa.list_(pa.float32()))


def read_predictions(path: Path) -> Predictions:
    """Read a Parquet file that `write_predictions` wrote.

    Raises
    ------
    TrackingError
        The file is missing or was not written by `write_predictions`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        content = pq.read_table(path)
        label_names = tuple(json.loads(content.schema.metadata[LABEL_NAMES]))
        index_of = {name: index for index, name in enumerate(label_names)}

        def labels(column: str) -> NDArray[Any]:
            values = content[column].to_pylist()
            if not pa.types.is_list(content.schema.field(column).type):
                return np.asarray([index_of[name] for name in values], dtype=np.int64)
            members = np.zeros((len(values), len(label_names)), bool)
            for row, names in enumerate(values):
                members[row, [index_of[name] for name in names]] = True
            return members

        def probabilities(column: str) -> NDArray[np.float32]:
            chunks = [chunk.flatten().to_numpy() for chunk in content[column].chunks]
            values = chunks[0] if len(chunks) == 1 else np.concatenate([EMPTY, *chunks])
            return values.reshape(-1, len(label_names))

        return Predictions(
            rows=content["row"].to_numpy(),
            labels=labels("label"),
            predictions=labels("prediction"),
            probabilities=probabilities("probabilities"),
            lengths=content["length"].to_numpy(),
            label_names=label_names,
            parts={
                part: PartPredictions(
                    labels(f"{part}_prediction"), probabilities(f"{part}_probabilities")
                )
                for part in PARTS
                if f"{part}_prediction" in content.column_names
            },
        )
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise TrackingError(f"{path} is not a table of predictions of a run ({error})") from error


def classification_report_text(predictions: Predictions) -> str:
    """Return scikit-learn's classification report: precision, recall, F1 and support per label.

    The averages are over the labels that at least one text has or is predicted to have, so that
    the macro average of F1 is the metric `macro_f1`. An undefined value counts as 0.
    """
    names = list(predictions.label_names)
    report = _report(predictions, range(len(names)), names)
    counts = label_counts(predictions.labels, predictions.predictions, len(names))
    occurring = np.flatnonzero(counts.labelled + counts.predicted)
    if not 0 < len(occurring) < len(names):
        return report
    # one name is padded to the longest, so that both tables have the same columns
    present = [names[label] for label in occurring]
    present[0] = present[0].ljust(max(map(len, names)))
    rows, gap, _ = report.rpartition("\n\n")
    averages = _report(predictions, occurring.tolist(), present).rpartition(gap)[2]
    note = (
        f"{len(names) - len(occurring):,} of {len(names):,} labels are left out of the averages: "
        "no text has or is predicted to have them.\n"
    )
    return f"{rows}{gap}{averages}\n{note}"


def _report(predictions: Predictions, labels: Sequence[int], names: list[str]) -> str:
    from sklearn.metrics import classification_report

    report: str = classification_report(
        predictions.labels,
        predictions.predictions,
        labels=labels,
        target_names=names,
        digits=4,
        zero_division=0,
    )
    return report
