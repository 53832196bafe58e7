"""Child runs of a sweep, also in a store with the tags of older versions."""

import json
from typing import Any

import pytest
from mlflow import MlflowClient

from nlp_rnn.sweeps.child_runs import Children, find_parent
from nlp_rnn.tracking.liveness import process_tags
from nlp_rnn.tracking.store import obtain_experiment

ARGUMENTS = ["data=stories", "model=lstm,gru"]


@pytest.mark.parametrize(
    ("arguments_tag", "kind"),
    [("sweep_arguments", "baseline"), ("sweep_words", "control")],
    ids=["new", "old"],
)
def test_children_are_separate_from_baselines_with_new_and_old_tags(
    store_uri: str, arguments_tag: str, kind: str
) -> None:
    client = MlflowClient(tracking_uri=store_uri)
    experiment = obtain_experiment(store_uri, "tests")
    tags = {
        "kind": "sweep",
        "sweep": "0123abcd",
        arguments_tag: json.dumps(ARGUMENTS),
    }
    sweep = client.create_run(experiment, tags=tags)

    def child(**tags: str) -> Any:
        tags |= process_tags() | {"mlflow.parentRunId": sweep.info.run_id}
        return client.create_run(experiment, tags=tags).info.run_id

    job, baseline = child(kind="train", job="89abcdef"), child(kind=kind)
    parent = find_parent(store_uri, experiment, "last")
    assert parent.run_id == sweep.info.run_id
    assert parent.arguments == ARGUMENTS
    children = Children(store_uri, experiment, parent.run_id)
    assert {key: run.run_id for key, run in children.read().items()} == {"89abcdef": job}
    children.close("KILLED", "its sweep was killed", ["89abcdef"])
    assert client.get_run(job).info.status == "KILLED"
    assert client.get_run(baseline).info.status == "RUNNING"
