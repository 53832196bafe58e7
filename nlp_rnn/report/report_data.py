"""Load what a report shows beyond the comparison: curves, test texts, memory horizons, probes."""

import json
import math
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.classifier.manifest import is_classifier
from nlp_rnn.classifier.risk_coverage import RISK_COVERAGE
from nlp_rnn.comparison.compared_run import Run
from nlp_rnn.comparison.probes import ProbeCurve, probe_curves
from nlp_rnn.comparison.read import read_test_texts
from nlp_rnn.comparison.records import Comparison
from nlp_rnn.errors import ComparisonError, NlpRnnError, TrackingError
from nlp_rnn.inspection.memory_horizon import MemoryHorizon, measure_memory_horizon
from nlp_rnn.report.context import RiskRow, TrainingCurve
from nlp_rnn.tracking.environment import quiet_mlflow
from nlp_rnn.tracking.store import tracking_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = [
    "read_curves",
    "read_memory_horizons",
    "read_probes",
    "read_risk_coverage",
    "read_teachers",
    "read_texts",
]

TEACHER = "teacher.json"

MAX_SEEDS = 3
"""Number of runs of a configuration whose memory horizon is measured."""

ARCHITECTURE = ("cell", "hidden_size", "num_layers", "bidirectional", "pooling")
"""Keys of the model that a run on a probe must share with a configuration."""

MAX_TEXTS, MAX_TOKENS = 1000, 100_000
"""Limits of the test texts for which the memory horizon is measured."""


def read_curves(comparison: Comparison, uri: str) -> dict[str, TrainingCurve]:
    """Return the learning curves of all runs of the configurations by run id.

    Runs without a history are missing, for example those of an old version.

    Raises
    ------
    TrackingError
        MLflow does not respond.
    """
    quiet_mlflow()
    from mlflow import MlflowClient

    curves = {}
    name = f"validation/{comparison.rules.metric}"
    with tracking_errors(uri):
        client = MlflowClient(tracking_uri=uri)
        for configuration in comparison.configurations:
            for run in configuration.runs:
                if run.is_external:
                    continue
                history = client.get_metric_history(run.run_id, name)
                curve = _curve(run, {m.step: (m.timestamp, m.value) for m in history})
                if curve is not None:
                    curves[run.run_id] = curve
    return curves


def _curve(run: Run, history: Mapping[int, tuple[int, float]]) -> TrainingCurve | None:
    """Make a curve from the (timestamp, value) of the epochs; the step of the first epoch is 1.

    Steps after the last epoch hold the score of the finished classifier. All epochs have the same
    number of updates; the time of an epoch is the time at which its score was logged.
    """
    epochs = int(run.metrics.get("train/epochs", 0))
    steps = [step for step in sorted(history) if 1 <= step <= epochs]
    updates, seconds = run.metrics.get("train/updates"), run.metrics.get("train/seconds")
    if not steps or updates is None or seconds is None or not math.isfinite(seconds):
        return None
    end = history[steps[-1]][0]
    return TrainingCurve(
        tuple(updates * step / epochs for step in steps),
        tuple(max(seconds - (end - history[step][0]) / 1000, 0.0) for step in steps),
        tuple(100 * history[step][1] for step in steps),
    )


def read_texts(comparison: Comparison, uri: str) -> tuple[dict[int, str] | None, str]:
    """Return the test texts by row, or None and the reason why they are not available.

    The data is loaded with the configuration of a run and must have the digest of the comparison.
    Nothing is downloaded from a hub. Missing data does not raise an error.
    """
    run = next(
        (run for c in comparison.configurations for run in c.runs if not run.is_external), None
    )
    if run is None:
        return None, "no run records where the data is."
    corpus, _, why_not = read_test_texts(run, uri)
    if corpus is None:
        return None, why_not
    return dict(zip(corpus.test["row"], corpus.test["text"], strict=True)), ""


def read_memory_horizons(
    comparison: Comparison, uri: str, texts: Mapping[int, str]
) -> dict[str, MemoryHorizon]:
    """Measure the memory horizon of up to `MAX_SEEDS` runs of each configuration, by run id.

    All use the same evenly spaced test texts. Runs without predictions or without a classifier
    are missing, and baselines and multi-label runs are not measured.
    """
    horizons = {}
    for configuration in comparison.configurations:
        for run in configuration.runs[:MAX_SEEDS]:
            if run.predictions is None or run.is_multi_label or run.is_external:
                continue
            if run.cell == "average":
                continue
            predictions = run.predictions
            known = [i for i, row in enumerate(predictions.rows.tolist()) if row in texts]
            if not known:
                continue
            mean_length = max(float(predictions.lengths.mean()), 1.0)
            count = min(len(known), MAX_TEXTS, 1 + int(MAX_TOKENS / mean_length))
            last = len(known) - 1
            chosen = [known[round(i * last / max(count - 1, 1))] for i in range(count)]
            try:
                with _classifier_folder(run, uri) as folder:
                    horizons[run.run_id] = measure_memory_horizon(
                        folder,
                        [texts[int(predictions.rows[i])] for i in chosen],
                        [predictions.label_names[predictions.labels[i]] for i in chosen],
                    )
            except (NlpRnnError, OSError):
                continue  # the section names the configurations without a memory horizon
    return horizons


def read_teachers(comparison: Comparison, uri: str) -> dict[str, dict[str, Any]]:
    """Return what the first run of each configuration logged about its teacher, if it has one."""
    quiet_mlflow()
    from mlflow import MlflowClient

    teachers = {}
    client = MlflowClient(tracking_uri=uri)
    for configuration in comparison.configurations:
        run = next(iter(configuration.runs), None)
        if run is not None and "teacher" in run.tags:
            teacher = _artifact(client, uri, run, TEACHER)
            if teacher is not None:  # the section names the configurations without a teacher
                teachers[configuration.name] = teacher
    return teachers


def read_risk_coverage(comparison: Comparison, uri: str) -> dict[str, list[RiskRow]]:
    """Return the rows of the risk–coverage tables of all runs of the configurations by run id."""
    quiet_mlflow()
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    runs = [run for one in comparison.configurations for run in one.runs if not run.is_external]
    tables = {run.run_id: _artifact(client, uri, run, RISK_COVERAGE) for run in runs}
    return {
        run_id: [(row[0], row[1], row[2]) for row in table["data"]]
        for run_id, table in tables.items()
        if table is not None
    }


def _artifact(client: "MlflowClient", uri: str, run: Run, name: str) -> Any:
    """Return the content of a JSON artifact; None if the run has none."""
    try:
        with tempfile.TemporaryDirectory() as folder, tracking_errors(uri):
            path = Path(client.download_artifacts(run.run_id, name, folder))
            return json.loads(path.read_text(encoding="utf-8"))
    except (TrackingError, ValueError):
        return None


def read_probes(comparison: Comparison, uri: str) -> list[ProbeCurve]:
    """Return the results on probes of the compared architectures, from the same experiments.

    The size of the embedding may differ, because a probe has few symbols. Empty if the runs on
    probes cannot be compared.

    Raises
    ------
    TrackingError
        MLflow does not respond.
    """
    from nlp_rnn.comparison.read import read_probe_runs

    def architecture(run: Run) -> tuple[str | None, ...]:
        return tuple(run.config.get(f"model.{name}") for name in ARCHITECTURE)

    configurations = [c for c in comparison.configurations if c.runs and not c.runs[0].is_external]
    names = {architecture(c.runs[0]): c.name for c in configurations}
    experiments = {run.experiment_id for c in configurations for run in c.runs}
    runs = [
        replace(run, config={**run.config, "configuration": names[architecture(run)]})
        for experiment in sorted(experiments)
        for run in read_probe_runs(uri, experiment)
        if architecture(run) in names
    ]
    try:
        return probe_curves(runs, by="configuration")
    except ComparisonError:
        return []


@contextmanager
def _classifier_folder(run: Run, uri: str) -> Iterator[Path]:
    """Yield the classifier in the run folder, or download it from MLflow."""
    local = Path(run.tags.get("run_folder", "")) / "classifier"
    if "run_folder" in run.tags and is_classifier(local):
        yield local
        return
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    with tempfile.TemporaryDirectory() as folder:
        location = f"runs:/{run.run_id}/classifier"
        try:
            path = download_artifacts(artifact_uri=location, dst_path=folder, tracking_uri=uri)
        except MlflowException as error:
            raise TrackingError(f"MLflow has no classifier of {run.name}.") from error
        yield Path(path)
