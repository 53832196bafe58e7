"""Students of a sentence encoder: all tasks and models, and nothing of the teacher is saved."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import nlp_rnn
from nlp_rnn.cli import main
from tests.test_ensemble_run import FILLERS, SMALL, WORDS, texts_of, write_data
from tests.tiny_sentence_encoder import save_tiny_encoder

NGRAMS = ["data=files", "model=ngrams", *(word for word in SMALL if word.startswith("tracking."))]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store_uri: str) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NLP_RNN_CACHE", str(tmp_path / "cache"))
    save_tiny_encoder(tmp_path, [*FILLERS, *(word for words in WORDS.values() for word in words)])
    return tmp_path


def write_pool(folder: Path, pairs: bool) -> None:
    heads, texts = ["text"], [[text] for text, _ in texts_of(60, 7)]
    if pairs:
        heads, texts = ["text", "other"], [[text[:10], text[10:]] for (text,) in texts]
    (folder / "pool.csv").write_text("\n".join(",".join(row) for row in [heads, *texts]) + "\n")


@pytest.mark.slow
@pytest.mark.parametrize("model", ["gru", "ngrams"])
@pytest.mark.parametrize("task", ["multi_label", "pairs"])
def test_a_student_of_an_encoder_has_every_task(here: Path, task: str, model: str) -> None:
    write_data(here / "data", **{task: True})
    write_pool(here, task == "pairs")
    extra = {
        "multi_label": ["data.label=labels"],
        "pairs": ["data.text=[text,other]", "data.separator_token=true"],
    }[task]
    teacher = ["teacher=encoder", "teacher.path=encoder", "data.unlabelled=pool.csv"]
    arguments = [*(NGRAMS if model == "ngrams" else SMALL), "data.path=data", *extra, *teacher]
    assert main(["train", *arguments, "output_dir=run"]) == 0
    metrics = json.loads((here / "run" / "result.json").read_text())["metrics"]
    assert metrics["teacher/unlabelled_texts"] == 60
    score = "accuracy" if task == "pairs" else "micro_f1"
    assert metrics[f"test/teacher_{score}"] > 0.6
    assert metrics["latency/teacher_batch1_p50_ms"] > 0
    description = json.loads((here / "run" / "classifier" / "config.json").read_text())
    assert description["provenance"]["teacher"]["licence"] == "apache-2.0"


def test_the_folder_of_a_student_holds_nothing_of_its_teacher(here: Path) -> None:
    write_data(here / "data")
    write_pool(here, pairs=False)
    teacher = ["teacher=encoder", "teacher.path=encoder", "data.unlabelled=pool.csv"]
    folders = {}
    for name, overrides in (("alone", []), ("student", teacher)):
        arguments = [*SMALL, "data.path=data", f"output_dir={name}", *overrides]
        assert main(["train", *arguments]) == 0
        folders[name] = here / name / "classifier"
    files = {name: sorted(file.name for file in f.iterdir()) for name, f in folders.items()}
    assert files["student"] == files["alone"]
    weights = [load_file(file) for file in folders["student"].glob("*.safetensors")]
    shapes = {array.shape for arrays in weights for array in arrays.values()}
    encoder = load_file(here / "encoder" / "model.safetensors")
    matrices = {array.shape for array in encoder.values() if array.ndim == 2}
    assert not shapes & matrices
    (here / "encoder").rename(here / "elsewhere")
    text = "warm tea and kind people"
    expected = nlp_rnn.load(folders["student"]).predict_proba([text])
    program = f"""
import sys, nlp_rnn
print(nlp_rnn.load("student/classifier").predict_proba([{text!r}]).tolist())
names = ("torch", "transformers", "sentence_transformers", "sklearn", "datasets")
print([name for name in names if name in sys.modules])
"""
    command = [sys.executable, "-c", program]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    np.testing.assert_allclose(json.loads(shown[0]), expected, atol=1e-6)
    assert shown[1] == "[]"
