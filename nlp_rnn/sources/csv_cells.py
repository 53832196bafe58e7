"""Rows of csv files that repeat the header, and labels that pandas writes as `1.0`."""

from typing import TYPE_CHECKING

from nlp_rnn.sources.file_format import SourceFile

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["with_whole_floats", "without_headers"]


def without_headers(dataset: "Dataset", file: SourceFile) -> "Dataset":
    """Leave out rows that repeat the header, as in files that were joined by `cat`."""
    import pyarrow
    import pyarrow.compute as pc

    repeats = None
    for name in file.columns:
        written = pyarrow.array([name, f"\ufeff{name}"])  # a byte order mark starts each file
        is_name = pc.is_in(dataset.data.column(name), value_set=written)
        repeats = is_name if repeats is None else pc.and_(repeats, is_name)
    number = pc.sum(repeats).as_py() or 0
    if not number:
        return dataset
    rows = "row repeats" if number == 1 else "rows repeat"
    file.notes.append(f"{file.path.name}: {number:,} {rows} the header; left out")
    kept = pc.indices_nonzero(pc.invert(pc.fill_null(repeats, False)))
    return dataset.select(kept.to_numpy())


def with_whole_floats(dataset: "Dataset", column: str) -> "Dataset":
    """Convert a column of 1.0, 2.0 … to float64: pandas writes integers so, beside empty cells.

    All other labels are text as it is written, since a number would lose `07` and `1.10`.
    """
    import pyarrow.compute as pc

    values = dataset.data.column(column)
    values = pc.if_else(pc.equal(values, ""), None, values)
    unique = pc.unique(values).drop_null()
    whole = pc.match_substring_regex(unique, r"^(-?[1-9][0-9]{0,14}|0)\.0$")
    if not len(unique) or not pc.all(whole).as_py():
        return dataset
    numbers = values.cast("float64").combine_chunks()
    return dataset.remove_columns(column).add_column(column, numbers)
