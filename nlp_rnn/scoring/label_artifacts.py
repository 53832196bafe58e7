"""Answers with any number of labels a text become the files that explain a run: table, picture."""

import json
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nlp_rnn.errors import TrackingError
from nlp_rnn.scoring.predictions import LABEL_NAMES

__all__ = [
    "LabelPredictions",
    "f1_of_labels",
    "read_label_predictions",
    "write_label_picture",
    "write_label_predictions",
]


@dataclass(frozen=True)
class LabelPredictions:
    """What a classifier said about the n texts of a split, each with any number of labels.

    Attributes:
        rows: int64 (n,), where each text stands in the data that was read.
        labels: bool (n, C), whether a text has each label.
        predictions: bool (n, C), whether the classifier gave it.
        probabilities: float32 (n, C).
        lengths: int64 (n,), tokens.
        label_names: the C labels.
    """

    rows: NDArray[np.int64]
    labels: NDArray[np.bool_]
    predictions: NDArray[np.bool_]
    probabilities: NDArray[np.float32]
    lengths: NDArray[np.int64]
    label_names: tuple[str, ...]


def write_label_predictions(
    path: Path,
    rows: ArrayLike,
    labels: NDArray[np.bool_],
    predictions: NDArray[np.bool_],
    probabilities: NDArray[np.float32],
    lengths: ArrayLike,
    label_names: Sequence[str],
) -> None:
    """Write one parquet row per text, all at once or not at all; any parquet reader can open it.

    Columns: `row` int64, `label` and `prediction` lists of string, `length` int64 and
    `probabilities`, a list of C float32 in the order of the labels, which the schema's metadata
    names. Arguments as the attributes of `LabelPredictions`.

    Raises:
        ValueError: the shapes do not fit together.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    shape = (len(labels), len(label_names))
    found = [labels.shape, predictions.shape, probabilities.shape]
    if any(each != shape for each in found) or np.shape(rows) != np.shape(lengths) != shape[:1]:
        raise ValueError(f"{found} are not all {shape}")
    names = np.asarray(label_names, dtype=object)
    flags = pa.ListArray.from_arrays(
        np.arange(shape[0] + 1, dtype=np.int32) * shape[1],
        np.ascontiguousarray(probabilities, dtype=np.float32).ravel(),
    )
    content = pa.table(
        {
            "row": pa.array(np.asarray(rows, dtype=np.int64)),
            "label": pa.array([list(names[row]) for row in labels], pa.list_(pa.string())),
            "prediction": pa.array(
                [list(names[row]) for row in predictions], pa.list_(pa.string())
            ),
            "length": pa.array(np.asarray(lengths, dtype=np.int64)),
            "probabilities": flags,
        }
    ).replace_schema_metadata({LABEL_NAMES: json.dumps(list(label_names))})
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        pq.write_table(content, unfinished, compression="zstd")
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def read_label_predictions(path: Path) -> LabelPredictions:
    """Read what `write_label_predictions` wrote.

    Raises:
        TrackingError: the file is missing or was not written by `write_label_predictions`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        content = pq.read_table(path)
        names = tuple(json.loads(content.schema.metadata[LABEL_NAMES]))
        position = {name: index for index, name in enumerate(names)}

        def members(column: str) -> NDArray[np.bool_]:
            found = np.zeros((len(content), len(names)), bool)
            for row, some in enumerate(content[column].to_pylist()):
                found[row, [position[name] for name in some]] = True
            return found

        probabilities = content["probabilities"].combine_chunks().values.to_numpy()
        return LabelPredictions(
            rows=content["row"].to_numpy(),
            labels=members("label"),
            predictions=members("prediction"),
            probabilities=probabilities.reshape(-1, len(names)),
            lengths=content["length"].to_numpy(),
            label_names=names,
        )
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise TrackingError(f"{path} is no table of label predictions ({error})") from error


def f1_of_labels(labels: NDArray[np.bool_], predictions: NDArray[np.bool_]) -> NDArray[np.float64]:
    """F1 of each label, float64 (C,); 0 for one that neither a text nor an answer has."""
    right = (labels & predictions).sum(axis=0)
    occurring = labels.sum(axis=0) + predictions.sum(axis=0)
    scores: NDArray[np.float64] = 2 * right / np.maximum(occurring, 1)
    return scores


def write_label_picture(
    path: Path,
    labels: NDArray[np.bool_],
    predictions: NDArray[np.bool_],
    label_names: Sequence[str],
) -> None:
    """Draw F1, precision and recall of every label as a PNG, the most frequent label on top.

    Beside each name stands how many texts have the label. The arguments are bool (n, C).
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    counts, said = labels.sum(axis=0), predictions.sum(axis=0)
    right = (labels & predictions).sum(axis=0)
    order = np.argsort(counts, kind="stable")  # drawn from the bottom
    recall, precision = right / np.maximum(counts, 1), right / np.maximum(said, 1)
    scores = f1_of_labels(labels, predictions)
    height = min(0.24 * len(order) + 1.2, 60.0)
    # A figure of its own instead of pyplot, which keeps global state and may want a display.
    figure = Figure(figsize=(7.5, height))
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    places = np.arange(len(order))
    axes.barh(places, scores[order], color="#9ecae1", label="F1")
    for values, mark, name in ((precision, "|", "precision"), (recall, ".", "recall")):
        axes.plot(values[order], places, mark, color="#08306b", markersize=8, label=name)
    names = [f"{_short(label_names[index])}  {counts[index]:,}" for index in order]
    axes.set_yticks(places, names, fontsize=min(9.0, 700 * height / 12 / len(order)))
    for tick in axes.get_yticklabels():
        tick.set_parse_math(False)  # a $ starts no formula
    axes.set_xlim(0, 1)
    axes.set_ylim(-0.7, len(order) - 0.3)
    axes.set_xlabel("share")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False)
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        with warnings.catch_warnings():
            # A script that the font lacks shows as boxes; the report has the names.
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")
            figure.savefig(unfinished, format="png", dpi=110, bbox_inches="tight", pad_inches=0.2)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def _short(name: Any) -> str:
    words = " ".join(str(name).split())
    return words if len(words) <= 30 else words[:29] + "…"
