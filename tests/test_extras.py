"""Errors of a small installation: they name the extra to install."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nlp_rnn.extras import TRAINING, missing_package
from tests.tiny_classifier import save_tiny

BLOCKED = f"""
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {TRAINING!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocker())
import nlp_rnn.extras
nlp_rnn.extras.find_spec = lambda name: None
"""


def run(code: str, here: Path) -> "subprocess.CompletedProcess[str]":
    """Run code in a process without the packages for training."""
    command = [sys.executable, "-c", BLOCKED + code]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)}
    return subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("command", "extra"),
    [
        ("train", "train"),
        ("pretrain", "train"),
        ("evaluate classifier data=stories", "train"),
        ("baselines data=stories", "train"),
        ("inspect classifier hello", "train"),
        ("predict classifier --input texts.csv", "files"),
        ("suggest classifier --input texts.csv", "files"),
        ("predict runs:/0123/classifier hello", "mlflow"),
    ],
)
def test_a_command_names_the_extra_that_it_needs(tmp_path: Path, command: str, extra: str) -> None:
    save_tiny(tmp_path / "classifier")
    (tmp_path / "texts.csv").write_text("text\nhello\n")
    done = run(f"from nlp_rnn.cli import main\nsys.exit(main({command.split()!r}))", tmp_path)
    assert done.returncode == 1
    first, second = done.stderr.splitlines()
    assert " needs " in first
    assert "not installed" in first
    assert second == f"Run pip install 'nlp_rnn[{extra}]'"


def test_functions_name_the_extra_that_they_need(tmp_path: Path) -> None:
    save_tiny(tmp_path / "classifier")
    code = """
import nlp_rnn
print(nlp_rnn.load("classifier").predict(["hello"]))
for call in (lambda: nlp_rnn.train("texts.csv"), lambda: nlp_rnn.load("models:/a/1")):
    try:
        call()
    except ImportError as error:
        print(error)
"""
    lines = run(code, tmp_path).stdout.splitlines()
    assert lines[0].startswith("['")
    assert lines[2] == "Run pip install 'nlp_rnn[train]'"
    assert lines[4] == "Run pip install 'nlp_rnn[mlflow]'"


def test_other_modules_are_not_explained() -> None:
    assert missing_package(ImportError(name="abc"), "train") is None
    # the package is installed, and something in it cannot be imported
    assert missing_package(ImportError(name="torch"), "train") is None
