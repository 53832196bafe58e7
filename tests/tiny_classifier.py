"""Small classifiers with random parameters for tests of saved classifiers."""

from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers

from nlp_rnn.classifier.classifier_saving import save_classifier
from nlp_rnn.model.architecture import Architecture

VOCAB_SIZE = 30
MAX_LENGTH = 40


def tiny_architecture(cell: str = "gru", pooling: str = "max_mean", **changes: Any) -> Architecture:
    recurrent = cell != "average"
    sizes: dict[str, Any] = {
        "vocab_size": VOCAB_SIZE,
        "num_labels": 3,
        "embedding_size": 6,
        "hidden_size": 5 if recurrent else 0,
        "num_layers": 1 if recurrent else 0,
        "bidirectional": recurrent,
    }
    return Architecture(cell=cell, pooling=pooling, **(sizes | changes))


def random_state(architecture: Architecture, seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {
        name: (random.standard_normal(shape) / 2).astype(np.float32)
        for name, shape in architecture.parameter_shapes().items()
    }


def tiny_tokenizer_json(vocab_size: int = VOCAB_SIZE) -> str:
    """Return a tokenizer with the vocabulary `w2` … `w29` that truncates to 40 tokens."""
    words = {f"w{index}": index for index in range(2, vocab_size)}
    tokenizer = Tokenizer(models.WordLevel({"[PAD]": 0, "[UNK]": 1, **words}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.enable_truncation(MAX_LENGTH)
    return tokenizer.to_str()


def tiny_parts(seed: int = 0, **changes: Any) -> dict[str, Any]:
    """Return the arguments of `save_classifier` except the folder."""
    architecture = tiny_architecture(**changes)
    return {
        "architecture": architecture,
        "state": random_state(architecture, seed),
        "tokenizer_json": tiny_tokenizer_json(architecture.vocab_size),
        "labels": ["bad", "fair", "good"][: architecture.num_labels],
        "provenance": {"data": {"name": "tiny", "rows": 12}, "scores": {"accuracy": 0.5}},
    }


def save_tiny(folder: Path, seed: int = 0, **changes: Any) -> Path:
    save_classifier(folder, **tiny_parts(seed, **changes))
    return folder


def tiny_texts(number: int, seed: int = 0) -> list[str]:
    """Return random texts of 0 to 60 words; some words are not in the vocabulary."""
    random = np.random.default_rng(seed)
    return [
        " ".join(f"w{index}" for index in random.integers(2, VOCAB_SIZE + 3, length))
        for length in random.integers(0, 61, number)
    ]
