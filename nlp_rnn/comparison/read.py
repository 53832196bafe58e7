"""Step 1: read runs from an MLflow store, and the predictions of runs for the test split."""

import json
import math
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from nlp_rnn.comparison.compared_run import Run
from nlp_rnn.comparison.rules import ENSEMBLE_KEY
from nlp_rnn.config.signature import REMOVED
from nlp_rnn.errors import ComparisonError, NlpRnnError, TrackingError
from nlp_rnn.scoring.predictions import Predictions, read_predictions
from nlp_rnn.tracking.environment import quiet_mlflow
from nlp_rnn.tracking.logged_values import PARAMETER_LENGTH, stored_value
from nlp_rnn.tracking.store import tracking_errors
from nlp_rnn.tracking.tags import (
    DATA_BASELINES,
    KIND,
    OLD_KIND,
    REQUESTED_TAG,
    baseline_ids,
    configuration_name,
    run_kind,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from nlp_rnn.data.corpus import Corpus

__all__ = ["read_probe_runs", "read_runs", "read_test_texts", "with_predictions"]

PAGE = 500
TEST = "predictions/test_predictions.parquet"
CONFIG = "config.yaml"
MACHINE = ("host", "processor")


def read_runs(uri: str, experiment: str | None = None, sweep: str | None = None) -> list[Run]:
    """Read the runs of an experiment or a sweep, oldest first, without their predictions.

    Parent runs of sweeps and pretrainings are not included.

    Parameters
    ----------
    uri : str
        An MLflow store, prepared by `prepare_store`.
    experiment : str, optional
        Name of an experiment. Default: all of them.
    sweep : str, optional
        The tag `sweep` of its runs, or the id of its parent run. The baselines that the sweep was
        compared with are included, also those of an earlier sweep, and a majority and a linear
        baseline on the same data.

    Raises
    ------
    ComparisonError
        The experiment or the sweep does not exist or has no runs.
    TrackingError
        MLflow does not respond.
    """
    quiet_mlflow()
    from mlflow import MlflowClient

    with tracking_errors(uri):
        client = MlflowClient(tracking_uri=uri)
        ids = {known.name: known.experiment_id for known in client.search_experiments()}
        if experiment is not None and experiment not in ids:
            names = ", ".join(sorted(ids)[:10])
            raise ComparisonError(
                f"There is no MLflow experiment {experiment!r} in this store; it has {names}.\n"
                "Set --experiment NAME, or set MLFLOW_TRACKING_URI to the store with the runs."
            )
        experiments = list(ids.values()) if experiment is None else [ids[experiment]]
        if sweep is None:
            mlflow_runs = _search(client, experiments, "")
        else:
            mlflow_runs = _search_sweep(client, experiments, sweep)
    unique = {mlflow_run.info.run_id: _run(mlflow_run) for mlflow_run in mlflow_runs}
    runs = sorted(
        (run for run in unique.values() if run.kind not in ("sweep", "pretraining")), key=_age
    )
    if not runs:
        where = f"the sweep {sweep}" if sweep is not None else f"the experiment {experiment!r}"
        raise ComparisonError(
            f"There are no runs in {where}.\nTrain some: nlp-rnn train -m model=lstm,gru seed=1,2,3"
        )
    return runs


def read_probe_runs(uri: str, experiment_id: str) -> list[Run]:
    """Read the runs on `data=probe` of an experiment, oldest first, without their predictions.

    Raises
    ------
    TrackingError
        MLflow does not respond.
    """
    from mlflow import MlflowClient

    with tracking_errors(uri):
        client = MlflowClient(tracking_uri=uri)
        runs = _search(client, [experiment_id], "params.`data.probe` != ''")
    return sorted(map(_run, runs), key=_age)


def with_predictions(uri: str | None, runs: Sequence[Run]) -> tuple[Run, ...]:
    """Return the runs with their predictions for the test split; None for a run without any.

    A run that stands for the network alone gets the predictions of the network alone. Files beside
    the store are read in place; those of a server are downloaded one by one. Without a store (`uri`
    is None) the runs are returned as they are.
    """
    if uri is None:
        return tuple(runs)
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)

    def read(run: Run) -> Run:
        if run.is_external:
            return run
        predictions = _predictions(client, run)
        # the other predictions of an ensemble would stay in memory, so they are dropped
        chosen = None if predictions is None else replace(predictions.of(run.part), parts={})
        return replace(run, predictions=chosen)

    return tuple(map(read, runs))


def read_test_texts(run: Run, uri: str | None) -> tuple["Corpus | None", tuple[str, ...], str]:
    """Load the data of a run again, if it is on this machine and unchanged.

    Nothing is downloaded from a hub. Missing data does not raise an error.

    Returns
    -------
    corpus : Corpus or None
    text_columns : tuple of str
        Names of the columns of the texts in the data.
    why_not : str
        Reason why there is no corpus.
    """
    from nlp_rnn.config.compose import read_config
    from nlp_rnn.config.data import HubConfig, TableConfig
    from nlp_rnn.data.corpus import load_corpus

    quiet_mlflow()
    from mlflow import MlflowClient

    if uri is None:
        return None, (), "there is no MLflow store with the configuration of the runs."
    if not run.digest:
        return None, (), "the runs did not log the digest of their data."
    try:
        with tempfile.TemporaryDirectory() as folder:
            with tracking_errors(uri):
                client = MlflowClient(tracking_uri=uri)
                path = client.download_artifacts(run.run_id, CONFIG, folder)
            config = read_config(Path(path))
        data = config.data
        if isinstance(data, HubConfig):
            return None, (), "the data is on the hub, and a comparison downloads nothing."
        corpus = load_corpus(data)
    except NlpRnnError as error:
        return None, (), f"the data could not be loaded ({str(error).splitlines()[0]})"
    if corpus.digest != run.digest:
        return None, (), "the data has changed since the runs."
    text = data.text if isinstance(data, TableConfig) else "text"
    columns = [str(name) for name in text] if isinstance(text, list) else [str(text)]
    return corpus, tuple(columns), ""


def _predictions(client: "MlflowClient", run: Run) -> Predictions | None:
    parts = urlsplit(run.artifacts)
    try:
        if parts.scheme in ("", "file"):
            return read_predictions(Path(unquote(parts.path)) / TEST)
        from mlflow.exceptions import MlflowException
        from requests.exceptions import RequestException

        with tempfile.TemporaryDirectory() as folder:
            try:
                return read_predictions(Path(client.download_artifacts(run.run_id, TEST, folder)))
            except (MlflowException, RequestException, OSError):
                return None
    except TrackingError:  # missing or in an old format: a note of the comparison names the run
        return None


def _search_sweep(client: "MlflowClient", experiments: list[str], sweep: str) -> list[Any]:
    """The runs of a sweep and its baselines, some of them more than once."""
    name = sweep.replace("'", "''")
    runs = _search(client, experiments, f"tags.sweep = '{name}'")
    parents = {name} | {run.info.run_id for run in runs if run_kind(run.data.tags) == "sweep"}
    for parent in sorted(parents):
        runs += _search(client, experiments, f"tags.`mlflow.parentRunId` = '{parent}'")
    for parent_run in _with_ids(client, experiments, parents):
        runs += _with_ids(client, experiments, baseline_ids(parent_run.data.tags))
    return runs + _missing_baselines(client, runs)


def _missing_baselines(client: "MlflowClient", mlflow_runs: Sequence[Any]) -> list[Any]:
    """The newest majority, linear and ngrams baseline of the runs' data that the runs lack.

    An earlier sweep on the same data may have trained them, so that they are its child runs.
    """
    runs = [run for run in map(_run, mlflow_runs) if run.kind != "sweep"]
    present = {(run.digest, run.cell) for run in runs if run.kind == KIND}
    digests = {run.digest for run in runs if run.digest}
    if not digests:
        return []
    experiments = sorted({run.experiment_id for run in runs})
    missing = []
    for kind in (KIND, OLD_KIND):
        query = f"tags.kind = '{kind}' and attributes.status = 'FINISHED'"
        for mlflow_run in _search(client, experiments, query):
            run = _run(mlflow_run)
            key = (run.digest, run.cell)
            if run.cell in DATA_BASELINES and run.digest in digests and key not in present:
                present.add(key)
                missing.append(mlflow_run)
    return missing


def _with_ids(client: "MlflowClient", experiments: list[str], ids: Iterable[str]) -> list[Any]:
    """The runs with these ids; an id without a run is ignored."""
    listed = ", ".join(f"'{run_id}'" for run_id in sorted(ids))
    return _search(client, experiments, f"attributes.run_id IN ({listed})") if listed else []


def _search(client: "MlflowClient", experiments: list[str], query: str) -> list[Any]:
    runs: list[Any] = []
    token = None
    while True:
        page = client.search_runs(experiments, query, max_results=PAGE, page_token=token)
        runs += page
        token = page.token
        if not token:
            return runs


def _run(mlflow_run: Any) -> Run:
    tags, resolved = dict(mlflow_run.data.tags), dict(mlflow_run.data.params)
    config = (
        {ENSEMBLE_KEY: "off"} | resolved | _requested(tags)
    )  # earlier versions had no ensembles
    for key, value in REMOVED.items():
        if config.get(key) == str(value):
            del config[key]
    seed = config.get("seed", "")
    digests = [
        logged.dataset.digest
        for logged in (mlflow_run.inputs.dataset_inputs if mlflow_run.inputs else ())
        if any(tag.value == "test" for tag in logged.tags)
    ]
    return Run(
        run_id=mlflow_run.info.run_id,
        name=mlflow_run.info.run_name or mlflow_run.info.run_id,
        experiment_id=mlflow_run.info.experiment_id,
        configuration_name=configuration_name(tags),
        signature=tags.get("signature", ""),
        cell=tags.get("cell", ""),
        seed=int(seed) if seed.lstrip("-").isdigit() else None,
        kind=run_kind(tags, "train"),
        status=mlflow_run.info.status,
        config=config,
        metrics={name: _number(value) for name, value in mlflow_run.data.metrics.items()},
        tags=tags,
        machine=" ".join(tags[name] for name in MACHINE if name in tags),
        digest=digests[0] if digests else "",
        started=mlflow_run.info.start_time or 0,
        artifacts=mlflow_run.info.artifact_uri or "",
        resolved=resolved,
    )


def _age(run: Run) -> tuple[int, str]:
    return run.started, run.run_id


def _requested(tags: Mapping[str, str]) -> dict[str, str]:
    """Requested values that differ from the logged, resolved ones, as MLflow would print them.

    Runs are paired by what was requested: a resolved value, such as the number of epochs, may
    depend on the machine or on the compared key.
    """
    try:
        requested = json.loads(tags.get(REQUESTED_TAG, "{}"))
    except ValueError:  # edited by hand, or cut: the resolved values remain
        return {}
    return {key: stored_value(value, PARAMETER_LENGTH) for key, value in requested.items()}


def _number(value: float) -> float:
    """Undo that MLflow's databases store the largest float for infinity."""
    return value if abs(value) < 1.7e308 else math.copysign(math.inf, value)
