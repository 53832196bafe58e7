"""A trained network becomes a classifier folder, and only a sound folder becomes one again.

The format is written down in docs/classifier-format.md. Nothing in the folder is code: JSON,
safetensors and an ONNX graph without external files. Every file is read once, checked against
the size and SHA-256 in `config.json`, and used from the bytes that were checked.
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
    FORMAT,
    FORMAT_SINCE_NGRAMS,
    FORMAT_SINCE_TASK,
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

# model.int8.onnx is kept when it is smaller than this share of model.onnx.
WORTH_INT8 = 0.4

__all__ = ["SavedClassifier", "read_classifier", "read_config", "read_state", "save_classifier"]


@dataclass(frozen=True)
class SavedClassifier:
    """A classifier folder that was read and found sound.

    `labels` are in the order of the logits; `graph` is the ONNX model, serialized, and
    `weights` the parameters as in `model.safetensors`. With `thresholds`, one a label, a text may
    have several labels, and the graph gives probabilities.
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
    """Write a classifier folder, whole or not at all; an earlier classifier there is replaced.

    Args:
        folder: where; its parents are made.
        architecture: the sizes of the network.
        state: its parameters by torch's names, float32.
        tokenizer_json: the tokenizer, truncation included.
        labels: names of the classes in the order of the logits.
        provenance: what it was trained on and how: JSON values, finite numbers.
        separator: the token between the parts of a text that is several.
        thresholds: where a text may have several labels, the probability from which it has each.

    Raises:
        ClassifierError: `folder` holds something else than a classifier, the parameters are not
            finite, or the parts do not belong together.
        ValueError: the parameters are not the architecture's, or `provenance` is no JSON.
    """
    from nlp_rnn.classifier.onnx_export import build_graph

    folder = Path(folder).resolve()
    _check_target(folder)
    several = thresholds is not None
    task = "multi_label" if several else "single_label"
    files = {TOKENIZER: tokenizer_json.encode(), WEIGHTS: pack_weights(architecture, state)}
    graph = build_graph(architecture, state, multi_label=several)
    files[GRAPH] = graph.SerializeToString(deterministic=True)
    graph = build_graph(architecture, state, int8=True, multi_label=several)
    small = graph.SerializeToString(deterministic=True)
    if len(small) < WORTH_INT8 * len(files[GRAPH]):
        files[INT8_GRAPH] = small
    truncation = json.loads(tokenizer_json)["truncation"]
    described = {
        "format": FORMAT,
        "format_version": max(
            FORMAT_SINCE_TASK[task], FORMAT_SINCE_NGRAMS if architecture.ngrams else 1
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
    config = json.loads(json.dumps(described, allow_nan=False))  # as it will be read
    config["checksum"] = checksum(config)
    text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
    # a lone surrogate in a label survives, as Python's json reads it back
    files[CONFIG] = text.encode("utf-8", "surrogatepass")
    _put(folder, files)


def _check_target(folder: Path) -> None:
    """Refuse to replace anything but a classifier or an empty folder."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ClassifierError(f"{folder} is a file.\nGive the classifier a folder of its own.")
    found = sorted(entry.name for entry in folder.iterdir())
    if CONFIG in found and is_classifier(folder):
        found = [name for name in found if name not in (*REQUIRED_FILES, INT8_GRAPH, MODEL_CARD)]
    if found:
        raise ClassifierError(
            f"{folder} will not be replaced: it holds {shorten_list(found)}.\n"
            "Give the classifier a folder of its own."
        )


def _put(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write `files` beside `folder`, read them back, and only then give them its name."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    mark = uuid.uuid4().hex[:8]
    written = folder.with_name(f".{folder.name}.{mark}.part")
    replaced = folder.with_name(f".{folder.name}.{mark}.old")
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
    """The architecture, without what it has none of and earlier formats do not know."""
    return {
        field.name: getattr(architecture, field.name)
        for field in dataclasses.fields(architecture)
        if getattr(architecture, field.name) != field.default
    }


def _versions() -> dict[str, str]:
    """What wrote the folder, for whoever has to read it years later."""
    # imported here, because loading shall be quick and needs neither
    import platform
    from importlib.metadata import version

    libraries = ("numpy", "onnx", "safetensors", "tokenizers")
    return {
        "nlp_rnn": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in libraries},
    }


def read_classifier(folder: Path, runtime: str = "onnx") -> SavedClassifier:
    """Read a classifier folder and check everything that can be checked without answering.

    Args:
        folder: the classifier folder.
        runtime: with `int8` the graph is that of `model.int8.onnx`.

    Raises:
        ClassifierError: what `read_config` refuses; a missing, changed or foreign file; a
            tokenizer, labels or parameters that do not fit the network.
    """
    folder = Path(folder)
    config = read_config(folder)
    architecture, labels, max_length, thresholds = read_description(folder, config)
    weights = read_checked_file(folder, WEIGHTS, config)
    check_weights(weights, architecture)
    graph = _graph(folder, INT8_GRAPH if runtime == "int8" else GRAPH, config)
    tokenizer = _tokenizer(folder, read_checked_file(folder, TOKENIZER, config))
    truncation = tokenizer.truncation
    found = (
        max(tokenizer.get_vocab().values(), default=-1) + 1,
        truncation["max_length"] if truncation else None,
    )
    if found != (architecture.vocab_size, max_length):
        raise ClassifierError(
            f"{folder / TOKENIZER} has {found[0]} tokens and cuts at {found[1]}, the network "
            f"reads {architecture.vocab_size} and {max_length}: they come from two trainings.\n"
            f"{COPY_AGAIN}"
        )
    return SavedClassifier(
        folder, config, architecture, labels, tokenizer, graph, weights, thresholds
    )


def _graph(folder: Path, name: str, config: Mapping[str, Any]) -> bytes:
    if name not in config["files"]:
        raise ClassifierError(
            f"{folder} holds no {name}: at this size it would have saved too little.\n"
            'Leave runtime at "onnx".'
        )
    graph = read_checked_file(folder, name, config)
    # An ONNX graph can name other files to read; such an entry always spells out this key.
    if b"location" in graph:
        raise ClassifierError(f"{folder / name} wants data from outside itself.\n{COPY_AGAIN}")
    return graph


def _tokenizer(folder: Path, data: bytes) -> "Tokenizer":
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_str(data.decode())
    except Exception as error:  # the library raises bare Exception
        raise ClassifierError(f"{folder / TOKENIZER} is not a tokenizer.\n{COPY_AGAIN}") from error


def read_state(folder: Path) -> "dict[str, NDArray[np.float32]]":
    """The parameters of a classifier folder by torch's names, for work that needs the network.

    Raises:
        ClassifierError: as `read_classifier`.
    """
    weights = unpack_weights(read_classifier(folder).weights)
    return {name: value.copy() for name, value in weights.items()}
