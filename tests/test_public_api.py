"""Public names of the package, and the libraries that importing and predicting load."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import nlp_rnn
from nlp_rnn.errors import ClassifierError
from tests.tiny_classifier import save_tiny

HEAVY = {
    *("torch", "mlflow", "onnxruntime", "onnx", "datasets", "tokenizers", "safetensors"),
    *("numpy", "pandas", "sklearn", "matplotlib", "hydra", "omegaconf", "rich"),
}


def imported_by(program: str, *arguments: str) -> set[str]:
    """Which of the heavy libraries a fresh process has imported after `program`."""
    program += "\nimport sys, json; print(json.dumps(sorted(sys.modules)))"
    process = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True
    )
    assert (process.returncode, process.stderr) == (0, "")
    return HEAVY & set(json.loads(process.stdout))


def test_public_names() -> None:
    names = [
        *("Comparison", "Evaluation", "Inspections", "Run", "TextClassifier", "__version__"),
        *("compare", "evaluate", "inspect", "load", "sweep", "train"),
    ]
    assert sorted(nlp_rnn.__all__) == names
    for name in names:
        assert getattr(nlp_rnn, name).__doc__
    from nlp_rnn.classifier.predictor import TextClassifier

    assert nlp_rnn.TextClassifier is TextClassifier
    assert nlp_rnn.__version__.count(".") == 2
    with pytest.raises(AttributeError, match="'nlp_rnn' has no attribute 'Classifier'"):
        nlp_rnn.Classifier  # noqa: B018


def test_the_package_imports_nothing_heavy() -> None:
    assert imported_by("import nlp_rnn; assert nlp_rnn.__version__ and nlp_rnn.load") == set()


def test_loading_and_predicting_imports_three_libraries(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "classifier")
    program = "import nlp_rnn, sys; assert nlp_rnn.load(sys.argv[1]).predict(['w2'])"
    assert imported_by(program, str(folder)) == {"numpy", "onnxruntime", "tokenizers"}


def test_a_path_loads_as_str_and_as_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = save_tiny(tmp_path / "classifier")
    expected = nlp_rnn.TextClassifier.load(folder).predict_proba(["w2"])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for location in (folder, str(folder), "classifier", "./classifier/", "~/classifier"):
        np.testing.assert_array_equal(nlp_rnn.load(location).predict_proba(["w2"]), expected)


@pytest.mark.parametrize("location", ["nowhere", "s3://bucket/classifier", "C:/classifier", ""])
def test_what_is_no_classifier_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, location: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ClassifierError) as caught:
        nlp_rnn.load(location)
    assert len(str(caught.value).splitlines()) == 2


def test_threads_reach_the_classifier(tmp_path: Path) -> None:
    with pytest.raises(ClassifierError, match="threads is 0"):
        nlp_rnn.load(save_tiny(tmp_path / "classifier"), threads=0)
