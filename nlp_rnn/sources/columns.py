"""The columns of a table become the columns that were asked for, also out of nested records."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from nlp_rnn.errors import DataError
from nlp_rnn.sources.arrow_cache import arrow_batches, write_arrow

if TYPE_CHECKING:
    import pyarrow
    from datasets import Dataset

__all__ = ["listed", "require_columns", "select_columns", "top_columns"]


def require_columns(found: Sequence[str], wanted: Sequence[str], where: str) -> None:
    """Raise `DataError` unless each wanted column is found once; `where` begins the sentence.

    A nested column `utterance.text` is found when there is a column `utterance`.
    """
    for name in top_columns(found, wanted):
        if name not in found:
            raise DataError(
                f"{where} has no column {name!r}; it has: {listed(found)}.\n"
                "Name the columns to use: data.text=COLUMN data.label=COLUMN"
            )
        if list(found).count(name) > 1:
            raise DataError(f"{where} has several columns named {name!r}. Rename all but one.")


def top_columns(found: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """The columns that hold the wanted ones: of `utterance.text`, if it is nested, `utterance`."""
    tops = []
    for name in wanted:
        top = name.split(".")[0]
        tops.append(top if name not in found and top in found else name)
    return list(dict.fromkeys(tops))


def select_columns(dataset: "Dataset", wanted: Sequence[str], where: str) -> "Dataset":
    """Return a table that has every wanted column; rewritten only if one of them is nested.

    `where` begins the sentence of a `DataError`, which is raised for a column or field that is
    not there.
    """
    from datasets import Features

    require_columns(dataset.column_names, wanted, where)
    if all(name in dataset.column_names for name in wanted):
        return dataset
    features = {name: _feature(dataset, name, where) for name in wanted}
    schema = Features(features).arrow_schema
    batches = (_taken(table, wanted, schema) for table in arrow_batches(dataset))
    return write_arrow(("columns", dataset._fingerprint, *wanted), schema, batches)


def _feature(dataset: "Dataset", name: str, where: str) -> Any:
    """The type of a column, or of a field within a nested one."""
    if name in dataset.column_names:
        return dataset.features[name]
    top, *fields = name.split(".")
    feature, path = dataset.features[top], top
    for field in fields:
        if not isinstance(feature, dict):
            raise DataError(
                f"{where} has no records in {path!r} that {name!r} could look into.\n"
                f"It has the columns: {listed(dataset.column_names)}."
            )
        if field not in feature:
            raise DataError(
                f"{where} has no field {field!r} in {path!r}; it has: {listed(feature)}."
            )
        feature, path = feature[field], f"{path}.{field}"
    return feature


def _taken(
    table: "pyarrow.Table", wanted: Sequence[str], schema: "pyarrow.Schema"
) -> "pyarrow.RecordBatch":
    import pyarrow
    import pyarrow.compute as pc

    columns = []
    for name, field in zip(wanted, schema, strict=True):
        if name in table.column_names:
            column = table.column(name)
        else:
            top, *inner = name.split(".")
            column = pc.struct_field(table.column(top), inner)
        columns.append(column.combine_chunks().cast(field.type))
    return pyarrow.RecordBatch.from_arrays(columns, schema=schema)


def listed(names: Iterable[str]) -> str:
    """Join names for a message: the first twenty, each cut at forty characters."""
    some = [name if len(name) <= 40 else name[:40] + "…" for name in names]
    return ", ".join(some[:20]) + (f" and {len(some) - 20} more" if len(some) > 20 else "")
