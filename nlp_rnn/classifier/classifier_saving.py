"""Saving of a classifier folder: completely or not at all, and read back before it counts.

docs/reference/classifier-format.md describes the format.
"""

import dataclasses
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.classifier.classifier_folder import read_classifier
from nlp_rnn.classifier.manifest import (
    CONFIG,
    FIRST_FORMAT_OF_TASK,
    FIRST_FORMAT_WITH_NGRAM_TABLE,
    FORMAT,
    GRAPH,
    INT8_GRAPH,
    MODEL_CARD,
    NGRAM_TABLE,
    REQUIRED_FILES,
    REQUIREMENTS,
    TOKENIZER,
    TRAINING_TEXTS,
    WEIGHTS,
    checksum,
    is_classifier,
    shorten_list,
)
from nlp_rnn.classifier.risk_coverage import RISK_COVERAGE
from nlp_rnn.classifier.training_texts import pack_hashes
from nlp_rnn.classifier.weights import pack_weights
from nlp_rnn.errors import ClassifierError
from nlp_rnn.model.architecture import Architecture
from nlp_rnn.ngrams.table import NgramTable
from nlp_rnn.version import __version__

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["save_classifier"]

# model.int8.onnx is saved if it is smaller than this share of model.onnx.
MAX_INT8_SHARE = 0.4


def save_classifier(
    folder: Path,
    *,
    architecture: Architecture | None,
    state: "Mapping[str, NDArray[np.float32]]",
    tokenizer_json: str | None,
    labels: Sequence[str],
    provenance: Mapping[str, Any],
    thresholds: Sequence[float] | None = None,
    separator: str | None = None,
    ngrams: NgramTable | None = None,
    network_weight: float = 1.0,
    text_hashes: "Mapping[str, NDArray[np.uint64]] | None" = None,
) -> None:
    """Save a classifier folder completely or not at all; an earlier classifier is replaced.

    Parameters
    ----------
    folder : Path
        Folder to write. Its parents are created.
    architecture : Architecture or None
        Sizes of the network; None for n-gram models alone.
    state : mapping of str to float32 array
        State dict of the network: its parameters by torch's names. Empty without a network.
    tokenizer_json : str or None
        The tokenizer as JSON, truncation included; None without a network.
    labels : sequence of str
        Names of the labels, in the order of the logits.
    provenance : mapping
        JSON values that describe the data and the training; numbers are finite.
    thresholds : sequence of float, optional
        Multi-label only: the probability from which a text has each label.
    separator : str, optional
        Token between the parts of texts that are pairs.
    ngrams : NgramTable, optional
        N-gram models, whose scores are added to the logits of the network.
    network_weight : float, default 1.0
        What the logits of the network are multiplied by if there are n-gram models too.
    text_hashes : mapping of str to uint64 array, optional
        Hashes of the texts of `train` and `validation`, from `Corpus.hashes`.

    Raises
    ------
    ClassifierError
        `folder` holds something else than a classifier, the parameters are not finite, or the
        parts do not belong together.
    ValueError
        The parameters are not those of `architecture`, or `provenance` is no JSON.
    """
    folder = Path(folder).resolve()
    _check_target(folder)
    task = "single_label" if thresholds is None else "multi_label"
    files: dict[str, bytes] = {}
    first_formats, truncation = [FIRST_FORMAT_OF_TASK[task]], None
    if architecture is not None and tokenizer_json is not None:
        files |= _network_files(architecture, state, thresholds is not None, ngrams is not None)
        files[TOKENIZER] = tokenizer_json.encode()
        truncation = json.loads(tokenizer_json)["truncation"]
    if ngrams is not None:
        files[NGRAM_TABLE] = ngrams.to_bytes()
        first_formats.append(FIRST_FORMAT_WITH_NGRAM_TABLE)
    if text_hashes is not None:
        files[TRAINING_TEXTS] = pack_hashes(text_hashes)
    in_ensemble = ngrams is not None and architecture is not None
    description = {
        "format": FORMAT,
        "format_version": max(first_formats),
        "task": task,
        "id2label": {str(index): label for index, label in enumerate(labels)},
        "max_length": truncation["max_length"] if truncation else None,
        **({"separator": separator} if separator is not None else {}),
        **(
            {"thresholds": [float(value) for value in thresholds]} if thresholds is not None else {}
        ),
        "architecture": None if architecture is None else _sizes(architecture),
        **({"network_weight": float(network_weight)} if in_ensemble else {}),
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
    files[REQUIREMENTS] = _requirements().encode()
    _write(folder, files)


def _network_files(
    architecture: Architecture,
    state: "Mapping[str, NDArray[np.float32]]",
    multi_label: bool,
    in_ensemble: bool,
) -> dict[str, bytes]:
    """Return the files of a network by name, without its tokenizer."""
    from nlp_rnn.classifier.onnx_export import build_graph

    files = {WEIGHTS: pack_weights(architecture, state)}
    graph = build_graph(architecture, state, False, multi_label, in_ensemble)
    files[GRAPH] = graph.SerializeToString(deterministic=True)
    graph = build_graph(architecture, state, True, multi_label, in_ensemble)
    small = graph.SerializeToString(deterministic=True)
    if len(small) < MAX_INT8_SHARE * len(files[GRAPH]):
        files[INT8_GRAPH] = small
    return files


def _check_target(folder: Path) -> None:
    """Raise an error if `folder` holds anything else than a classifier."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ClassifierError(f"{folder} is a file.\nSave the classifier in a folder of its own.")
    names = sorted(entry.name for entry in folder.iterdir())
    own_files = (
        *REQUIRED_FILES, INT8_GRAPH, NGRAM_TABLE, TRAINING_TEXTS, MODEL_CARD, REQUIREMENTS,
        RISK_COVERAGE,
    )  # fmt: skip
    if CONFIG in names and is_classifier(folder):
        names = [name for name in names if name not in own_files]
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


def _requirements() -> str:
    """Return the packages that predictions need, in their present versions, for pip."""
    from importlib.metadata import version

    packages = {name: version(name) for name in ("numpy", "onnxruntime", "tokenizers")}
    lines = [f"{name}=={number}" for name, number in {"nlp_rnn": __version__, **packages}.items()]
    return "\n".join(["# What predictions with this classifier need.", *lines, ""])
