"""Folder of a pretrained encoder, with which a classifier can be initialized: write and read it.

Its files are `config.json` (sizes, options of the tokenizer, hashes, provenance), `tokenizer.json`
and `model.safetensors`. No file contains code.
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
"""Name of the folder in a run folder and among the artifacts of a run."""

FORMAT, FORMAT_VERSION = "nlp_rnn.encoder", 1
# The fields of `Architecture` that describe an encoder.
SIZES = ("cell", "vocab_size", "embedding_size", "hidden_size", "num_layers", "bidirectional")
# Second line of the error messages about a damaged folder.
REMEDY = "Copy the folder again, or pretrain again: nlp-rnn pretrain data=…"


@dataclass(frozen=True)
class Encoder:
    """A pretrained encoder that was read from its folder and checked.

    Attributes
    ----------
    folder : Path
        The folder.
    sizes : mapping
        Cell, vocabulary size and sizes of the layers, named as the fields of `Architecture`.
    tokenizer_json : str
        Content of `tokenizer.json`.
    tokenizer_options : mapping
        The options that the tokenizer was created with.
    state : mapping
        The parameters, float32, with the names of the same parameters in a classifier.
    digest : str
        SHA-256 of sizes, tokenizer and parameters, which identifies the encoder.
    provenance : mapping
        Data, options and results of the pretraining.
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
    """Write the folder of an encoder, completely or not at all, and return the encoder's digest.

    A folder that exists is replaced. The parameters are those that `Encoder` describes.

    Raises
    ------
    ClassifierError
        If a parameter is not finite.
    ValueError
        If the parameters are not those of the architecture.
    """
    from safetensors.numpy import save

    sizes = {name: getattr(architecture, name) for name in SIZES}
    if {name: value.shape for name, value in state.items()} != _shapes(sizes):
        raise ValueError(f"parameters {sorted(state)} do not belong to {architecture}")
    if not all(np.isfinite(value).all() for value in state.values()):
        raise ClassifierError(
            "Some parameters of the encoder are not finite: the pretraining diverged.\n"
            "Set a smaller pretraining.learning_rate."
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
    """Read and check the encoder in `folder`, which may also be the run folder of a pretraining.

    Raises
    ------
    ClassifierError
        If there is no encoder, or if a file is missing, was changed since it was saved, or has an
        unsupported format.
    """
    folder = folder / ENCODER if (folder / ENCODER / CONFIG).is_file() else folder
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        known = isinstance(config, dict) and config.get("format") == FORMAT
    except (OSError, ValueError):
        known = False
    if not known:
        raise ClassifierError(
            f"{folder} is not a pretrained encoder: it has no {CONFIG} of an encoder.\n"
            "Set model.pretrained to the run folder of nlp-rnn pretrain, or to runs:/ID."
        )
    if config.get("format_version") != FORMAT_VERSION:
        raise ClassifierError(
            f"{folder} has format {config.get('format_version')}, but nlp_rnn {__version__} reads "
            f"format {FORMAT_VERSION}.\nInstall the nlp_rnn that wrote it, or pretrain again."
        )
    if config.get("checksum") != checksum(config):
        raise ClassifierError(f"{folder / CONFIG} was changed after it was saved.\n{REMEDY}")
    try:
        tokenizer, weights = (
            read_checked_file(folder, name, config) for name in (TOKENIZER, WEIGHTS)
        )
    except ClassifierError as error:
        raise ClassifierError(str(error).replace(COPY_AGAIN, REMEDY)) from error
    sizes = config["architecture"]
    return Encoder(
        folder,
        sizes,
        tokenizer.decode(),
        config["tokenizer"],
        _load_parameters(folder, weights, _shapes(sizes)),
        config["digest"],
        config["provenance"],
    )


def _load_parameters(
    folder: Path, data: bytes, shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, NDArray[np.float32]]:
    """Decode `model.safetensors` and check that the parameters have these names and shapes."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        state: dict[str, NDArray[np.float32]] = load(data)
    except (SafetensorError, ValueError) as error:
        raise ClassifierError(f"{folder / WEIGHTS} is not a safetensors file.\n{REMEDY}") from error
    loaded = {name: value.shape for name, value in state.items() if value.dtype == np.float32}
    if loaded != shapes:
        raise ClassifierError(
            f"{folder / WEIGHTS} has other parameters than {CONFIG} describes.\n{REMEDY}"
        )
    return state


def _shapes(sizes: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return the shape of each parameter of an encoder: those of a classifier without the head."""
    if sizes["cell"] not in CELLS:
        raise ClassifierError(f"The cell {sizes['cell']} has no encoder.\n{REMEDY}")
    shapes = Architecture(**sizes, num_labels=1, pooling="mean").parameter_shapes()
    return {name: shape for name, shape in shapes.items() if not name.startswith("head.")}


def _digest(sizes: Mapping[str, Any], files: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the encoder's digest, from its sizes and the hashes of its files."""
    contents = [sizes, {name: entry["sha256"] for name, entry in files.items()}]
    return hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest()
