"""Runs in MLflow become a verdict with its evidence, in the terminal or as JSON."""

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nlp_rnn.commands.words import choice, number, read_words
from nlp_rnn.errors import ConfigError

if TYPE_CHECKING:
    from nlp_rnn.comparison.evidence import Comparison, Group

__all__ = ["HELP", "compare", "table"]

HELP = """\
Compare runs that differ in one thing, with the certainty that their seeds and test texts carry.

  nlp-rnn compare                              the experiment that nlp-rnn train writes to
  nlp-rnn compare --sweep ID --metric macro_f1
  nlp-rnn compare --experiment NAME --by model.pooling --rope 1

  --sweep ID         only the runs of a sweep: its id, or that of its parent run
  --experiment NAME  default MLFLOW_EXPERIMENT_NAME, else nlp_rnn
  --by KEY           the configuration key whose values are compared, default model.cell
  --metric METRIC    accuracy (default) or macro_f1, of the test split
  --rope POINTS      what counts as no difference, default 0.5 percentage points
  --latency MS       recommend nothing that takes longer for one text (95 %)
  --memory MB        recommend nothing that takes more
  --output FOLDER    write a page (report.html), its summary, pictures and tables there;
                     the page shows twenty of the test texts
  --json             print the numbers as JSON and nothing else

It takes at least two groups of runs on the same data and seeds; five seeds are a good beginning.
"""

OPTIONS = (
    "--sweep",
    "--experiment",
    "--by",
    "--metric",
    "--rope",
    "--latency",
    "--memory",
    "--output",
)


def compare(words: list[str]) -> int:
    """Run the command."""
    given = read_words("compare", words, OPTIONS, ("--json",))
    if given.arguments:
        raise ConfigError(
            f"compare takes options only, not {given.arguments[0]!r}.\n"
            "Type nlp-rnn compare --experiment NAME, or nlp-rnn compare --help."
        )
    metric = choice(given, "--metric", ("accuracy", "macro_f1"), "accuracy")
    rope = number(given, "--rope", 0.01, 50, whole=False)
    latency = number(given, "--latency", 0, float("inf"), whole=False)
    memory = number(given, "--memory", 0, float("inf"), whole=False)
    from nlp_rnn.comparison.compare import compare_runs
    from nlp_rnn.comparison.evidence import Rules
    from nlp_rnn.comparison.runs import read_runs
    from nlp_rnn.errors import ComparisonError
    from nlp_rnn.tracking.store import experiment_name, prepare_store, resolve_uri

    rules = Rules(
        metric=metric,
        by=given.options.get("--by", "model.cell"),
        rope=0.5 if rope is None else rope,
        latency_limit=latency,
        memory_limit=memory,
    )
    uri = resolve_uri(None, Path.cwd())
    file = Path(uri.removeprefix("sqlite:///"))
    if uri.startswith("sqlite:///") and not file.exists():
        raise ComparisonError(
            f"There are no runs at {uri}.\nSay where they are: MLFLOW_TRACKING_URI=sqlite:////PATH"
        )
    prepare_store(uri)
    sweep, experiment = given.options.get("--sweep"), given.options.get("--experiment")
    if sweep is None:
        experiment = experiment_name(experiment)
    runs = read_runs(uri, experiment, sweep)
    if not any(rules.by in run.config or rules.by in run.tags for run in runs):
        keys = sorted({key for run in runs for key in run.config if key.startswith("model.")})
        some = f"; there are {', '.join(keys[:8])}, …" if keys else ""
        raise ConfigError(f"No run has the key {rules.by!r} (--by){some}.")
    found = compare_runs(runs, rules, uri)
    pages = _write_reports(found, uri, given.options.get("--output"))
    if "--json" in given.flags:
        print(json.dumps([_plain(each) for each in found], indent=2))
        return 0
    print("\n\n".join(table(each) for each in found))
    for page in pages:
        print(f"\nreport        {page}")
    return 0


def _write_reports(found: Sequence["Comparison"], uri: str, output: str | None) -> list[Path]:
    """Write a report into the folder, or one into a folder of its own for each data set."""
    if output is None:
        return []
    from nlp_rnn.comparison.report import report_runs

    folder = Path(output).absolute()
    if len(found) == 1:
        return [report_runs(found[0], uri, folder).page]
    folders = [re.sub(r"[^\w.-]+", "_", f"{each.data}-{each.digest[:6]}") for each in found]
    pairs = zip(found, folders, strict=True)
    return [report_runs(each, uri, folder / name).page for each, name in pairs]


def table(found: "Comparison") -> str:
    """A comparison as text for a terminal: verdict, table with the controls first, the rest."""
    rules = found.rules
    texts = found.differences[0].texts
    lines = [
        f"{found.data}: test {rules.metric} in percent, {texts:,} texts",
        "",
        found.verdict,
        "",
    ]
    heads = ["", "seeds", "mean", "95 % interval", "sd", "recurrent", "train s", "p95 ms"]
    rows = [heads] + [_row(group, found.same_machine) for group in (*found.controls, *found.groups)]
    lines += _aligned(rows)
    pairs = [
        ["first − second", "points", "interval", "p boot", "McNemar", "Wilcoxon", "d_z", "ASO"]
    ]
    for each in found.differences:
        seen, p = each.interval, each.adjusted
        pairs.append(
            [
                f"{each.first} − {each.second} (same {', '.join(each.matching)})",
                f"{seen.mean:+.2f}",
                f"{seen.low:+.2f} to {seen.high:+.2f}",
                *(_figure(p[test], ".3f") for test in ("bootstrap", "mcnemar", "wilcoxon")),
                _figure(each.effect, "+.1f"),
                _figure(each.aso, ".2f"),
            ]
        )
    lines += ["", *_aligned(pairs)]
    lines += [f"  {each.first} − {each.second}: {each.outcome}" for each in found.differences[1:]]
    lines += ["", "Recommended"]
    for said in found.recommendations:
        lines += [f"  {said.use}: {said.choice or 'undecided'}. {said.reason}"]
        lines += [f"      {said.evidence}"]
    refused = [f"{each.first} and {each.second}: {each.reason}." for each in found.refusals]
    for title, told in (
        ("What turns", found.flips),
        ("Undecided", found.undecided),
        ("Not compared", tuple(refused[:5])),
        ("To know", found.notes),
        ("Measured", found.measured),
    ):
        if told:
            lines += ["", title, *(f"  {each}" for each in told)]
    if len(refused) > 5:
        lines.append(f"  … and {len(refused) - 5:,} more pairs not compared")
    return "\n".join(lines)


def _row(group: "Group", timed: bool) -> list[str]:
    means, score = group.means, group.score
    latency = means.get("latency/onnx_batch1_p95_ms", math.nan) if timed else math.nan
    seconds = means.get("train/seconds", math.nan) if timed else math.nan
    return [
        f"{group.name} (control)" if group.control else group.name,
        str(len(group.runs)) if group.runs else "–",
        f"{score.mean:.2f}",
        f"{score.low:.2f} to {score.high:.2f}",
        _figure(group.sd, ".2f"),
        _figure(means.get("parameters/recurrent", math.nan), ",.0f"),
        _figure(seconds, ",.0f"),
        _figure(latency, ".2f"),
    ]


def _figure(value: float, form: str) -> str:
    return "–" if math.isnan(value) else format(value, form)


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(cell.rjust(wide) for cell, wide in zip(row[1:], widths[1:], strict=True)),
            ]
        ).rstrip()
        for row in rows
    ]


def _plain(found: "Comparison") -> object:
    """The numbers of a comparison without the runs' answers; NaN is null."""
    from dataclasses import fields, is_dataclass

    def visit(value: object) -> object:
        if is_dataclass(value) and not isinstance(value, type):
            return {
                f.name: visit(getattr(value, f.name))
                for f in fields(value)
                if f.name not in ("predictions", "config", "tags", "metrics")
            }
        if isinstance(value, dict):
            return {str(key): visit(each) for key, each in value.items()}
        if isinstance(value, tuple | list):
            return [visit(each) for each in value]
        if isinstance(value, float) and not math.isfinite(value):
            return None
        return value

    return visit(found)
