"""What several test modules share: an MLflow store made once, and an environment without MLflow."""

import gc
import shutil
import signal
from pathlib import Path

import pytest

import tests.quick_hydra  # noqa: F401


def pytest_configure(config: pytest.Config) -> None:
    # Both come from within MLflow 3.17, are harmless, and not ours to mend.
    for warning in (
        "ignore:The ..noload.. loader strategy is deprecated:DeprecationWarning",
        "ignore:.*Any type hint is inferred as AnyType",
    ):
        config.addinivalue_line("filterwarnings", warning)
    # A background job of a shell, and nohup, ignore these, and so would the processes we start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    gc.set_threshold(20_000)  # as `nlp-rnn` does


def pytest_collection_finish() -> None:
    gc.freeze()  # modules and test functions stay: nothing to look through again


@pytest.fixture(autouse=True)
def _no_mlflow_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("URI", "USERNAME", "PASSWORD", "TOKEN"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)
    for name in ("MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID", "MLFLOW_RUN_ID"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def own_datasets_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A cache of converted files for one test, so that no test reads what another has cached."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="session")
def prepared_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An sqlite file that MLflow has migrated; making one takes seconds, copying it none."""
    from nlp_rnn.tracking.store import prepare_store
    from nlp_rnn.tracking.uri import resolve_uri

    folder = tmp_path_factory.mktemp("prepared_store")
    prepare_store(resolve_uri("sqlite:///mlflow.db", folder))
    return folder / "mlflow.db"


@pytest.fixture
def store_uri(prepared_store: Path, tmp_path: Path) -> str:
    """The address of an MLflow store of the test's own, without runs."""
    shutil.copy(prepared_store, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path}/mlflow.db"
