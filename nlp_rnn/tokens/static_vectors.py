"""Static embedding models: a tokenizer with one vector for each token, from a folder or the hub.

Two layouts are read: that of model2vec (a tokenizer.json beside a model.safetensors with
`embeddings`, and optionally `mapping` and `weights`), and sentence encoders, whose vectors
`encoder_vectors` computes once.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.config.signature import content_digest
from nlp_rnn.errors import ConfigError, DataError
from nlp_rnn.tokens.word_tokens import WordTokens

__all__ = ["StaticVectors", "is_static", "load_static_vectors"]

TOKENIZER, WEIGHTS = "tokenizer.json", "model.safetensors"
FILES = (WEIGHTS, f"0_StaticEmbedding/{WEIGHTS}")
"""Files of a static embedding model that may hold its vectors."""

FILE_SUFFIXES = (".txt", ".vec", ".bin", ".gz", ".zip")
"""Ends of the names of files of word vectors, which no repository has."""

NAMES = ("embeddings", "embedding.weight", "embedding.embeddings")
"""Names of the vectors in such a file."""


@dataclass(frozen=True)
class StaticVectors:
    """A static embedding model: the vector of a text is the weighted mean of those of its tokens.

    Attributes
    ----------
    tokenizer_json : str
        Its tokenizer, with V tokens.
    rows : float32 array of shape (R, D)
        Vectors, which several tokens may share.
    mapping : int64 array of shape (V,)
        The row of each token.
    weights : float32 array of shape (V,)
        The weight of each token; 0 for special tokens.
    source : str
        What the user named: a folder or a repository on the hub.
    kind : str
        What it is, for messages: "static embedding model" or "sentence encoder".
    licence : str
        The field `license` of its model card; "not stated" without one.
    digest : str
        Hash of its content.
    """

    tokenizer_json: str
    rows: NDArray[np.float32]
    mapping: NDArray[np.int64]
    weights: NDArray[np.float32]
    source: str
    kind: str
    licence: str
    digest: str

    @property
    def size(self) -> int:
        """The number of dimensions D."""
        return int(self.rows.shape[1])

    @property
    def summary(self) -> str:
        """One line for the terminal and the tags of a run."""
        return (
            f"{self.kind} {self.source}: {len(self.mapping):,} tokens, {self.size} dimensions, "
            f"licence {self.licence}"
        )

    def of_words(self, words: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return the vectors float32 (n, D) of n words, and whether they have one."""
        matrix = np.zeros((len(words), self.size), np.float32)
        covered = np.zeros(len(words), bool)
        for index, ids in enumerate(WordTokens(self.tokenizer_json).ids(words)):
            weights = self.weights[ids]
            if total := float(weights.sum()):
                matrix[index] = weights @ self.rows[self.mapping[ids]] / total
                covered[index] = True
        return matrix, covered


def is_static(vectors: str) -> bool:
    """Return whether `model.vectors` is a folder or a repository on the hub, not a file of words.

    A repository is named OWNER/NAME, where there is no such path.
    """
    path = Path(vectors).expanduser()
    if path.exists():
        return path.is_dir()
    is_name = vectors.count("/") == 1 and not vectors.startswith(("/", ".", "~"))
    return is_name and path.suffix.lower() not in FILE_SUFFIXES


def load_static_vectors(vectors: str) -> StaticVectors:
    """Load a static embedding model, or the vectors that were made of a sentence encoder.

    The vectors of an encoder are computed the first time, and cached by its content.

    Parameters
    ----------
    vectors : str
        A folder, or the name of a repository on the hub.

    Raises
    ------
    ConfigError
        There is no such folder or repository, or a library is missing.
    DataError
        It holds neither a static embedding model nor a sentence encoder, or is damaged.
    """
    folder = Path(vectors).expanduser()
    if not folder.is_dir():
        folder = _downloaded(vectors)
    return _loaded(vectors, folder, content_digest(str(folder)))


@lru_cache(maxsize=2)
def _loaded(source: str, folder: Path, digest: str) -> StaticVectors:
    from nlp_rnn.tokens.encoder_vectors import encoder_vectors, is_encoder

    licence = _licence(folder)
    arrays = _read_arrays(folder)
    if arrays is not None:
        return _static(arrays, _tokenizer_json(folder), source, licence, digest)
    if is_encoder(folder):
        tokenizer_json = _tokenizer_json(folder)
        rows, weights = encoder_vectors(folder, tokenizer_json, digest)
        mapping = np.arange(len(rows))
        return StaticVectors(
            tokenizer_json, rows, mapping, weights, source, "sentence encoder", licence, digest
        )
    raise DataError(
        f"{folder} is neither a static embedding model ({TOKENIZER}, and {WEIGHTS} with "
        f"`embeddings`) nor a sentence encoder (modules.json and config.json).\n"
        "Set model.vectors to a folder or repository in the layout of model2vec or "
        "sentence-transformers, or to a file of word vectors."
    )


def _read_arrays(folder: Path) -> dict[str, NDArray[Any]] | None:
    """Return the arrays of a static embedding model; None if the folder holds something else."""
    from safetensors import SafetensorError, safe_open

    for path in (folder / name for name in FILES):
        if not path.is_file():
            continue
        try:
            with safe_open(path, "numpy") as file:
                names = list(file.keys())
                name = next((name for name in NAMES if name in names), None)
                if name is None:
                    continue
                arrays = {"embeddings": file.get_tensor(name)}
                for other in {"mapping", "weights"} & set(names):
                    arrays[other] = file.get_tensor(other)
                return arrays
        except (OSError, SafetensorError, TypeError) as error:
            raise DataError(f"{path} cannot be read: {error}\nDownload it again.") from error
    return None


def _static(
    arrays: dict[str, NDArray[Any]], tokenizer_json: str, source: str, licence: str, digest: str
) -> StaticVectors:
    """Return a static embedding model after checks of its arrays."""
    rows = np.asarray(arrays["embeddings"], np.float32)
    tokens = WordTokens(tokenizer_json)
    number = tokens.size
    mapping = np.asarray(arrays.get("mapping", np.arange(number)), np.int64)
    weights = np.asarray(arrays.get("weights", np.ones(number)), np.float32)
    fits = rows.ndim == 2 and mapping.ndim == weights.ndim == 1 and rows.size > 0
    if not fits or min(len(mapping), len(weights)) < number:
        raise DataError(
            f"{source} has vectors of the shape {rows.shape} for {number:,} tokens of its "
            f"{TOKENIZER}: they do not belong together.\nDownload it again."
        )
    mapping, weights = mapping[:number], weights[:number].copy()
    if mapping.min() < 0 or mapping.max() >= len(rows):
        raise DataError(
            f"{source} has {len(rows):,} vectors, and tokens refer to vector "
            f"{int(mapping.max()):,}.\nDownload it again."
        )
    if not (np.isfinite(rows).all() and np.isfinite(weights).all()):
        raise DataError(f"{source} has vectors that are not finite.\nDownload it again.")
    weights[_special(tokenizer_json)] = 0.0
    # integers are vectors with a common scale
    rows *= np.float32(1 / max(float(np.linalg.norm(rows, axis=1).mean()), 1e-12))
    return StaticVectors(
        tokenizer_json, rows, mapping, weights, source, "static embedding model", licence, digest
    )


def _special(tokenizer_json: str) -> list[int]:
    """Return the ids of special tokens and of the unknown token."""
    whole = json.loads(tokenizer_json)
    model = whole["model"]
    special = {token["id"] for token in whole["added_tokens"] if token["special"]}
    if isinstance(model["vocab"], dict) and model.get("unk_token") in model["vocab"]:
        special.add(model["vocab"][model["unk_token"]])
    if model.get("unk_id") is not None:
        special.add(model["unk_id"])
    return sorted(special)


def _tokenizer_json(folder: Path) -> str:
    for path in (folder / TOKENIZER, folder / "0_StaticEmbedding" / TOKENIZER):
        if path.is_file():
            try:
                text = path.read_text(encoding="utf-8")
                WordTokens(text)
                return text
            except Exception as error:  # the library raises plain Exception
                raise DataError(
                    f"{path} is not a tokenizer: {error}\nDownload it again."
                ) from error
    raise DataError(
        f"{folder} has no {TOKENIZER}.\nSet model.vectors to a model with a fast tokenizer."
    )


def _licence(folder: Path) -> str:
    """Return the field `license` of the model card."""
    import yaml

    card = folder / "README.md"
    if card.is_file():
        head = card.read_text(encoding="utf-8", errors="replace")
        if head.startswith("---"):
            try:
                fields = yaml.safe_load(head[3:].partition("\n---")[0])
            except yaml.YAMLError:
                fields = None
            if isinstance(fields, dict) and fields.get("license"):
                return str(fields["license"])
    return "not stated"


def _downloaded(name: str) -> Path:
    """Return the local snapshot of a repository on the hub."""
    from contextlib import nullcontext

    import huggingface_hub

    from nlp_rnn.sources.hub import hub_is_reachable, offline
    from nlp_rnn.sources.path_errors import first_line

    reached = hub_is_reachable()
    try:
        with nullcontext() if reached else offline():
            folder = huggingface_hub.snapshot_download(
                name,
                allow_patterns=["*.json", "*.txt", "*.md", "*.safetensors", "*.model"],
                ignore_patterns=["onnx/*", "openvino/*"],
                local_files_only=not reached,
            )
    except Exception as error:
        where = "the hub" if reached else "the cache, and the hub cannot be reached"
        raise ConfigError(
            f"There is no folder {name}, and no repository {name} in {where}: "
            f"{first_line(error)}\nSet model.vectors to a folder, a repository or a file of word "
            "vectors."
        ) from error
    return Path(folder)
