"""The speed of a classifier is measured in a process of its own, and failures are reported."""

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models

import nlp_rnn
from nlp_rnn.classifier import speed
from nlp_rnn.classifier.classifier_saving import save_classifier
from nlp_rnn.classifier.latency import texts_of_length
from nlp_rnn.classifier.speed import measure_speed, torch_kernel
from nlp_rnn.config.run import Speed
from nlp_rnn.errors import ClassifierError
from nlp_rnn.runs.run_logging import log_speed
from tests.tiny_classifier import save_tiny, tiny_parts


class Run:
    """Run that records tags and texts."""

    def __init__(self) -> None:
        self.tags: dict[str, str] = {}
        self.texts: dict[str, str] = {}

    def set_tags(self, tags: dict[str, str]) -> None:
        self.tags |= tags

    def log_text(self, text: str, file: str) -> None:
        self.texts[file] = text


@pytest.mark.slow
def test_a_new_process_measures_every_metric(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "c", cell="lstm", bidirectional=False)
    run = Run()
    metrics = log_speed(Speed.quick, folder, run)
    assert set(metrics) == {
        *(f"latency/{name}_batch1_10_p{p}_ms" for name in ("onnx", "torch") for p in (50, 95)),
        *(
            f"throughput/{name}_batch32_{what}_per_second"
            for name in ("onnx", "torch")
            for what in ("texts", "tokens")
        ),
        "latency/onnx_cold_start_ms",
        "latency/stream_token_us",
        "memory/onnx_mb",
        "memory/process_mb",
    }  # texts are cut at 40 tokens: none of 50, 100 or 400
    assert all(value > 0 for value in metrics.values())
    for name in ("onnx", "torch"):
        p50, p95 = (metrics[f"latency/{name}_batch1_10_p{p}_ms"] for p in (50, 95))
        assert p50 <= p95
    assert 50 < metrics["latency/onnx_cold_start_ms"] < 60_000
    assert metrics["memory/onnx_mb"] < metrics["memory/process_mb"]
    figures = json.loads(run.texts["speed.json"])
    assert figures["calls"]["latency/torch_batch1_10"] >= 10
    assert figures["machine"]["processor"]
    assert figures["conditions"]["batch_length"] == 40
    assert run.tags["torch_kernel"] == torch_kernel("lstm")
    assert run.tags["speed"].startswith("quick, 1 thread")


def test_a_failed_measurement_is_reported_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run()
    assert log_speed(Speed.quick, tmp_path / "nowhere", run) == {}
    assert "could not be measured" in capsys.readouterr().out
    assert run.tags["speed"].startswith("not measured: The speed could not be measured")
    assert not run.texts
    monkeypatch.setitem(speed.TIMEOUT_SECONDS, "quick", 0.001)
    with pytest.raises(ClassifierError, match="longer than"):
        measure_speed(tmp_path, "quick")
    assert log_speed(Speed.none, tmp_path / "nowhere", Run()) == {}


def test_texts_have_their_length_where_every_character_is_a_token(tmp_path: Path) -> None:
    parts = tiny_parts()
    letters = {"[PAD]": 0, "[UNK]": 1, **{chr(0x4E00 + n): n + 2 for n in range(28)}}
    tokenizer = Tokenizer(models.BPE(letters, [], unk_token="[UNK]"))
    tokenizer.enable_truncation(40)
    save_classifier(tmp_path / "c", **parts | {"tokenizer_json": tokenizer.to_str()})
    classifier = nlp_rnn.load(tmp_path / "c")
    for length in (1, 7, 40):
        texts = texts_of_length(classifier, length, count=3)
        assert classifier.token_counts(texts).tolist() == [length] * 3


def test_every_length_is_called_as_often_and_in_turn() -> None:
    calls: list[str] = []

    class Classifier:
        def predict_proba(self, texts: list[str]) -> None:
            calls.extend(texts)

    texts = {10: ["a"], 50: ["b", "c"]}
    limits = {"rounds": 7, "seconds": 0.0, "least": 4}
    taken = speed._rounds(Classifier(), texts, limits)
    assert {length: len(times) for length, times in taken.items()} == {10: 4, 50: 4}
    assert calls[-8:] == ["a", "b", "a", "c"] * 2
    assert len(speed._rounds(Classifier(), texts, limits | {"seconds": 60.0})[10]) == 7


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn", "average"])
def test_the_kernel_is_the_one_that_torch_used(tmp_path: Path, cell: str) -> None:
    from torch.autograd.profiler import profile

    pooling = "mean" if cell == "average" else "max_mean"
    folder = save_tiny(tmp_path / "c", cell=cell, pooling=pooling)
    classifier = nlp_rnn.load(folder, runtime="torch", threads=1)
    with profile(use_kineto=False) as profiler:
        classifier.predict_proba(["w2 w3 w4"])
    used = any("mkldnn_rnn" in event.name for event in profiler.function_events)
    assert used == (torch_kernel(cell) == "oneDNN")


@pytest.mark.slow
def test_full_takes_a_thousand_calls(tmp_path: Path) -> None:
    figures = measure_speed(save_tiny(tmp_path / "c"), "full")
    assert set(figures["calls"].values()) == {1000}
    assert "latency/stream_token_us" not in figures["metrics"]
