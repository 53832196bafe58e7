"""`scripts/bench_peers`: its arguments, the input of its programs, and its table."""

import importlib.machinery
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from nlp_rnn.data.corpus import load_corpus
from nlp_rnn.tokens.tokenizer import UNKNOWN_ID, cached_tokenizer, encode
from tests.composing import compose

SCRIPTS = Path(__file__).parent.parent / "scripts"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(str(SCRIPTS))
    loader = importlib.machinery.SourceFileLoader("bench_peers", str(SCRIPTS / "bench_peers"))
    spec = importlib.util.spec_from_loader("bench_peers", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "bench_peers", module)  # dataclasses look there
    loader.exec_module(module)
    return module


def row(peer: str, cell: str = "lstm", **more: object) -> dict:
    return {"texts": "a", "cell": cell, "peer": peer, "train_tokens": 1000, "rounds": [], **more}


def measured(*epoch_seconds: float, accuracy: float = 0.5) -> dict:
    return {"epoch_seconds": list(epoch_seconds), "test_accuracy": accuracy}


def test_limits_are_for_every_set_or_for_one(bench: ModuleType) -> None:
    arguments = bench.parse(["a=x", "b=y", "--texts", "300", "a=20", "--cores", "1"])
    assert arguments.folders == {"a": "x", "b": "y"}
    assert bench.limit_of("a", arguments.texts) == 20
    assert bench.limit_of("b", arguments.texts) == 300
    assert bench.limit_of("b", arguments.test_texts) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a"], "NAME=FOLDER"),
        (["a=x", "--texts", "many"], "many must be N or NAME=N"),
        (["a=x", "--texts", "b=3"], "b=3 must be N or NAME=N"),
        (["a=x", "--cores", "9999"], "--cores 9999"),
        (["a=x", "--only", "spacy"], "spacy"),
        (["a=x", "--rounds", "0"], "--rounds"),
    ],
)
def test_wrong_arguments_end_with_a_message(
    bench: ModuleType, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        bench.parse(arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_every_program_pins_its_requirements(bench: ModuleType) -> None:
    programs = [peer.program for peer in bench.PEERS.values() if peer.program]
    assert len(programs) == 5
    for program in programs:
        assert all("==" in package for package in bench.requirements(program))


def test_an_existing_environment_is_used_and_a_failed_installation_raises_an_error(
    bench: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stamp = tmp_path / "linear_svm" / "installed.txt"
    stamp.parent.mkdir()
    stamp.write_text("\n".join(bench.requirements("linear_svm")))
    python = tmp_path / "linear_svm" / "bin" / "python"
    assert bench.environment("linear_svm", tmp_path) == python

    def create(path: Path, **_: object) -> None:
        (path / "bin").mkdir(parents=True, exist_ok=True)
        (path / "bin" / "python").write_text("#!/bin/sh\necho 'ERROR: not | found' >&2\nexit 1\n")
        (path / "bin" / "python").chmod(0o755)

    monkeypatch.setattr(bench.venv, "create", create)
    stamp.write_text("scikit-learn==0.1")
    with pytest.raises(bench.PeerError, match="cannot be installed: ERROR: not / found"):
        bench.environment("linear_svm", tmp_path)


def test_every_program_gets_the_rows_and_tokens_of_train(bench: ModuleType, tmp_path: Path) -> None:
    from peers import handover
    from peers.preparation import prepare

    texts = [f"{word} and {word} number {i}" for i in range(30) for word in ("warm", "cold")]
    frame = pd.DataFrame({"text": [*texts, ""], "label": ["good", "bad"] * 30 + ["good"]})
    frame.to_parquet(tmp_path / "train.parquet")
    frame[:20].to_parquet(tmp_path / "test.parquet")
    work = tmp_path / "work"
    facts = {"batch_size": 4, "size": 8, "cores": 1}
    counts = prepare(
        str(tmp_path), work, limit=40, test_limit=6, vocab_size=60, max_length=5, facts=facts
    )
    sizes = ["tokenizer=bpe", "tokenizer.vocab_size=60", "tokenizer.max_length=5"]
    config = compose(["data=files", f"data.path={work}/files", *sizes])
    corpus = load_corpus(config.data)
    assert (
        (counts["train_texts"], counts["test_texts"])
        == (36, 6)
        == (
            len(corpus.train),
            len(corpus.test),
        )
    )
    # without texts this cannot train a tokenizer: it loads the one that made the programs' ids
    tokenizer = cached_tokenizer(iter(()), config.tokenizer, corpus.digest, work / "cache")
    assert handover.read_facts(work) == facts | {
        "vocab_size": tokenizer.get_vocab_size(),
        "num_labels": 2,
    }
    for split in ("train", "test"):
        rows = getattr(corpus, split)
        ids, labels = handover.read_tokens(work, split)
        assert [text.tolist() for text in ids] == encode(tokenizer, list(rows["text"]))
        assert labels.tolist() == list(rows["label"])
        assert counts[f"{split}_tokens"] == sum(map(len, ids))
        assert handover.read_texts(work, split)[0] == list(rows["text"])
    assert all(len(text) <= 5 for text in ids)


def test_a_program_gets_its_arguments_and_its_last_line_is_the_result(
    bench: ModuleType, tmp_path: Path
) -> None:
    program = tmp_path / "python"
    line = "$3 $4 $5 $OMP_NUM_THREADS$PYTHONPATH"
    program.write_text(f"#!/bin/sh\necho a warning\necho '{{\"arguments\": \"'{line}'\"}}'\n")
    program.chmod(0o755)
    peer, cores = bench.PEERS["torch"], len(bench.os.sched_getaffinity(0))
    result = bench.run_peer(program, peer, "gru", tmp_path, epochs=2, seed=3)
    assert result == {"arguments": f"gru 2 3 {cores}"}
    program.write_text("#!/bin/sh\necho Traceback >&2\necho 'MemoryError: no | room' >&2\nexit 1\n")
    failed = row("torch")
    bench.measure(failed, {"torch": program}, tmp_path, epochs=2, seed=1)
    assert failed["failure"] == "failed: MemoryError: no / room"


def test_ratios_are_medians_over_rounds_to_the_fastest_other_library(bench: ModuleType) -> None:
    rows = [
        row("torch", rounds=[measured(9, 5), measured(9, 4), measured(9, 2)]),
        row("keras", rounds=[measured(20, 10), measured(20, 10), measured(20, 10)]),
        row("flair", failure="cannot be installed: no wheel"),
        row("ours-fp32", rounds=[measured(1), measured(2), measured(2, accuracy=0.9)]),
        row("linear", cell="", rounds=[measured(0.5)] * 3),
    ]
    torch, keras, flair, ours, linear = bench.summarize(rows)
    assert torch["tokens_per_second"] == pytest.approx(1000 / 4)
    assert torch["first_epoch_seconds"] == 9
    assert torch["against_fastest_peer"] == 1
    assert keras["against_fastest_peer"] == pytest.approx(0.4)
    assert flair == {"texts": "a", "cell": "lstm", "peer": "flair"} | {
        "failure": "cannot be installed: no wheel"
    }
    # 5 / 1, 4 / 2 and 2 / 2: the median of the ratios, not the ratio of the medians
    assert ours["against_fastest_peer"] == pytest.approx(2)
    assert ours["first_epoch_seconds"] is None
    assert ours["test_accuracy"] == 0.5
    assert linear["against_fastest_peer"] is None

    lines = bench.table([torch, keras, flair, ours, linear], "A machine.").splitlines()
    assert lines[0] == "A machine."
    assert {line.count("|") for line in lines[2:]} == {9}
    assert "| 250 | 1.00 | 4.00 | 9.00 | 50.0 |" in lines[4]
    assert "cannot be installed: no wheel" in lines[6]
    assert lines[7].endswith("| 500 | 2.00 | 2.00 |  | 50.0 |")


def test_the_table_is_written_after_every_round(bench: ModuleType, tmp_path: Path) -> None:
    arguments = bench.parse(["a=x", "--cores", "1", "--output", str(tmp_path / "out")])
    counts = {"train_texts": 1234, "test_texts": 10}
    bench.write([row("torch", rounds=[measured(3, 2)], **counts)], arguments, 1)
    assert "rounds 1; a: 1,234 texts, 1,000 tokens" in (tmp_path / "out.md").read_text()
    content = json.loads((tmp_path / "out.json").read_text())
    assert content["results"][0]["tokens_per_second"] == 500
    assert content["rows"][0]["rounds"] == [measured(3, 2)]


def test_an_empty_text_is_one_token(bench: ModuleType, tmp_path: Path) -> None:
    from peers import handover

    np.savez(tmp_path / "train.npz", ids=[UNKNOWN_ID, 5, 6], lengths=[1, 2], labels=[0, 1])
    ids, labels = handover.read_tokens(tmp_path, "train")
    assert [text.tolist() for text in ids] == [[UNKNOWN_ID], [5, 6]]
    assert labels.tolist() == [0, 1]
