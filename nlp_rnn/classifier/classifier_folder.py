"""Classifier folder: saving a trained network, and reading it back with all its checks.

docs/reference/classifier-format.md describes the format. The folder holds no code: only JSON,
safetensors and an ONNX graph without external files. Each file is read once and checked against
the size and SHA-256 in `config.json`; what is used afterwards are the bytes that were checked.
"""

import dataclasses
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.classifier.manifest import (
    CONFIG,
    COPY_AGAIN,
    FIRST_FORMAT_OF_TASK,
    FIRST_FORMAT_WITH_NGRAMS,
    FORMAT,
    GRAPH,
    INT8_GRAPH,
    MODEL_CARD,
    REQUIRED_FILES,
    TOKENIZER,
    WEIGHTS,
    checksum,
    is_classifier,
    read_checked_file,
    read_config,
    read_description,
    shorten_list,
)
from nlp_rnn.classifier.weights import check_weights, pack_weights, unpack_weights
from nlp_rnn.errors import ClassifierError
from nlp_rnn.model.architecture import Architecture
from nlp_rnn.version import __version__

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

# model.int8.onnx is saved if it is smaller than this share of model.onnx.
MAX_INT8_SHARE = 0.4

__all__ = ["SavedClassifier", "read_classifier", "read_config", "read_state", "save_classifier"]

UNKNOWN_WORD = "w\U0010fffd"  # ends in a private-use character, which no vocabulary has


@dataclass(frozen=True)
class SavedClassifier:
    """Contents of a classifier folder, read and checked.

    Attributes
    ----------
    folder : Path
        The folder.
    config : dict
        Contents of `config.json`.
    architecture : Architecture
        Sizes of the network.
    labels : list of str
        Names of the labels, in the order of the logits.
    tokenizer : tokenizers.Tokenizer
        The tokenizer, with its truncation.
    graph : bytes
        Serialized ONNX model. It returns probabilities if there are thresholds, else logits.
    weights : bytes
        Parameters, as in `model.safetensors`.
    thresholds : list of float, optional
        Multi-label only: the probability from which a text has each label.
    """

    folder: Path
    config: dict[str, Any]
    architecture: Architecture
    labels: list[str]
    tokenizer: "Tokenizer"
    graph: bytes
    weights: bytes
    thresholds: list[float] | None = None


def save_classifier(
    folder: Path,
    *,
    architecture: Architecture,
    state: "Mapping[str, NDArray[np.float32]]",
    tokenizer_json: str,
    labels: Sequence[str],
    provenance: Mapping[str, Any],
    thresholds: Sequence[float] | None = None,
    separator: str | None = None,
) -> None:
    """Save a classifier folder completely or not at all; an earlier classifier is replaced.

    Parameters
    ----------
    folder : Path
        Folder to write. Its parents are created.
    architecture : Architecture
        Sizes of the network.
    state : mapping of str to float32 array
        State dict of the network: its parameters by torch's names.
    tokenizer_json : str
        The tokenizer as JSON, truncation included.
    labels : sequence of str
        Names of the labels, in the order of the logits.
    provenance : mapping
        JSON values that describe the data and the training; numbers are finite.
    thresholds : sequence of float, optional
        Multi-label only: the probability from which a text has each label.
    separator : str, optional
        Token between the parts of texts that are pairs.

    Raises
    ------
    ClassifierError
        `folder` holds something else than a classifier, the parameters are not finite, or the
        parts do not belong together.
    ValueError
        The parameters are not those of `architecture`, or `provenance` is no JSON.
    """
    from nlp_rnn.classifier.onnx_export import build_graph

    folder = Path(folder).resolve()
    _check_target(folder)
    multi_label = thresholds is not None
    task = "multi_label" if multi_label else "single_label"
    files = {TOKENIZER: tokenizer_json.encode(), WEIGHTS: pack_weights(architecture, state)}
    graph = build_graph(architecture, state, multi_label=multi_label)
    files[GRAPH] = graph.SerializeToString(deterministic=True)
    graph = build_graph(architecture, state, int8=True, multi_label=multi_label)
    small = graph.SerializeToString(deterministic=True)
    if len(small) < MAX_INT8_SHARE * len(files[GRAPH]):
        files[INT8_GRAPH] = small
    truncation = json.loads(tokenizer_json)["truncation"]
    description = {
        "format": FORMAT,
        "format_version": max(
            FIRST_FORMAT_OF_TASK[task], FIRST_FORMAT_WITH_NGRAMS if architecture.ngrams else 1
        ),
        "task": task,
        "id2label": {str(index): label for index, label in enumerate(labels)},
        "max_length": truncation["max_length"] if truncation else None,
        **({"separator": separator} if separator is not None else {}),
        **(
            {"thresholds": [float(value) for value in thresholds]} if thresholds is not None else {}
        ),
        "architecture": _sizes(architecture),
        "files": {
            name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in files.items()
        },
        "provenance": dict(provenance),
        "versions": _versions(),
    }
    config = json.loads(json.dumps(description, allow_nan=False))  # as it will be read
    config["checksum"] = checksum(config)
    text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
    # a lone surrogate in a label survives, as Python's json reads it back
    files[CONFIG] = text.encode("utf-8", "surrogatepass")
    _write(folder, files)


def _check_target(folder: Path) -> None:
    """Raise an error if `folder` holds anything else than a classifier."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ClassifierError(f"{folder} is a file.\nSave the classifier in a folder of its own.")
    names = sorted(entry.name for entry in folder.iterdir())
    if CONFIG in names and is_classifier(folder):
        names = [name for name in names if name not in (*REQUIRED_FILES, INT8_GRAPH, MODEL_CARD)]
    if names:
        raise ClassifierError(
            f"{folder} is not overwritten, because it holds other files: {shorten_list(names)}.\n"
            "Save the classifier in a folder of its own."
        )


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write `files` to a temporary folder, read them back, and rename it to `folder`."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    suffix = uuid.uuid4().hex[:8]
    written = folder.with_name(f".{folder.name}.{suffix}.part")
    replaced = folder.with_name(f".{folder.name}.{suffix}.old")
    try:
        written.mkdir()
        for name, data in files.items():
            (written / name).write_bytes(data)
        read_classifier(written)
        if INT8_GRAPH in files:
            read_classifier(written, "int8")
        if folder.exists():
            os.rename(folder, replaced)
        os.rename(written, folder)
    finally:
        if replaced.exists() and not folder.exists():
            os.rename(replaced, folder)
        shutil.rmtree(written, ignore_errors=True)
        shutil.rmtree(replaced, ignore_errors=True)


def _sizes(architecture: Architecture) -> dict[str, Any]:
    """Return the fields of the architecture that differ from their defaults.

    The others are unknown to earlier formats.
    """
    return {
        field.name: getattr(architecture, field.name)
        for field in dataclasses.fields(architecture)
        if getattr(architecture, field.name) != field.default
    }


def _versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that write the folder."""
    # imported here, because loading needs neither and should be fast
    import platform
    from importlib.metadata import version

    libraries = ("numpy", "onnx", "safetensors", "tokenizers")
    return {
        "nlp_rnn": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in libraries},
    }


def read_classifier(folder: Path, runtime: str = "onnx") -> SavedClassifier:
    """Read a classifier folder and check everything that can be checked without predicting.

    Parameters
    ----------
    folder : Path
        The classifier folder.
    runtime : {"onnx", "int8", "torch"}, default "onnx"
        With `int8` the graph is that of `model.int8.onnx`.

    Raises
    ------
    ClassifierError
        As in `read_config`; or a file is missing or changed; or the tokenizer, the labels or the
        parameters do not fit the network.
    """
    folder = Path(folder)
    config = read_config(folder)
    architecture, labels, max_length, thresholds = read_description(folder, config)
    weights = read_checked_file(folder, WEIGHTS, config)
    check_weights(weights, architecture)
    graph = _graph(folder, INT8_GRAPH if runtime == "int8" else GRAPH, config)
    tokenizer = _tokenizer(folder, read_checked_file(folder, TOKENIZER, config))
    truncation = tokenizer.truncation
    read = (
        max(tokenizer.get_vocab().values(), default=-1) + 1,
        truncation["max_length"] if truncation else None,
    )
    if read != (architecture.vocab_size, max_length):
        raise ClassifierError(
            f"{folder / TOKENIZER} has {read[0]} tokens and truncates at {read[1]}, but the "
            f"network was trained with {architecture.vocab_size} and {max_length}.\n"
            f"{COPY_AGAIN}"
        )
    return SavedClassifier(
        folder, config, architecture, labels, tokenizer, graph, weights, thresholds
    )


def _graph(folder: Path, name: str, config: Mapping[str, Any]) -> bytes:
    if name not in config["files"]:
        raise ClassifierError(
            f'{folder} has no {name}: it would hardly be smaller than {GRAPH}.\nSet runtime="onnx".'
        )
    graph = read_checked_file(folder, name, config)
    # An ONNX graph can refer to other files; such an entry always contains this key.
    if b"location" in graph:
        raise ClassifierError(f"{folder / name} refers to other files.\n{COPY_AGAIN}")
    return graph


def _tokenizer(folder: Path, data: bytes) -> "Tokenizer":
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_str(data.decode())
        # a model without its unknown token fails only at the first unknown word
        tokenizer.encode(UNKNOWN_WORD, add_special_tokens=False)
        return tokenizer
    except Exception as error:  # the library raises plain Exception
        raise ClassifierError(f"{folder / TOKENIZER} is not a tokenizer.\n{COPY_AGAIN}") from error


def read_state(folder: Path) -> "dict[str, NDArray[np.float32]]":
    """Return the state dict of a classifier folder: float32 arrays by torch's names.

    Raises
    ------
    ClassifierError
        As in `read_classifier`.
    """
    weights = unpack_weights(read_classifier(folder).weights)
    return {name: value.copy() for name, value in weights.items()}
