"""Static vectors of a sentence encoder: each token of its vocabulary is encoded alone.

The vectors are reduced to their principal components, as in Minish Lab's model2vec
(https://github.com/MinishLab/model2vec), and cached by the content of the encoder.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.errors import ConfigError, DataError

__all__ = ["encoder_vectors", "is_encoder", "principal_components"]

SIZE = 256
"""Dimensions of the vectors at most."""

VERSION = 1
"""Part of the key of cached vectors: raise it when others would be computed."""

BATCH = 512


def is_encoder(folder: Path) -> bool:
    """Return whether a folder holds a sentence encoder, or a transformer to pool by the mean."""
    if (folder / "modules.json").is_file():
        return True
    try:
        return "model_type" in json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False


def encoder_vectors(
    folder: Path, tokenizer_json: str, digest: str
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the vectors float32 (V, D) and the weights (V,) of the tokens of an encoder.

    Parameters
    ----------
    folder : Path
        The sentence encoder.
    tokenizer_json : str
        Its tokenizer, with V tokens.
    digest : str
        Hash of its content: the key of the cache.

    Raises
    ------
    ConfigError
        A library is missing.
    DataError
        The encoder cannot be loaded.
    """
    from safetensors.numpy import load_file, save_file

    from nlp_rnn.caches import cache_dir

    path = cache_dir() / "static_vectors" / f"{digest}-{VERSION}-{SIZE}.safetensors"
    if not path.exists():
        rows = principal_components(_encoded(folder, tokenizer_json), SIZE)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{digest}.part")
        save_file({"rows": rows.astype(np.float16)}, temporary)
        temporary.replace(path)
    rows = load_file(path)["rows"].astype(np.float32)
    return rows, token_weights(tokenizer_json, len(rows))


def token_weights(tokenizer_json: str, size: int) -> NDArray[np.float32]:
    """Return the weight of each token: the logarithm of its rank, 0 for special tokens.

    The ids of a vocabulary are roughly in the order of its tokens' frequencies. So a token weighs
    about as much as its information, and frequent words have little weight.
    """
    weights = np.log(1 + np.arange(size)).astype(np.float32)
    special = [token["id"] for token in json.loads(tokenizer_json)["added_tokens"]]
    weights[[number for number in special if number < size]] = 0.0
    return weights


def principal_components(vectors: NDArray[Any], size: int) -> NDArray[np.float32]:
    """Return centered vectors (V, D) in the coordinates of their first `size` components.

    Parameters
    ----------
    vectors : float array of shape (V, D)
    size : int
        Components; fewer where D is smaller.
    """
    centered = vectors.astype(np.float64) - vectors.mean(axis=0)
    _, axes = np.linalg.eigh(centered.T @ centered)
    # the direction of an axis is arbitrary: its largest entry is positive
    axes = axes[:, ::-1][:, :size]
    axes *= np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    components: NDArray[np.float32] = (centered @ axes).astype(np.float32)
    return components


def _encoded(folder: Path, tokenizer_json: str) -> NDArray[np.float32]:
    """Return the vector of each token, float32 (V, D), with the special tokens of a text."""
    from tokenizers import Tokenizer

    try:
        import torch
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging
    except ImportError as error:
        raise ConfigError(
            f"{folder} is a sentence encoder, which needs sentence-transformers once.\n"
            "Install it: pip install 'nlp_rnn[teacher]'. Or set model.vectors to a static "
            "embedding model."
        ) from error
    logging.disable_progress_bar()
    tokenizer = Tokenizer.from_str(tokenizer_json)
    tokenizer.no_padding()
    number = max(tokenizer.get_vocab().values()) + 1
    pattern = tokenizer.encode("a")
    inside = [i for i, special in enumerate(pattern.special_tokens_mask) if not special]
    before, after = pattern.ids[: inside[0]], pattern.ids[inside[-1] + 1 :]
    try:
        encoder = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
        blocks = []
        with torch.inference_mode():
            for start in range(0, number, BATCH):
                ids = [
                    [*before, token, *after] for token in range(start, min(number, start + BATCH))
                ]
                tokens = torch.tensor(ids)
                features = {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}
                blocks.append(encoder(features)["sentence_embedding"].float().numpy())
    except Exception as error:  # the library raises its own types
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise DataError(
            f"{folder} cannot be loaded as a sentence encoder: {reason}\nDownload it again."
        ) from error
    return np.concatenate(blocks)
