"""A file of predictions as teacher: what is read, how rows are matched, and what is rejected."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nlp_rnn.config.data import FilesConfig
from nlp_rnn.config.teacher import TeacherConfig, TeacherKind, UnknownLabels
from nlp_rnn.data.corpus import Corpus, load_corpus
from nlp_rnn.errors import DataError
from nlp_rnn.sources.arrow_cache import texts_of
from nlp_rnn.teachers.pool import Pool, read_pool
from nlp_rnn.teachers.prediction_file import PredictionFile
from nlp_rnn.teachers.teacher_predictions import TeacherPredictions

LABELS = ("food", "price", "service")
WORDS = {"food": "soup", "price": "bill", "service": "waiter"}


def text_of(row: int) -> str:
    return f"The {WORDS[LABELS[row % 3]]} number {row}"


def write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(key for row in rows for key in row)))
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_jsonl(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[FilesConfig, Corpus, Pool]:
    folder = tmp_path_factory.mktemp("data")
    for split, rows in (
        ("train", range(60)),
        ("validation", range(60, 90)),
        ("test", range(90, 120)),
    ):
        write_csv(
            folder / f"{split}.csv", [{"text": text_of(i), "label": LABELS[i % 3]} for i in rows]
        )
    pool = [text_of(i) for i in range(200, 230)]
    pool += [text_of(61), text_of(62), text_of(95), "the  SOUP number 0", pool[0], ""]
    unlabelled = write_csv(folder.parent / "unlabelled.csv", [{"text": text} for text in pool])
    config = FilesConfig(name="files", path=str(folder), unlabelled=str(unlabelled))
    corpus = load_corpus(config)
    return config, corpus, read_pool(config, corpus)


Data = tuple[FilesConfig, Corpus, Pool]


def predict(data: Data, path: Path, **options: Any) -> TeacherPredictions:
    config, corpus, pool = data
    teacher = TeacherConfig(kind=TeacherKind.predictions, path=str(path), **options)
    return PredictionFile(teacher, config, pool).predict(corpus, pool.texts)


def sure(row: int) -> dict[str, float]:
    return {label: 0.8 if index == row % 3 else 0.1 for index, label in enumerate(LABELS)}


def everything() -> list[int]:
    return [*range(120), *range(200, 230)]


def is_right(predictions: TeacherPredictions, data: Data) -> None:
    """Each text has 0.8 for its own label and 0.1 for the others."""
    _, corpus, pool = data
    assert corpus.labels == LABELS
    for part, texts in (
        *((split, texts_of(getattr(corpus, split))) for split in ("train", "validation", "test")),
        ("unlabelled", pool.texts),
    ):
        rows = [int(text.split()[-1]) for text in texts]
        expected = [[sure(row)[label] for label in LABELS] for row in rows]
        np.testing.assert_allclose(getattr(predictions, part), expected, atol=1e-6)


def test_the_pool_has_each_text_once_and_none_of_the_labelled_data(data: Data) -> None:
    _, _, pool = data
    assert pool.texts == tuple(text_of(i) for i in range(200, 230))
    assert pool.rows.tolist() == list(range(30))
    assert pool.notes == (
        "unlabelled: 1 empty texts left out",
        "unlabelled: 3 texts of validation or test left out",
        "unlabelled: 1 texts that have labels left out",
        "unlabelled: 1 repeated texts left out",
        "unlabelled: 30 texts",
    )


def columns(row: int) -> dict[str, Any]:
    return {f"probability_{label}": share for label, share in sure(row).items()}


FORMS = {
    "dictionary": lambda row: {"probabilities": sure(row)},
    "list": lambda row: {"probabilities": [sure(row)[label] for label in LABELS]},
    "columns in another order": lambda row: dict(reversed(columns(row).items())),
    "columns named by class in capitals": lambda row: {
        name.upper(): share for name, share in sure(row).items()
    },
    "pipeline of transformers": lambda row: {
        "prediction": [{"label": name, "score": share} for name, share in sure(row).items()]
    },
    "label and confidence": lambda row: {"label": LABELS[row % 3], "confidence": 0.8},
    "label in capitals, with blanks": lambda row: {
        "prediction": f" {LABELS[row % 3].upper()} ",
        "label": "something else",
        "score": 0.8,
    },
    "logits": lambda row: {"logits": np.log([sure(row)[label] for label in LABELS]).tolist()},
    "columns of logits": lambda row: {
        f"logit_{name}": float(np.log(share)) + 3 for name, share in sure(row).items()
    },
    "the largest only": lambda row: {"probabilities": {LABELS[row % 3]: 0.8}},
}


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("form", FORMS)
def test_predictions_are_read_in_every_form_whatever_the_order_of_the_rows(
    data: Data, tmp_path: Path, form: str, suffix: str
) -> None:
    order = np.random.default_rng(0).permutation(everything()).tolist()
    rows = [{"text": text_of(row)} | FORMS[form](row) for row in order]
    if suffix == "parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = tmp_path / "teacher.parquet"
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif suffix == "jsonl":
        path = write_jsonl(tmp_path / "teacher.jsonl", rows)
    else:
        cells = [
            {
                key: json.dumps(value) if isinstance(value, list | dict) else value
                for key, value in row.items()
            }
            for row in rows
        ]
        path = write_csv(tmp_path / "teacher.csv", cells)
    predictions = predict(data, path)
    is_right(predictions, data)
    assert predictions.teacher.kind == "predictions"
    assert len(predictions.teacher.digest) == 16


def test_rows_without_texts_are_matched_by_number_and_split(data: Data, tmp_path: Path) -> None:
    rows = [
        {"row": row - start, "split": split} | columns(row)
        for split, start, end in (
            ("train", 0, 60),
            ("validation", 60, 90),
            ("test", 90, 120),
            ("unlabelled", 200, 230),
        )
        for row in reversed(range(start, end))
    ]
    is_right(predict(data, write_csv(tmp_path / "teacher.csv", rows)), data)
    without_split = [{"row": row} | columns(row) for row in range(60)]
    with pytest.raises(
        DataError, match="could mean rows of data.path or of data.unlabelled"
    ) as error:
        predict(data, write_csv(tmp_path / "unclear.csv", without_split))
    assert "Add the column of the texts, or a column split" in str(error.value)


def test_missing_rows_have_no_prediction_and_are_counted(data: Data, tmp_path: Path) -> None:
    rows = [{"text": text_of(row)} | columns(row) for row in everything() if row % 4]
    rows += [{"text": text_of(4)}, {"text": "a text of nobody"} | columns(0)]
    predictions = predict(data, write_csv(tmp_path / "teacher.csv", rows))
    missing = np.isnan(predictions.train)
    assert missing.all(axis=1).tolist() == [row % 4 == 0 for row in range(60)]
    assert not missing[1].any()
    assert predictions.teacher.notes[:3] == (
        "teacher: no prediction for 15 of 60 training texts",
        "teacher: no prediction for 8 of 30 unlabelled texts",
        "teacher: 2 predictions for other texts than those of the data",
    )


def test_several_predictions_for_a_text_are_averaged(data: Data, tmp_path: Path) -> None:
    rows = [{"text": text_of(row), "label": LABELS[row % 3]} for row in everything()]
    rows += [{"text": text_of(200), "label": label} for label in (*LABELS, LABELS[200 % 3])]
    rows += [{"text": text_of(201).upper(), "label": LABELS[0]}]
    predictions = predict(data, write_csv(tmp_path / "teacher.csv", rows))
    assert predictions.unlabelled[0].tolist() == pytest.approx([0.2, 0.2, 0.6])
    assert predictions.unlabelled[1].tolist() == [1, 0, 0]  # as it is written, not in capitals
    assert "teacher: 1 texts have different predictions, which are averaged" in (
        predictions.teacher.notes
    )


def test_unknown_labels_name_the_row_and_the_option_drops_them(data: Data, tmp_path: Path) -> None:
    rows = [{"text": text_of(row), "label": LABELS[row % 3]} for row in everything()]
    for row in (7, 70, 130):
        rows[row]["label"] = "I cannot say."
    path = write_csv(tmp_path / "teacher.csv", rows)
    with pytest.raises(DataError) as error:
        predict(data, path)
    assert str(error.value) == (
        f"{path}, row 8: the data has no label 'I cannot say.'; 3 rows have labels like this "
        "(1 different ones). The data has: food, price, service.\nCorrect the labels, or set "
        "teacher.unknown=drop to leave out these predictions."
    )
    dropped = predict(data, path, unknown=UnknownLabels.drop)
    assert np.flatnonzero(np.isnan(dropped.train).any(axis=1)).tolist() == [7]
    assert dropped.teacher.notes[0] == (
        "teacher: 3 predictions dropped, with labels that the data does not have, such as "
        "'I cannot say.'"
    )


WRONG = {
    "sum": ({"probabilities": {"food": 0.5, "price": 0.5, "service": 0.5}}, "sum to 1.5, not to 1"),
    "nan": ({"probabilities": [float("nan"), 0.5, 0.5]}, "a value is nan, not a number"),
    "text": ({"probabilities": {"food": "high", "price": 0, "service": 0}}, "a value is high"),
    "percent": (
        {"probabilities": [80, 10, 10]},
        "80 is no probability.\nDivide percentages by 100",
    ),
    "logits": (
        {"probabilities": [2.5, -1, 0.3]},
        "If the values are logits, name the column logits",
    ),
    "length": ({"probabilities": [0.5, 0.5]}, "2 values for 3 classes"),
    "confidence": ({"label": "food", "score": 85}, "the confidence 85 is not between 0 and 1"),
    "labels": ({"label": ["food", "price"]}, "2 labels, but each text has one label"),
}


@pytest.mark.parametrize("fault", WRONG)
def test_a_wrong_value_is_an_error_that_names_its_row(
    data: Data, tmp_path: Path, fault: str
) -> None:
    wrong, message = WRONG[fault]
    right = {"label": "food", "score": 0.8} if "label" in wrong else {"probabilities": sure(0)}
    rows = [{"text": text_of(row)} | right for row in range(100)]
    rows[41] = {"text": text_of(41)} | wrong
    path = tmp_path / "teacher.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(DataError) as error:
        predict(data, path)
    assert str(error.value).startswith(f"{path}, row 42: ")
    assert message in str(error.value)


def test_lists_in_another_order_than_the_labels_are_noticed(data: Data, tmp_path: Path) -> None:
    rows = [
        {"text": text_of(row), "probabilities": [sure(row)[label] for label in reversed(LABELS)]}
        for row in everything()
    ]
    with pytest.raises(DataError, match="in another order than the labels of the data") as error:
        predict(data, write_jsonl(tmp_path / "teacher.jsonl", rows))
    assert "in the order service, price, food it would be 100%" in str(error.value)


def test_other_files_say_what_they_lack(data: Data, tmp_path: Path) -> None:
    other = write_csv(tmp_path / "other.csv", [{"text": text_of(0), "answer": "food"}])
    with pytest.raises(DataError, match="no column of predictions that is recognized"):
        predict(data, other)
    assert predict(data, other, column="answer").train[0].tolist() == [1, 0, 0]
    with pytest.raises(DataError, match="has no column of texts .* and no column row"):
        predict(data, write_csv(tmp_path / "no_text.csv", [{"label": "food"}]))
    with pytest.raises(DataError, match="of no text of the data"):
        predict(data, write_csv(tmp_path / "else.csv", [{"text": "else", "label": "food"}]))
    rows = [{"text": text_of(0), "probability_food": 0.5, "probability_price": 0.5}]
    two = write_csv(tmp_path / "two.csv", rows)
    with pytest.raises(DataError, match="no column of probabilities for the label 'service'"):
        predict(data, two)


def test_labels_instead_of_predictions_and_a_teacher_that_knows_the_texts_are_noticed(
    data: Data, tmp_path: Path
) -> None:
    rows = [{"text": text_of(row), "label": LABELS[row % 3]} for row in everything()]
    notes = predict(data, write_csv(tmp_path / "labels.csv", rows)).teacher.notes
    assert any("every prediction for a training text is its label" in note for note in notes)
    for row in [5, *range(60, 90, 2)]:
        rows[row]["label"] = LABELS[(row + 1) % 3]
    notes = predict(data, write_csv(tmp_path / "fitted.csv", rows)).teacher.notes
    assert any("probably fitted to the training texts" in note for note in notes)


def test_multi_label_predictions_are_lists_or_probabilities(tmp_path: Path) -> None:
    sets = [["food"], ["food", "price"], [], ["service"]]
    rows = [{"text": f"text {row}", "label": "|".join(sets[row % 4])} for row in range(80)]
    path = write_csv(tmp_path / "train.csv", [row for row in rows if row["label"]])
    config = FilesConfig(name="files", path=str(path), label_separator="|")
    corpus = load_corpus(config)
    pool = read_pool(config, corpus)
    texts = list(texts_of(corpus.train))
    members = {label: index for index, label in enumerate(corpus.labels)}
    expected = np.zeros((len(texts), 3), np.float32)
    for row, text in enumerate(texts):
        for label in sets[int(text.split()[-1]) % 4]:
            expected[row, members[label]] = 0.75
    predictions = [
        {"text": text, "labels": labels, "scores": [0.75] * len(labels)}
        for text, labels in ((text, sets[int(text.split()[-1]) % 4]) for text in texts)
    ]
    for name, rows_of_file in (
        ("lists.jsonl", predictions),
        (
            "columns.jsonl",
            [
                {"text": text}
                | {f"probability_{label}": float(row[i]) for label, i in members.items()}
                for text, row in zip(texts, expected, strict=True)
            ],
        ),
    ):
        teacher = TeacherConfig(
            kind=TeacherKind.predictions, path=str(write_jsonl(tmp_path / name, rows_of_file))
        )
        read = PredictionFile(teacher, config, pool).predict(corpus, ())
        np.testing.assert_array_equal(read.train, expected)
        assert read.unlabelled.shape == (0, 3)


def test_pairs_are_matched_by_both_columns(tmp_path: Path) -> None:
    rows = [
        {"premise": f"premise {row}", "hypothesis": f"so {row % 5}", "label": LABELS[row % 3]}
        for row in range(60)
    ]
    config = FilesConfig(
        name="files",
        path=str(write_csv(tmp_path / "train.csv", rows)),
        text=["premise", "hypothesis"],
        separator_token=True,
    )
    corpus = load_corpus(config)
    path = write_csv(tmp_path / "teacher.csv", list(reversed(rows)))
    teacher = TeacherConfig(kind=TeacherKind.predictions, path=str(path))
    read = PredictionFile(teacher, config, read_pool(config, corpus)).predict(corpus, ())
    assert read.train.argmax(axis=1).tolist() == corpus.train["label"]
