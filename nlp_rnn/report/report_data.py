"""The runs of a comparison become their learning curves and the texts they were tested on."""

import math
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from nlp_rnn.classifier.manifest import is_classifier
from nlp_rnn.comparison.probes import ProbeCurve, probe_curves
from nlp_rnn.comparison.records import Comparison, Run
from nlp_rnn.errors import ComparisonError, NlpRnnError, TrackingError
from nlp_rnn.inspection.memory_horizon import MemoryHorizon, measure_memory_horizon
from nlp_rnn.report.context import TrainingCurve
from nlp_rnn.tracking.environment import quiet_mlflow
from nlp_rnn.tracking.store import tracking_errors

__all__ = ["read_curves", "read_probes", "read_remembered", "read_texts"]

CONFIG = "config.yaml"

SEEDS = 3
"""Runs of a group whose classifiers are asked what they remember."""

ARCHITECTURE = ("cell", "hidden_size", "num_layers", "bidirectional", "pooling")
"""What a run on a probe must share with a group to speak for it."""

MOST_TEXTS, MOST_TOKENS = 1000, 100_000
"""Of the test that they are asked about."""


def read_curves(comparison: Comparison, uri: str) -> dict[str, TrainingCurve]:
    """Return by run id how the validation score of every candidate's run rose.

    A run without a history, as one of an old version, is missing.

    Raises:
        TrackingError: MLflow does not answer.
    """
    quiet_mlflow()
    from mlflow import MlflowClient

    found = {}
    name = f"validation/{comparison.rules.metric}"
    with tracking_errors(uri):
        client = MlflowClient(tracking_uri=uri)
        for group in comparison.configurations:
            for run in group.runs:
                history = client.get_metric_history(run.run_id, name)
                curve = _curve(run, {each.step: (each.timestamp, each.value) for each in history})
                if curve is not None:
                    found[run.run_id] = curve
    return found


def _curve(run: Run, history: Mapping[int, tuple[int, float]]) -> TrainingCurve | None:
    """A curve from the values of the epochs, the first of which is step 1.

    What lies beyond the last epoch is the finished classifier's score. Epochs are as long as each
    other in updates; their ends are known by when they were logged.
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
    """Return the test texts by their row, or None and why they could not be had.

    The data is read again through a run's own configuration and must have the digest that the
    comparison has; nothing is fetched from a hub for it. Never raises for data that is gone.
    """
    quiet_mlflow()
    from mlflow import MlflowClient

    from nlp_rnn.config.compose import read_config
    from nlp_rnn.config.data import HubConfig
    from nlp_rnn.data.corpus import load_corpus

    run = next((run for group in comparison.configurations for run in group.runs), None)
    if run is None:
        return None, "no run is there to say where they are."
    if not comparison.digest:
        return None, "the runs did not record the digest of their data."
    try:
        with tempfile.TemporaryDirectory() as folder:
            with tracking_errors(uri):
                client = MlflowClient(tracking_uri=uri)
                path = client.download_artifacts(run.run_id, CONFIG, folder)
            config = read_config(Path(path))
        if isinstance(config.data, HubConfig):
            return None, "they are on the hub, which a report does not ask."
        corpus = load_corpus(config.data)
    except NlpRnnError as error:
        return None, f"the data could not be read again ({str(error).splitlines()[0]})"
    if corpus.digest != comparison.digest:
        return None, "the data is no longer what the runs read."
    texts = corpus.test
    return dict(zip(texts["row"], texts["text"], strict=True)), ""


def read_remembered(
    comparison: Comparison, uri: str, texts: Mapping[int, str]
) -> dict[str, MemoryHorizon]:
    """Ask the classifiers of up to `SEEDS` runs of each candidate what they keep of test texts.

    The same texts for all, evenly from the test. Runs without answers or whose classifier is
    gone are missing; controls are not asked.
    """
    found = {}
    for group in comparison.configurations:
        for run in group.runs[:SEEDS]:
            if run.predictions is None or run.cell == "average":
                continue
            answers = run.predictions
            places = [place for place, row in enumerate(answers.rows.tolist()) if row in texts]
            if not places:
                continue
            mean = max(float(answers.lengths.mean()), 1.0)
            count = min(len(places), MOST_TEXTS, 1 + int(MOST_TOKENS / mean))
            some = [
                places[round(at * (len(places) - 1) / max(count - 1, 1))] for at in range(count)
            ]
            try:
                with _classifier(run, uri) as folder:
                    found[run.run_id] = measure_memory_horizon(
                        folder,
                        [texts[int(answers.rows[place])] for place in some],
                        [answers.label_names[answers.labels[place]] for place in some],
                    )
            except (NlpRnnError, OSError):
                continue  # the section names the groups that have nothing
    return found


def read_probes(comparison: Comparison, uri: str) -> list[ProbeCurve]:
    """What candidates' architectures reached on probes, if they were run in the same experiment.

    The embedding may be another: a probe has few symbols. Empty where runs cannot be compared.

    Raises:
        TrackingError: MLflow does not answer.
    """
    from nlp_rnn.comparison.read import read_probe_runs

    def architecture(run: Run) -> tuple[str | None, ...]:
        return tuple(run.config.get(f"model.{name}") for name in ARCHITECTURE)

    names = {
        architecture(group.runs[0]): group.name for group in comparison.configurations if group.runs
    }
    experiments = {run.experiment_id for group in comparison.configurations for run in group.runs}
    runs = [
        replace(run, config={**run.config, "group": names[architecture(run)]})
        for experiment in sorted(experiments)
        for run in read_probe_runs(uri, experiment)
        if architecture(run) in names
    ]
    try:
        return probe_curves(runs, by="group")
    except ComparisonError:
        return []


@contextmanager
def _classifier(run: Run, uri: str) -> Iterator[Path]:
    """The classifier of a run: in its folder, or as MLflow has it."""
    kept = Path(run.tags.get("run_folder", "")) / "classifier"
    if "run_folder" in run.tags and is_classifier(kept):
        yield kept
        return
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    with tempfile.TemporaryDirectory() as folder:
        place = f"runs:/{run.run_id}/classifier"
        try:
            path = download_artifacts(artifact_uri=place, dst_path=folder, tracking_uri=uri)
        except MlflowException as error:
            raise TrackingError(f"MLflow has no classifier of {run.name}.") from error
        yield Path(path)
