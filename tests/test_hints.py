"""Wrong arguments of `nlp-rnn train`: the message names the right key or form, and it works."""

import re
import shlex
from pathlib import Path

import pytest

from nlp_rnn.cli import main

# What was run, what the message says to set, and whether it replaces the argument.
CASES = [
    ("lr=0.1", "optimizer.learning_rate"),
    ("optimizer.lr=0.1", "optimizer.learning_rate"),
    ("epochs=3", "trainer.max_epochs"),
    ("batch_size=8", "trainer.batch_size"),
    ("output=here", "output_dir"),
    ("data.file=tickets.csv", "data.path"),
    ("modl=gru", "model"),
]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tickets.csv").write_text("text,label\na,b\n")
    return tmp_path


def message(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["train", *words]) == 2
    text = capsys.readouterr().err
    assert len(text.splitlines()) == 2
    return text


@pytest.mark.parametrize(("argument", "key"), CASES)
def test_a_key_of_another_name_is_named_and_can_be_set(
    here: Path, capsys: pytest.CaptureFixture[str], argument: str, key: str
) -> None:
    text = message([argument], capsys)
    assert text.splitlines()[0].endswith(f"Did you mean {key}?")
    value = argument.partition("=")[2]
    files = ["data=files"] if key.startswith("data.") else []
    assert main(["train", *files, f"{key}={value}", "--cfg", "job"]) == 0


@pytest.mark.parametrize(
    "words",
    [
        "data=tickets.csv",
        "data=sub/tickets.csv",
        "tickets.csv",
        "data=files data.path=x data.text=text,title",
        "data=files data.path=x data.label=rude,spam",
        "--output here",
        "--output=here",
        "--seed 2",
        "-o here",
        "--model.hidden_size=8",
        "model=LSTM",
    ],
)
def test_the_form_that_is_named_for_a_wrong_one_works(
    here: Path, capsys: pytest.CaptureFixture[str], words: str
) -> None:
    text = message(words.split(), capsys).splitlines()[1]
    advice = re.search(r"(?:[Ss]et|mean) ('[^']+'|data=files \\S+|[\w.]+=[^?\s]+)", text)
    assert advice, text
    advised = shlex.split(advice[1])
    files = ["data=files", "data.path=x"] if advised[0].startswith("data.") else []
    assert main(["train", *files, *advised, "--cfg", "job"]) == 0


def test_blanks_in_an_argument_are_an_error(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert message(["seed = 2"], capsys).splitlines()[1] == "Set seed=2"


def test_a_plus_sign_before_a_key_is_not_needed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "+experiment=smoke", "++seed=7", "--cfg", "job"]) == 0
    assert "\nseed: 7\n" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["ticket.csv", "TICKETS.CSV", "tickets.tsv"])
def test_a_missing_file_names_the_one_that_was_meant(
    here: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert main(["train", "data=files", f"data.path={name}"]) == 1
    assert f"Did you mean data.path={here}/tickets.csv?" in capsys.readouterr().err


def test_a_command_of_another_name_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trian"]) == 2
    assert "Did you mean nlp-rnn train?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        ("evaluate model tickets.csv", "Set data=files data.path=tickets.csv"),
        ("baselines tickets.csv", "Set data=files data.path=tickets.csv"),
        ("ui 5001", "Run nlp-rnn ui --port 5001"),
        ("pretrain model=ngrams", "Set model=gru, model=lstm or model=rnn."),
    ],
)
def test_other_commands_name_the_form_that_works(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: str, advice: str
) -> None:
    assert main(arguments.split()) == 2
    assert capsys.readouterr().err.splitlines()[1:] == [advice]


def test_resume_is_an_option_and_no_flag(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert message(["--resume", "outputs/one"], capsys).endswith("set resume=outputs/one\n")


def test_several_values_need_a_sweep(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "Add -m to train a sweep" in message(["seed=1,2"], capsys)
    assert main(["train", "-m", "seed=1,2", "--dry-run"]) == 0


@pytest.mark.parametrize("words", ["--config-name mine", "--config-path=mine", "-cn mine"])
def test_own_files_are_added_by_config_dir(
    here: Path, capsys: pytest.CaptureFixture[str], words: str
) -> None:
    text = message(words.split(), capsys)
    assert "FOLDER/experiment/NAME.yaml" in text
    preset = here / "mine" / "experiment" / "small.yaml"
    preset.parent.mkdir(parents=True)
    preset.write_text("# @package _global_\nmodel:\n  hidden_size: 8\n")
    assert "--config-dir FOLDER experiment=NAME" in text
    assert main(["train", "--config-dir", "mine", "experiment=small", "--cfg", "job"]) == 0
    assert "hidden_size: 8" in capsys.readouterr().out
