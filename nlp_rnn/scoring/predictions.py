"""The answers of a classifier become the files that explain its run: table, report, picture."""

import json
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nlp_rnn.errors import TrackingError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "Predictions",
    "classification_report_text",
    "read_predictions",
    "write_confusion_matrix",
    "write_predictions",
]

LABEL_NAMES = b"label_names"
"""Key of the schema's metadata that holds the classes as a JSON list."""


@dataclass(frozen=True)
class Predictions:
    """What a classifier said about the n texts of a split.

    Attributes:
        rows: int64 (n,), where each text stands in the data that was read.
        labels: int64 (n,), the true class as a position in `label_names`.
        predictions: int64 (n,), the most probable class.
        probabilities: float32 (n, C).
        lengths: int64 (n,), tokens.
        label_names: the C classes.
    """

    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    predictions: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    lengths: NDArray[np.int64]
    label_names: tuple[str, ...]


def write_predictions(
    path: Path,
    rows: ArrayLike,
    labels: ArrayLike,
    probabilities: ArrayLike,
    lengths: ArrayLike,
    label_names: Sequence[str],
) -> None:
    """Write one parquet row per text, all at once or not at all; any parquet reader can open it.

    Columns: `row` int64, `label` and `prediction` string, `length` int64 and `probabilities`, a
    list of C float32 in the order of the classes, which the schema's metadata names.

    Args:
        path: the file; its folder exists.
        rows: integers (n,), where each text stands in the data that was read.
        labels: integers (n,), positions in `label_names`.
        probabilities: floats (n, C).
        lengths: integers (n,), tokens.
        label_names: the C classes.

    Raises:
        ValueError: the shapes do not fit together.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = np.ascontiguousarray(probabilities, dtype=np.float32)
    columns = [np.asarray(column, dtype=np.int64) for column in (rows, labels, lengths)]
    if table.ndim != 2 or table.shape[1] != len(label_names):
        raise ValueError(f"probabilities are {table.shape}, the classes are {len(label_names)}")
    if any(column.shape != table.shape[:1] for column in columns):
        raise ValueError(f"{[column.shape for column in columns]} beside {table.shape}")
    names = np.asarray(label_names, dtype=object)
    offsets = np.arange(len(table) + 1, dtype=np.int32) * table.shape[1]
    row, label, length = columns
    content = pa.table(
        {
            "row": pa.array(row),
            "label": pa.array(names[label], pa.string()),
            "prediction": pa.array(names[table.argmax(axis=1)], pa.string()),
            "length": pa.array(length),
            "probabilities": pa.ListArray.from_arrays(offsets, table.ravel()),
        }
    ).replace_schema_metadata({LABEL_NAMES: json.dumps(list(label_names))})
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        pq.write_table(content, unfinished, compression="zstd")
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def read_predictions(path: Path) -> Predictions:
    """Read what `write_predictions` wrote.

    Raises:
        TrackingError: the file is missing or was not written by `write_predictions`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        content = pq.read_table(path)
        if pa.types.is_list(content.schema.field("label").type):
            raise TrackingError(
                f"{path} has texts with several labels, and this is for one label a text."
            )
        label_names = tuple(json.loads(content.schema.metadata[LABEL_NAMES]))
        position = {name: index for index, name in enumerate(label_names)}
        probabilities = content["probabilities"].combine_chunks().values.to_numpy()
        return Predictions(
            rows=content["row"].to_numpy(),
            labels=_positions(content["label"], position),
            predictions=_positions(content["prediction"], position),
            probabilities=probabilities.reshape(-1, len(label_names)),
            lengths=content["length"].to_numpy(),
            label_names=label_names,
        )
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise TrackingError(f"{path} is no table of predictions of a run ({error})") from error


def classification_report_text(
    labels: ArrayLike, predictions: ArrayLike, label_names: Sequence[str]
) -> str:
    """Return precision, recall, F1 and count of every class, and their averages, as aligned text.

    Both arguments are integers (n,), positions in `label_names`. What is undefined counts as 0.
    """
    from sklearn.metrics import classification_report

    report: str = classification_report(
        np.asarray(labels),
        np.asarray(predictions),
        labels=range(len(label_names)),
        target_names=list(label_names),
        digits=4,
        zero_division=0,
    )
    return report


def write_confusion_matrix(
    path: Path, labels: ArrayLike, predictions: ArrayLike, label_names: Sequence[str]
) -> None:
    """Draw how often each class (a row) was taken for each class (a column) as a PNG.

    Both arguments are integers (n,), positions in `label_names`. Colour is the share of the row,
    text the count. With more than 40 classes no count would be readable: the most frequent
    confusions are listed beside the picture instead.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import PowerNorm
    from matplotlib.figure import Figure

    size = len(label_names)
    pairs = np.asarray(labels, dtype=np.int64) * size + np.asarray(predictions, dtype=np.int64)
    counts = np.bincount(pairs, minlength=size * size).reshape(size, size)
    names = [_label(name) for name in label_names]
    crowded = size > 40
    # Inches and points, found by looking at 2, 6, 20, 40, 77 and 151 classes.
    cell = 1.6 if size <= 2 else 0.95 if size <= 10 else 0.42 if size <= 40 else 0.17
    cell = min(cell, 18 / size)
    font = 10 if size <= 10 else 9 if size <= 40 else min(8, 60 * cell)

    # A figure of its own instead of pyplot, which keeps global state and may want a display.
    figure = Figure(figsize=(cell * size, cell * size))
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    # The square root, or the confusions, which are what one looks for, would all be white.
    image = axes.imshow(shares, cmap="Blues", norm=PowerNorm(0.5, vmin=0, vmax=1))
    # Names are shown as they are: a $ starts no formula.
    axes.set_xticks(range(size), names, fontsize=font, parse_math=False)
    axes.set_yticks(range(size), names, fontsize=font, parse_math=False)
    fits = max(map(len, names)) * 0.65 * font < cell * 72
    axes.tick_params(axis="x", labelrotation=0 if fits else 90)
    axes.set_xlabel("predicted", fontsize=11)
    axes.set_ylabel("true", fontsize=11)
    right, total = int(np.trace(counts)), int(counts.sum())
    title = f"{right:,} of {total:,} right ({right / max(total, 1):.1%})"
    axes.set_title(title, fontsize=12, pad=10)
    if crowded:
        _list_confusions(axes, counts, names)
    else:
        _write_counts(axes, counts, shares)
        beside = figure.add_axes((1.03, 0.2, 0.15 / (cell * size), 0.6))
        scale = figure.colorbar(image, cax=beside, ticks=[0, 0.05, 0.2, 0.5, 1])
        scale.ax.set_yticklabels(["0%", "5%", "20%", "50%", "100%"], fontsize=9)
        scale.set_label("share of the true class", fontsize=9)

    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        with warnings.catch_warnings():
            # A script that the font lacks shows as boxes; the report has the names.
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")
            figure.set_dpi(110)
            # bbox_inches="tight" would draw everything twice, to find the same edges
            renderer = canvas.get_renderer()  # type: ignore[no-untyped-call]
            drawn = figure.get_tightbbox(renderer).padded(0.2)
            figure.savefig(unfinished, format="png", dpi=110, bbox_inches=drawn)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def _write_counts(axes: "Axes", counts: NDArray[Any], shares: NDArray[Any]) -> None:
    roomy = len(counts) <= 10
    for true, predicted in zip(*np.nonzero(counts), strict=True):
        count, share = counts[true, predicted], shares[true, predicted]
        axes.text(
            predicted,
            true,
            f"{count:,}\n{share:.0%}" if roomy else str(count),
            ha="center",
            va="center",
            fontsize=10 if roomy else 7,
            color="white" if share > 0.3 else "black",
        )


def _list_confusions(axes: "Axes", counts: NDArray[Any], names: Sequence[str]) -> None:
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:40]
    order = order[wrong.ravel()[order] > 0]
    lines = [
        "colour: share of the true class",
        "",
        "most frequent confusions, true → predicted",
        "",
    ]
    for true, predicted in zip(*np.unravel_index(order, wrong.shape), strict=True):
        lines.append(
            f"{wrong[true, predicted]:>5,} of {counts[true].sum():<6,} "
            f"{names[true]} → {names[predicted]}"
        )
    axes.annotate(
        "\n".join(lines),
        xy=(1, 1),
        xycoords="axes fraction",
        xytext=(25, 0),
        textcoords="offset points",
        va="top",
        fontsize=10,
        family="monospace",
        parse_math=False,
    )


def _label(name: str) -> str:
    words = " ".join(name.split())
    return words if len(words) <= 30 else words[:29] + "…"


def _positions(column: Any, position: dict[str, int]) -> NDArray[np.int64]:
    return np.asarray([position[name] for name in column.to_pylist()], dtype=np.int64)
