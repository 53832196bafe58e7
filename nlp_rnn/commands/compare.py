"""Runs in MLflow become a verdict with its evidence, in the terminal or as JSON."""

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nlp_rnn.commands.argument_parser import choice, number, read_words
from nlp_rnn.errors import ConfigError

if TYPE_CHECKING:
    from nlp_rnn.comparison.records import Comparison

__all__ = ["HELP", "compare"]

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
    from nlp_rnn.comparison.read import read_runs
    from nlp_rnn.comparison.records import Rules
    from nlp_rnn.comparison.table import table
    from nlp_rnn.errors import ComparisonError
    from nlp_rnn.tracking.store import experiment_name, prepare_store
    from nlp_rnn.tracking.uri import resolve_uri

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
    from nlp_rnn.report.report import report_runs

    folder = Path(output).absolute()
    if len(found) == 1:
        return [report_runs(found[0], uri, folder).page]
    folders = [re.sub(r"[^\w.-]+", "_", f"{each.data}-{each.digest[:6]}") for each in found]
    pairs = zip(found, folders, strict=True)
    return [report_runs(each, uri, folder / name).page for each, name in pairs]


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
