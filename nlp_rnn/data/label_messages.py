"""Parts of messages about columns that are no labels."""

import json
from typing import Any

from nlp_rnn.sources.columns import is_string

__all__ = ["described_values", "field_advice"]


def described_values(feature: Any, values: Any) -> str:
    """Return what a column without labels has, for a message."""
    if type(feature).__name__ == "Json":  # `datasets` stores what has no single type as JSON
        first: dict[str, str] = {}
        for value in values.drop_null().cast("string").to_pylist()[:10_000]:
            first.setdefault(type(json.loads(value)).__name__, value[:20])
        examples = " and ".join(f"{value} ({kind})" for kind, value in list(first.items())[:3])
        return f"values of different types, {examples},"
    return f"values of type {getattr(feature, 'dtype', '') or type(feature).__name__}"


def field_advice(kind: Any, column: str) -> str:
    """Return the end of a message about a column of records: which of its fields to set."""
    import pyarrow

    if not pyarrow.types.is_struct(kind) or not kind.num_fields:
        return "."
    fields = [kind.field(index) for index in range(kind.num_fields)]
    names = [f"{column}.{field.name}" for field in fields]
    if len(fields) > 1 and not any(is_string(field.type) for field in fields):
        return f"; if its fields are 0 or 1 for each class, 'data.label=[{','.join(names)}]'"
    return f", such as data.label={names[0]}"
