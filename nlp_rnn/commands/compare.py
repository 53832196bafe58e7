"""The command `nlp-rnn compare`: compare runs in MLflow, as text, JSON or an HTML report."""

import json
import math
from typing import TYPE_CHECKING

from nlp_rnn.commands.argument_parser import choice, number, parse_arguments
from nlp_rnn.errors import ConfigError

if TYPE_CHECKING:
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
    from nlp_rnn.comparison.rules import METRIC_NAMES

    metric = None
    if "--metric" in parsed.options:
        metric = choice(parsed, "--metric", tuple(METRIC_NAMES), "")
    rope = number(parsed, "--rope", 0.01, 50, whole=False)
    latency = number(parsed, "--latency", 0, float("inf"), whole=False)
    memory = number(parsed, "--memory", 0, float("inf"), whole=False)
    files = {}
    if "--predictions" in parsed.repeated:
        from nlp_rnn.comparison.external_predictions import split_names

        files = split_names(parsed.repeated["--predictions"])
    from nlp_rnn.api.compare import compare as compare_experiment

    comparison = compare_experiment(
        parsed.options.get("--experiment"),
        sweep=parsed.options.get("--sweep"),
        by=parsed.options.get("--by", "model.cell"),
        metric=metric,
        rope=0.5 if rope is None else rope,
        latency=latency,
        memory=memory,
        predictions=files,
    )
    output = parsed.options.get("--output")
    pages = [] if output is None else comparison.report(output)
    if "--json" in parsed.flags:
        print(json.dumps([_numbers(result) for result in comparison.results], indent=2))
        return 0
    print(comparison)
    for page in pages:
        print(f"\nreport        {page}")
    return 0


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
