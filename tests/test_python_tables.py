"""Data in memory and paths for nlp_rnn.train: what they are read as."""

from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pytest

from nlp_rnn.api.tables import data_arguments
from nlp_rnn.data.corpus import Corpus, load_corpus
from nlp_rnn.errors import DataError
from tests.composing import compose

pytestmark = pytest.mark.usefixtures("own_datasets_cache")

TEXTS = [f"film {number}" for number in range(30)]
LABELS = ["pos", "neg"] * 15
TABLE = datasets.Dataset.from_dict({"text": TEXTS, "label": LABELS})


def corpus(
    folder: Path, data: Any, text: Any = "text", label: Any = "label", test: Any = None
) -> Corpus:
    return load_corpus(compose(data_arguments(data, None, test, text, label, folder / "run")).data)


@pytest.mark.parametrize("name", ["validation", "valid", "val", "dev"])
def test_splits_have_the_names_that_files_can_have(tmp_path, name):
    loaded = corpus(tmp_path, datasets.DatasetDict({"train": TABLE, name: TABLE, "testing": TABLE}))
    assert (len(loaded.validation), len(loaded.test)) == (30, 30)


def test_paths_with_dots_and_of_several_formats(tmp_path):
    frame = TABLE.to_pandas()
    assert isinstance(frame, pd.DataFrame)
    frame.to_csv(tmp_path / "reviews.2024.csv", index=False)
    frame.to_csv(tmp_path / "reviews.2025.csv", index=False)
    frame.to_csv(tmp_path / "reviews.2025.tsv.gz", index=False, sep="\t")
    for name in ("reviews.2025.csv", "reviews.2025.tsv.gz"):
        loaded = corpus(tmp_path, tmp_path / "reviews.2024.csv", test=tmp_path / name)
        assert (len(loaded.train) + len(loaded.validation), len(loaded.test)) == (30, 30)


@pytest.mark.parametrize("path", ["", " "])
def test_an_empty_path_is_an_error(tmp_path, path):
    with pytest.raises(DataError, match="data is an empty path"):
        corpus(tmp_path, path)
    with pytest.raises(DataError, match="test is an empty path"):
        corpus(tmp_path, "a.csv", test=path)


def test_columns_of_pandas_without_names_and_with_the_same_name(tmp_path):
    frame = pd.DataFrame(list(zip(TEXTS, LABELS, strict=True)))
    for text, label in ((0, 1), ("0", "1")):
        assert corpus(tmp_path, frame, text, label).labels == ("neg", "pos")
    frame = pd.DataFrame([[text, "x", text] for text in TEXTS], columns=["text", "label", "text"])
    with pytest.raises(DataError, match="several columns named 'text'"):
        corpus(tmp_path, frame)
    with pytest.raises(DataError, match="different lengths"):
        corpus(tmp_path, {"text": TEXTS, "label": LABELS[1:]})


def test_periods_and_intervals_are_labels(tmp_path):
    labels = pd.Series(pd.period_range("2024-01", periods=2, freq="M").repeat(15))
    labels[0] = pd.NaT
    loaded = corpus(tmp_path, pd.DataFrame({"text": TEXTS, "label": labels}))
    assert loaded.labels == ("2024-01", "2024-02")
    assert "train: 1 row without a label (null) dropped" in loaded.notes
    frame = pd.DataFrame({"text": TEXTS, "label": pd.cut(range(30), [-1, 9, 30])})
    assert corpus(tmp_path, frame).labels == ("(-1, 9]", "(9, 30]")
