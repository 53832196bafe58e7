"""The formats parquet and arrow (Arrow stream or Feather): tables with typed columns."""

from typing import TYPE_CHECKING

from nlp_rnn.sources.arrow_cache import file_key, write_arrow
from nlp_rnn.sources.columns import require_columns, top_columns
from nlp_rnn.sources.file_format import FileFormat, SourceFile

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["ARROW", "PARQUET"]


def _read_parquet(file: SourceFile) -> "Dataset":
    from pyarrow import parquet

    names = parquet.read_schema(file.plain).names
    require_columns(names, file.columns, str(file.path))
    return file.load_dataset("parquet", columns=top_columns(names, file.columns))


def _read_arrow(file: SourceFile) -> "Dataset":
    """Map an Arrow stream into memory, or a copy of an Arrow (Feather) file in the cache."""
    import datasets
    import pyarrow

    try:
        with pyarrow.memory_map(str(file.plain)) as source:
            reader = pyarrow.ipc.open_file(source)
            batches = (reader.get_batch(i) for i in range(reader.num_record_batches))
            return write_arrow(("arrow", *file_key(file.plain)), reader.schema, batches)
    except pyarrow.ArrowInvalid:
        return datasets.Dataset.from_file(str(file.plain))


PARQUET = FileFormat("parquet", _read_parquet, suffixes=(".parquet",))
ARROW = FileFormat("arrow", _read_arrow, suffixes=(".arrow",))
