"""Label values of every type, and the order of the labels."""

from decimal import Decimal

import pyarrow
import pytest
from datasets import ClassLabel, Dataset, Features, List, Value

from nlp_rnn.data.label_columns import read_single_labels
from nlp_rnn.data.label_values import label_column
from nlp_rnn.data.labels import SingleLabels, order_labels
from nlp_rnn.errors import DataError


def table(values: list, feature=None) -> Dataset:
    features = Features({"label": feature}) if feature is not None else None
    return Dataset.from_dict({"label": values}, features=features)


def read(*splits: Dataset, **options) -> list[SingleLabels]:
    """The labels of train, validation and test, read together."""
    parts = dict(zip(("train", "validation", "test"), splits, strict=False))
    labels = read_single_labels(
        {split: label_column(part, "label") for split, part in parts.items()},
        {split: part.features["label"] for split, part in parts.items()},
        "label",
        {split: f"The {split} split" for split in parts},
        **options,
    )
    return list(labels.values())


def row_names(labels: SingleLabels) -> list[str | None]:
    assert labels.ids.dtype == "int64"
    assert len(set(labels.names)) == len(labels.names)
    return [labels.names[index] if index >= 0 else None for index in labels.ids]


def names_of(values: list, feature=None, class_names=None) -> list[str | None]:
    """The labels of a split, beside a train split whose labels have these names."""
    if class_names is None:
        return row_names(read(table(values, feature))[0])
    train = table([*range(len(class_names))], ClassLabel(names=[*class_names]))
    return row_names(read(train, table(values, feature))[1])


@pytest.mark.parametrize(
    ("values", "feature", "expected"),
    [
        ([3, 1, 3, None], Value("int8"), ["3", "1", "3", None]),
        ([3, 1], Value("uint64"), ["3", "1"]),
        ([1.0, 0.0, float("nan"), None], Value("float32"), ["1", "0", None, None]),
        ([1.0, 2.5, 0.1], Value("float64"), ["1.0", "2.5", "0.1"]),
        ([2.5, 0.1, 1e-7], Value("float32"), ["2.5", "0.1", "1e-07"]),
        ([1.0, float("inf")], Value("float64"), ["1.0", "inf"]),
        ([0.1, 2.0], Value("float16"), ["0.1", "2.0"]),
        ([Decimal("3.00")], Value("decimal128(9, 2)"), ["3"]),
        ([Decimal("3.00"), Decimal("1.10")], Value("decimal128(9, 2)"), ["3.00", "1.10"]),
        ([0, -1, -1, 2], Value("int64"), ["0", "-1", "-1", "2"]),
        ([-1.0, 1.0], Value("float64"), ["-1", "1"]),
        ([" b", "b ", "\tb\n", " ", "B"], Value("string"), ["b", "b", "b", None, "B"]),
        (["007", "7", "07", "+7", "7.0"], Value("string"), ["007", "7", "07", "+7", "7.0"]),
        (["1" * 20, "1" * 19 + "2"], Value("string"), ["1" * 20, "1" * 19 + "2"]),
        ([2**63 - 1, 2**63 - 2], Value("uint64"), [str(2**63 - 1), str(2**63 - 2)]),
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
    assert row_names(read(rows)[0]) == ["c", "a", "b"]


@pytest.mark.parametrize(
    ("values", "feature", "message"),
    [
        ([-1, -1], Value("int64"), "label -1 in all rows"),
        ([-1.0], Value("float64"), "label -1 in all rows"),
        (["-1", "-1"], Value("string"), "label -1 in all rows"),
        ([-1, -1], ClassLabel(names=["a", "b"]), "label -1 in all rows"),
        ([-1, 1], ClassLabel(names=["a", "b"]), "label -1 in 1 of 2 rows"),
        ([1e16, 2.0], Value("float64"), "number 10000000000000000 .* lost digits"),
        ([[1], [2, 3]], List(Value("int64")), "not one label per row"),
        ([b"\xff"], Value("binary"), "type binary in its column .label., not one label per row"),
    ],
)
def test_what_is_no_label(values, feature, message):
    train = table([0, 1], Value("int64"))
    with pytest.raises(DataError, match=f"^The test split has .*{message}") as caught:
        read(train, train, table(values, feature))
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
