"""Comparison of runs in MLflow: the function behind `nlp_rnn.compare` and its command."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nlp_rnn.api.comparison import Comparison
from nlp_rnn.comparison.compare import compare_runs
from nlp_rnn.comparison.rules import METRICS, Rules
from nlp_rnn.errors import ComparisonError, ConfigError

if TYPE_CHECKING:
    from nlp_rnn.comparison.compared_run import Run

    PredictionFiles = Mapping[str, "str | os.PathLike[str] | Sequence[str | os.PathLike[str]]"]

__all__ = ["compare"]


def compare(
    experiment: str | None = None,
    *,
    sweep: str | None = None,
    by: str = "model.cell",
    metric: str | None = None,
    rope: float = 0.5,
    latency: float | None = None,
    memory: float | None = None,
    predictions: "PredictionFiles | None" = None,
) -> Comparison:
    """Compare configurations that differ in one thing, as `nlp-rnn compare` does.

    Parameters
    ----------
    experiment : str, optional
        MLflow experiment with the runs; by default the one that `nlp_rnn.train` logs to.
    sweep : str, optional
        Id of a sweep, to compare its runs only.
    by : str, default "model.cell"
        Configuration key whose values are compared.
    metric : str, optional
        Metric of the test split: `accuracy` (default) or `macro_f1`; for multi-label data
        `micro_f1` (default), `macro_f1` or `subset_accuracy`.
    rope : float, default 0.5
        Equivalence region: smaller differences, in points, do not matter.
    latency, memory : float, optional
        Recommend nothing with a higher latency (p95 of one text, milliseconds), or that needs more
        memory (megabytes).
    predictions : mapping of str to path, or to list of paths, optional
        Predictions of models of any library by name, for the same test texts; several files are
        seeds.

    Returns
    -------
    Comparison
        The scores, the differences with their intervals, and the conclusion.

    Raises
    ------
    ComparisonError
        There are no runs, or no two configurations can be compared.
    ConfigError
        The key or the metric does not exist.

    Examples
    --------
    >>> import nlp_rnn
    >>> comparison = nlp_rnn.compare(by="model.cell", rope=1)
    >>> comparison.differences[["first", "second", "outcome"]]
          first     second       outcome
    0  gru h128  lstm h128  inconclusive
    """
    from nlp_rnn.tracking.uri import resolve_uri

    rules = Rules(
        metric=metric if metric in METRICS["single-label"] else Rules.metric,
        multi_label_metric=metric if metric in METRICS["multi-label"] else Rules.multi_label_metric,
        by=by,
        rope=rope,
        latency_limit=latency,
        memory_limit=memory,
    )
    files = {name: _paths(paths) for name, paths in (predictions or {}).items()}
    uri = resolve_uri(None, Path.cwd())
    runs = _read_runs(uri, experiment, sweep)
    if not any(by in run.config or by in run.tags for run in runs):
        keys = sorted({key for run in runs for key in run.config if key.startswith("model.")})
        examples = f"; the runs have {', '.join(keys[:8])}, …" if keys else ""
        raise ConfigError(f"No run has the key {by!r} (--by){examples}.")
    tasks = {"multi-label" if run.is_multi_label else "single-label" for run in runs}
    if metric and not any(metric in METRICS[task] for task in tasks):
        task = tasks.pop()
        raise ConfigError(
            f"{metric} is not a metric of {task} data.\nSet --metric {' or '.join(METRICS[task])}."
        )
    if files:
        from nlp_rnn.comparison.external_predictions import read_external

        runs += read_external(files, runs, uri)
    return Comparison(compare_runs(runs, rules, uri), uri, sweep, None, tuple(runs))


def _paths(paths: "str | os.PathLike[str] | Sequence[str | os.PathLike[str]]") -> list[Path]:
    if isinstance(paths, str | os.PathLike):
        return [Path(paths)]
    return [Path(one) for one in paths]


def _read_runs(uri: str, experiment: str | None, sweep: str | None) -> "list[Run]":
    from nlp_rnn.comparison.read import read_runs
    from nlp_rnn.tracking.store import experiment_name, prepare_store

    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).exists():
        raise ComparisonError(
            f"There are no runs at {uri}.\n"
            "Set MLFLOW_TRACKING_URI to the store with the runs, such as sqlite:////PATH."
        )
    prepare_store(uri)
    return read_runs(uri, experiment_name(experiment, uri) if sweep is None else experiment, sweep)
