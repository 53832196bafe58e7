"""Count of the configurations that were scored on a test split, in tags of MLflow experiments.

A test split is identified by the digest of its data. Runs that differ only in the seed are one
configuration. The more configurations are scored on a split, the more the best of them looks better
than it is.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from nlp_rnn.errors import TrackingError
from nlp_rnn.tracking.environment import outbox_http_limits, quiet_mlflow
from nlp_rnn.tracking.store import tracking_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["MAX_COUNTED", "add_scored", "count_scored", "scored_advice"]

PREFIX = "test_split."
"""Beginning of the tag of an experiment; the digest of the data follows."""

MAX_COUNTED = 500
"""Configurations that are counted in one experiment."""

MANY = 3
"""Number of configurations from which on a user is advised."""


def add_scored(uri: str, experiment_id: str, digest: str, signatures: Iterable[str]) -> int:
    """Add configurations that were scored on a test split; return how many there are now.

    Parameters
    ----------
    uri : str
        Absolute URI of the store.
    experiment_id : str
        Experiment of the runs.
    digest : str
        Digest of their data.
    signatures : iterable of str
        Signatures of the configurations.

    Raises
    ------
    TrackingError
        MLflow does not respond.
    """
    quiet_mlflow()
    from mlflow import MlflowClient

    with outbox_http_limits(), tracking_errors(uri):
        client = MlflowClient(tracking_uri=uri)
        known = client.get_experiment(experiment_id).tags.get(PREFIX + digest, "").split()
        scored = dict.fromkeys([*known, *signatures])
        if len(scored) > len(known):
            client.set_experiment_tag(
                experiment_id, PREFIX + digest, " ".join([*scored][:MAX_COUNTED])
            )
        return len(scored.keys() | _scored(client, digest))


def count_scored(uri: str, digest: str) -> int:
    """Return how many configurations were scored on a test split, in all experiments of a store.

    Raises
    ------
    TrackingError
        MLflow does not respond.
    """
    quiet_mlflow()
    from mlflow import MlflowClient

    with outbox_http_limits(), tracking_errors(uri):
        return len(_scored(MlflowClient(tracking_uri=uri), digest))


def _scored(client: "MlflowClient", digest: str) -> set[str]:
    signatures: set[str] = set()
    for experiment in client.search_experiments():
        signatures.update(experiment.tags.get(PREFIX + digest, "").split())
    return signatures


def scored_advice(
    uri: str, experiment_id: str, digest: str, signatures: Iterable[str]
) -> list[str]:
    """Add configurations, and return advice on a split that several were scored on.

    The parameters are those of `add_scored`. A store that does not respond is no error.
    """
    try:
        count = add_scored(uri, experiment_id, digest, signatures)
    except TrackingError:
        return []
    if count < MANY:
        return []
    return [
        f"This test split has been scored by {count:,} configurations, so that the best of them "
        "looks better than it is. Choose between them by the validation score."
    ]
