"""The formats parquet and arrow (Arrow stream or Feather): tables with typed columns."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nlp_rnn.errors import DataError
from nlp_rnn.sources.arrow_cache import file_key, write_arrow
from nlp_rnn.sources.columns import (
    distinct_names,
    listed,
    require_columns,
    top_columns,
    unused_column_notes,
)
from nlp_rnn.sources.file_format import FileFormat, SourceFile, TableStream

if TYPE_CHECKING:
    import pyarrow
    from datasets import Dataset

__all__ = ["ARROW", "PARQUET", "plain_array"]

_BUFFER = 1 << 20  # bytes of each column that are read together
_BATCH_BYTES = 16 << 20
_BATCH_ROWS = 4096


def _read_parquet(file: SourceFile) -> "Dataset":
    from pyarrow import parquet

    schema = parquet.read_schema(file.plain)
    require_columns(schema.names, file.columns, str(file.path))
    file.notes.extend(unused_column_notes(schema.names, file.columns, file.path))
    columns = top_columns(schema.names, file.columns)
    if _is_supported(schema):
        return file.load_dataset("parquet", columns=columns)
    batches = parquet.ParquetFile(file.plain).iter_batches(columns=columns)
    return _write_columns(file, schema, batches)


def _read_arrow(file: SourceFile) -> "Dataset":
    """Map an Arrow stream into memory, or a copy of an Arrow (Feather) file in the cache."""
    import datasets
    import pyarrow

    with pyarrow.memory_map(str(file.plain)) as source:
        try:
            reader = pyarrow.ipc.open_file(source)
            batches = (reader.get_batch(i) for i in range(reader.num_record_batches))
        except pyarrow.ArrowInvalid:
            source.seek(0)
            reader = batches = pyarrow.ipc.open_stream(source)
        require_columns(reader.schema.names, file.columns, str(file.path))
        if not _is_supported(reader.schema):
            return _write_columns(file, reader.schema, batches)
        if reader is not batches:
            return write_arrow(("arrow", *file_key(file.plain)), reader.schema, batches)
    return datasets.Dataset.from_file(str(file.plain))


def _is_supported(schema: "pyarrow.Schema") -> bool:
    """Return whether `datasets` has an equivalent for the type of every column."""
    import datasets

    try:
        datasets.Features.from_arrow_schema(schema)
    except ValueError:
        return False
    return not any(_plain_type(kind) != kind for kind in schema.types)


def _write_columns(
    file: SourceFile, schema: "pyarrow.Schema", batches: "Iterable[pyarrow.RecordBatch]"
) -> "Dataset":
    """Write the required columns to the cache, in types that `datasets` has."""
    import pyarrow

    require_columns(schema.names, file.columns, str(file.path))
    columns = top_columns(schema.names, file.columns)
    fields = [schema.field(name) for name in columns]
    target = pyarrow.schema([(field.name, _plain_type(field.type)) for field in fields])
    if not _is_supported(target):
        kind = next(field.type for field in target if not _is_supported(pyarrow.schema([field])))
        others = [field.name for field in schema if field.name not in columns]
        raise DataError(
            f"{file.path}: the type {str(kind)[:60]} of one of the columns {listed(columns)} is "
            "not supported.\nWrite the column as text"
            + (f", or set data.text and data.label to others: {listed(others)}" if others else ".")
        )

    def converted() -> "Iterator[pyarrow.RecordBatch]":
        for batch in batches:
            arrays = [
                plain_array(batch.column(name)).cast(kind)
                for name, kind in zip(columns, target.types, strict=True)
            ]
            yield pyarrow.RecordBatch.from_arrays(arrays, schema=target)

    dataset = write_arrow(("arrow columns", *file_key(file.plain), *columns), target, converted())
    for name, feature in _class_labels(schema).items():
        if name in columns:
            dataset = dataset.cast_column(name, feature)
    return dataset


def _class_labels(schema: "pyarrow.Schema") -> dict[str, Any]:
    """Return the columns whose label names the library `datasets` stored in the metadata."""
    import datasets

    metadata = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    columns = metadata.get("info", {}).get("features") or {}
    return {
        name: datasets.ClassLabel(names=feature["names"])
        for name, feature in columns.items()
        if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
    }


def plain_array(array: Any) -> Any:
    """Return an array without run ends and list views; pyarrow 25 casts views wrongly."""
    import pyarrow
    import pyarrow.compute as pc

    if pyarrow.types.is_run_end_encoded(array.type):
        return plain_array(pc.run_end_decode(array))
    if pyarrow.types.is_list_view(array.type) or pyarrow.types.is_large_list_view(array.type):
        sizes = pc.fill_null(pc.list_value_length(array), 0)
        offsets = pyarrow.array([0, *pc.cumulative_sum(sizes).to_pylist()], pyarrow.int32())
        values = plain_array(pc.list_flatten(array))
        return pyarrow.ListArray.from_arrays(offsets, values, mask=array.is_null())
    return array


def _plain_type(kind: Any) -> Any:
    """Return the type without views and run ends, which `datasets` and pyarrow's kernels lack."""
    import pyarrow

    types = pyarrow.types
    if types.is_run_end_encoded(kind):
        return _plain_type(kind.value_type)
    if types.is_list_view(kind) or types.is_large_list_view(kind):
        return pyarrow.list_(_plain_type(kind.value_type))
    if types.is_string_view(kind):
        return pyarrow.string()
    return pyarrow.binary() if types.is_binary_view(kind) else kind


def _stream_parquet(file: SourceFile) -> TableStream:
    from pyarrow import parquet

    # without a buffer, whole row groups would be in memory
    source = parquet.ParquetFile(file.plain, buffer_size=_BUFFER, pre_buffer=False)
    names = source.schema_arrow.names
    require_columns(names, file.columns, str(file.path))
    batches = source.iter_batches(batch_size=_rows(source.metadata))
    total = max(source.metadata.num_rows, 1)
    return replace(_with_distinct_names(names, batches), share=lambda rows: rows / total)


def _rows(metadata: Any) -> int:
    """Return how many rows of a parquet file are few enough for memory."""
    groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
    widest = max((group.total_byte_size / max(group.num_rows, 1) for group in groups), default=0)
    return int(min(max(_BATCH_BYTES / max(widest, 1), 1), _BATCH_ROWS))


def _stream_arrow(file: SourceFile) -> TableStream:
    import pyarrow

    def batches() -> "Iterator[pyarrow.RecordBatch]":
        with pyarrow.OSFile(str(file.plain)) as source:
            yield from _arrow_batches(source)

    with pyarrow.OSFile(str(file.plain)) as source:
        names = _arrow_schema(source).names
    require_columns(names, file.columns, str(file.path))
    return _with_distinct_names(names, batches())


def _arrow_schema(source: Any) -> "pyarrow.Schema":
    import pyarrow

    try:
        return pyarrow.ipc.open_file(source).schema
    except pyarrow.ArrowInvalid:
        source.seek(0)
        return pyarrow.ipc.open_stream(source).schema


def _arrow_batches(source: Any) -> "Iterator[pyarrow.RecordBatch]":
    import pyarrow

    try:
        reader = pyarrow.ipc.open_file(source)
    except pyarrow.ArrowInvalid:
        source.seek(0)
        yield from pyarrow.ipc.open_stream(source)
        return
    for index in range(reader.num_record_batches):
        yield reader.get_batch(index)


def _with_distinct_names(
    names: Sequence[str], batches: "Iterator[pyarrow.RecordBatch]"
) -> TableStream:
    distinct = distinct_names(names)
    return TableStream(distinct, (batch.rename_columns(distinct) for batch in batches))


PARQUET = FileFormat("parquet", _read_parquet, (".parquet",), stream=_stream_parquet)
ARROW = FileFormat("arrow", _read_arrow, (".arrow",), stream=_stream_arrow)
