"""Label values of every type, and the order of the labels."""

from decimal import Decimal

import pyarrow
import pytest
from datasets import ClassLabel, Dataset, Features, List, Value

from nlp_rnn.data.label_values import read_single_labels
from nlp_rnn.data.labels import order_labels
from nlp_rnn.errors import DataError


def table(values: list, feature=None) -> Dataset:
    features = Features({"label": feature}) if feature is not None else None
    return Dataset.from_dict({"label": values}, features=features)


def names_of(values: list, feature=None, class_names=None) -> list[str | None]:
    labels = read_single_labels(table(values, feature), "label", "The train split", class_names)
    assert labels.ids.dtype == "int64"
    assert len(set(labels.names)) == len(labels.names)
    return [labels.names[index] if index >= 0 else None for index in labels.ids]


@pytest.mark.parametrize(
    ("values", "feature", "expected"),
    [
        ([3, 1, 3, None], Value("int8"), ["3", "1", "3", None]),
        ([3, 1], Value("uint64"), ["3", "1"]),
        ([1.0, 0.0, float("nan"), None], Value("float32"), ["1", "0", None, None]),
        ([Decimal("3.00")], Value("decimal128(9, 2)"), ["3"]),
        (["b", "", None, "a b"], Value("string"), ["b", None, None, "a b"]),
        (["b", "", None, "a b"], Value("large_string"), ["b", None, None, "a b"]),
        (["-1", "3.5"], Value("string"), ["-1", "3.5"]),
        ([True, False, None], Value("bool"), ["True", "False", None]),
        ([1, 0, None], ClassLabel(names=["neg", "pos"]), ["pos", "neg", None]),
        ([None, None], None, [None, None]),
    ],
)
def test_every_type_of_label(values, feature, expected):
    assert names_of(values, feature) == expected


def test_numbers_take_the_names_that_train_has():
    assert names_of([1, 0], Value("int64"), ("neg", "pos")) == ["pos", "neg"]
    with pytest.raises(DataError, match="has the label 2, but there are only 2 label names"):
        names_of([2], Value("int64"), ("neg", "pos"))
    # names of its own go first, words are names already
    assert names_of([1], ClassLabel(names=["a", "b"]), ("neg", "pos")) == ["b"]
    assert names_of(["neg"], Value("string"), ("neg", "pos")) == ["neg"]


def test_labels_over_several_chunks_and_through_a_selection():
    parts = [pyarrow.table({"label": values}) for values in (["b", "a"], ["a", "c"])]
    rows = Dataset(pyarrow.concat_tables(parts)).select([3, 2, 0])
    labels = read_single_labels(rows, "label", "The train split")
    assert [labels.names[index] for index in labels.ids] == ["c", "a", "b"]


@pytest.mark.parametrize(
    ("values", "feature", "message"),
    [
        ([0, -1, -1], Value("int64"), "label -1 in 2 of 3 rows; -1 means that there is no label"),
        ([-1, -1], ClassLabel(names=["a", "b"]), "label -1 in all rows"),
        ([-1.0, 1.0], Value("float64"), "label -1 in 1 of 2 rows"),
        ([1.0, 2.5], Value("float64"), r"not whole numbers, such as 2\.5"),
        ([1.0, float("inf")], Value("float64"), "such as inf"),
        ([[1], [2, 3]], List(Value("int64")), "not one label per row"),
        ([b"a"], Value("binary"), "type binary in its column .label., not one label per row"),
    ],
)
def test_what_is_no_label(values, feature, message):
    with pytest.raises(DataError, match=f"^The test split has .*{message}") as caught:
        read_single_labels(table(values, feature), "label", "The test split")
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("class_names", "names", "expected"),
    [
        (None, ["10", "9", "1"], ("1", "9", "10")),
        (None, ["10", "9", "a"], ("10", "9", "a")),
        (None, ["True", "False"], ("False", "True")),
        (("z", "b", "a"), ["a", "b", "z"], ("z", "b", "a")),
    ],
)
def test_order(class_names, names, expected):
    notes: list[str] = []
    assert order_labels(class_names or (), {"train": dict.fromkeys(names, 1)}, notes) == expected
    assert notes == []


def test_labels_that_train_lacks_come_last_and_are_told():
    notes: list[str] = []
    counts = {"train": {"b": 2, "d": 1}, "validation": {"c": 3}, "test": {"a": 1, "c": 4, "b": 9}}
    order = order_labels(("a", "b", "x", "d"), counts, notes)
    assert order == ("b", "d", "a", "c")
    assert notes == [
        "label names without any row, left out: x",
        "validation: label 'c' is not in train; its rows (3) count as wrong",
        "test: label 'a' is not in train; its rows (1) count as wrong",
        "test: label 'c' is not in train; its rows (4) count as wrong",
    ]


def test_a_single_class():
    with pytest.raises(DataError, match="single class, 'a'"):
        order_labels((), {"train": {"a": 5}, "test": {"b": 1}}, [])
