"""Advice for folders without a training file: what their names suggest."""

import shlex
from collections.abc import Sequence
from pathlib import Path

__all__ = ["folder_advice", "lines_advice", "partition_advice", "versioned_table"]

# awk ends every line, also the last one of a file
_LINES = (
    'awk \'{{f=FILENAME; sub(/\\/.*|\\.txt$/, "", f); print f "\\t" $0}}\' {files} > train.label'
)
_TABLES = (
    'python3 -c "import pandas as pd, pathlib as p; pd.concat(pd.read_csv(f).assign(label=f.stem) '
    "for f in sorted(p.Path('.').glob('*.csv'))).to_csv('train.csv', index=False)\""
)
_PARTITIONS = (
    "python3 -c \"import pyarrow.dataset as d; d.dataset('{folder}', format='{kind}', "
    "partitioning='hive').to_table().to_pandas().to_csv('NEW.csv', index=False)\""
)


def folder_advice(folder: Path, known: Sequence[Path], rename: str) -> str:
    """Return how to read a folder in which no file is named `train`.

    Parameters
    ----------
    folder : Path
        The folder.
    known : sequence of Path
        Its files that have a format.
    rename : str
        The beginning of the general advice.
    """
    texts = [file for file in sorted(folder.iterdir()) if file.suffix.lower() == ".txt"]
    for file in texts:
        if file.stem.lower() in ("train", "training"):
            return f"{rename} data.format to the format of {file.name}: {_format_of(file)}"
    inner = folder / "train"
    if not known and not texts and len([*inner.glob("*.txt")]) > 1:
        return folder_advice(inner, known, rename)
    if len(known) == 1:
        return f"Name it train{known[0].suffix}, or set data.path={shlex.quote(str(known[0]))}"
    if not known and len(texts) > 1:
        return f"If each file has the texts of one class, {lines_advice(folder, '*.txt')}"
    pattern = f" or to a pattern such as {folder}/*{known[0].suffix}" if known else ""
    advice = f"{rename} data.path to a single file{pattern}."
    if len(known) > 1 and all(
        file.suffix == ".csv" and "train" not in file.name.lower() for file in known
    ):
        advice += f" If each file has the texts of one class, run in the folder: {_TABLES}"
    return advice


def lines_advice(folder: Path, files: str) -> str:
    """Return how to read files whose lines are texts; each file, or its folder, is a class."""
    return (
        f"run in the folder {shlex.quote(str(folder))}: {_LINES.format(files=files)}; and set "
        f"data.path={shlex.quote(str(folder / 'train.label'))} data.delimiter=tab"
    )


def _format_of(file: Path) -> str:
    """Return the option that a text file seems to need, by its first line."""
    with file.open(encoding="utf-8", errors="replace") as lines:
        first = lines.readline()
    if "__label__" in first:
        return "data.format=fasttext"
    if "\t" in first:
        return "data.format=tsv"
    return "data.format=csv" if "," in first or ";" in first else "data.format=lines"


def partition_advice(folder: Path, classes: Sequence[Path]) -> str | None:
    """Return how to read a folder with folders such as `label=pos`; None for any other folder."""
    if not classes or not all("=" in entry.name for entry in classes):
        return None
    suffix = next((file.suffix[1:] for file in sorted(classes[0].iterdir()) if file.suffix), "csv")
    kind = {"jsonl": "json"}.get(suffix, suffix)
    return f"Write its partitions to one file: {_PARTITIONS.format(folder=folder, kind=kind)}"


def versioned_table(folder: Path) -> str | None:
    """Return the error about a folder that also has deleted and replaced rows; None for others."""
    if (folder / "_delta_log").is_dir():
        kind, log = "a Delta Lake table", "_delta_log"
    elif any((folder / "metadata").glob("*.metadata.json")):
        kind, log = "an Iceberg table", "metadata"
    elif (folder / ".hoodie").is_dir():
        kind, log = "a Hudi table", ".hoodie"
    else:
        return None
    return (
        f"{folder} is {kind}: only {log} says which of its files hold rows that are not deleted.\n"
        "Export its rows to one parquet file, or read all rows, deleted ones too: "
        f"data.path='{folder}/**/*.parquet'"
    )
