"""Sizes that match another cell's parameters are the nearest, and a run says what it used."""

import itertools
import json
from dataclasses import replace
from pathlib import Path

import pytest

from nlp_rnn.classifier import latency_matching
from nlp_rnn.cli import main
from nlp_rnn.config.compose import read_config
from nlp_rnn.config.signature import signature
from nlp_rnn.errors import ConfigError, DataError
from nlp_rnn.model.architecture import Architecture
from nlp_rnn.runs.size_matching import (
    matching_hidden_size,
    recurrent_parameters,
    with_matched_size,
)
from tests.composing import compose


@pytest.mark.parametrize(
    ("words", "size"),
    [
        (["model=gru", "model.match=lstm"], 155),
        (
            ["model=gru", "model.match=lstm", "model.embedding_size=300", "model.hidden_size=256"],
            311,
        ),
        (["model=lstm", "model.match=lstm"], 128),
        (["model=gru", "model.match=gru", "model.hidden_size=9"], 9),
    ],
)
def test_known_sizes(words: list[str], size: int) -> None:
    config = compose(words)
    requested = config.model.hidden_size
    resolved = with_matched_size(config)
    assert config.model.hidden_size == requested
    assert resolved.model.hidden_size == size
    assert resolved.model.match == f"{words[1].removeprefix('model.match=')}:{requested}"
    again = compose([words[0], f"model.hidden_size={size}", *words[2:3]])
    # the same network, however it was requested
    assert signature(resolved) == signature(config, resolved) == signature(again)
    assert with_matched_size(resolved) == resolved


def test_no_size_comes_nearer() -> None:
    for cell, other, layers, both in itertools.product(
        ("lstm", "gru", "rnn"), ("lstm", "gru", "rnn"), (1, 3), (False, True)
    ):
        sizes = Architecture(cell, 50, 3, 60, 40, layers, both, "mean")
        solved, difference = matching_hidden_size(sizes, other)
        wanted = recurrent_parameters(sizes, other, 40)
        errors = {h: abs(recurrent_parameters(sizes, cell, h) - wanted) for h in range(1, 300)}
        assert errors[solved] == min(errors.values())
        own = recurrent_parameters(sizes, cell, solved)
        assert difference == pytest.approx(own / wanted - 1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model.match=lstmm"], "model.match=lstmm does not name a recurrent cell"),
        (["model.match=average"], "average has no recurrence to match"),
        (["model.match=lstm:0"], "does not name a recurrent cell"),
        (["model.match=latency:lstm:128"], "does not name a recurrent cell"),
        (["model.match=latency:average"], "average has no recurrence to match"),
        (["model.match=latency:lstm:9:140"], "model.match=latency:lstm model.hidden_size=9."),
        (["model.match=lstm", "model.hidden_size=8", "model.embedding_size=8"], "larger model."),
        (["model.match=lstm:128"], "Set model.match=lstm model.hidden_size=128."),
    ],
)
def test_what_cannot_be_matched_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        with_matched_size(compose(words))
    assert message in str(error.value)
    assert len(str(error.value).splitlines()) <= 2


def test_an_equal_latency_is_measured_once_and_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NLP_RNN_CACHE", str(tmp_path))
    measured: list[str] = []

    def ratio(first: Architecture, second: Architecture) -> float:
        measured.append(first.cell)
        return first.hidden_size / (1.09 * second.hidden_size)

    monkeypatch.setattr(latency_matching, "_prediction", lambda architecture: architecture)
    monkeypatch.setattr(latency_matching, "_ratio", ratio)
    counts = []
    for word in ("latency", "latency:lstm"):
        config = compose(["model.hidden_size=100", f"model.match={word}"])
        config = with_matched_size(config)
        assert (config.model.hidden_size, config.model.match) == (108, "latency:lstm:100:108")
        counts.append(len(measured))
    assert counts[0] == counts[1] > 0  # the second time it was known
    assert with_matched_size(config).model.hidden_size == 108
    lstm = with_matched_size(compose(["model=lstm", "model.match=latency"]))
    assert lstm.model.hidden_size == 128
    monkeypatch.setattr(latency_matching, "_ratio", lambda first, second: 3.0)
    with pytest.raises(ConfigError, match="3.00 times as long"):
        with_matched_size(compose(["model=rnn", "model.match=latency"]))
    assert not list(tmp_path.rglob("*.part"))


def test_a_measured_latency_grows_with_the_size() -> None:
    sizes = Architecture("gru", 50, 2, 16, 32, 1, False, "last")
    assert latency_matching.relative_latency(replace(sizes, hidden_size=256), sizes) > 2
    size, ratio = latency_matching.equally_fast_size(sizes, "lstm")
    assert 8 <= size <= 128
    assert 0.7 < ratio < 1.3  # other processes may be running


def test_a_control_has_nothing_to_match(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "model=average", "model.match=lstm"]) == 2
    assert "belongs to model=gru, model=lstm, model=rnn" in capsys.readouterr().err


def test_a_training_resolves_before_it_reads_data_and_changes_no_configuration(
    tmp_path: Path,
) -> None:
    from nlp_rnn.pipeline import train

    missing = ["data=files", f"data.path={tmp_path / 'nowhere'}"]
    words = ["model.match=lstm", "model.hidden_size=8", "model.embedding_size=8", *missing]
    with pytest.raises(ConfigError, match="larger model.hidden_size"):
        train(compose(words), tmp_path / "one", [])
    config = compose(["model.match=lstm", *missing])
    with pytest.raises(DataError):
        train(config, tmp_path / "one", [])
    assert config == compose(["model.match=lstm", *missing])


@pytest.mark.slow
def test_a_run_trains_says_and_saves_the_size_that_was_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store_uri: str
) -> None:
    from mlflow import MlflowClient

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NLP_RNN_CACHE", str(tmp_path / "cache"))
    words = ["model.match=lstm", "model.hidden_size=16", "model.embedding_size=8"]
    words += ["data.train_rows=60", "data.test_rows=20", "trainer.max_epochs=1"]
    words += [
        "trainer.threads=1",
        "tracking.system_metrics=false",
        "tracking.speed=none",
        "hydra.run.dir=one",
    ]
    assert main(["train", *words]) == 0
    result = json.loads((tmp_path / "one" / "result.json").read_text())
    run = MlflowClient(tracking_uri=store_uri).get_run(result["run_id"])
    size = int(run.data.params["model.hidden_size"])
    assert (size, run.data.params["model.match"]) == (19, "lstm:16")
    assert f"h{size}" in run.data.tags["configuration"]
    lstm = 2 * 4 * 16 * (8 + 16 + 2)
    assert result["metrics"]["parameters/recurrent"] == pytest.approx(lstm, rel=0.01)
    saved = read_config(tmp_path / "one" / "config.yaml")
    assert (saved.model.hidden_size, saved.model.match) == (16, "lstm")
    resolved = read_config(tmp_path / "one" / "resolved.yaml")
    assert (resolved.model.hidden_size, resolved.model.match) == (size, "lstm:16")
    assert with_matched_size(saved).model == replace(resolved.model, embedding_dropout=None)
