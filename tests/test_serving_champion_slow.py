"""A service follows `models:/NAME@ALIAS`: a new champion replaces the old one under load."""

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nlp_rnn
from nlp_rnn.classifier.mlflow_model import log_classifier
from nlp_rnn.tracking.environment import default_tracking_uri
from nlp_rnn.tracking.run_lifecycle import tracked_run
from nlp_rnn.tracking.store import obtain_experiment
from tests.service import Service, running_service, wait_until
from tests.tiny_classifier import save_tiny

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType"),
]

TEXT = "w2 w3 w4"


class Registry:
    """A store with two versions of the model `reviews`, from two classifier folders."""

    def __init__(self, folder: Path, store: str) -> None:
        from mlflow import MlflowClient

        self.store = store
        self.folders = [save_tiny(folder / f"version{seed}", seed=seed) for seed in (0, 1)]
        self.client = MlflowClient(store, store)
        experiment = obtain_experiment(store, "test")
        self.client.create_registered_model("reviews")
        for version in self.folders:
            with tracked_run(
                store, experiment, name="one", parameters={}, tags={}, system_metrics=False
            ) as run:
                uri = log_classifier(version, run_id=run.run_id, example=[TEXT])
            with default_tracking_uri(store):
                self.client.create_model_version("reviews", uri, run.run_id)

    def crown(self, version: int) -> None:
        self.client.set_registered_model_alias("reviews", "champion", str(version))


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory, prepared_store: Path) -> Registry:
    folder = tmp_path_factory.mktemp("registry")
    shutil.copy(prepared_store, folder / "mlflow.db")
    return Registry(folder, f"sqlite:///{folder}/mlflow.db")


@pytest.fixture
def champion(registry: Registry) -> Iterator[Service]:
    registry.crown(1)
    arguments = ("models:/reviews@champion", "--follow", "0.5", "--workers", "2")
    with running_service(*arguments, MLFLOW_TRACKING_URI=registry.store) as service:
        yield service


def score(folder: Path) -> float:
    return float(nlp_rnn.load(folder).predict_proba([TEXT]).max())


def test_a_new_champion_replaces_the_old_one_without_a_failed_request(
    champion: Service, registry: Registry
) -> None:
    scores = [score(folder) for folder in registry.folders]
    stop = threading.Event()
    failures: list[Any] = []
    seen: list[float] = []

    def client() -> None:
        while not stop.is_set():
            try:
                response = champion.post("/predict", {"texts": [TEXT]})
                if response.status != 200:
                    failures.append(response)
                seen.append(response.json["predictions"][0]["score"])
            except OSError as error:
                failures.append(error)

    threads = [threading.Thread(target=client) for _ in range(8)]
    for thread in threads:
        thread.start()
    try:
        assert champion.get("/model").json["version"] == "1"
        registry.crown(2)
        wait_until(lambda: seen[-1:] and np.isclose(seen[-50:], scores[1], atol=1e-6).all())
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert len(seen) > 100
    known = np.isclose(np.array(seen)[:, None], scores, atol=1e-6).any(axis=1)
    assert known.all(), "each prediction is that of one of the two versions"
    assert champion.get("/model").json["version"] == "2"
    assert "reviews: version 2 replaces 1" in champion.log


def test_a_process_that_is_started_later_has_the_new_champion(
    champion: Service, registry: Registry
) -> None:
    import os
    import signal

    registry.crown(2)
    wait_until(lambda: "version 2 replaces 1" in champion.log)
    for pid in champion.workers():
        os.kill(pid, signal.SIGKILL)
    expected = score(registry.folders[1])
    wait_until(lambda: champion.log.count("another one is started") == 2)
    for _ in range(20):
        (prediction,) = wait_until(lambda: champion.predict([TEXT]))
        assert prediction["score"] == pytest.approx(expected, abs=1e-6)


def test_the_process_that_follows_the_registry_is_replaced(
    champion: Service, registry: Registry
) -> None:
    import os
    import signal

    import psutil

    (watch,) = [
        child.pid
        for child in psutil.Process(champion.process.pid).children()
        if "nlp_rnn.serving.registry_watch" in child.cmdline()
    ]
    os.kill(watch, signal.SIGKILL)
    wait_until(lambda: "is started again" in champion.log)
    registry.crown(2)
    wait_until(lambda: "version 2 replaces 1" in champion.log, 60)


def test_ctrl_c_prints_no_traceback(champion: Service) -> None:
    import os
    import signal

    import psutil

    group = os.getpgid(champion.process.pid)
    children = psutil.Process(champion.process.pid).children()
    for pid in (champion.process.pid, *(child.pid for child in children)):
        if os.getpgid(pid) == group:  # as a terminal does
            os.kill(pid, signal.SIGINT)
    assert champion.process.wait(timeout=60) == 0
    assert "the service has stopped" in champion.log
    assert "Traceback" not in champion.log


def test_a_missing_alias_is_an_error_before_the_service_starts(registry: Registry) -> None:
    with pytest.raises(AssertionError, match="no version of reviews with the alias winner"):
        with running_service("models:/reviews@winner", MLFLOW_TRACKING_URI=registry.store):
            pass
