"""Columns and types of json rows, found by reading all of them once before the predictions."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from nlp_rnn.commands.output_values import whole_values

if TYPE_CHECKING:
    import pyarrow

__all__ = ["survey"]

_BATCH = 1000  # rows


def survey(rows: Iterable[dict[str, Any]]) -> "dict[str, pyarrow.DataType | None]":
    """Return the columns of rows that have keys of their own, in the order of their appearance.

    Parameters
    ----------
    rows : iterable of dict
        JSON values by key.

    Returns
    -------
    dict of str to pyarrow.DataType or None
        The type that holds all values of a column; None if its values have different types.
    """
    import pyarrow

    types: dict[str, pyarrow.DataType | None] = {}
    for batch in _batches(rows):
        names = list(dict.fromkeys(name for row in batch for name in row))
        for name in names:
            known = types.get(name, pyarrow.null())
            if known is not None:
                types[name] = _common(known, [whole_values(row.get(name)) for row in batch])
    return types


def _common(known: Any, values: list[Any]) -> Any:
    """Return the type that holds values of the type `known` and `values`; None without any."""
    import pyarrow

    try:
        schemas = [pyarrow.schema([("", kind)]) for kind in (known, pyarrow.array(values).type)]
        common = pyarrow.unify_schemas(schemas, promote_options="permissive").field(0).type
    except (pyarrow.ArrowException, TypeError, ValueError, OverflowError):
        return None
    # whole numbers above 2**53 would be rounded
    was_whole = any(pyarrow.types.is_integer(schema.field(0).type) for schema in schemas)
    return None if was_whole and pyarrow.types.is_floating(common) else common


def _batches(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    remaining = iter(rows)
    while batch := list(islice(remaining, _BATCH)):
        yield batch
