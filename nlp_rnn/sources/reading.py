"""How a data set was read: options that a classifier saves as defaults for the next file."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from nlp_rnn.config.data import FilesConfig, TableConfig
from nlp_rnn.sources.files import Entry
from nlp_rnn.sources.formats import compression_of

__all__ = [
    "CONTENT",
    "FORM",
    "described_reading",
    "form_defaults",
    "remembered_note",
    "saved_reading",
]

CONTENT = ("text", "label", "label_names", "label_separator", "separator_token")
"""Options of the data about what is read."""

FORM = ("format", "header", "columns", "delimiter", "quoting", "encoding", "rows")
"""Options about the form of a file, which depend on its format."""


def described_reading(config: TableConfig, entries: Sequence[Entry]) -> dict[str, Any]:
    """Return the options that the user set, and the formats of the files, as JSON values.

    Parameters
    ----------
    config : TableConfig
        The options of the data.
    entries : sequence of Entry
        The files of the train split; empty for other sources.
    """
    names = (*CONTENT, *FORM) if isinstance(config, FilesConfig) else CONTENT
    defaults = type(config)()
    options = {name: getattr(config, name) for name in names}
    changed = {name: value for name, value in options.items() if value != getattr(defaults, name)}
    names_of_labels = changed.get("label_names")
    if isinstance(names_of_labels, dict):  # JSON has no other keys than text
        changed["label_names"] = {str(old): new for old, new in names_of_labels.items()}
    return {
        "formats": sorted({entry.format for entry in entries}),
        "suffixes": sorted({_suffix(entry.path) for entry in entries}),
        "options": {"text": config.text, "label": config.label} | changed,
    }


def form_defaults(
    reading: Mapping[str, Any], paths: Sequence[Path], formats: Collection[str]
) -> dict[str, Any]:
    """Return the saved options about the form that apply to other files.

    They apply to files of the same format. `format` itself applies to files with the same suffix,
    because it was set where the suffix does not show the format.

    Parameters
    ----------
    reading : mapping
        What `described_reading` returned.
    paths : sequence of Path
        The files that are read now.
    formats : collection of str
        The formats that their names show.
    """
    options = reading.get("options", {})
    form = {name: options[name] for name in FORM if name in options}
    if "format" in form:
        same = {_suffix(path) for path in paths} <= set(reading.get("suffixes", ()))
    else:
        same = bool(formats) and set(formats) <= set(reading.get("formats", ()))
    return form if same else {}


def saved_reading(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return how the training data of a classifier was read, from its `config.json`.

    Older classifiers have the text columns of pairs, or nothing.
    """
    provenance = config.get("provenance", {})
    columns = provenance.get("text_columns")
    before = {"options": {"text": columns}} if columns else {}
    reading: Mapping[str, Any] = provenance.get("reading", before)
    return reading


def remembered_note(options: Mapping[str, Any]) -> str:
    """Return a line with the options that were not set but taken from the training."""
    return "read as in training: " + " ".join(
        f"data.{name}={_shown(value)}" for name, value in options.items()
    )


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return f"[{','.join(map(str, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{old}:{new}' for old, new in value.items())}}}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _suffix(path: Path) -> str:
    return (path.with_suffix("") if compression_of(path) else path).suffix.lower()
