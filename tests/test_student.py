"""Students of a teacher: their targets, their training in one command, and its resumption."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import nlp_rnn
from nlp_rnn.cli import main
from nlp_rnn.config.checks import check
from nlp_rnn.config.data import FilesConfig
from nlp_rnn.config.teacher import TeacherConfig, TeacherKind
from nlp_rnn.data.corpus import Corpus, load_corpus
from nlp_rnn.data.labels import labels_of
from nlp_rnn.errors import ConfigError, DataError
from nlp_rnn.ngrams.ensemble import NETWORK_WEIGHT, STUDENT_WEIGHT
from nlp_rnn.runs import ngram_ensemble
from nlp_rnn.teachers.pool import Pool
from nlp_rnn.teachers.student_data import make_student_data, soften
from nlp_rnn.teachers.teacher_predictions import TeacherDescription, TeacherPredictions
from nlp_rnn.teachers.teaching import Teaching
from tests import warm
from tests.composing import compose
from tests.test_ensemble_run import SMALL, texts_of, write_data

POOL = ["warm tea and kind people", "an awful, cold room", "plain music", "a usual evening"]
SELF = ["teacher=self", "data.unlabelled=pool.csv"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store_uri: str) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NLP_RNN_CACHE", str(tmp_path / "cache"))
    return tmp_path


def write_pool(folder: Path, rows: int = 90) -> None:
    lines = [text for text, _ in texts_of(rows, 7)]
    (folder / "pool.csv").write_text("\n".join(["text", *lines]) + "\n")


def train(folder: str, data: Path, *overrides: str) -> dict:
    arguments = [*SMALL, f"data.path={data}", f"output_dir={folder}", *overrides]
    assert main(["train", *arguments]) == 0
    return json.loads((Path(folder) / "result.json").read_text())


def read(folder: Path, label: str = "label") -> Corpus:
    return load_corpus(FilesConfig(name="files", path=str(folder), label=label))


def teaching(corpus: Corpus, unlabelled: np.ndarray, train: np.ndarray | None = None) -> Teaching:
    count = len(corpus.labels)
    rows = {s: len(getattr(corpus, s)) for s in ("train", "validation", "test")}
    nothing = {name: np.full((n, count), np.nan, np.float32) for name, n in rows.items()}
    if train is not None:
        nothing["train"] = train
    predictions = TeacherPredictions(
        **nothing, unlabelled=unlabelled, teacher=TeacherDescription("predictions", "x", "y")
    )
    texts = tuple(POOL[: len(unlabelled)])
    return Teaching(Pool(texts, np.arange(len(texts)), "digest", ()), predictions)


def options(**values: float) -> TeacherConfig:
    return replace(TeacherConfig(kind=TeacherKind.predictions), **values)


def test_softer_targets_have_the_logits_divided_by_the_temperature() -> None:
    logits = np.array([[2.0, 0.0, -4.0]])
    p = np.exp(logits) / np.exp(logits).sum()
    expected = np.exp(logits / 2) / np.exp(logits / 2).sum()
    np.testing.assert_allclose(soften(p.astype(np.float32), 2, False), expected, rtol=1e-5)
    sigmoid = 1 / (1 + np.exp(-logits))
    expected = 1 / (1 + np.exp(-logits / 2))
    np.testing.assert_allclose(soften(sigmoid.astype(np.float32), 2, True), expected, rtol=1e-4)
    certain = np.array([[1.0, 0.0, 0.0]], np.float32)
    for multi_label in (False, True):
        assert np.isfinite(soften(certain, 3, multi_label)).all()
        assert soften(certain, 1, multi_label).tolist() == certain.tolist()


def test_training_rows_are_the_labelled_ones_and_those_of_the_pool(tmp_path: Path) -> None:
    corpus = read(write_data(tmp_path / "data"))
    unlabelled = np.array([[0.1, 0.2, 0.7], [np.nan] * 3, [0.3, 0.6, 0.1]], np.float32)
    student = make_student_data(corpus, teaching(corpus, unlabelled), options())
    labels = labels_of(corpus.train)
    assert (student.labelled_rows, student.pool_rows) == (60, 2)
    assert student.corpus.train["text"][60:] == [POOL[0], POOL[2]]
    assert labels_of(student.corpus.train).tolist() == [*labels.tolist(), 2, 1]
    assert student.corpus.train["row"][58:] == [58, 59, -1, -1]
    np.testing.assert_array_equal(student.targets[:60], np.eye(3)[labels])  # nothing was said
    np.testing.assert_array_equal(student.targets[60:], unlabelled[[0, 2]])
    assert student.notes == ("unlabelled: 1 texts without a prediction of the teacher left out",)
    for split in ("validation", "test"):
        assert getattr(student.corpus, split) is getattr(corpus, split)
    other = make_student_data(corpus, teaching(corpus, unlabelled[:, ::-1]), options())
    assert other.corpus.digest == student.corpus.digest != corpus.digest


def test_labels_and_probabilities_of_labelled_rows_are_mixed_by_their_weight(
    tmp_path: Path,
) -> None:
    corpus = read(write_data(tmp_path / "data"))
    predicted = np.full((60, 3), [0.2, 0.3, 0.5], np.float32)
    predicted[0] = np.nan
    one = teaching(corpus, np.empty((0, 3), np.float32), predicted)
    student = make_student_data(corpus, one, options(label_weight=0.25))
    assert student.corpus is corpus
    assert student.pool_rows == 0
    true = np.eye(3)[labels_of(corpus.train)]
    np.testing.assert_array_equal(student.targets[0], true[0])
    expected = 0.25 * true[1:] + 0.75 * predicted[1:]
    np.testing.assert_allclose(student.targets[1:], expected, rtol=1e-6)


def test_a_multi_label_pool_has_the_labels_that_are_likely(tmp_path: Path) -> None:
    corpus = read(write_data(tmp_path / "data", multi_label=True), "labels")
    unlabelled = np.array([[0.9, 0.5, 0.1, 0.49]], np.float32)
    student = make_student_data(corpus, teaching(corpus, unlabelled), options())
    assert labels_of(student.corpus.train)[60:].tolist() == [[True, True, False, False]]
    np.testing.assert_array_equal(student.targets[:60], labels_of(corpus.train))
    np.testing.assert_array_equal(student.targets[60:], unlabelled)


@pytest.mark.parametrize(
    "kind",
    ["single"] + [pytest.param(kind, marks=pytest.mark.slow) for kind in ("multi_label", "pairs")],
)
def test_a_student_of_the_own_models_is_trained_by_one_command(here: Path, kind: str) -> None:
    data = write_data(here / "data", **({kind: True} if kind != "single" else {}))
    write_pool(here)
    extra = {
        "multi_label": ["data.label=labels"],
        "pairs": ["data.text=[text,other]", "data.separator_token=true"],
    }.get(kind, [])
    if kind == "pairs":
        lines = [f"{text[:10]},{text[10:]}" for text, _ in texts_of(90, 7)]
        (here / "pool.csv").write_text("\n".join(["text,other", *lines]) + "\n")
    result = train("student", data, *SELF, *extra)
    alone = train("alone", data, *extra)
    student, labelled = (nlp_rnn.load(r["classifier"]) for r in (result, alone))
    assert result["metrics"]["train/updates"] > alone["metrics"]["train/updates"]
    # words that only the pool has are in the vocabulary
    words = [
        json.loads((here / run / "classifier" / "tokenizer.json").read_text())
        for run in ("student", "alone")
    ]
    assert len(words[0]["model"]["vocab"]) > len(words[1]["model"]["vocab"])
    assert student.num_parameters > labelled.num_parameters  # of the vocabulary
    assert student.labels == labelled.labels


@pytest.mark.slow
def test_a_student_that_was_killed_is_resumed_to_the_same_weights(here: Path) -> None:
    data = write_data(here / "data")
    write_pool(here, 300)
    words = [*SMALL, f"data.path={data}", *SELF, "trainer.max_epochs=6"]
    words += ["trainer.checkpoint_minutes=0", "trainer.batch_size=8"]
    out = here / "output.txt"
    command = ["nlp-rnn", "train", *words, "hydra.run.dir=killed"]
    process = warm.start(command, out, out)
    warm.wait_for(process, out, "epoch 2")
    process.kill()
    process.join()
    assert main(["train", "resume=killed"]) == 0
    assert main(["train", *words, "hydra.run.dir=whole"]) == 0
    for name in ("model.safetensors", "ngrams.safetensors"):
        one, other = (here / run / "classifier" / name for run in ("killed", "whole"))
        assert one.read_bytes() == other.read_bytes(), name


@pytest.mark.slow
def test_unlabelled_texts_of_python_are_those_of_a_file(here: Path) -> None:
    frame = pd.DataFrame(texts_of(60, 1), columns=["review", "stars"])
    pool = [text for text, _ in texts_of(40, 7)]
    small = {"model__hidden_size": 8, "model__embedding_size": 8, "trainer__max_epochs": 1}
    small |= {"tracking__speed": "none", "tracking__system_metrics": False, "teacher": "self"}
    columns = {"text": "review", "label": "stars"}
    forms = [pool, pd.DataFrame({"review": pool}), {"review": pool}, np.array(pool, object)]
    weights = set()
    for number, form in enumerate(forms):
        folder = here / str(number)
        nlp_rnn.train(frame, **columns, unlabelled=form, output_dir=folder, **small)
        weights.add((folder / "classifier" / "model.safetensors").read_bytes())
    assert len(weights) == 1
    for wrong, message in (
        ({"text": pool}, "unlabelled has no column 'review'; it has 'text'"),
        ([1, 2], "unlabelled has a int among its texts"),
        (5, "unlabelled is a int"),
    ):
        with pytest.raises(DataError, match=message):
            nlp_rnn.train(frame, **columns, unlabelled=wrong, output_dir=here / "x", **small)
    with pytest.raises(ConfigError, match="set twice: by unlabelled and by data.unlabelled=y"):
        nlp_rnn.train(frame, **columns, unlabelled=pool, data__unlabelled="y", **small)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["teacher=self"], "Set data.unlabelled=FILE"),
        (["teacher=classifier", "teacher.path=x", "model=ngrams"], "or model=gru"),
        (
            ["teacher=self", "data.unlabelled=x", "model=ngrams"],
            "Set model=gru, or another teacher",
        ),
        (
            "teacher=classifier teacher.path=x data.unlabelled=x model=ngrams "
            "teacher.temperature=2".split(),
            "teacher.temperature=2 has no effect on n-gram models",
        ),
        (
            ["teacher=classifier", "teacher.path=x", "teacher.label_weight=1"],
            "or teacher.label_weight=0.5",
        ),
        (["teacher.temperature=2"], "has no effect without a teacher"),
        (["teacher=self", "data.unlabelled=x", "teacher.temperature=0"], "must be above 0"),
        (["data.unlabelled=x"], "Set teacher=self, or model.pretrained=auto"),
    ],
)
def test_options_that_leave_nothing_to_learn_raise_an_error(
    overrides: list[str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        check(compose(["data=files", "data.path=x", *overrides]))


@pytest.mark.slow
def test_two_processes_train_a_student(here: Path) -> None:
    data = write_data(here / "data")
    write_pool(here)
    without_dropout = ["model.embedding_dropout=0", "model.head_dropout=0", "trainer.r_drop=0"]
    without_dropout += ["trainer.language_model=0", "model.ensemble=off"]
    one, two = (
        train(str(count), data, *SELF, *without_dropout, f"trainer.processes={count}")
        for count in (1, 2)
    )
    for name in ("validation/loss", "test/loss", "train/updates"):
        assert one["metrics"][name] == pytest.approx(two["metrics"][name], abs=1e-3), name


@pytest.mark.slow
def test_a_sweep_compares_students_of_the_same_teacher(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_data(here / "data")
    write_pool(here)
    arguments = ["train", "-m", *SMALL, f"data.path={data}", *SELF, "model=lstm,gru", "seed=1,2"]
    assert main([*arguments, "hydra.sweep.dir=sweep"]) == 0
    output = capsys.readouterr().out
    assert "lstm" in output
    assert "gru" in output
    jobs = sorted((here / "sweep").glob("*/classifier/config.json"))
    assert len(jobs) == 4
    digests = {json.loads(job.read_text())["provenance"]["signature"] for job in jobs}
    assert len(digests) == 2


@pytest.mark.slow
def test_ngram_models_learn_from_another_teacher_and_not_from_themselves(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose, medians = ngram_ensemble.choose_ensemble, []

    def noted(*arguments: Any, **options: Any) -> Any:
        medians.append(options["network_weight"])
        return choose(*arguments, **options)

    monkeypatch.setattr(ngram_ensemble, "choose_ensemble", noted)
    data = write_data(here / "data")
    write_pool(here)
    labels = {text: label for text, label in texts_of(90, 7)}
    frame = pd.DataFrame({"text": list(labels), "label": list(labels.values())})
    frame.to_csv("predictions.csv", index=False)
    taught = ["data.unlabelled=pool.csv", "teacher=predictions", "teacher.path=predictions.csv"]
    tables = {}
    for name, overrides in (("alone", []), ("self", SELF), ("taught", taught)):
        result = train(name, data, *overrides, "trainer.max_epochs=1")
        tables[name] = (Path(result["classifier"]) / "ngrams.safetensors").stat().st_size
    assert tables["taught"] > tables["alone"]  # words of the pool
    assert tables["self"] == tables["alone"]
    # a network that was trained on the pool is trusted more in the ensemble
    assert medians == [NETWORK_WEIGHT, STUDENT_WEIGHT, STUDENT_WEIGHT]
    ngrams = [word for word in SMALL if not word.startswith(("model.", "trainer.max"))]
    arguments = [*ngrams, f"data.path={data}", "model=ngrams", "output_dir=ngrams"]
    assert main(["train", *arguments, *taught]) == 0
    predicted = nlp_rnn.load(here / "ngrams" / "classifier").predict(list(labels))
    assert np.mean(np.array(predicted) == np.array(list(labels.values()))) > 0.95
    assert main(["train", *arguments, *SELF]) == 2
