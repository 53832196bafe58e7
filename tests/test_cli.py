"""Commands: help that is quick and light, wrong words, and answers from a saved classifier."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nlp_rnn.cli import main
from nlp_rnn.version import __version__
from tests.tiny_classifier import save_tiny


def test_help_names_every_command_and_is_light() -> None:
    started = time.perf_counter()
    answer = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "nlp_rnn", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert time.perf_counter() - started < 5  # a frozen machine, not a slow one
    for command in ("train", "predict", "ui"):
        assert f"nlp-rnn {command}" in answer.stdout
    imported = {line.split("|")[-1].strip() for line in answer.stderr.splitlines()}
    assert not imported & {"torch", "mlflow", "hydra", "omegaconf", "numpy", "datasets"}


@pytest.mark.parametrize("command", ["train", "predict", "ui"])
def test_each_command_shows_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    assert f"  nlp-rnn {command}" in capsys.readouterr().out


def test_train_help_lists_the_choices(capsys: pytest.CaptureFixture[str]) -> None:
    main(["train", "--help"])
    assert "average, gru, lstm, ngrams, rnn" in capsys.readouterr().out


def test_a_missing_package_is_named_as_pip_knows_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "hydra", None)
    assert main(["train", "--cfg", "job"]) == 1
    message = capsys.readouterr().err
    assert message == (
        "nlp-rnn: train needs hydra-core, which is not installed.\n"
        "Run pip install 'nlp_rnn[train]'\n"
    )


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"nlp-rnn {__version__}\n"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["trian"], "no command 'trian'"),
        (["predict"], "needs a classifier and a text"),
        (["ui", "--prot", "1"], "--prot"),
        (["ui", "--port", "http"], "--port must be a whole number"),
        (["ui", "--port", "99999"], "--port must be a whole number"),
        (["ui", "5001"], "ui has the option --port and no argument '5001'"),
    ],
)
def test_wrong_words(words: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert expected in capsys.readouterr().err


def test_a_folder_that_is_no_classifier(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(tmp_path), "a text"]) == 1
    told = capsys.readouterr().err
    assert str(tmp_path) in told
    assert len(told.splitlines()) <= 2


def test_ui_without_a_store_says_what_to_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert main(["ui"]) == 1
    assert "nlp-rnn train" in capsys.readouterr().err


@pytest.mark.parametrize(("words", "code"), [(["--version"], 0), (["nonsense"], 2)])
def test_a_process_ends_with_its_command(words: list[str], code: int) -> None:
    """After all that was left to be done at its end, and with nothing unsaid."""
    program = f"""
import sys
from nlp_rnn import cli
sys.argv[1:] = {words!r}
answer = cli._run
def work(words):
    import atexit, threading, time
    atexit.register(print, "left to the end")
    threading.Thread(target=lambda: (time.sleep(0.2), print("a thread's last words"))).start()
    return answer(words)
cli._run = work
sys.exit(cli.main())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == code
    assert done.stdout.splitlines()[-2:] == ["a thread's last words", "left to the end"]
    assert (done.stderr != "") == (code == 2)


def test_a_process_of_its_own_looks_for_garbage_seldom_and_another_as_before() -> None:
    program = """
import gc, sys
from nlp_rnn import cli
before = gc.get_threshold()
cli.main(["--version"])
assert gc.get_threshold() == before
sys.argv[1:] = ["--version"]
cli.main()
print(gc.get_threshold()[0])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "20000"


SMALL = (
    "data.train_rows=40 data.test_rows=20 model.hidden_size=4 trainer.max_epochs=2 "
    "trainer.threads=1 tracking.speed=none tracking.system_metrics=false"
).split()


@pytest.mark.slow
def test_a_training_continues_when_nobody_reads_its_output(tmp_path: Path, store_uri: str) -> None:
    command = [sys.executable, "-m", "nlp_rnn", "train", *SMALL, "output_dir=run"]
    environment = os.environ | {"NLP_RNN_CACHE": str(tmp_path / "cache")}
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("stories")
        process.stdout.close()
        assert process.stderr is not None
        errors = process.stderr.read()
    assert process.returncode == 0, errors
    assert "Pipe" not in errors
    assert (tmp_path / "run" / "result.json").is_file()


def test_another_command_ends_when_nobody_reads_its_output(tmp_path: Path) -> None:
    save_tiny(tmp_path / "classifier")
    texts = "text\n" + "w2 w3\n" * 200_000
    (tmp_path / "texts.csv").write_text(texts)
    program = f"{sys.executable} -m nlp_rnn predict classifier --input texts.csv | head -1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", program], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode in (0, 141)
    assert (len(done.stdout.splitlines()), done.stderr) == (1, "")


def test_output_that_the_terminal_cannot_encode_is_replaced(tmp_path: Path) -> None:
    save_tiny(tmp_path / "classifier")
    done = subprocess.run(
        [sys.executable, "-m", "nlp_rnn", "predict", "classifier", "слово"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_command_runs_without_standard_output() -> None:
    command = f"{sys.executable} -m nlp_rnn --version >&-"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
