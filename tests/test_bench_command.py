"""The command bench measures every figure and prints them as text and JSON."""

import json
from pathlib import Path

import pytest

import nlp_rnn
from nlp_rnn.classifier.latency import texts_of_length
from nlp_rnn.cli import main
from nlp_rnn.errors import ClassifierError
from tests.tiny_classifier import save_tiny

QUICK = ["--texts", "30", "--calls", "5"]


def test_every_figure_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = save_tiny(tmp_path / "c", bidirectional=False, embedding_size=64, vocab_size=2000)
    out = tmp_path / "bench.json"
    assert main(["bench", str(folder), *QUICK, "--output", str(out)]) == 0
    output = capsys.readouterr().out
    figures = json.loads(out.read_text())
    assert [each["runtime"] for each in figures["runtimes"]] == ["onnx", "int8"]
    for each in figures["runtimes"]:
        assert list(each["one_text"]) == ["10", "40"]  # cut at 40
        for times in each["one_text"].values():
            assert 0 < times["p50_ms"] <= times["p95_ms"] < 1000
        assert each["many_texts"]["tokens_per_second"] > each["many_texts"]["texts_per_second"] > 0
        assert 0.05 < each["cold_start_seconds"] < 60
        assert each["memory_bytes"] > 0
        assert 0 < each["stream_token_us"] < 10_000
    for text in (
        "one text of  40 tokens",
        "texts/s",
        "MB beyond",
        "µs",
        figures["machine"]["cores"],
    ):
        assert text in output


def test_one_runtime_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = save_tiny(tmp_path / "c")
    assert main(["bench", str(folder), *QUICK, "--json", "--runtime", "onnx"]) == 0
    (figures,) = json.loads(capsys.readouterr().out)["runtimes"]
    assert "stream_token_us" not in figures  # it reads from both ends
    assert main(["bench", str(folder), "--runtime", "int8"]) == 1
    assert "has no model.int8.onnx" in capsys.readouterr().err


def test_texts_have_the_requested_length(tmp_path: Path) -> None:
    classifier = nlp_rnn.load(save_tiny(tmp_path / "c"))
    for length in (1, 7, 40):
        texts = texts_of_length(classifier, length, count=5)
        assert classifier.token_counts(texts).tolist() == [length] * 5
        assert len({len(text.split()) for text in texts}) == 1
    with pytest.raises(ClassifierError, match="truncates texts to 40"):
        texts_of_length(classifier, 41)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "bench needs one classifier"),
        (["a", "b"], "bench needs one classifier"),
        (["nowhere"], "nowhere does not exist"),
        (["c", "--texts", "0"], "--texts must be a whole number from 1"),
        (["c", "--runtime", "jax"], "--runtime is 'jax'"),
        (["c", "--quick"], "bench has no option --quick"),
    ],
)
def test_wrong_arguments(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["bench", *arguments]) in (1, 2)
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) <= 2
