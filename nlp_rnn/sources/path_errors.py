"""Errors about paths of data: not readable, not there, or without a known format."""

import contextlib
import re
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

from nlp_rnn.errors import DataError
from nlp_rnn.sources.columns import listed
from nlp_rnn.sources.file_format import FileOptions
from nlp_rnn.sources.folder_layout import suffixes
from nlp_rnn.sources.formats import FORMATS, format_of

__all__ = ["first_line", "missing_path", "readable", "unknown_format"]


@contextlib.contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn the errors of the operating system about `path` into `DataError`."""
    try:
        yield
    except OSError as error:
        name = error.filename or path
        reason = error.strerror or first_line(error)
        raise DataError(f"{name} cannot be read: {reason}.\n{_remedy(error, path)}") from error


def _remedy(error: OSError, path: Path) -> str:
    if isinstance(error, PermissionError):
        return f"Change its permissions (chmod -R u+rX {path}), or set data.path to a copy."
    return "Check that it is complete and on a file system that works, or set data.path to a copy."


def missing_path(path: Path, options: FileOptions) -> str:
    """Return the message about a path at which there is neither a file nor a folder."""
    if path.exists():
        return (
            f"{path} is neither a file nor a folder.\n"
            "Write its content to a file, and set data.path to that file."
        )
    if address := re.match(r"(\w+):/(?=[^/])", str(path)):  # a path has no double slash
        return (
            f"data.path={address[1]}://{str(path)[address.end() :]} is an address, not a path.\n"
            f"Download the file (curl -LO), and set data.path={path.name}"
        )
    message = f"There is no file or folder {path.absolute()}."
    if path.is_symlink():
        return message + f"\nIt is a symbolic link to {path.readlink()}, which does not exist."
    if similar := _similar_name(path):
        return message + f"\nDid you mean data.path={similar}?"
    if re.fullmatch(r"[\w.-]+(/[\w.-]+)?", str(path)) and format_of(path, options) is None:
        message += f"\nFor a data set of the Hugging Face hub set data=hub data.path={path}"
    return message


def _similar_name(path: Path) -> Path | None:
    """Return the file or folder beside a missing path whose name is most like it, if there is one.

    Names that differ only in case or in the suffix count as similar.
    """
    try:
        names = {entry.name.lower(): entry.name for entry in path.parent.iterdir()}
    except OSError:
        return None
    by_stem = {Path(name).stem: name for name in names}
    close = get_close_matches(path.name.lower(), names, n=1, cutoff=0.75)
    close = close or [by_stem[stem] for stem in [path.stem.lower()] if stem in by_stem]
    return path.with_name(names[close[0]]) if close else None


def unknown_format(path: Path) -> str:
    """Return the message about a file whose name does not show a supported format."""
    if path.suffix.lower() in (".zip", ".tar", ".tgz", ".bz2", ".xz", ".7z", ".rar") or (
        path.stem.lower().endswith(".tar")
    ):
        return (
            f"{path} is an archive. Archives are not supported.\n"
            "Unpack it, and set data.path to a file or folder from it."
        )
    if path.suffix.lower() == ".numbers":
        return (
            f"{path} is a spreadsheet of Numbers, which is not supported.\n"
            "Export its sheet as csv or xlsx, and set data.path to that file."
        )
    return (
        f"{path} has no suffix of a supported format ({suffixes()}; also with .gz or .zst).\n"
        f"Rename the file, or set data.format=FORMAT ({listed(FORMATS)})."
    )


def first_line(error: BaseException) -> str:
    """Return the first line of the error at the root of `error`, at most 200 characters.

    `datasets` wraps errors in others that do not name the cause.
    """
    while error.__cause__ is not None:
        error = error.__cause__
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return line if len(line) <= 200 else line[:200] + "…"
