"""A finished run becomes the version of a registered model that an alias points at, if it earns it.

A challenger is compared with the present holder of the alias by their answers to the same test
texts, and refused when it is worse.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nlp_rnn.errors import TrackingError
from nlp_rnn.scoring.metrics import score_predictions
from nlp_rnn.scoring.predictions import Predictions, read_predictions
from nlp_rnn.tracking.environment import quiet_mlflow
from nlp_rnn.tracking.store import tracking_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["METRICS", "Registration", "register"]

METRICS = ("macro_f1", "accuracy", "micro_f1", "subset_accuracy")
LEVEL = 0.05
TEST = "predictions/test_predictions.parquet"


@dataclass(frozen=True)
class Contest:
    """Challenger against champion on the n texts of one test split.

    `only_challenger` and `only_champion` count the texts that only one of them had right;
    `p_value` is that of a paired test of these two, where one was given.
    """

    champion_version: str
    champion_run: str
    challenger: float
    champion: float
    texts: int
    only_challenger: int
    only_champion: int
    p_value: float | None = None

    @property
    def chance(self) -> str:
        """What the paired test says, as the end of a sentence."""
        if self.p_value is None:
            return ""
        verdict = "more than chance" if self.p_value < LEVEL else "may be chance"
        return f" (McNemar p {self.p_value:.2g}, {verdict})"


@dataclass(frozen=True)
class Registration:
    """The version that the alias points at now; `contest` is None where there was no champion."""

    version: str
    contest: Contest | None


def register(
    uri: str,
    run_id: str,
    name: str,
    alias: str,
    metric: str = "macro_f1",
    force: bool = False,
    paired_test: Callable[[int, int], float] | None = None,
) -> Registration:
    """Register the classifier of a run and give it the alias.

    Args:
        uri: the store, as `resolve_uri` returns it.
        run_id: a run of `nlp-rnn train` that is finished.
        name: of the registered model, which is made if it is missing.
        alias: such as `champion`; moved from the version that has it.
        metric: of the test split: `macro_f1` or `accuracy`; where a text may have several labels
            `macro_f1`, `micro_f1` or `subset_accuracy`.
        force: do not compare.
        paired_test: the p-value of so many texts that only the challenger, and only the champion,
            had right; told, and decides nothing: a challenger that is not better is refused.

    Raises:
        TrackingError: there is no such finished run or it has no classifier; the challenger is
            worse than the champion, or they cannot be compared; MLflow refuses. The alias is
            then where it was.
    """
    quiet_mlflow()
    from mlflow import MlflowClient

    with tracking_errors(uri):
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        run = client.get_run(run_id)
        if run.info.status != "FINISHED":
            raise TrackingError(
                f"The run {run_id} is {run.info.status}, not FINISHED.\n"
                "Register a run that nlp-rnn train brought to its end."
            )
        champion = _holder(client, name, alias)
        contest = None
        if champion is not None and champion.run_id != run_id and not force:
            contest = _compare(client, run_id, champion, metric)
            if paired_test is not None:
                p_value = paired_test(contest.only_challenger, contest.only_champion)
                contest = replace(contest, p_value=p_value)
            if contest.challenger < contest.champion:
                raise TrackingError(_worse(contest, name, alias, metric))
        version = _version_of(client, name, run_id)
        if version is None:
            version = _new_version(client, name, run_id)
        for key in ("data", "signature", "cell"):
            if key in run.data.tags:
                client.set_model_version_tag(name, version, key, run.data.tags[key])
        for key in METRICS:
            if f"test/{key}" in run.data.metrics:
                value = f"{run.data.metrics[f'test/{key}']:.4f}"
                client.set_model_version_tag(name, version, f"test_{key}", value)
        client.set_registered_model_alias(name, alias, version)
    return Registration(version, contest)


def _holder(client: "MlflowClient", name: str, alias: str) -> Any:
    """The version that has the alias, or None."""
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version_by_alias(name, alias)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def _version_of(client: "MlflowClient", name: str, run_id: str) -> str | None:
    """The version that this run has already, so that it is not registered twice."""
    quoted = name.replace("'", "''")
    found = client.search_model_versions(f"name='{quoted}'")
    versions = [int(each.version) for each in found if each.run_id == run_id]
    return str(max(versions)) if versions else None


def _new_version(client: "MlflowClient", name: str, run_id: str) -> str:
    """Register the model `classifier` of a run; by the client, which says nothing by itself."""
    from mlflow.exceptions import MlflowException

    outputs = client.get_run(run_id).outputs
    for given in outputs.model_outputs if outputs else ():
        if client.get_logged_model(given.model_id).name == "classifier":
            break
    else:
        raise TrackingError(
            f"The run {run_id} logged no model called classifier.\n"
            "Register a run that nlp-rnn train brought to its end."
        )
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    source = f"models:/{given.model_id}"
    made = client.create_model_version(name, source, run_id, model_id=given.model_id)
    return str(made.version)


def _compare(client: "MlflowClient", run_id: str, champion: Any, metric: str) -> Contest:
    challenger = _answers(client, run_id)
    holder = _answers(client, champion.run_id)
    digests = [_test_digest(client, each) for each in (run_id, champion.run_id)]
    same = digests[0] == digests[1] and challenger.label_names == holder.label_names
    if (
        not same
        or not np.array_equal(challenger.rows, holder.rows)
        or not np.array_equal(challenger.labels, holder.labels)
    ):
        raise TrackingError(
            f"The run {run_id} was tested on {digests[0]}, version {champion.version} on "
            f"{digests[1]}: not the same texts, so they cannot be compared.\n"
            "Train both on the same data, or type --force to take it without a comparison."
        )
    right, held = challenger.correct, holder.correct
    return Contest(
        champion_version=str(champion.version),
        champion_run=champion.run_id,
        challenger=_score(challenger, metric),
        champion=_score(holder, metric),
        texts=len(right),
        only_challenger=int((right & ~held).sum()),
        only_champion=int((held & ~right).sum()),
    )


def _answers(client: "MlflowClient", run_id: str) -> Predictions:
    from mlflow.exceptions import MlflowException

    with tempfile.TemporaryDirectory(prefix="nlp_rnn_") as folder:
        try:
            path = client.download_artifacts(run_id, TEST, folder)
        except (MlflowException, OSError) as error:
            raise TrackingError(
                f"The run {run_id} kept no answers to its test split ({TEST}).\n"
                "Train it again, or type --force to take the challenger without a comparison."
            ) from error
        return read_predictions(Path(path))


def _test_digest(client: "MlflowClient", run_id: str) -> str:
    for given in client.get_run(run_id).inputs.dataset_inputs:
        if any(tag.value == "test" for tag in given.tags):
            return f"{given.dataset.name} ({given.dataset.digest[:12]})"
    return "unknown data"


def _score(answers: Predictions, metric: str) -> float:
    scores = score_predictions(answers.labels, answers.predictions, len(answers.label_names))
    if metric not in scores:
        kind = "several labels" if answers.multi_label else "one label"
        raise TrackingError(
            f"{metric} is not measured where a text has {kind}."
            f"\nType --metric {' or '.join(scores)}."
        )
    return scores[metric]


def _worse(contest: Contest, name: str, alias: str, metric: str) -> str:
    return (
        f"The run is worse than the {alias} of {name}, version {contest.champion_version}: "
        f"test {metric} {contest.challenger:.4f} against {contest.champion:.4f} on the same "
        f"{contest.texts:,} texts.\nOnly it is right on {contest.only_challenger}, only the "
        f"{alias} on {contest.only_champion}{contest.chance}. To take it all the same, type "
        "--force."
    )
