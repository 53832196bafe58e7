"""The file `config.json` of a classifier folder: constants of the format, reading and checks."""

import hashlib
import json
import math
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from nlp_rnn.errors import ClassifierError
from nlp_rnn.layers.cells import AVERAGE, CELLS
from nlp_rnn.layers.poolings import POOLINGS
from nlp_rnn.model.architecture import Architecture
from nlp_rnn.version import __version__

__all__ = [
    "CONFIG",
    "COPY_AGAIN",
    "FIRST_FORMAT_OF_TASK",
    "FIRST_FORMAT_WITH_NGRAM_TABLE",
    "FORMAT",
    "FORMAT_VERSION",
    "GRAPH",
    "INT8_GRAPH",
    "MAX_FILE_BYTES",
    "MODEL_CARD",
    "NETWORK_FILES",
    "NGRAM_TABLE",
    "REQUIRED_FILES",
    "REQUIREMENTS",
    "TOKENIZER",
    "TRAINING_TEXTS",
    "WEIGHTS",
    "Description",
    "checksum",
    "is_classifier",
    "read_checked_file",
    "read_config",
    "read_description",
    "shorten_list",
]

FORMAT = "nlp_rnn.classifier"
FORMAT_VERSION = 4

CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
WEIGHTS = "model.safetensors"
GRAPH = "model.onnx"
INT8_GRAPH = "model.int8.onnx"
NGRAM_TABLE = "ngrams.safetensors"
TRAINING_TEXTS = "training_texts.safetensors"
MODEL_CARD = "README.md"
REQUIREMENTS = "requirements.txt"

FIRST_FORMAT_OF_TASK = {"single_label": 1, "multi_label": 2}
"""First format that supports each task; classifiers are saved in the oldest format that can."""

FORMAT_WITH_TOKEN_NGRAMS, LARGEST_ORDER = 3, 3
"""The only format in which the network itself has n-grams of tokens, and the longest of these. Such
classifiers are read, and no longer written."""

FIRST_FORMAT_WITH_NGRAM_TABLE = 4
"""First format that supports n-gram models, together with a network or alone."""

MAX_FILE_BYTES = {
    CONFIG: 1 << 24,
    TOKENIZER: 1 << 28,
    WEIGHTS: 1 << 31,
    GRAPH: 1 << 31,
    INT8_GRAPH: 1 << 31,
    NGRAM_TABLE: 1 << 31,
    TRAINING_TEXTS: 1 << 26,
}
"""Largest size of each file in bytes; protobuf, and so an ONNX graph, is limited to 2 GiB."""

NETWORK_FILES = (TOKENIZER, WEIGHTS, GRAPH)
"""Files of a network; `INT8_GRAPH` is added if it is much smaller than `GRAPH`."""

REQUIRED_FILES = (CONFIG, *NETWORK_FILES)
"""Files of a classifier folder; `NGRAM_TABLE` is added, or stands alone with `CONFIG`."""

COPY_AGAIN = "Copy the classifier folder again from where it was trained."

_MAX_LAYERS = 1000


def checksum(config: Mapping[str, Any]) -> str:
    """Return the hexadecimal SHA-256 of everything in `config` except the checksum itself."""
    rest = {key: value for key, value in config.items() if key != "checksum"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def read_config(folder: Path) -> dict[str, Any]:
    """Read the `config.json` of a classifier folder, and check its format and checksum.

    Raises
    ------
    ClassifierError
        `folder` is no classifier folder or has a newer format, or its config was changed or is
        no JSON.
    """
    if not folder.is_dir():
        problem = "is a file, not a classifier folder" if folder.exists() else "does not exist"
        raise ClassifierError(
            f"{folder} {problem}.\n"
            "Pass the path of a classifier folder or an MLflow URI such as runs:/RUN_ID/classifier."
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
            f"{folder} has classifier format {version}; nlp_rnn {__version__} reads formats up to "
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
            f"{folder} is a run folder, not a classifier.\nPass {folder / 'classifier'}."
        )
    names = sorted(entry.name for entry in folder.iterdir())
    return ClassifierError(
        f"{folder} is not a classifier folder: it has no {CONFIG}; "
        f"found {shorten_list(names) if names else 'nothing'}.\n"
        "A training run saves its classifier in the subfolder classifier/ of the run folder."
    )


def shorten_list(names: Sequence[str]) -> str:
    """Join the first four names, and the number of those that are left out."""
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(names[:4]) + more


def is_classifier(folder: Path) -> bool:
    """Whether `folder` has a config of this format, whatever its version and checksum."""
    try:
        return _parse(_read(folder, CONFIG)).get("format") == FORMAT
    except ClassifierError:
        return False


@dataclass(frozen=True)
class Description:
    """What a `config.json` says about its classifier.

    Attributes
    ----------
    architecture : Architecture or None
        Sizes of the network; None for n-gram models alone.
    labels : list of str
        Names of the labels.
    max_length : int or None
        Tokens that texts are truncated to.
    thresholds : list of float or None
        One for each label; None unless the task is `multi_label`.
    network_weight : float or None
        Weight of the network's logits in an ensemble with n-gram models; None without.
    has_ngram_table : bool
        Whether the classifier has n-gram models.
    """

    architecture: Architecture | None
    labels: list[str]
    max_length: int | None
    thresholds: list[float] | None
    network_weight: float | None
    has_ngram_table: bool


def read_description(folder: Path, config: Mapping[str, Any]) -> Description:
    """Check types and ranges of `config`, and return what it describes.

    Raises
    ------
    ClassifierError
        `config` does not describe a network of this format.
    """
    try:
        version, task = config["format_version"], config["task"]
        if type(version) is not int or not 1 <= version <= FORMAT_VERSION:
            raise ValueError(f"there is no format {version!r}")
        if task not in FIRST_FORMAT_OF_TASK or version < FIRST_FORMAT_OF_TASK[task]:
            raise ValueError(f"task is {task!r}")
        has_table = NGRAM_TABLE in config["files"]
        if has_table and version < FIRST_FORMAT_WITH_NGRAM_TABLE:
            raise ValueError(f"format {version} does not support n-gram models")
        id2label = config["id2label"]
        architecture = None
        if config["architecture"] is not None or not has_table:
            architecture = _architecture(config["architecture"])
            if architecture.ngrams and version != FORMAT_WITH_TOKEN_NGRAMS:
                raise ValueError(f"format {version} does not support n-grams of tokens")
            if len(id2label) != architecture.num_labels:
                raise ValueError(f"{len(id2label)} labels for {architecture.num_labels} logits")
        weight = config.get("network_weight")
        in_ensemble = has_table and architecture is not None
        if (type(weight) is float and 0 <= weight < math.inf) != in_ensemble:
            raise ValueError(f"network_weight is {weight!r}")
        labels = [id2label[str(index)] for index in range(len(id2label))]
        if not all(isinstance(label, str) for label in labels) or len(set(labels)) < len(labels):
            raise ValueError("its labels are not distinct strings")
        required = NETWORK_FILES if architecture is not None else ()
        optional = [name for name in (INT8_GRAPH, NGRAM_TABLE) if name in config["files"]]
        for name in (*required, *optional):
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
    return Description(architecture, labels, max_length, thresholds, weight, has_table)


def _architecture(sizes: Mapping[str, Any]) -> Architecture:
    """Return the sizes as an `Architecture`; raise KeyError, TypeError or ValueError if invalid."""
    for field in fields(Architecture):
        # fields at their default value are not saved, and formats before them do not have them
        if field.name not in sizes and field.default is not MISSING:
            continue
        if type(sizes[field.name]) is not field.type:
            raise TypeError(f"{field.name} is {sizes[field.name]!r}")
    architecture = Architecture(**sizes)
    if architecture.cell not in (*CELLS, AVERAGE):
        raise ValueError(f"cell is {architecture.cell!r}")
    if architecture.pooling not in POOLINGS:
        raise ValueError(f"pooling is {architecture.pooling!r}")
    if min(architecture.vocab_size, architecture.num_labels, architecture.embedding_size) < 1:
        raise ValueError("a size is below 1")
    recurrent = (architecture.hidden_size, architecture.num_layers)
    if architecture.cell == AVERAGE:
        valid = recurrent == (0, 0) and not architecture.bidirectional
        valid = valid and not POOLINGS[architecture.pooling].from_final_state
    else:
        valid = min(recurrent) >= 1 and architecture.num_layers <= _MAX_LAYERS
    if not 0 <= architecture.ngrams <= LARGEST_ORDER or (
        architecture.ngram_buckets < 1 if architecture.ngrams > 1 else architecture.ngram_buckets
    ):
        raise ValueError(
            f"{architecture.ngram_buckets} buckets for n-grams of {architecture.ngrams} tokens"
        )
    if not valid:
        raise ValueError(f"{recurrent[1]} layers of {recurrent[0]} in {architecture.cell!r}")
    return architecture


def read_checked_file(folder: Path, name: str, config: Mapping[str, Any]) -> bytes:
    """Return the content of a file that `config` lists, after checking its size and SHA-256.

    Raises
    ------
    ClassifierError
        The file is missing, changed, too large, or not a file in the folder.
    """
    expected = config["files"][name]
    data = _read(folder, name)
    if len(data) != expected["bytes"]:
        raise ClassifierError(
            f"{folder / name} has {len(data)} bytes instead of {expected['bytes']}.\n{COPY_AGAIN}"
        )
    if hashlib.sha256(data).hexdigest() != expected.get("sha256"):
        raise ClassifierError(f"{folder / name} was changed after it was saved.\n{COPY_AGAIN}")
    return data


def _read(folder: Path, name: str) -> bytes:
    """Return the content of a regular file in the folder that is not larger than its limit."""
    path = folder / name
    if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(folder.resolve()):
        raise ClassifierError(
            f"{path} is a link to a file outside the folder.\nReplace the link by that file."
        )
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ClassifierError(f"{path} is not a regular file.\n{COPY_AGAIN}")
        if status.st_size > MAX_FILE_BYTES[name]:
            raise ClassifierError(
                f"{path} has {status.st_size} bytes, more than a classifier can have.\n{COPY_AGAIN}"
            )
        return path.read_bytes()
    except FileNotFoundError:
        raise ClassifierError(f"{folder} has no {name}.\n{COPY_AGAIN}") from None
    except OSError as error:
        raise ClassifierError(f"{path} cannot be read: {error.strerror}.\n{COPY_AGAIN}") from error


def _parse(data: bytes) -> dict[str, Any]:
    try:
        config = json.loads(data)
    except (ValueError, RecursionError):
        config = None
    if not isinstance(config, dict):
        raise ClassifierError(
            f"{CONFIG} is not a JSON object: it was truncated or replaced.\n{COPY_AGAIN}"
        )
    return config
