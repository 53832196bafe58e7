"""The command suggest: texts to label next, and what is left out."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

import nlp_rnn
from nlp_rnn.classifier import text_choice
from nlp_rnn.classifier.text_choice import TextChoice, disagreement, gradients, uncertainty
from nlp_rnn.cli import main
from nlp_rnn.commands.suggest import _has_label, worth_and_gradients

LABELLED = [("Warm and quick", "good"), ("Cold and late", "bad")]
UNLABELLED = ["Warm and late", "Warm and quick", "Cold tea", "warm  AND late", "A quick cup", ""]
TRAIN = ["train", "data=files", "tracking.system_metrics=false", "tracking.speed=none"]


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("suggest")
    rows = [
        (f"{text} {'!' * (number // 2)}", label) for number in range(30) for text, label in LABELLED
    ]
    write(folder / "first.csv", [{"review": text, "stars": label} for text, label in rows])
    columns = [f"data.path={folder}/first.csv", "data.text=review", "data.label=stars"]
    uri = f"tracking.uri=sqlite:///{folder}/mlflow.db"
    assert main([*TRAIN, *columns, uri, "model=ngrams", f"output_dir={folder}/run"]) == 0
    return folder


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def read(path: str) -> list[dict[str, str]]:
    with Path(path).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_chosen_texts_are_new_and_uncertain_and_have_an_empty_label(
    classifier: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(Path("new.csv"), [{"id": n, "review": text} for n, text in enumerate(UNLABELLED)])
    arguments = ["suggest", f"{classifier}/run/classifier", "--input", "new.csv"]
    assert main([*arguments, "--rows", "3", "--output", "next.csv"]) == 0
    rows = read("next.csv")
    assert list(rows[0]) == ["stars", "review", "id"]
    assert {row["stars"] for row in rows} == {""}
    texts = [row["review"] for row in rows]
    assert set(texts) == {"Warm and late", "Cold tea", "A quick cup"}
    assert texts[0] == "Warm and late"  # one word of each class, and no other
    assert [row["id"] for row in rows] == [str(UNLABELLED.index(text)) for text in texts]
    shown = capsys.readouterr().err
    assert "left out: 1 without text, 1 trained on" in shown


def test_the_filled_in_file_is_trained_on_together_with_the_first(
    classifier: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("labels").mkdir()
    (Path("labels") / "first.csv").write_text((classifier / "first.csv").read_text())
    texts = [{"text": f"A lukewarm cup, number {number}"} for number in range(6)]
    Path("new.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in texts))
    arguments = ["suggest", f"{classifier}/run/classifier", "data.text=text", "--rows", "6"]
    assert main([*arguments, "--input", "new.jsonl", "--output", "labels/second.csv"]) == 0
    rows = read("labels/second.csv")
    assert len(rows) == 6
    assert list(rows[0]) == ["stars", "review"]  # named as in the training
    for row in rows[:4]:
        row["stars"] = "neither"
    write(Path("labels/second.csv"), rows)
    capsys.readouterr()
    columns = ["data.path=labels/*.csv", "data.text=review", "data.label=stars"]
    uri = f"tracking.uri=sqlite:///{classifier}/mlflow.db"
    assert main([*TRAIN, *columns, uri, "model=ngrams", "output_dir=run"]) == 0
    assert "without a label (null) dropped" in capsys.readouterr().out
    assert nlp_rnn.load("run/classifier").labels == ["bad", "good", "neither"]


def test_rows_with_a_label_are_left_out(
    classifier: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"review": "Warm tea", "stars": "good"}, {"review": "Cold tea", "stars": None}]
    parquet.write_table(pa.Table.from_pylist(rows), "new.parquet")
    assert main(["suggest", f"{classifier}/run/classifier", "--input", "new.parquet"]) == 0
    shown = capsys.readouterr()
    assert shown.out == "stars,review\n,Cold tea\n"
    assert "1 of 1 unlabelled texts (left out: 1 with a label)" in shown.err
    assert "no more different texts than these 1" in shown.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "suggest needs one classifier"),
        (["--input", "new.csv", "--output", "next.xlsx"], "does not end in a supported format"),
        (["--input", "new.csv", "--output", "new.csv"], "is also the input"),
        (["--input", "new.csv", "--output", "no/next.csv"], "in a folder that does not exist"),
        (["--input", "new.csv", "--rows", "0"], "--rows must be a whole number from 1"),
        (["--input", "new.csv", "a text"], "found also 'a text'"),
        (["--input", "new.csv", "data.label=x"], "data.label has no effect"),
    ],
)
def test_wrong_arguments_raise_an_error_that_says_what_to_change(
    classifier: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    write(Path("new.csv"), [{"review": "Cold tea"}])
    location = [f"{classifier}/run/classifier"] if arguments else []
    assert main(["suggest", *location, *arguments]) == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in Path().iterdir()] == ["new.csv"]


def test_a_teacher_with_other_labels_raises_an_error(
    classifier: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.tiny_classifier import save_tiny

    write(Path("new.csv"), [{"review": "Cold tea"}])
    arguments = ["suggest", f"{classifier}/run/classifier", "--input", "new.csv", "--teacher"]
    assert main([*arguments, str(save_tiny(Path("tiny")))]) == 2
    assert "do not have the same labels" in capsys.readouterr().err
    assert main([*arguments, f"{classifier}/run/classifier"]) == 0


def test_uncertainty_is_a_small_margin_or_a_probability_near_its_threshold() -> None:
    rows = np.array([[0.5, 0.5, 0.0], [0.6, 0.3, 0.1], [1.0, 0.0, 0.0]])
    assert uncertainty(rows) == pytest.approx([1.0, 0.7, 0.0])
    thresholds = np.array([0.5, 0.2, 0.5])
    rows = np.array([[0.5, 0.0, 0.0], [0.0, 0.1, 1.0], [1.0, 0.0, 1.0]])
    assert uncertainty(rows, thresholds) == pytest.approx([1.0, 0.5, 0.0])
    one, other = np.array([[1.0, 0.0]]), np.array([[0.25, 0.75]])
    assert disagreement(one, other, multi_label=False) == pytest.approx([0.75])
    assert disagreement(one, 1 - one, multi_label=True) == pytest.approx([1.0])


def slopes(*probabilities: float) -> np.ndarray:
    """Gradients of texts with two labels."""
    return gradients(np.array([[value, 1 - value] for value in probabilities]))


def test_similar_texts_are_not_chosen_together_and_copies_only_once() -> None:
    texts = [
        "late again today",
        "late again today!",
        "Late  again today",
        "cup was cracked",
        "fine",
    ]
    chosen = []
    for number in (2, 10):
        choice = TextChoice(number)
        choice.add(texts, [0.9, 0.8, 0.9, 0.8, 0.1], slopes(0.51, 0.52, 0.51, 0.52, 0.95), range(5))
        chosen.append([candidate.row for candidate in choice.choose()])
    assert chosen[0] == [0, 3]
    assert sorted(chosen[1]) == [0, 1, 3, 4]
    assert TextChoice(3).choose() == []


def test_similar_texts_with_different_predictions_are_different() -> None:
    texts = ["late again today", "late again now", "late again or"]
    choice = TextChoice(2)
    choice.add(texts, [0.9, 0.8, 0.8], slopes(0.6, 0.62, 0.38), range(3))
    assert [candidate.row for candidate in choice.choose()] == [0, 2]


def test_gradients_are_those_of_the_predicted_labels() -> None:
    rows = np.array([[0.2, 0.8], [1.0, 0.0]])
    assert gradients(rows) == pytest.approx(np.array([[0.2, -0.2], [0.0, 0.0]]))
    thresholds = np.array([0.1, 0.9])
    assert gradients(rows, thresholds) == pytest.approx(np.array([[-0.8, 0.8], [0.0, 0.0]]))


def test_only_candidates_are_retained_of_a_long_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_choice, "MIN_CANDIDATES", 20)
    choice = TextChoice(2)
    worth = np.random.default_rng(0).permutation(1000) / 1000
    for start in range(0, 1000, 100):
        texts = [f"text{number}" for number in range(start, start + 100)]
        part = worth[start : start + 100]
        choice.add(texts, part, slopes(*(1 - part / 2)), range(start, start + 100))
    assert choice.seen == 1000
    assert len(choice._candidates) == 20
    first, second = (candidate.row for candidate in choice.choose())
    assert first == worth.argmax()
    assert second in np.argsort(-worth)[:20]


def test_parts_of_an_ensemble_that_disagree_are_preferred() -> None:
    class Ensemble:
        thresholds, is_ensemble = None, True

        def predict_proba_of_parts(self, texts: list[str]) -> dict[str, np.ndarray]:
            same, other = [0.7, 0.3], [0.1, 0.9]
            whole = np.array([same, same])
            return {"ensemble": whole, "network": whole, "ngrams": np.array([same, other])}

    worth, slopes = worth_and_gradients(Ensemble(), None, ["agreed", "disputed"])  # type: ignore[arg-type]
    assert worth == pytest.approx([0.6, 1.2])
    assert slopes == pytest.approx(np.array([[-0.3, 0.3], [-0.48, 0.48]]), abs=1e-6)


@pytest.mark.parametrize(
    ("value", "is_label"),
    [("good", True), (0, True), (False, True), (["a"], True)]
    + [(value, False) for value in ("", "  ", None, float("nan"), [])],
)
def test_what_training_reads_as_no_label_is_none(value: Any, is_label: bool) -> None:
    assert _has_label(value) == is_label


def test_different_texts_are_chosen_although_the_classifier_is_certain() -> None:
    texts = ["good great film", "bad awful meal", "warm song", "late book", "quick tea"]
    probabilities = np.array([[1 - 1e-7, 1e-7]] * 5, np.float32)
    choice = TextChoice(5)
    choice.add(texts, uncertainty(probabilities), gradients(probabilities), range(5))
    assert {candidate.text for candidate in choice.choose()} == {*texts}
