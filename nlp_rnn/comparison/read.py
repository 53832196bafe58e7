"""Runs of an MLflow store become a table, one row a run, and each run's answers to the test."""

import math
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from nlp_rnn.comparison.records import Run
from nlp_rnn.errors import ComparisonError, TrackingError
from nlp_rnn.scoring.predictions import read_predictions
from nlp_rnn.tracking.environment import quiet_mlflow
from nlp_rnn.tracking.store import tracking_errors
from nlp_rnn.tracking.tags import KIND, OLD_KIND, baseline_ids, configuration_name, run_kind

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["read_probe_runs", "read_runs", "with_predictions"]

PAGE = 500
TEST = "predictions/test_predictions.parquet"
MACHINE = ("host", "processor")


def read_runs(uri: str, experiment: str | None = None, sweep: str | None = None) -> list[Run]:
    """Read all runs of an experiment, or of a sweep, oldest first, without their answers.

    Args:
        uri: a store that `prepare_store` has seen.
        experiment: its name.
        sweep: what its runs are tagged with, or the id of its parent run; with an experiment,
            only the runs in that. With them come the baselines it was compared with, which an
            earlier sweep may have made, and majority and linear baseline of the same data.

    The parent runs of sweeps are no rows, nor are pretrainings.

    Raises:
        ComparisonError: there is no such experiment, no such sweep, or no run in it.
        TrackingError: MLflow does not answer.
    """
    quiet_mlflow()
    from mlflow import MlflowClient

    with tracking_errors(uri):
        client = MlflowClient(tracking_uri=uri)
        known = {each.name: each.experiment_id for each in client.search_experiments()}
        if experiment is not None and experiment not in known:
            names = ", ".join(sorted(known)[:10])
            raise ComparisonError(
                f"There is no MLflow experiment {experiment!r} here; there are {names}.\n"
                "Type --experiment NAME, or say where the runs are: MLFLOW_TRACKING_URI=…"
            )
        within = list(known.values()) if experiment is None else [known[experiment]]
        if sweep is None:
            found = _search(client, within, "")
        else:
            name = sweep.replace("'", "''")
            found = _search(client, within, f"tags.sweep = '{name}'")
            parents = {name} | {each.info.run_id for each in found if _kind(each) == "sweep"}
            for parent in sorted(parents):
                found += _search(client, within, f"tags.`mlflow.parentRunId` = '{parent}'")
            told = [
                run_id
                for each in _with_ids(client, within, parents)
                for run_id in baseline_ids(each.data.tags)
            ]
            found += _with_ids(client, within, told)
            found += _baselines(client, found)
    runs = {each.info.run_id: _run(each) for each in found}
    rows = sorted(
        (run for run in runs.values() if run.kind not in ("sweep", "pretraining")),
        key=lambda run: (run.started, run.run_id),
    )
    if not rows:
        where = f"the sweep {sweep}" if sweep is not None else f"the experiment {experiment!r}"
        raise ComparisonError(
            f"There are no runs in {where}.\nTrain some: nlp-rnn train -m model=lstm,gru seed=1,2,3"
        )
    if all(run.tags.get("task") == "multi_label" for run in rows):
        raise ComparisonError(
            "The texts of these runs have several labels each, and such runs are not compared.\n"
            "Look at test/micro_f1 in MLflow, or name other runs: --experiment NAME"
        )
    return rows


def read_probe_runs(uri: str, experiment_id: str) -> list[Run]:
    """Read the runs on `data=probe` of an experiment, oldest first, without their answers.

    Raises:
        TrackingError: MLflow does not answer.
    """
    from mlflow import MlflowClient

    with tracking_errors(uri):
        client = MlflowClient(tracking_uri=uri)
        found = _search(client, [experiment_id], "params.`data.probe` != ''")
    return sorted((_run(each) for each in found), key=lambda run: (run.started, run.run_id))


def with_predictions(uri: str, runs: Sequence[Run]) -> list[Run]:
    """Return the runs, each with its answers to the test split; None where it has none.

    Files beside the store are read where they are, those of a server are fetched one by one.
    """
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    return [replace(run, predictions=_predictions(client, run)) for run in runs]


def _predictions(client: "MlflowClient", run: Run) -> Any:
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
    except TrackingError:  # missing or of an old form: whoever compares says so
        return None


def _baselines(client: "MlflowClient", found: Sequence[Any]) -> list[Any]:
    """The newest majority and linear baseline of the data that `found` read, where they have none.

    An earlier sweep of the same data may have made them, so that they lie below that.
    """
    runs = [_run(each) for each in found if _kind(each) != "sweep"]
    there = {(run.digest, run.cell) for run in runs if run.kind == KIND}
    wanted = {run.digest for run in runs if run.digest}
    added = []
    experiments = sorted({run.experiment_id for run in runs})
    kinds = (KIND, OLD_KIND) if wanted else ()
    queries = [f"tags.kind = '{kind}' and attributes.status = 'FINISHED'" for kind in kinds]
    for each in (run for query in queries for run in _search(client, experiments, query)):
        run = _run(each)
        key = (run.digest, run.cell)
        if run.cell in ("majority", "linear") and run.digest in wanted and key not in there:
            there.add(key)
            added.append(each)
    return added


def _with_ids(client: "MlflowClient", experiments: list[str], ids: Iterable[str]) -> list[Any]:
    """The runs that have these ids, of those that are no such ids none."""
    wanted = ", ".join(f"'{each}'" for each in sorted(ids))
    return _search(client, experiments, f"attributes.run_id IN ({wanted})") if wanted else []


def _kind(found: Any) -> str:
    return run_kind(found.data.tags)


def _search(client: "MlflowClient", experiments: list[str], query: str) -> list[Any]:
    found: list[Any] = []
    token = None
    while True:
        page = client.search_runs(experiments, query, max_results=PAGE, page_token=token)
        found += page
        token = page.token
        if not token:
            return found


def _run(found: Any) -> Run:
    tags, config = dict(found.data.tags), dict(found.data.params)
    seed = config.get("seed", "")
    digests = [
        each.dataset.digest
        for each in (found.inputs.dataset_inputs if found.inputs else ())
        if any(tag.value == "test" for tag in each.tags)
    ]
    return Run(
        run_id=found.info.run_id,
        name=found.info.run_name or found.info.run_id,
        experiment_id=found.info.experiment_id,
        configuration_name=configuration_name(tags),
        signature=tags.get("signature", ""),
        cell=tags.get("cell", ""),
        seed=int(seed) if seed.lstrip("-").isdigit() else None,
        kind=run_kind(tags, "train"),
        status=found.info.status,
        config=config,
        metrics={name: _number(value) for name, value in found.data.metrics.items()},
        tags=tags,
        machine=" ".join(tags[name] for name in MACHINE if name in tags),
        digest=digests[0] if digests else "",
        started=found.info.start_time or 0,
        artifacts=found.info.artifact_uri or "",
    )


def _number(value: float) -> float:
    """MLflow's databases know no infinity and give the largest float for it."""
    return value if abs(value) < 1.7e308 else math.copysign(math.inf, value)
