"""Rows of scripts/results become its table in Markdown, with published scores beside them."""

import json
import shlex
from pathlib import Path
from typing import Any

CELLS = ("lstm", "gru")
BASELINES = ("majority", "linear", "average")
REFERENCES = Path(__file__).with_name("references.json")


def markdown(rows: list[dict[str, Any]], coming: list[str], skipped: list[str]) -> str:
    """The table, and what is to be known of it."""
    published = json.loads(REFERENCES.read_text(encoding="utf-8"))
    both = "Bi" if all(row.get("bidirectional", True) for row in rows) else ""
    cells = [f"{both}{cell.upper()}" for cell in CELLS]
    heads = ["set", "test texts", *BASELINES, *cells, "seeds", "parameters, M", "training, min"]
    heads += ["latency (one text, ms)", "published"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    done = [row for row in rows if "cells" in row]
    for row in done:
        found = [row["cells"].get(cell) for cell in CELLS]
        seeds = {len(each["scores"]) if each else 0 for each in found}
        mark = "" if row["metric"] == "test/accuracy" else " (micro-F1)"
        values = [row["set"] + mark, f"{row['test_texts']:,}"]
        values += [_figure(row["baselines"].get(name), ".1f") for name in BASELINES]
        values += [_score(each) for each in found]
        values.append(" / ".join(map(str, sorted(seeds))))
        for name, form, factor in (
            ("parameters", ".2f", 1e-6),
            ("minutes", ".1f", 1),
            ("latency_ms", ".2f", 1),
        ):
            two = [_figure(each and each[name], form, factor) for each in found]
            values.append(" / ".join(two))
        values.append("; ".join(map(_reference, published.get(row["set"], []))) or "–")
        lines.append(f"| {' | '.join(values)} |")
    machines = sorted(
        {m for row in done for cell in row["cells"].values() for m in cell["machines"]}
    )
    recipe = shlex.join(rows[0]["recipe"]) if rows and rows[0]["recipe"] else "the defaults"
    lines += [
        "",
        f"Test accuracy in percent (micro-F1 where texts have several labels), mean ± sd over the "
        f"seeds, the same recipe for every set: {recipe}. The test split was read once by each "
        "finished run, and nothing was chosen on it. Baselines: the majority class; TF-IDF with a "
        "linear SVM; the network without its recurrence (one seed). "
        f"{' / '.join(cells)} in this order where a cell holds two; latency: median, one test "
        f"text, onnxruntime, one thread. Times: {'; '.join(machines) or 'none yet'}.",
        "",
        "Published: not measured here, with other splits, tokens and tuning, so a yardstick and "
        "no comparison. ° outside text, vectors or a pretrained model; ? as remembered, not "
        "looked up again.",
    ]
    for title, some in (
        ("Not complete", [f"{row['set']}: {row['failed']}" for row in rows if "failed" in row]),
        ("Left out", skipped),
        ("Still to come", [", ".join(coming)] if coming else []),
    ):
        lines += ["", *(f"{title}: {line}" for line in some)] if some else []
    return "\n".join(lines)


def _score(cell: dict[str, Any] | None) -> str:
    if cell is None:
        return "–"
    return f"{cell['mean']:.1f}" + (f" ± {cell['sd']:.1f}" if cell["sd"] is not None else "")


def _figure(value: float | None, form: str, factor: float = 1) -> str:
    return "–" if value is None else format(factor * value, form)


def _reference(each: dict[str, Any]) -> str:
    marks = "°" * each["outside"] + "?" * (not each["checked"])
    return f"{each['score']}{marks} {each['what']} ({each['source']})"
