"""MLflow model registry: register a run's classifier and give it an alias, unless it is worse.

The champion is the registered version that has the alias, whatever the alias is called. The
challenger is the run to register. Both are compared on the same test texts. If the challenger's
metric is lower, it is neither registered nor given the alias; if it is equal, it gets the alias.
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
SIGNIFICANCE_LEVEL = 0.05
TEST_PREDICTIONS = "predictions/test_predictions.parquet"


@dataclass(frozen=True)
class Contest:
    """Comparison of a challenger with the champion on one test split.

    Attributes
    ----------
    champion_version, champion_run : str
        Number of the version that had the alias, and the id of its run.
    challenger, champion : float
        Value of the compared metric for the challenger and for the champion.
    texts : int
        Number of test texts.
    only_challenger, only_champion : int
        Number of texts that only the challenger, and only the champion, classified correctly.
    p_value : float or None
        p-value of McNemar's test of these two counts; None if no test was passed to `register`.
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
    def significance(self) -> str:
        """Return the result of the paired test in parentheses, to be appended to a sentence."""
        if self.p_value is None:
            return ""
        significant = "significant" if self.p_value < SIGNIFICANCE_LEVEL else "not significant"
        return f" (McNemar p {self.p_value:.2g}, {significant})"


@dataclass(frozen=True)
class Registration:
    """Result of a registration.

    Attributes
    ----------
    version : str
        Number of the registered version, which has the alias now.
    contest : Contest or None
        Comparison with the champion before; None if there was no champion, if it was the same
        run, or with `force`.
    """

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
    """Register the classifier of a run and give it an alias, unless the champion is better.

    A run that is registered already only gets the alias.

    Parameters
    ----------
    uri : str
        Absolute URI of the store.
    run_id : str
        Finished run of `nlp-rnn train`.
    name : str
        Name of the registered model, which is created if it does not exist.
    alias : str
        Alias such as `champion`, which is moved from the version that has it.
    metric : str
        Metric of the test split: `macro_f1` or `accuracy`; for multi-label data `macro_f1`,
        `micro_f1` or `subset_accuracy`.
    force : bool
        Whether to skip the comparison.
    paired_test : callable, optional
        Computes a p-value from the numbers of texts that only the challenger, and only the
        champion, classified correctly. It is reported and does not change the decision.

    Returns
    -------
    Registration
        Version that has the alias now, and the comparison.

    Raises
    ------
    TrackingError
        There is no such finished run, it has no classifier or its files cannot be found, it is
        worse than the champion, or the two cannot be compared. Then the alias is not moved.
    """
    quiet_mlflow()
    from mlflow import MlflowClient

    with tracking_errors(uri):
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        run = client.get_run(run_id)
        if run.info.status != "FINISHED":
            raise TrackingError(
                f"The run {run_id} is {run.info.status}, not FINISHED.\n"
                "Register a finished run of nlp-rnn train."
            )
        champion = _champion(client, name, alias)
        contest = None
        if champion is not None and champion.run_id != run_id and not force:
            contest = _compare(client, run_id, champion, alias, metric)
            if paired_test is not None:
                p_value = paired_test(contest.only_challenger, contest.only_champion)
                contest = replace(contest, p_value=p_value)
            if contest.challenger < contest.champion:
                raise TrackingError(_rejection(contest, name, alias, metric))
        model_id = _logged_classifier(client, run_id)
        version = _existing_version(client, name, run_id) or _new_version(
            client, name, run_id, model_id
        )
        for key in ("data", "signature", "cell"):
            if key in run.data.tags:
                client.set_model_version_tag(name, version, key, run.data.tags[key])
        for key in METRICS:
            if f"test/{key}" in run.data.metrics:
                value = f"{run.data.metrics[f'test/{key}']:.4f}"
                client.set_model_version_tag(name, version, f"test_{key}", value)
        client.set_registered_model_alias(name, alias, version)
    return Registration(version, contest)


def _champion(client: "MlflowClient", name: str, alias: str) -> Any:
    """Return the registered version that has the alias, or None if there is none."""
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version_by_alias(name, alias)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def _existing_version(client: "MlflowClient", name: str, run_id: str) -> str | None:
    """Return the number of the newest registered version of a run, or None."""
    quoted = name.replace("'", "''")
    versions = client.search_model_versions(f"name='{quoted}'")
    numbers = [int(version.version) for version in versions if version.run_id == run_id]
    return str(max(numbers)) if numbers else None


def _logged_classifier(client: "MlflowClient", run_id: str) -> str:
    """Return the id of the logged model `classifier` of a run.

    Raises
    ------
    TrackingError
        The run has none, or its files cannot be found.
    """
    from mlflow.exceptions import MlflowException

    outputs = client.get_run(run_id).outputs
    for output in outputs.model_outputs if outputs else ():
        model = client.get_logged_model(output.model_id)
        if model.name == "classifier":
            break
    else:
        raise TrackingError(
            f"The run {run_id} has no logged model named classifier.\n"
            "Register a finished run of nlp-rnn train."
        )
    try:
        files = client.list_logged_model_artifacts(model.model_id)
    except (MlflowException, OSError):
        files = []
    if not any(file.path.endswith("MLmodel") for file in files):
        raise TrackingError(
            f"The files of the classifier of the run {run_id} cannot be found at "
            f"{model.artifact_location}.\n"
            "Move them back there if the store was moved, or train the classifier again."
        )
    return str(model.model_id)


def _new_version(client: "MlflowClient", name: str, run_id: str, model_id: str) -> str:
    """Register a logged model of a run and return the number of the version.

    `mlflow.register_model` would print to the terminal; the methods of the client do not.
    """
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    source = f"models:/{model_id}"
    version = client.create_model_version(name, source, run_id, model_id=model_id)
    return str(version.version)


def _compare(
    client: "MlflowClient", run_id: str, champion: Any, alias: str, metric: str
) -> Contest:
    """Compare the run with the champion; raise TrackingError if their test texts differ."""
    new = _test_predictions(client, run_id)
    old = _test_predictions(
        client, champion.run_id, f", version {champion.version} with the alias {alias},"
    )
    data_sets = [_test_data(client, run) for run in (run_id, champion.run_id)]
    if (
        data_sets[0] != data_sets[1]
        or new.label_names != old.label_names
        or not np.array_equal(new.rows, old.rows)
        or not np.array_equal(new.labels, old.labels)
    ):
        raise TrackingError(
            f"The run {run_id} was tested on {data_sets[0]} and version {champion.version} on "
            f"{data_sets[1]}. These are different texts, so the two cannot be compared.\n"
            "Train both on the same data, or add --force to register it without a comparison."
        )
    new_correct, old_correct = new.correct, old.correct
    return Contest(
        champion_version=str(champion.version),
        champion_run=champion.run_id,
        challenger=_score(new, metric),
        champion=_score(old, metric),
        texts=len(new_correct),
        only_challenger=int((new_correct & ~old_correct).sum()),
        only_champion=int((old_correct & ~new_correct).sum()),
    )


def _test_predictions(client: "MlflowClient", run_id: str, role: str = "") -> Predictions:
    """Download and read the predictions of a run for its test split; errors name its role."""
    from mlflow.exceptions import MlflowException

    with tempfile.TemporaryDirectory(prefix="nlp_rnn_") as folder:
        try:
            path = client.download_artifacts(run_id, TEST_PREDICTIONS, folder)
        except (MlflowException, OSError) as error:
            raise TrackingError(
                f"The run {run_id}{role} has no predictions for its test split "
                f"({TEST_PREDICTIONS}).\n"
                "Train it again, or add --force to register without a comparison."
            ) from error
        return read_predictions(Path(path))


def _test_data(client: "MlflowClient", run_id: str) -> str:
    """Return the name and the digest of the data set that a run logged as its test split."""
    for dataset_input in client.get_run(run_id).inputs.dataset_inputs:
        if any(tag.value == "test" for tag in dataset_input.tags):
            return f"{dataset_input.dataset.name} ({dataset_input.dataset.digest[:12]})"
    return "unknown data"


def _score(test: Predictions, metric: str) -> float:
    """Return a metric of test predictions; raise TrackingError if the task has no such metric."""
    scores = score_predictions(test.labels, test.predictions, len(test.label_names))
    if metric not in scores:
        task = "multi-label" if test.multi_label else "single-label"
        raise TrackingError(
            f"{metric} is not measured for {task} data.\nSet --metric {' or '.join(scores)}."
        )
    return scores[metric]


def _rejection(contest: Contest, name: str, alias: str, metric: str) -> str:
    """Return the error message for a challenger that is worse than the champion."""
    return (
        f"The run is worse than the {alias} of {name}, version {contest.champion_version}: "
        f"test {metric} {contest.challenger:.4f} against {contest.champion:.4f} on the same "
        f"{contest.texts:,} texts.\nOnly the run is correct on {contest.only_challenger} texts, "
        f"only the {alias} on {contest.only_champion}{contest.significance}. "
        "Add --force to register it all the same."
    )
