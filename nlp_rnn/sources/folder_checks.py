"""Checks of folders that plainly have no folder for each class with a text in each file."""

from collections.abc import Sequence
from pathlib import Path

from nlp_rnn.errors import DataError
from nlp_rnn.sources.columns import listed
from nlp_rnn.sources.folder_advice import lines_advice, partition_advice

__all__ = ["reject_lists", "reject_project"]

_FEWEST_LINES = 5
_PROJECT_FOLDERS = frozenset(
    (
        *("src", "doc", "docs", "test", "tests", "node_modules", "scripts", "examples", "bin"),
        *("lib", "libs", "include", "build", "dist", "vendor", "target", "venv", "env", "conf"),
        *("config", "configs", "notebooks", "assets", "static", "public", "outputs", "multirun"),
        *("mlruns", "data", "models", "utils", "tools", "benchmarks", "packages", "logs"),
    )
)
_NOT_TEXT = frozenset(
    (
        *(".py", ".pyc", ".ipynb", ".js", ".mjs", ".ts", ".tsx", ".jsx", ".java", ".class", ".c"),
        *(".h", ".cc", ".cpp", ".hpp", ".cs", ".go", ".rs", ".rb", ".php", ".swift", ".kt", ".sh"),
        *(".so", ".o", ".css", ".toml", ".cfg", ".ini", ".yaml", ".yml", ".lock", ".png", ".jpg"),
        *(".jpeg", ".gif", ".svg", ".pdf", ".zip", ".gz", ".parquet", ".arrow", ".csv", ".tsv"),
        *(".jsonl", ".xlsx", ".pt", ".pkl", ".npy", ".safetensors", ".bin"),
    )
)
"""Suffixes of code, tables and other files that are not one text each."""


def reject_project(
    folder: Path, classes: Sequence[Path], files: Sequence[tuple[str, Path]]
) -> None:
    """Raise `DataError` for a folder that plainly has no folder for each class."""
    typical = [entry.name for entry in classes if entry.name.lower() in _PROJECT_FOLDERS]
    other = [file for _, file in files if file.suffix.lower() in _NOT_TEXT]
    if len(typical) > 1:
        reason = f"has folders of a project: {listed(typical)}"
    elif 2 * len(other) > len(files):
        reason = f"has files that are not texts, such as {other[0].relative_to(folder)}"
    else:
        return
    advice = partition_advice(folder, classes) or (
        "Set data.path to a file, to a folder with train.*, or to the folder of the classes."
    )
    raise DataError(
        f"{folder} is not a folder of class folders with a text in each file: it {reason}.\n"
        + advice
    )


def reject_lists(folder: Path, names: Sequence[str], files: Sequence[Path]) -> None:
    """Raise `DataError` where each class has a single file, which has its texts in lines."""
    if len(files) == len(names) > 1:
        lines = [file.read_bytes().count(b"\n") for file in files]
        if min(lines) >= _FEWEST_LINES:
            raise DataError(
                f"{folder} has one file for each class, such as "
                f"{files[0].relative_to(folder)} with {lines[0]:,} lines, and each file is read as "
                f"one text.\nIf each line is a text, {lines_advice(folder, '*/*')}"
            )
