"""Rows of several tables with the same columns, such as the shards of a split."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["concatenated"]


def concatenated(tables: "Sequence[Dataset]", files: Sequence[Path]) -> "Dataset":
    """Return the rows of tables with the same columns, such as the shards of a split.

    Raises
    ------
    DataError
        A column has another type in one of the files than in the first.
    """
    import datasets
    import pyarrow

    tables = _with_common_labels(tables)
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
                    f"{files[0].name}: {_type_name(types[1])}, not {_type_name(types[0])}.\n"
                    "Write both files with the same type."
                ) from error
            first = first.copy()
            first[name] = datasets.Features.from_arrow_schema(common)[name]
    return datasets.concatenate_datasets(
        [table if table.features == first else table.cast(first) for table in tables]
    )


def _type_name(feature: Any) -> str:
    return str(getattr(feature, "dtype", None) or feature)


def _with_common_labels(tables: "Sequence[Dataset]") -> "Sequence[Dataset]":
    """Make text of columns that are text in one table, and numbers or `ClassLabel` in another.

    A number is written with its digits: whole floats as `1`, or as `1.0` where the text of other
    tables is written so. A `ClassLabel` is written with its name.
    """
    import datasets

    names = [name for name in tables[0].column_names if all(name in t.features for t in tables)]
    for name in names:
        features = [table.features[name] for table in tables]
        if all(feature == features[0] for feature in features):
            continue
        classes = [hasattr(feature, "names") for feature in features]
        strings = [getattr(f, "dtype", "") in ("string", "large_string") for f in features]
        if not all(
            isinstance(feature, datasets.Value | datasets.ClassLabel) for feature in features
        ):
            continue
        if all(classes) or any(strings):
            texts = [
                cell
                for table, is_string in zip(tables, strings, strict=True)
                for cell in (table.unique(name) if is_string else ())
            ]
            tables = [_with_text(table, name, texts) for table in tables]
    return tables


def _with_text(table: "Dataset", name: str, texts: Sequence[str | None]) -> "Dataset":
    """Return the table with a column as text."""
    import pyarrow
    import pyarrow.compute as pc

    feature, column = table.features[name], table.data.column(name)
    if feature.dtype == "string":
        return table
    if feature.dtype.startswith("float"):
        column = pc.if_else(pc.is_nan(column), None, column)
    unique = pc.unique(column).drop_null()
    values = unique.to_pylist()
    if hasattr(feature, "names"):
        written = [
            feature.names[value] if 0 <= value < len(feature.names) else None for value in values
        ]
    elif feature.dtype.startswith("float") and all(value == value // 1 for value in values):
        end = ".0" if any(text and text.endswith(".0") for text in texts) else ""
        written = [f"{int(value)}{end}" for value in values]
    else:
        written = [str(value) for value in values]
    indices = pc.index_in(column, value_set=unique)
    cells = pyarrow.array(written, pyarrow.string()).take(indices.combine_chunks())
    return table.remove_columns(name).add_column(name, cells)
