"""The command `nlp-rnn compare`: compare runs in MLflow, as text, JSON or an HTML report."""

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nlp_rnn.commands.argument_parser import choice, number, parse_arguments
from nlp_rnn.errors import ConfigError

if TYPE_CHECKING:
    from nlp_rnn.comparison.compared_run import Run
    from nlp_rnn.comparison.records import Comparison

__all__ = ["HELP", "compare"]

HELP = """\
Compare configurations that differ in one thing, with intervals over their seeds and test texts.

  nlp-rnn compare                              the experiment that nlp-rnn train writes to
  nlp-rnn compare --sweep ID --metric macro_f1
  nlp-rnn compare --experiment NAME --by model.pooling --rope 1
  nlp-rnn compare --predictions distilbert=predictions.parquet

  --sweep ID         only the runs of a sweep: its id, or that of its parent run
  --experiment NAME  default MLFLOW_EXPERIMENT_NAME or MLFLOW_EXPERIMENT_ID, else
                     nlp_rnn
  --by KEY           configuration key whose values are compared, default model.cell
  --metric METRIC    accuracy (default) or macro_f1, of the test split; for multi-label data
                     micro_f1 (default), macro_f1 or subset_accuracy
  --rope POINTS      equivalence region: smaller differences do not matter, default 0.5 points
  --latency MS       recommend nothing with a higher latency (p95 of one text)
  --memory MB        recommend nothing that needs more memory
  --predictions NAME=FILE  a model of any library: a label or probabilities for each test text, with
                     the column row (row in the test split) or the texts; several files are seeds
  --output FOLDER    write a report (report.html), its summary, figures and tables there;
                     the report shows twenty of the test texts
  --json             print the numbers as JSON and nothing else

A comparison needs at least two configurations (runs that differ only in the seed) that were trained
on the same data with the same seeds. Start with five seeds each.
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


def compare(arguments: list[str]) -> int:
    """Run the command and return its exit code."""
    parsed = parse_arguments("compare", arguments, OPTIONS, ("--json",), ("--predictions",))
    if parsed.positional:
        raise ConfigError(
            f"compare takes only options, not {parsed.positional[0]!r}.\n"
            "Run nlp-rnn compare --experiment NAME, or nlp-rnn compare --help."
        )
    from nlp_rnn.comparison.rules import METRIC_NAMES, METRICS, Rules

    metric = ""
    if "--metric" in parsed.options:
        metric = choice(parsed, "--metric", tuple(METRIC_NAMES), "")
    rope = number(parsed, "--rope", 0.01, 50, whole=False)
    latency = number(parsed, "--latency", 0, float("inf"), whole=False)
    memory = number(parsed, "--memory", 0, float("inf"), whole=False)
    from nlp_rnn.comparison.compare import compare_runs
    from nlp_rnn.comparison.table import data_sets_table, table
    from nlp_rnn.tracking.uri import resolve_uri

    rules = Rules(
        metric=metric if metric in METRICS["single-label"] else Rules.metric,
        multi_label_metric=metric if metric in METRICS["multi-label"] else Rules.multi_label_metric,
        by=parsed.options.get("--by", "model.cell"),
        rope=0.5 if rope is None else rope,
        latency_limit=latency,
        memory_limit=memory,
    )
    files = {}
    if "--predictions" in parsed.repeated:
        from nlp_rnn.comparison.external_predictions import read_external, split_names

        files = split_names(parsed.repeated["--predictions"])
    uri = resolve_uri(None, Path.cwd())
    runs = _read_runs(uri, parsed.options.get("--experiment"), parsed.options.get("--sweep"))
    if not any(rules.by in run.config or rules.by in run.tags for run in runs):
        keys = sorted({key for run in runs for key in run.config if key.startswith("model.")})
        examples = f"; the runs have {', '.join(keys[:8])}, …" if keys else ""
        raise ConfigError(f"No run has the key {rules.by!r} (--by){examples}.")
    tasks = {"multi-label" if run.is_multi_label else "single-label" for run in runs}
    if metric and not any(metric in METRICS[task] for task in tasks):
        task = tasks.pop()
        raise ConfigError(
            f"{metric} is not a metric of {task} data.\nSet --metric {' or '.join(METRICS[task])}."
        )
    if files:
        runs += read_external(files, runs, uri)
    comparisons = compare_runs(runs, rules, uri)
    pages = _write_reports(comparisons, uri, parsed.options.get("--output"))
    if "--json" in parsed.flags:
        print(json.dumps([_numbers(comparison) for comparison in comparisons], indent=2))
        return 0
    parts = [*(table(comparison) for comparison in comparisons), data_sets_table(comparisons)]
    print("\n\n".join(filter(None, parts)))
    for page in pages:
        print(f"\nreport        {page}")
    return 0


def _read_runs(uri: str, experiment: str | None, sweep: str | None) -> "list[Run]":
    from nlp_rnn.comparison.read import read_runs
    from nlp_rnn.errors import ComparisonError
    from nlp_rnn.tracking.store import experiment_name, prepare_store

    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).exists():
        raise ComparisonError(
            f"There are no runs at {uri}.\n"
            "Set MLFLOW_TRACKING_URI to the store with the runs, such as sqlite:////PATH."
        )
    prepare_store(uri)
    return read_runs(uri, experiment_name(experiment, uri) if sweep is None else experiment, sweep)


def _write_reports(comparisons: Sequence["Comparison"], uri: str, output: str | None) -> list[Path]:
    """Write a report into the folder, or one per data set into folders below it."""
    if output is None:
        return []
    from nlp_rnn.report.report import report_runs

    folder = Path(output).absolute()
    if len(comparisons) == 1:
        return [report_runs(comparisons[0], uri, folder).page]
    pages = []
    for comparison in comparisons:
        name = re.sub(r"[^\w.-]+", "_", f"{comparison.data}-{comparison.digest[:6]}")
        pages.append(report_runs(comparison, uri, folder / name).page)
    return pages


def _numbers(comparison: "Comparison") -> object:
    """A comparison as JSON values, without what the runs logged; NaN and infinity are null."""
    from dataclasses import fields, is_dataclass

    omitted = ("predictions", "config", "resolved", "tags", "metrics")

    def visit(value: object) -> object:
        if is_dataclass(value) and not isinstance(value, type):
            return {
                field.name: visit(getattr(value, field.name))
                for field in fields(value)
                if field.name not in omitted
            }
        if isinstance(value, dict):
            return {str(key): visit(item) for key, item in value.items()}
        if isinstance(value, tuple | list):
            return [visit(item) for item in value]
        if isinstance(value, float) and not math.isfinite(value):
            return None
        return value

    return visit(comparison)
