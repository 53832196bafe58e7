"""Table and figure of scripts/learning_curves: accuracy of models by the rows of training."""

import base64
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.comparison.statistics import holm

COLUMNS = {
    "linear": "linear",
    "ngrams": "n-grams",
    "average": "average",
    "lstm": "LSTM",
    "gru": "GRU",
    "lstm_ensemble": "LSTM ensemble",
    "gru_ensemble": "GRU ensemble",
    "teacher": "teacher",
}
"""Headings of the columns, by the names of `points`; those of students begin with them."""

Points = dict[tuple[str, int | None, str], list[float]]


def points(scores: Sequence[dict[str, Any]]) -> Points:
    """Return the accuracies of the samples in percent, by set, size (None: all) and column.

    A classifier that is an ensemble of a network and n-gram models gives a value to two columns,
    and a student gives another one to the column of its teacher.
    """
    values: Points = {}
    for score in scores:
        model, key = score["model"], (score["set"], score["rows"])
        student = f", {score['teacher']}" if score.get("teacher") else ""
        network = score.get("network_accuracy")
        columns = {model: score["accuracy"] if network is None else network}
        if network is not None:
            columns[f"{model}_ensemble"] = score["accuracy"]
        if "teacher_accuracy" in score:
            columns["teacher"] = score["teacher_accuracy"]
        for column, accuracy in columns.items():
            if column in COLUMNS:
                values.setdefault((*key, column + student), []).append(100 * accuracy)
    return values


def headings(values: Points) -> dict[str, str]:
    """Return the headings of the columns that have values, those without a teacher first."""
    names = list(dict.fromkeys(column for _, _, column in values))
    split = {name: name.partition(", ") for name in names}
    teachers = list(dict.fromkeys(split[name][2] for name in names))
    order = sorted(
        names, key=lambda n: (teachers.index(split[n][2]), list(COLUMNS).index(split[n][0]))
    )
    return {
        name: COLUMNS[split[name][0]] + (f", {split[name][2]}" if split[name][2] else "")
        for name in order
    }


def markdown(
    scores: Sequence[dict[str, Any]],
    validation: bool,
    command: str,
    failures: Sequence[str],
    skipped: Sequence[str],
) -> str:
    """Return the table as Markdown, and below it what it shows and what it lacks.

    Parameters
    ----------
    scores
        The cells with their scores, as scripts/learning_curves stores them, in the order of the
        table.
    validation
        Whether the scores are those of held-out training rows.
    command
        The command that made the table.
    failures, skipped
        Lines about trainings that failed, and about sets that cannot be used.
    """
    values = points(scores)
    columns = headings(values)
    sizes = list(dict.fromkeys(score["rows"] for score in scores))
    lines = [f"| rows | set | {' | '.join(columns.values())} |"]
    lines.append("|---" * (2 + len(columns)) + "|")
    for size in sizes:
        sets = list(dict.fromkeys(score["set"] for score in scores if score["rows"] == size))
        label = "all" if size is None else f"{size:,}"
        for name in sets:
            row = [_mean_and_deviation(values.get((name, size, column))) for column in columns]
            lines.append(f"| {label} | {name} | {' | '.join(row)} |")
        complete = [n for n in sets if all((n, size, column) in values for column in columns)]
        means = [_mean([values[n, size, column] for n in complete]) for column in columns]
        if len(complete) > 1:
            lines.append(
                f"| **{label}** | **mean of {len(complete)} sets** | {' | '.join(means)} |"
            )
    lines += ["", *_differences(scores, sizes, validation)]
    split = "held-out rows of the training split" if validation else "the test split"
    lines += [
        "",
        f"Accuracy on {split} in percent; mean ± standard deviation where there are several "
        "samples of rows. *Linear*: TF-IDF of words and pairs of words with a linear SVM. "
        "*Average*: the network without recurrence. LSTM and GRU are the networks alone. "
        "Differences are those of the saved classifiers in points, the mean over the sets. Sets "
        "count as better or worse if the difference of the paired texts is significant (z-test, "
        "5 %, corrected for the number of sets by Holm's method). The test does not cover the "
        "choice of the rows.",
        "",
        f"    {command}",
    ]
    for title, entries in (("Failed", failures), ("Left out", skipped)):
        lines += ["", *(f"{title}: {entry}" for entry in entries)] if entries else []
    return "\n".join(lines)


def packed(correct: NDArray[np.bool_]) -> str:
    """Return whether each text is labelled correctly as text, eight texts per byte."""
    length = len(correct).to_bytes(4, "big")
    return base64.b64encode(length + np.packbits(correct).tobytes()).decode()


def unpacked(text: str) -> NDArray[np.bool_]:
    """Return the array that `packed` was called with."""
    data = base64.b64decode(text)
    bits = np.unpackbits(np.frombuffer(data[4:], np.uint8))
    return bits[: int.from_bytes(data[:4], "big")].astype(bool)


def _differences(
    scores: Sequence[dict[str, Any]], sizes: Sequence[int | None], validation: bool
) -> list[str]:
    """Return the table of differences between the saved classifiers and the linear models."""
    correct: dict[tuple[int | None, str], dict[str, dict[int, NDArray[np.bool_]]]] = {}
    for score in scores:
        if "correct" in score:
            student = f", {score['teacher']}" if score.get("teacher") else ""
            by_set = correct.setdefault((score["rows"], score["model"] + student), {})
            by_set.setdefault(score["set"], {})[score["sample"]] = unpacked(score["correct"])
    lines = []
    models = sorted(
        dict.fromkeys(model for _, model in correct if model != "linear"),
        key=lambda model: list(COLUMNS).index(model.partition(", ")[0]),
    )
    for reference in ("linear", "ngrams", ""):
        for size in sizes:
            for model in models:
                alone = model.partition(", ")[0]
                other = reference or alone
                if model == other or (not reference and model == alone):
                    continue
                first, second = correct.get((size, model), {}), correct.get((size, other), {})
                results = {
                    name: result
                    for name in first
                    if (result := _paired(first[name], second.get(name, {}), validation))
                }
                if not results:
                    continue
                adjusted = holm({name: p for name, (_, p) in results.items()})
                sure = {n: d for n, (d, _) in results.items() if adjusted[n] < 0.05}
                lowest = min(results, key=lambda name: results[name][0])
                cells = (
                    "all" if size is None else f"{size:,}",
                    f"{model} − {other}",
                    f"{statistics.mean(d for d, _ in results.values()):+.1f}",
                    f"{len(results)}",
                    ", ".join(f"{n} {d:+.1f}" for n, d in sure.items() if d > 0) or "–",
                    ", ".join(f"{n} {d:+.1f}" for n, d in sure.items() if d < 0) or "–",
                    f"{lowest} {results[lowest][0]:+.1f}",
                )
                lines.append(f"| {' | '.join(cells)} |")
    heads = ("rows", "models", "difference", "sets", "better on", "worse on", "lowest")
    return [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|", *lines] if lines else []


def _paired(
    first: dict[int, NDArray[np.bool_]], second: dict[int, NDArray[np.bool_]], validation: bool
) -> tuple[float, float] | None:
    """Return the difference of two models on a set in points, and its two-sided p-value.

    The samples of rows have the same test texts, so each text counts once with its mean. Held-out
    rows differ by sample.
    """
    samples = [sample for sample in first if sample in second]
    if not samples:
        return None
    each = [first[sample].astype(float) - second[sample] for sample in samples]
    differences = np.concatenate(each) if validation else np.mean(each, axis=0)
    mean, texts = float(differences.mean()), len(differences)
    error = float(differences.std()) / math.sqrt(texts)
    return 100 * mean, math.erfc(abs(mean) / error / math.sqrt(2)) if error else 1.0


def _mean(samples: Sequence[Sequence[float]]) -> str:
    return f"**{statistics.mean(map(statistics.mean, samples)):.1f}**" if samples else "–"


def _mean_and_deviation(sample: Sequence[float] | None) -> str:
    if not sample:
        return "–"
    deviation = f" ± {statistics.stdev(sample):.1f}" if len(sample) > 1 else ""
    return f"{statistics.mean(sample):.1f}{deviation}"


def draw(scores: Sequence[dict[str, Any]], validation: bool, path: Path) -> None:
    """Draw the accuracy against the number of rows, one panel per set, as a PNG.

    The lines are means over the samples of rows, and the bars span the samples. The size of all
    rows is drawn at the number of rows of the training split.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    values = points(scores)
    titles = COLUMNS | headings(values)
    sets = list(dict.fromkeys(score["set"] for score in scores))
    if not sets:
        return
    rows_of = {(s["set"], s["rows"]): s["train_rows"] for s in scores}
    wide = min(4, len(sets))
    high = -(-len(sets) // wide)
    figure = Figure(figsize=(3.4 * wide, 2.8 * high + 0.5), layout="constrained")
    axes = figure.subplots(high, wide, squeeze=False).ravel()
    handles: dict[str, Any] = {}
    for axis, name in zip(axes, sets, strict=False):
        for number, (column, title) in enumerate(titles.items()):
            curve = sorted(
                (rows_of[name, size], sample)
                for (data, size, of), sample in values.items()
                if (data, of) == (name, column)
            )
            if not curve:
                continue
            means = [statistics.mean(sample) for _, sample in curve]
            span = [
                [mean - min(sample) for mean, (_, sample) in zip(means, curve, strict=True)],
                [max(sample) - mean for mean, (_, sample) in zip(means, curve, strict=True)],
            ]
            handles[title] = axis.errorbar(
                [rows for rows, _ in curve],
                means,
                yerr=span,
                color=f"C{number}",
                linestyle="--" if column in ("linear", "ngrams", "average") else "-",
                marker=".",
                linewidth=1.2,
                capsize=2,
            )
        axis.set_xscale("log")
        ticks = sorted({rows for (data, _), rows in rows_of.items() if data == name})
        axis.set_xticks(ticks, [f"{rows:,}" for rows in ticks], rotation=30)
        axis.minorticks_off()
        axis.set_title(name)
        axis.grid(alpha=0.3)
    for axis in axes[len(sets) :]:
        axis.set_axis_off()
    split = "held-out" if validation else "test"
    figure.supxlabel("training rows")
    figure.supylabel(f"{split} accuracy, %")
    figure.legend(list(handles.values()), list(handles), loc="outside upper center", ncols=4)
    FigureCanvasAgg(figure).print_png(path)
