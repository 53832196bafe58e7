"""Label values of any supported type as label names, decided once for all splits of a data set.

`distinct_values` reads one split, `name_labels` names the values of all splits together: a label
is text wherever one split has text, so that the same label has the same name in every split.
"""

import math
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from nlp_rnn.data.label_messages import described_values, field_advice
from nlp_rnn.data.label_names import WHOLE_NUMBER, new_name
from nlp_rnn.data.labels import SingleLabels
from nlp_rnn.errors import DataError
from nlp_rnn.sources.columns import is_binary, is_string

if TYPE_CHECKING:
    import numpy
    from datasets import Dataset

__all__ = ["DistinctValues", "distinct_values", "label_column", "name_labels"]

_MIDNIGHT = " 00:00:00"
_EXACT = 2.0**53  # above it, floating-point numbers skip whole numbers


def _written_times(values: Any) -> Any:
    """Return dates and times as text in ISO format, in their time zone.

    Zeros at the end of the seconds, which depend on the unit of the column, are left out.
    """
    import pyarrow
    import pyarrow.compute as pc

    if pyarrow.types.is_timestamp(values.type) and values.type.tz is not None:
        values = pc.local_timestamp(values)
    texts = pc.replace_substring_regex(values.cast("string"), r"(\.[0-9]*?)0+$", r"\1")
    return pc.replace_substring_regex(texts, r"\.$", "")


def _as_text(splits: Mapping[str, "DistinctValues"]) -> dict[str, "DistinctValues"]:
    """Return times as text: as dates alone if all of them, in every split, are midnight."""
    times = [value for part in splits.values() if part.kind == "time" for value in part.values]
    end = _MIDNIGHT if all(value.endswith(_MIDNIGHT) for value in times) else ""
    return {
        split: replace(
            part.merged([value.removesuffix(end) for value in part.values]),
            kind="text",
        )
        if part.kind == "time"
        else part
        for split, part in splits.items()
    }


@dataclass(frozen=True)
class DistinctValues:
    """The distinct label values of a split.

    Attributes
    ----------
    where : str
        Description of the split, with which error messages begin.
    kind : {"text", "time", "integer", "float", "boolean"}
        Type of the values; decimals count as floats, and times are text in ISO format.
    values : list
        Python values, each of them once. Strings have no blanks around them.
    ids : int64 array of shape (rows,)
        Index into `values`; -1 for a row without a label (null, NaN or an empty string).
    declared : tuple of str or None
        Names of the labels 0, 1, … in a `ClassLabel` column.
    """

    where: str
    kind: str
    values: list[Any]
    ids: "numpy.ndarray[Any, Any]"
    declared: tuple[str, ...] | None = None

    def merged(self, values: list[Any]) -> "DistinctValues":
        """Return the same rows with `values` in place of the old ones; None and "" are no label."""
        import numpy

        distinct = list(dict.fromkeys(value for value in values if value not in (None, "")))
        index_of = {value: index for index, value in enumerate(distinct)}
        # the last entry serves the id -1
        table = numpy.array([*(index_of.get(value, -1) for value in values), -1], numpy.int64)
        return replace(self, values=distinct, ids=table[self.ids])


def distinct_values(values: Any, feature: Any, column: str, where: str) -> DistinctValues:
    """Read strings, integers, floats, decimals, booleans, dates, times or `ClassLabel` ids.

    Parameters
    ----------
    values : pyarrow.ChunkedArray
        The column.
    feature : datasets feature
        Its type in `datasets`; None: unknown.
    column, where : str
        Name of the column and description of the split, for messages.

    Raises
    ------
    DataError
        The column is of another type, or its numbers have lost digits.
    """
    import pyarrow
    import pyarrow.compute as pc

    if pyarrow.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    exact = values.type
    if pyarrow.types.is_temporal(exact) and not pyarrow.types.is_duration(exact):
        values = _written_times(values)
    if is_binary(exact):
        with suppress(
            pyarrow.ArrowInvalid
        ):  # bytes that are no UTF-8 stay bytes, which are no label
            values = values.cast("string")
    if pyarrow.types.is_float16(exact):
        values = values.cast("float32")
    kind = values.type
    is_float = pyarrow.types.is_floating(kind)
    if is_float:
        values = pc.if_else(pc.is_nan(values), None, values)
    if is_float or pyarrow.types.is_decimal(kind):
        name = "float"
    elif is_string(kind) or pyarrow.types.is_null(kind):
        name = "time" if pyarrow.types.is_timestamp(exact) else "text"
    elif pyarrow.types.is_integer(kind) or pyarrow.types.is_boolean(kind):
        name = "boolean" if pyarrow.types.is_boolean(kind) else "integer"
    else:
        raise DataError(
            f"{where} has {described_values(feature, values)} in its column {column!r}, not one "
            "label per row.\nSet data.label to a column of strings, of whole numbers or of lists "
            f"of them{field_advice(kind, column)}"
        )
    unique = pc.unique(values).drop_null()
    ids = pc.index_in(values, value_set=unique).fill_null(-1).to_numpy().astype("int64")
    labels = unique.to_pylist()
    if pyarrow.types.is_float32(kind):
        # 0.1 in 32 bits is 0.10000000149011612 in 64
        numbers = unique.cast(exact).to_numpy(zero_copy_only=False)
        labels = [float(str(value)) for value in numbers]
    declared = tuple(name.strip() for name in feature.names) if hasattr(feature, "names") else None
    distinct = DistinctValues(where, name, labels, ids, declared)
    if name == "text":
        return distinct.merged([label.strip() for label in labels])
    if is_float and (large := [label for label in labels if _EXACT <= abs(label) < math.inf]):
        raise DataError(
            f"{where} has the number {large[0]:.0f} in its column {column!r}: floating-point "
            "numbers of this size have lost digits.\nWrite labels of more than 15 digits as "
            'strings, in JSON with quotes: "12345678901234567890".'
        )
    return distinct


def name_labels(
    splits: Mapping[str, DistinctValues],
    label_names: Mapping[str, str] | None = None,
    known_labels: Collection[str] = (),
    notes: list[str] | None = None,
) -> dict[str, SingleLabels]:
    """Name the label values of all splits.

    Text names itself, and a number is named by its digits. Floats that are whole in every split
    are named like integers (1.0 is `1`); otherwise all numbers are named like floats (`1.0`,
    `2.5`). Integers without names take those of a `ClassLabel` column in another split.

    Parameters
    ----------
    splits : mapping of str to DistinctValues
        The values of train and of the other splits.
    label_names : mapping of str to str, optional
        `data.label_names`: a name for each label as it is in the data. One name for two labels
        makes them one class.
    known_labels : collection of str, optional
        The labels of the classifier that is evaluated: they decide between `1` and `1.0`.
    notes : list of str, optional
        Receives a line if floats are named like integers.

    Raises
    ------
    DataError
        A label has no name, or all labels of a split are -1 and train has no such label.
    """
    splits, notes = _as_text(splits), [] if notes is None else notes
    declared = next((part.declared for part in splits.values() if part.declared), None)
    texts: dict[str, list[str]] = {}
    as_floats = _named_like_floats(splits, () if label_names else known_labels)
    for split, part in splits.items():
        names = part.declared or declared
        texts[split] = [_text(value, as_floats) for value in part.values]
        if names is not None and _are_ids(part, names):
            ids = [_text(value, False) for value in part.values]
            texts[split] = _class_names(part, ids, names, label_names)
        elif part.kind == "float" and [*map(str, part.values[:1])] != texts[split][:1]:
            notes.append(
                f"{split}: the numbers of the labels are whole, {part.values[0]} is read as "
                f"{texts[split][0]}"
            )
    _check_unlabelled(splits, texts, label_names)
    if label_names is None:
        return {split: _single(part, texts[split], part.declared) for split, part in splits.items()}
    every = {text for part in texts.values() for text in part}
    order = tuple(dict.fromkeys(label_names.values()))
    named: dict[str, SingleLabels] = {}
    for split, part in splits.items():
        new = [new_name(text, every, label_names, part.where) for text in texts[split]]
        single = _single(part, new, order)
        named[split] = SingleLabels(order, single.encode(order), order)
    return named


def _single(
    part: DistinctValues, names: list[str], class_names: tuple[str, ...] | None
) -> SingleLabels:
    merged = part.merged(names)
    return SingleLabels(tuple(merged.values), merged.ids, class_names)


def _is_whole(text: str) -> bool:
    return WHOLE_NUMBER.fullmatch(text) is not None


def _are_ids(part: DistinctValues, names: tuple[str, ...]) -> bool:
    """Return whether the values count the names of a `ClassLabel` column, here or elsewhere."""
    if part.kind == "text":  # from a file without types
        return all(map(_is_whole, part.values)) and not set(part.values) & {*names}
    if part.kind == "float":
        return all(math.isfinite(value) and value == int(value) for value in part.values)
    return part.kind == "integer"


def _text(value: Any, as_floats: bool) -> str:
    if isinstance(value, str | bool):
        return str(value)
    if as_floats:
        return repr(float(value)) if isinstance(value, int | float) else str(value)
    return str(int(value))


def _named_like_floats(splits: Mapping[str, DistinctValues], known_labels: Collection[str]) -> bool:
    """Return whether numbers are named `1.0` rather than `1`."""
    floats = [value for part in splits.values() if part.kind == "float" for value in part.values]
    if not all(math.isfinite(value) and value == int(value) for value in floats):
        return True
    written = {text for part in splits.values() if part.kind == "text" for text in part.values}
    others = written | {*known_labels}
    like_floats = len(others & {_text(value, True) for value in floats})
    like_integers = len(others & {_text(value, False) for value in floats})
    if floats and like_floats == like_integers:  # as they are written, beside text
        return bool(written) and not all(map(_is_whole, written))
    return like_floats > like_integers


def _class_names(
    part: DistinctValues,
    texts: list[str],
    names: tuple[str, ...],
    label_names: Mapping[str, str] | None,
) -> list[str]:
    """Name the ids of a `ClassLabel` column; with `label_names`, those that it has no name for."""
    named = []
    for text in texts:
        if label_names is not None and (text in label_names or int(text) not in range(len(names))):
            named.append(text)
        elif (number := int(text)) < 0:
            raise DataError(_unlabelled(part, texts, number))
        elif number >= len(names):
            raise DataError(
                f"{part.where} has the label {max(map(int, texts))}, but there are only "
                f"{len(names)} label names."
            )
        else:
            named.append(names[number])
    return named


def _check_unlabelled(
    splits: Mapping[str, DistinctValues],
    texts: Mapping[str, list[str]],
    label_names: Mapping[str, str] | None,
) -> None:
    """Raise an error for a split where every label is -1, which train does not have as a class."""
    if label_names is not None and "-1" in label_names:
        return
    for split, part in splits.items():
        if texts[split] == ["-1"] and (split == "train" or "-1" not in texts["train"]):
            raise DataError(_unlabelled(part, texts[split], -1))


def _unlabelled(part: DistinctValues, texts: list[str], number: int) -> str:
    rows = int((part.ids == texts.index(str(number))).sum())
    message = f"{part.where} has label {number} in "
    if rows < len(part.ids):
        return (
            f"{message}{rows:,} of {len(part.ids):,} rows; -1 means that there is no label.\n"
            f"Remove these rows, or name all labels: 'data.label_names={{{number}:NAME,0:NAME,…}}'."
        )
    return (
        f"{message}all rows; -1 means that there is no label.\nUse a split that has labels "
        "(data=hub: data.test_split=validation; data=files: remove the file, or set data.label to "
        "another column)."
    )


def label_column(dataset: "Dataset", column: str) -> Any:
    """Return the Arrow values of a column, with the row selection of `dataset` applied."""
    import pyarrow

    values = dataset.select_columns([column]).with_format("arrow")[:].column(column)
    # few functions of pyarrow support views
    return values.cast("string") if pyarrow.types.is_string_view(values.type) else values
