"""Table of scripts/results in Markdown, with published scores for comparison."""

import json
import shlex
from pathlib import Path
from typing import Any

CELLS = ("lstm", "gru")
BASELINES = ("majority", "linear", "ngrams", "average")
REFERENCES = Path(__file__).with_name("references.json")


def markdown(rows: list[dict[str, Any]], pending: list[str], skipped: list[str]) -> str:
    """Return the table, and below it what its columns mean and which data sets it lacks.

    Parameters
    ----------
    rows
        One row per data set, as `make_row` in scripts/results returns it.
    pending
        Names of the data sets that are still to be trained.
    skipped
        A line for each data set that is left out, with the reason.
    """
    published = json.loads(REFERENCES.read_text(encoding="utf-8"))
    prefix = "Bi" if all(row.get("bidirectional", True) for row in rows) else ""
    cells = [f"{prefix}{cell.upper()}" for cell in CELLS]
    heads = ["set", "test texts", *BASELINES, *cells, "seeds", "parameters, M", "training, min"]
    heads += ["latency (one text, ms)", "published"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    done = [row for row in rows if "cells" in row]
    for row in done:
        results = [row["cells"].get(cell) for cell in CELLS]
        seeds = {len(result["scores"]) if result else 0 for result in results}
        mark = "" if row["metric"] == "test/accuracy" else " (micro-F1)"
        values = [row["set"] + mark, f"{row['test_texts']:,}"]
        values += [_figure(row["baselines"].get(name), ".1f") for name in BASELINES]
        values += [_score(result) for result in results]
        values.append(" / ".join(map(str, sorted(seeds))))
        for name, form, factor in (
            ("parameters", ".2f", 1e-6),
            ("minutes", ".1f", 1),
            ("latency_ms", ".2f", 1),
        ):
            figures = [_figure(result and result[name], form, factor) for result in results]
            values.append(" / ".join(figures))
        values.append("; ".join(map(_reference, published.get(row["set"], []))) or "–")
        lines.append(f"| {' | '.join(values)} |")
    machines = sorted(
        {m for row in done for cell in row["cells"].values() for m in cell["machines"]}
    )
    recipe = shlex.join(rows[0]["recipe"]) if rows and rows[0]["recipe"] else "the defaults"
    lines += [
        "",
        "Test accuracy in percent (micro-F1 for multi-label data sets), mean ± standard deviation "
        f"over the seeds. Recipe of every data set: {recipe}. Each finished run was evaluated "
        "once on the test split, and nothing was selected by its scores. Baselines: the majority "
        "class; TF-IDF with a linear SVM; n-gram models; the network without recurrence (one "
        f"seed). Two values in a cell are those of {' / '.join(cells)}. Latency: median of one "
        "test text, onnxruntime, one thread. "
        f"Times were measured on: {'; '.join(machines) or 'no machine yet'}.",
        "",
        "Published scores were not measured here. They use other splits, tokens and tuning, so "
        "they are only a rough guide. ° Uses other texts, word vectors or a pretrained model. "
        "? Quoted from memory, not verified.",
    ]
    for title, entries in (
        ("Not complete", [f"{row['set']}: {row['failed']}" for row in rows if "failed" in row]),
        ("Left out", skipped),
        ("Still to come", [", ".join(pending)] if pending else []),
    ):
        lines += ["", *(f"{title}: {entry}" for entry in entries)] if entries else []
    return "\n".join(lines)


def _score(cell: dict[str, Any] | None) -> str:
    if cell is None:
        return "–"
    return f"{cell['mean']:.1f}" + (f" ± {cell['sd']:.1f}" if cell["sd"] is not None else "")


def _figure(value: float | None, form: str, factor: float = 1) -> str:
    return "–" if value is None else format(factor * value, form)


def _reference(entry: dict[str, Any]) -> str:
    marks = "°" * entry["outside"] + "?" * (not entry["checked"])
    return f"{entry['score']}{marks} {entry['what']} ({entry['source']})"
