"""Trained classifiers as teacher: averaged probabilities, labels matched by name."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nlp_rnn.classifier.predictor import TextClassifier
from nlp_rnn.config.data import FilesConfig
from nlp_rnn.data.corpus import Corpus, load_corpus
from nlp_rnn.errors import ConfigError, DataError
from nlp_rnn.sources.arrow_cache import texts_of
from nlp_rnn.teachers.classifier_teacher import ClassifierTeacher
from tests.test_teacher_predictions import write_csv
from tests.tiny_classifier import save_tiny, tiny_texts

NAMES = ("good", "Bad", "fair")
"""Another order, and another case, than the labels bad, fair and good of the classifiers."""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    texts = [f"{text} w{row % 28 + 2}" for row, text in enumerate(tiny_texts(90))]
    rows = [{"text": text, "label": NAMES[row % 3]} for row, text in enumerate(texts)]
    path = write_csv(tmp_path_factory.mktemp("data") / "rows.csv", rows)
    corpus = load_corpus(FilesConfig(name="files", path=str(path), label_names=None))
    return replace(corpus, labels=NAMES)


def test_probabilities_are_averaged_and_labels_matched_by_name(
    corpus: Corpus, tmp_path: Path
) -> None:
    folders = [save_tiny(tmp_path / str(seed) / "classifier", seed) for seed in (1, 2)]
    pool = ["w3 w4", "w5"]
    teacher = ClassifierTeacher([str(tmp_path)], "sqlite:///unused.db", threads=1)
    assert teacher.locations == [str(folder) for folder in folders]
    predictions = teacher.predict(corpus, pool)
    classifiers = [TextClassifier.load(folder) for folder in folders]
    for part, texts in (
        ("unlabelled", pool),
        ("train", list(texts_of(corpus.train))),
        ("test", list(texts_of(corpus.test))),
    ):
        expected = np.mean([c.predict_proba(texts)[:, [2, 0, 1]] for c in classifiers], axis=0)
        np.testing.assert_allclose(getattr(predictions, part), expected, atol=1e-6)
    assert predictions.teacher.name == "2 classifiers"
    assert predictions.teacher.parameters == 2 * classifiers[0].num_parameters
    assert predictions.teacher.digest == teacher.digest()
    assert ClassifierTeacher([str(folders[0])], "").digest() != teacher.digest()


def test_classifiers_of_other_labels_are_an_error(corpus: Corpus, tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "classifier")
    other = replace(corpus, labels=("a", "b", "c"))
    with pytest.raises(DataError, match=r"has other labels \(bad, fair, good\)"):
        ClassifierTeacher([str(folder)], "").predict(other, ())
    with pytest.raises(DataError, match="is single-label, but the data is multi-label"):
        ClassifierTeacher([str(folder)], "").predict(replace(corpus, task="multi_label"), ())


def test_labels_without_a_counterpart_are_noted(corpus: Corpus, tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "classifier")
    wider = replace(corpus, labels=("bad", "good", "new"))
    predictions = ClassifierTeacher([str(folder)], "").predict(wider, ["w3"])
    assert predictions.unlabelled[0, 2] == 0
    assert predictions.unlabelled[0].sum() == pytest.approx(1)
    assert predictions.teacher.notes == (
        "teacher: 1 labels of the data that it does not have (classifier)",
        "teacher: 1 of its labels that the data does not have, left out (classifier)",
    )


def test_a_sweep_without_finished_runs_is_an_error(store_uri: str) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=store_uri)
    run = client.create_run(client.create_experiment("sweeps"))
    with pytest.raises(ConfigError, match="has no finished runs"):
        ClassifierTeacher([f"sweep:{run.info.run_id}"], store_uri)
