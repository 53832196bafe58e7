"""The `config.json` of a classifier folder becomes a checked description of what lies beside it."""

import hashlib
import json
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from nlp_rnn.errors import ClassifierError
from nlp_rnn.model.architecture import GATES, Architecture
from nlp_rnn.model.ngrams import LARGEST_ORDER
from nlp_rnn.version import __version__

__all__ = [
    "CONFIG",
    "COPY_AGAIN",
    "FORMAT",
    "FORMAT_SINCE_NGRAMS",
    "FORMAT_SINCE_TASK",
    "FORMAT_VERSION",
    "GRAPH",
    "INT8_GRAPH",
    "MAX_FILE_BYTES",
    "MODEL_CARD",
    "REQUIRED_FILES",
    "TOKENIZER",
    "WEIGHTS",
    "checksum",
    "is_classifier",
    "read_checked_file",
    "read_config",
    "read_description",
    "shorten_list",
]

FORMAT = "nlp_rnn.classifier"
FORMAT_VERSION = 3

CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
WEIGHTS = "model.safetensors"
GRAPH = "model.onnx"
INT8_GRAPH = "model.int8.onnx"
MODEL_CARD = "README.md"

FORMAT_SINCE_TASK = {"single_label": 1, "multi_label": 2}
"""Tasks, and the first format that has each: a classifier is written in the oldest that has its."""

FORMAT_SINCE_NGRAMS = 3
"""The first format that has a wide path."""

MAX_FILE_BYTES = {
    CONFIG: 1 << 24,
    TOKENIZER: 1 << 28,
    WEIGHTS: 1 << 31,
    GRAPH: 1 << 31,
    INT8_GRAPH: 1 << 31,
}
"""Files of a folder and the most bytes each may have; protobuf, so an ONNX graph, ends at 2 GiB."""

REQUIRED_FILES = (CONFIG, TOKENIZER, WEIGHTS, GRAPH)
"""Files that every classifier folder has; `INT8_GRAPH` is there when it is worth its place."""

COPY_AGAIN = "Fetch the classifier folder again from where it was trained."

_POOLINGS = ("last", "mean", "max", "max_mean", "attention")
_MOST_LAYERS = 1000


def checksum(config: Mapping[str, Any]) -> str:
    """SHA-256 of everything in `config` but the checksum itself, in hexadecimal."""
    rest = {key: value for key, value in config.items() if key != "checksum"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def read_config(folder: Path) -> dict[str, Any]:
    """The `config.json` of a classifier folder: of the right format, and as it was saved.

    Raises:
        ClassifierError: no classifier folder, a newer format, or a changed or broken config.
    """
    if not folder.is_dir():
        found = "a file, not a classifier folder" if folder.exists() else "not there"
        raise ClassifierError(
            f"{folder} is {found}.\n"
            "Type the path of a classifier folder, or an MLflow URI such as runs:/RUN/classifier."
        )
    if not os.path.lexists(folder / CONFIG):
        raise _other_folder(folder)
    config = _parse(_read(folder, CONFIG))
    if config.get("format") != FORMAT:
        raise ClassifierError(
            f"{folder / CONFIG} is not the config of an nlp_rnn classifier: its format is "
            f"{config.get('format')!r}.\nA classifier folder holds {', '.join(REQUIRED_FILES)}."
        )
    version = config.get("format_version")
    if isinstance(version, int) and version > FORMAT_VERSION:
        versions = config.get("versions")
        writer = versions.get("nlp_rnn") if isinstance(versions, dict) else None
        raise ClassifierError(
            f"{folder} has classifier format {version}; nlp_rnn {__version__} reads up to "
            f"{FORMAT_VERSION}.\nInstall nlp_rnn {writer or 'that wrote it'} or newer to load it."
        )
    try:
        changed = config.get("checksum") != checksum(config)
    except RecursionError:
        changed = True
    if changed:
        raise ClassifierError(f"{folder / CONFIG} was changed after it was saved.\n{COPY_AGAIN}")
    return config


def _other_folder(folder: Path) -> ClassifierError:
    if (folder / "classifier" / CONFIG).is_file():
        return ClassifierError(
            f"{folder} is a run folder, not a classifier.\nType {folder / 'classifier'}."
        )
    found = sorted(entry.name for entry in folder.iterdir())
    return ClassifierError(
        f"{folder} is not a classifier folder: it has no {CONFIG}; "
        f"found {shorten_list(found) if found else 'nothing'}.\n"
        "A training run leaves one in the folder classifier/ of its run folder."
    )


def shorten_list(names: Sequence[str]) -> str:
    """The first few names, and how many more."""
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(names[:4]) + more


def is_classifier(folder: Path) -> bool:
    """Whether `folder` has a config of this format, of any version and in any state."""
    try:
        return _parse(_read(folder, CONFIG)).get("format") == FORMAT
    except ClassifierError:
        return False


def read_description(
    folder: Path, config: Mapping[str, Any]
) -> tuple[Architecture, list[str], int | None, list[float] | None]:
    """The network's sizes, the labels, `max_length` and thresholds, types and ranges checked.

    There are thresholds, one a label, where the task is `multi_label`.

    Raises:
        ClassifierError: `config` is of no network that this version of the format has.
    """
    try:
        version, task = config["format_version"], config["task"]
        if type(version) is not int or not 1 <= version <= FORMAT_VERSION:
            raise ValueError(f"format {version!r} never was")
        if task not in FORMAT_SINCE_TASK or version < FORMAT_SINCE_TASK[task]:
            raise ValueError(f"task is {task!r}")
        architecture = _architecture(config["architecture"])
        if architecture.ngrams and version < FORMAT_SINCE_NGRAMS:
            raise ValueError(f"format {version} has no wide path")
        id2label = config["id2label"]
        if len(id2label) != architecture.num_labels:
            raise ValueError(f"{len(id2label)} labels, {architecture.num_labels} logits")
        labels = [id2label[str(index)] for index in range(len(id2label))]
        if not all(isinstance(label, str) for label in labels) or len(set(labels)) < len(labels):
            raise ValueError("its labels are not distinct strings")
        optional = [INT8_GRAPH] if INT8_GRAPH in config["files"] else []
        for name in (TOKENIZER, WEIGHTS, GRAPH, *optional):
            if type(config["files"][name]["bytes"]) is not int:
                raise TypeError(f"the size of {name} is no number")
        max_length = config["max_length"]
        if max_length is not None and type(max_length) is not int:
            raise TypeError(f"max_length is {max_length!r}")
        separator = config.get("separator")
        if separator is not None and not (isinstance(separator, str) and separator.strip()):
            raise TypeError(f"separator is {separator!r}")
        thresholds: Any = config["thresholds"] if task == "multi_label" else None
        if task == "multi_label" and (
            len(thresholds) != len(labels)
            or not all(type(value) is float and 0 < value <= 1 for value in thresholds)
        ):
            raise ValueError("its thresholds are not a probability for each label")
    except (KeyError, TypeError, ValueError) as error:
        raise ClassifierError(
            f"{folder / CONFIG} does not describe a classifier ({error}).\n{COPY_AGAIN}"
        ) from error
    return architecture, labels, max_length, thresholds


def _architecture(sizes: Mapping[str, Any]) -> Architecture:
    """The sizes as an `Architecture`; KeyError, TypeError or ValueError when they are none."""
    for field in fields(Architecture):
        # what a network without has none of is left out
        if field.name not in sizes and field.default is not MISSING:
            continue
        if type(sizes[field.name]) is not field.type:
            raise TypeError(f"{field.name} is {sizes[field.name]!r}")
    architecture = Architecture(**sizes)
    if architecture.cell not in (*GATES, "average"):
        raise ValueError(f"cell is {architecture.cell!r}")
    if architecture.pooling not in _POOLINGS:
        raise ValueError(f"pooling is {architecture.pooling!r}")
    if min(architecture.vocab_size, architecture.num_labels, architecture.embedding_size) < 1:
        raise ValueError("a size is below 1")
    recurrent = (architecture.hidden_size, architecture.num_layers)
    if architecture.cell == "average":
        sound = recurrent == (0, 0) and not architecture.bidirectional
        sound = sound and architecture.pooling != "last"
    else:
        sound = min(recurrent) >= 1 and architecture.num_layers <= _MOST_LAYERS
    if not 0 <= architecture.ngrams <= LARGEST_ORDER or (
        architecture.ngram_buckets < 1 if architecture.ngrams > 1 else architecture.ngram_buckets
    ):
        raise ValueError(
            f"{architecture.ngram_buckets} buckets of n-grams of {architecture.ngrams} tokens"
        )
    if not sound:
        raise ValueError(f"{recurrent[1]} layers of {recurrent[0]} in {architecture.cell!r}")
    return architecture


def read_checked_file(folder: Path, name: str, config: Mapping[str, Any]) -> bytes:
    """The bytes of one file that `config` lists, the same that were saved.

    Raises:
        ClassifierError: missing, changed, too large, or not a file in the folder.
    """
    expected = config["files"][name]
    data = _read(folder, name)
    if len(data) != expected["bytes"]:
        raise ClassifierError(
            f"{folder / name} has {len(data)} bytes, {expected['bytes']} were saved.\n{COPY_AGAIN}"
        )
    if hashlib.sha256(data).hexdigest() != expected.get("sha256"):
        raise ClassifierError(f"{folder / name} was changed after it was saved.\n{COPY_AGAIN}")
    return data


def _read(folder: Path, name: str) -> bytes:
    """The bytes of one file: a regular one, in the folder, not larger than any that is saved."""
    path = folder / name
    if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(folder.resolve()):
        raise ClassifierError(
            f"{path} is a link that leaves the folder.\nPut the file itself in its place."
        )
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise ClassifierError(f"{path} is not a regular file.\n{COPY_AGAIN}")
        if found.st_size > MAX_FILE_BYTES[name]:
            raise ClassifierError(
                f"{path} has {found.st_size} bytes, more than any classifier's.\n{COPY_AGAIN}"
            )
        return path.read_bytes()
    except FileNotFoundError:
        raise ClassifierError(f"{folder} lacks {name}.\n{COPY_AGAIN}") from None
    except OSError as error:
        raise ClassifierError(f"{path} cannot be read: {error.strerror}.\n{COPY_AGAIN}") from error


def _parse(data: bytes) -> dict[str, Any]:
    try:
        config = json.loads(data)
    except (ValueError, RecursionError):
        config = None
    if not isinstance(config, dict):
        raise ClassifierError(
            f"{CONFIG} is not a JSON object: it was cut or replaced.\n{COPY_AGAIN}"
        )
    return config
