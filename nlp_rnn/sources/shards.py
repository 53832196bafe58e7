"""Rows of several tables with the same columns, such as the shards of a split."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

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
