"""The runs of a comparison become their learning curves and the texts they were tested on."""

import math
import tempfile
from collections.abc import Mapping
from pathlib import Path

from nlp_rnn.comparison.evidence import Comparison, Run
from nlp_rnn.comparison.material import TrainingCurve
from nlp_rnn.errors import NlpRnnError
from nlp_rnn.tracking.store import quiet_mlflow, tracking_errors

__all__ = ["read_curves", "read_texts"]

CONFIG = "config.yaml"


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
        for group in comparison.groups:
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

    from nlp_rnn.composition import read_config
    from nlp_rnn.data.corpus import load_corpus
    from nlp_rnn.data_config import HubConfig

    run = next((run for group in comparison.groups for run in group.runs), None)
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
