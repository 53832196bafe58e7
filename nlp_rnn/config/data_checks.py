"""Checks of the options of data and tokenizers that types cannot express."""

import codecs
import re
from typing import Any

from nlp_rnn.config.data import (
    PROBE_FACTORS,
    PROBE_LENGTHS,
    DataConfig,
    FilesConfig,
    ProbeConfig,
    TableConfig,
)
from nlp_rnn.config.tokenizer import (
    CountedTokenizerConfig,
    GivenTokenizerConfig,
    TokenizerConfig,
    TokenizerKind,
    TrainedTokenizerConfig,
)
from nlp_rnn.errors import ConfigError

__all__ = ["check_data", "check_probe", "check_tokenizer", "to_tsv"]

DELIMITERS = ("tab", "\\t", "space", "comma", "semicolon")
"""Names of delimiters that are hard to type on a command line."""


def to_tsv(separator: str) -> str:
    """Return a command that replaces a separator of several characters by tabs."""
    escaped = re.sub(r"([.*\[\]^$/\\])", r"\\\1", separator)
    return f"sed 's/{escaped}/\\t/g' OLD > NEW.tsv"


def check_data(data: DataConfig) -> None:
    """Raise `ConfigError` for an option of the data that is wrong or could not have an effect."""
    if data.fraction is not None:
        if data.limit is not None:
            raise ConfigError(
                f"data.limit={data.limit} and data.fraction={data.fraction} both set the number of "
                "training rows. Set only one of them."
            )
        if not 0 < data.fraction <= 1:
            raise ConfigError(f"data.fraction must be above 0, at most 1, not {data.fraction}.")
    if isinstance(data, TableConfig):
        _check_paths(data)
        without_header = isinstance(data, FilesConfig) and not data.header
        _check_columns("text", data.text, without_header)
        _check_columns("label", data.label, without_header)
        _check_distinct(data)
        if data.separator_token and not (isinstance(data.text, list) and len(data.text) > 1):
            raise ConfigError(
                "data.separator_token=true separates the texts of several columns. "
                "Set 'data.text=[premise,hypothesis]', or remove it."
            )
        _check_label_names(data.label_names)
        _check_class_columns(data)
        _check_separator(data)
    if isinstance(data, FilesConfig):
        _check_form(data)


def check_probe(data: DataConfig, tokenizer: TokenizerConfig) -> None:
    """Raise `ConfigError` if the longest test texts of a probe would be cut."""
    if isinstance(data, ProbeConfig):
        longest = max(PROBE_FACTORS) * (data.length or PROBE_LENGTHS[data.probe.name])
        if tokenizer.max_length < longest:
            raise ConfigError(
                f"tokenizer.max_length={tokenizer.max_length} would cut test texts of "
                f"data.probe={data.probe.name}, which have up to {longest} tokens. "
                f"Set tokenizer.max_length={longest}."
            )


def _check_paths(data: TableConfig) -> None:
    for key, path, example in (
        ("path", data.path, "FILE_OR_FOLDER" if isinstance(data, FilesConfig) else "OWNER/NAME"),
        ("unlabelled", data.unlabelled, "FILE_OR_FOLDER"),
    ):
        if path is not None and not path.strip():
            raise ConfigError(
                f"data.{key} is empty. Set data.{key}={example}; a variable of the shell that is "
                "not set is empty."
            )


def _check_columns(key: str, columns: Any, without_header: bool) -> None:
    names = columns if isinstance(columns, list) else [columns]
    if not names or not all(
        isinstance(name, str | int) and not isinstance(name, bool) and name != "" for name in names
    ):
        if any(name is None or isinstance(name, bool | float) for name in names):
            odd = next(name for name in names if name is None or isinstance(name, bool | float))
            written = "null" if odd is None else str(odd).lower()
            raise ConfigError(
                f"data.{key} must be a column or a list of columns, not {columns!r}. For a column "
                f"with this name set \"data.{key}='{written}'\""
            )
        example = "title or 'data.text=[title,body]'"
        if key == "label":
            example = "stars or, a column of 0 and 1 for each class, 'data.label=[rude,spam]'"
        raise ConfigError(
            f"data.{key} must be a column or a list of columns, not {columns!r}. "
            f"Set data.{key}={example}" + (", or their numbers, from 1." if without_header else ".")
        )
    if len(set(map(str, names))) < len(names):
        raise ConfigError(f"data.{key} names a column twice: {', '.join(map(str, names))}.")


def _check_distinct(data: TableConfig) -> None:
    """Raise `ConfigError` where the label is part of the text."""
    text, label = (
        [str(name) for name in (names if isinstance(names, list) else [names])]
        for names in (data.text, data.label)
    )
    if both := [name for name in text if name in label]:
        raise ConfigError(
            f"data.text and data.label both name the column {both[0]!r}: the text would contain "
            "its label. Set data.text or data.label to other columns."
        )


def _check_class_columns(data: TableConfig) -> None:
    names = data.label_names
    if not isinstance(data.label, list) or names is None:
        return
    columns = [str(column) for column in data.label]
    named = columns if isinstance(names, list) else [str(column) for column in names]
    labels = names if isinstance(names, list) else list(names.values())
    if len(labels) != len(columns) or set(named) != set(columns) or len(set(labels)) < len(labels):
        raise ConfigError(
            f"data.label has the columns {', '.join(columns)}: data.label_names must name each of "
            f"them, with different names, not {names!r}."
        )


def _check_separator(data: TableConfig) -> None:
    separator = data.label_separator
    if separator is None:
        return
    if isinstance(data.label, list):
        raise ConfigError(
            "data.label_separator separates labels in one column, but data.label names a column "
            "for each class. Remove one of them."
        )
    if not separator or (separator.strip() != separator and separator.strip()):
        raise ConfigError(
            f"data.label_separator must be the text between two labels, or one of "
            f"{', '.join(DELIMITERS)}, not {separator!r}. Blanks around a label are ignored."
        )
    if isinstance(data, FilesConfig) and data.format == "fasttext" and separator != "space":
        raise ConfigError(
            f"The labels of a fasttext file are separated by blanks. Set data.label_separator="
            f"space, not {separator}."
        )


def _check_label_names(names: Any) -> None:
    if names is None:
        return
    labels = list(names.values()) if isinstance(names, dict) else names
    if (
        not isinstance(labels, list)
        or not labels
        or not all(
            isinstance(label, str | int) and not isinstance(label, bool) and str(label)
            for label in labels
        )
    ):
        raise ConfigError(
            f"data.label_names must be the names of the labels 0, 1, … or a name for each label, "
            f"not {names!r}.\nSet 'data.label_names=[bad,good]' or "
            "'data.label_names={1:bad,2:good}'"
        )
    if isinstance(names, list) and len(set(map(str, labels))) < len(labels):
        raise ConfigError(
            "data.label_names as a list has a name twice. To make one class of two labels, set "
            "'data.label_names={1:bad,2:bad,3:good}'"
        )


def _check_form(data: FilesConfig) -> None:
    if data.columns is not None and data.header:
        raise ConfigError(
            "data.columns names the columns of a file without a header: with data.header=true the "
            "file does. Set data.header=false or remove data.columns."
        )
    if data.columns is not None and len(set(data.columns)) < max(1, len(data.columns)):
        raise ConfigError(f"data.columns must name each column once, not {data.columns}.")
    delimiter = data.delimiter
    is_character = delimiter is not None and len(delimiter) == 1 and delimiter.isascii()
    if delimiter is not None and delimiter not in DELIMITERS and not is_character:
        raise ConfigError(
            f"data.delimiter must be one ASCII character or {', '.join(DELIMITERS)}, "
            f"not {delimiter!r}."
            + (f"\nConvert it to tsv: {to_tsv(delimiter)}" if delimiter else "")
        )
    if delimiter in ('"', "\n", "\r"):
        raise ConfigError(f"data.delimiter cannot be {delimiter!r}: it has a special meaning.")
    try:
        codecs.lookup(data.encoding)
        "".encode(data.encoding)  # raises for codecs that are not text encodings, such as hex
    except (LookupError, ValueError) as error:
        raise ConfigError(
            f"data.encoding={data.encoding} is not a text encoding that Python knows. "
            "Set data.encoding=utf-8, cp1252, latin-1, utf-16, gb18030, shift_jis …"
        ) from error


def check_tokenizer(tokenizer: TokenizerConfig) -> None:
    """Raise `ConfigError` if the kind does not fit the choice, or an option has no effect on it."""
    kind = tokenizer.kind
    schema: type[TokenizerConfig] = CountedTokenizerConfig
    if kind is TokenizerKind.unigram:
        schema = TrainedTokenizerConfig
    elif kind is TokenizerKind.given:
        schema = GivenTokenizerConfig
    if type(tokenizer) is not schema:
        raise ConfigError(
            f"tokenizer.kind={kind.name} does not fit tokenizer={tokenizer.name}: "
            f"set tokenizer={kind.name} instead."
        )
    if isinstance(tokenizer, TrainedTokenizerConfig):
        if kind is TokenizerKind.byte_bpe and tokenizer.vocab_size < 258:
            raise ConfigError(
                "tokenizer.vocab_size must be at least 258 for tokenizer=byte_bpe, one for each "
                f"byte and two more, not {tokenizer.vocab_size}."
            )
        if kind is TokenizerKind.char and tokenizer.split_digits:
            raise ConfigError(
                "tokenizer.split_digits=true has no effect for tokenizer=char, which splits every "
                "character. Remove it."
            )
