"""Language models become a folder that classifiers can start from, and only a sound one is read.

`config.json` (sizes, the tokenizer's options, hashes, where it comes from), `tokenizer.json` and
`model.safetensors`. Nothing in it is code.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.classifier.manifest import (
    CONFIG,
    COPY_AGAIN,
    TOKENIZER,
    WEIGHTS,
    checksum,
    read_checked_file,
)
from nlp_rnn.errors import ClassifierError
from nlp_rnn.layers.cells import CELLS
from nlp_rnn.model.architecture import Architecture
from nlp_rnn.version import __version__

__all__ = ["ENCODER", "FORMAT", "Encoder", "read_encoder", "save_encoder"]

ENCODER = "encoder"
"""The folder's name in a run folder, and among the artifacts of a run."""

FORMAT, FORMAT_VERSION = "nlp_rnn.encoder", 1
SIZES = ("cell", "vocab_size", "embedding_size", "hidden_size", "num_layers", "bidirectional")
MEND = "Fetch the folder again, or pretrain again: nlp-rnn pretrain data=…"


@dataclass(frozen=True)
class Encoder:
    """A folder that was read and found sound.

    `state` are the parameters by the names they have in a classifier, float32. `digest` is a hash
    of sizes, tokenizer and parameters. `tokenizer_options` are what the tokenizer was asked to be.
    """

    folder: Path
    sizes: Mapping[str, Any]
    tokenizer_json: str
    tokenizer_options: Mapping[str, Any]
    state: Mapping[str, NDArray[np.float32]]
    digest: str
    provenance: Mapping[str, Any]


def save_encoder(
    folder: Path,
    architecture: Architecture,
    state: Mapping[str, NDArray[np.float32]],
    tokenizer_json: str,
    tokenizer_options: Mapping[str, Any],
    provenance: Mapping[str, Any],
) -> str:
    """Write the folder, whole or not at all, and return its digest.

    Raises:
        ClassifierError: a parameter is not finite.
        ValueError: the parameters are not the architecture's.
    """
    from safetensors.numpy import save

    sizes = {name: getattr(architecture, name) for name in SIZES}
    if {name: value.shape for name, value in state.items()} != _shapes(sizes):
        raise ValueError(f"parameters {sorted(state)} do not belong to {architecture}")
    if not all(np.isfinite(value).all() for value in state.values()):
        raise ClassifierError(
            "The encoder holds numbers that are not finite: the pretraining diverged.\n"
            "Type a smaller pretraining.learning_rate."
        )
    packed: bytes = save({n: np.ascontiguousarray(v, np.float32) for n, v in state.items()})
    files = {TOKENIZER: tokenizer_json.encode(), WEIGHTS: packed}
    listed = {
        name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in files.items()
    }
    config = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "architecture": sizes,
        "tokenizer": dict(tokenizer_options),
        "files": listed,
        "digest": _digest(sizes, listed),
        "provenance": dict(provenance),
        "versions": {"nlp_rnn": __version__},
    }
    config = json.loads(json.dumps(config, allow_nan=False))
    config["checksum"] = checksum(config)
    files[CONFIG] = (json.dumps(config, indent=2, ensure_ascii=False) + "\n").encode()
    written = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(written, ignore_errors=True)
    written.mkdir(parents=True)
    for name, data in files.items():
        (written / name).write_bytes(data)
    shutil.rmtree(folder, ignore_errors=True)
    os.rename(written, folder)
    return str(config["digest"])


def read_encoder(folder: Path) -> Encoder:
    """Read the folder that a pretraining left, or that within its run folder.

    Raises:
        ClassifierError: there is none, or a file is missing, was changed or is of another kind.
    """
    folder = folder / ENCODER if (folder / ENCODER / CONFIG).is_file() else folder
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        known = isinstance(config, dict) and config.get("format") == FORMAT
    except (OSError, ValueError):
        known = False
    if not known:
        raise ClassifierError(
            f"{folder} is no pretrained encoder: it has no {CONFIG} of one.\n"
            "Type model.pretrained=FOLDER, the run folder of nlp-rnn pretrain, or runs:/ID."
        )
    if config.get("format_version") != FORMAT_VERSION:
        raise ClassifierError(
            f"{folder} is of format {config.get('format_version')}, nlp_rnn {__version__} reads "
            f"{FORMAT_VERSION}.\nInstall the nlp_rnn that wrote it, or pretrain again."
        )
    if config.get("checksum") != checksum(config):
        raise ClassifierError(f"{folder / CONFIG} was changed after it was saved.\n{MEND}")
    try:
        tokenizer, weights = (
            read_checked_file(folder, name, config) for name in (TOKENIZER, WEIGHTS)
        )
    except ClassifierError as error:
        raise ClassifierError(str(error).replace(COPY_AGAIN, MEND)) from error
    sizes = config["architecture"]
    return Encoder(
        folder,
        sizes,
        tokenizer.decode(),
        config["tokenizer"],
        _unpacked(folder, weights, _shapes(sizes)),
        config["digest"],
        config["provenance"],
    )


def _unpacked(
    folder: Path, data: bytes, shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, NDArray[np.float32]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        state: dict[str, NDArray[np.float32]] = load(data)
    except (SafetensorError, ValueError) as error:
        raise ClassifierError(
            f"{folder / WEIGHTS} is not a safetensors file, whatever its name says.\n{MEND}"
        ) from error
    found = {name: value.shape for name, value in state.items() if value.dtype == np.float32}
    if found != shapes:
        raise ClassifierError(
            f"{folder / WEIGHTS} holds other parameters than {CONFIG} describes.\n{MEND}"
        )
    return state


def _shapes(sizes: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """What a classifier of these sizes has, without pooling and head."""
    if sizes["cell"] not in CELLS:
        raise ClassifierError(f"A {sizes['cell']} is no encoder.")
    every = Architecture(**sizes, num_labels=1, pooling="mean").parameter_shapes()
    return {name: shape for name, shape in every.items() if not name.startswith("head.")}


def _digest(sizes: Mapping[str, Any], files: Mapping[str, Mapping[str, Any]]) -> str:
    shaping = [sizes, {name: entry["sha256"] for name, entry in files.items()}]
    return hashlib.sha256(json.dumps(shaping, sort_keys=True).encode()).hexdigest()
