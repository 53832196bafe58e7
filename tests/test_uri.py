"""Addresses of MLflow stores: resolved to absolute URIs, shown without passwords."""

from pathlib import Path

import pytest

from nlp_rnn.errors import TrackingError
from nlp_rnn.tracking.uri import resolve_uri, visible_uri

FOLDER = Path("/data/runs")


def test_without_any_setting_the_store_lies_in_the_directory() -> None:
    assert resolve_uri(None, FOLDER) == "sqlite:////data/runs/mlflow.db"
    assert resolve_uri("", FOLDER) == "sqlite:////data/runs/mlflow.db"


def test_the_configuration_comes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///team.db")
    assert resolve_uri(None, FOLDER) == "sqlite:////data/runs/team.db"
    assert resolve_uri("sqlite:///mine.db", FOLDER) == "sqlite:////data/runs/mine.db"


@pytest.mark.parametrize(
    ("uri", "resolved"),
    [
        ("sqlite:////absolute/x.db", "sqlite:////absolute/x.db"),
        ("sqlite:///../x.db", "sqlite:////data/x.db"),
        ("sqlite:///a b/x.db?timeout=60", "sqlite:////data/runs/a b/x.db?timeout=60"),
        ("sqlite:///a%20b/x.db", "sqlite:////data/runs/a b/x.db"),
        ("http://server:5000/", "http://server:5000"),
        ("postgresql+psycopg2://me@host/runs", "postgresql+psycopg2://me@host/runs"),
        ("databricks", "databricks"),
    ],
)
def test_relative_uris_are_resolved(uri: str, resolved: str) -> None:
    assert resolve_uri(uri, FOLDER) == resolved


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("./mlruns", "Set tracking.uri=sqlite:////data/runs/mlruns/mlflow.db"),
        ("runs.db", "Set tracking.uri=sqlite:////data/runs/runs.db"),
        ("file:///tmp/mlruns", "Set tracking.uri=sqlite:////tmp/mlruns/mlflow.db"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite://", "names no file"),
        ("sqlit:///x.db", "is not an address that MLflow supports"),
        ("sqlite:///a%25b/x.db", "contains % or ?"),
    ],
)
def test_uris_that_cannot_work_raise_an_error(uri: str, message: str) -> None:
    with pytest.raises(TrackingError) as caught:
        resolve_uri(uri, FOLDER)
    assert message in str(caught.value)
    assert str(caught.value).count("\n") <= 1


def test_the_error_names_the_environment_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "mlruns")
    with pytest.raises(TrackingError, match=r"^MLFLOW_TRACKING_URI=mlruns is a plain path"):
        resolve_uri(None, FOLDER)


def test_passwords_are_not_shown() -> None:
    assert visible_uri("postgresql://me:pa%40ss@host/db") == "postgresql://me:***@host/db"
    assert visible_uri("http://host:5000") == "http://host:5000"
    assert visible_uri("sqlite:////a@b/x:y@z.db") == "sqlite:////a@b/x:y@z.db"
