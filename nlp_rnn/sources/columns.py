"""Selection of columns from a table, including fields of nested records."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.errors import DataError
from nlp_rnn.sources.arrow_cache import arrow_batches, write_arrow

if TYPE_CHECKING:
    import pyarrow
    from datasets import Dataset

__all__ = [
    "MissingColumnError",
    "concatenated",
    "listed",
    "require_columns",
    "select_columns",
    "top_columns",
]


class MissingColumnError(DataError):
    """A table lacks required columns.

    Attributes
    ----------
    missing : tuple of str
        The columns that it lacks.
    """

    def __init__(self, message: str, missing: Sequence[str]) -> None:
        super().__init__(message)
        self.missing = tuple(missing)


def require_columns(names: Sequence[str], required: Sequence[str], where: str) -> None:
    """Raise `DataError` unless each required column exists exactly once.

    Parameters
    ----------
    names : sequence of str
        The names of all columns.
    required : sequence of str
        Names of columns, or of fields in nested columns such as `utterance.text`, for which the
        column `utterance` is enough.
    where : str
        Description of the table, with which the message begins.
    """
    for name in top_columns(names, required):
        if name not in names:
            raise MissingColumnError(
                f"{where} has no column {name!r}; it has: {listed(names)}.\n"
                "Set the columns to use: data.text=COLUMN data.label=COLUMN",
                [column for column in required if top_columns(names, [column])[0] not in names],
            )
        if list(names).count(name) > 1:
            raise DataError(f"{where} has several columns named {name!r}. Rename all but one.")


def top_columns(names: Sequence[str], required: Sequence[str]) -> list[str]:
    """Return the columns that hold the required ones, such as `utterance` for `utterance.text`."""
    tops = []
    for name in required:
        top = name.split(".")[0]
        tops.append(top if name not in names and top in names else name)
    return list(dict.fromkeys(tops))


def select_columns(dataset: "Dataset", required: Sequence[str], where: str) -> "Dataset":
    """Return `dataset` with all required columns; it is rewritten only if one of them is nested.

    Parameters
    ----------
    dataset : Dataset
        The table.
    required : sequence of str
        Names of columns, or of fields in nested columns such as `utterance.text`.
    where : str
        Description of the table, with which error messages begin.

    Raises
    ------
    DataError
        A column or field does not exist.
    """
    from datasets import Features

    require_columns(dataset.column_names, required, where)
    if all(name in dataset.column_names for name in required):
        return dataset
    features = {name: _feature(dataset, name, where) for name in required}
    schema = Features(features).arrow_schema
    batches = (_select(table, required, schema) for table in arrow_batches(dataset))
    return write_arrow(("columns", dataset._fingerprint, *required), schema, batches)


def _feature(dataset: "Dataset", name: str, where: str) -> Any:
    """Return the type of a column, or of a field within a nested column."""
    if name in dataset.column_names:
        return dataset.features[name]
    top, *fields = name.split(".")
    feature, path = dataset.features[top], top
    for field in fields:
        if not isinstance(feature, dict):
            raise DataError(
                f"{where} has no nested records in {path!r}, so that {name!r} does not exist.\n"
                f"It has the columns: {listed(dataset.column_names)}."
            )
        if field not in feature:
            raise DataError(
                f"{where} has no field {field!r} in {path!r}; it has: {listed(feature)}."
            )
        feature, path = feature[field], f"{path}.{field}"
    return feature


def _select(
    table: "pyarrow.Table", required: Sequence[str], schema: "pyarrow.Schema"
) -> "pyarrow.RecordBatch":
    import pyarrow
    import pyarrow.compute as pc

    columns = []
    for name, field in zip(required, schema, strict=True):
        if name in table.column_names:
            column = table.column(name)
        else:
            top, *inner = name.split(".")
            column = pc.struct_field(table.column(top), inner)
        columns.append(column.combine_chunks().cast(field.type))
    return pyarrow.RecordBatch.from_arrays(columns, schema=schema)


def concatenated(tables: "Sequence[Dataset]", files: Sequence[Path]) -> "Dataset":
    """Return the rows of tables with the same columns, such as the shards of a split.

    Raises
    ------
    DataError
        A column has another type in one of the files than in the first.
    """
    import datasets
    import pyarrow

    first = tables[0].features
    for table, file in zip(tables, files, strict=True):
        for name, feature in table.features.items():
            if feature == first[name]:
                continue
            types = [first[name], feature]
            try:
                if not all(isinstance(kind, datasets.Value | datasets.List) for kind in types):
                    raise pyarrow.ArrowInvalid
                schemas = [datasets.Features({name: kind}).arrow_schema for kind in types]
                common = pyarrow.unify_schemas(schemas, promote_options="permissive")
            except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError) as error:
                raise DataError(
                    f"{file}: the column {name!r} does not have the type that it has in "
                    f"{files[0].name}: {types[1]}, not {types[0]}.\n"
                    "Write both files with the same type."
                ) from error
            first = first.copy()
            first[name] = datasets.Features.from_arrow_schema(common)[name]
    return datasets.concatenate_datasets(
        [table if table.features == first else table.cast(first) for table in tables]
    )


def listed(names: Iterable[str]) -> str:
    """Join names for a message: the first twenty, each shortened to forty characters."""
    short = [name if len(name) <= 40 else name[:40] + "…" for name in names]
    return ", ".join(short[:20]) + (f" and {len(short) - 20} more" if len(short) > 20 else "")
