"""What `scripts/bench_peers` wrote down becomes arrays for a peer, and a peer's times one line.

FOLDER/train.npz and FOLDER/test.npz hold the token ids of all texts end to end (`ids`), the length
of each (`lengths`) and its label (`labels`); train.json and test.json the texts themselves.
"""

import json
import sys
from pathlib import Path

import numpy as np


def read_tokens(folder: Path, split: str) -> tuple[list[np.ndarray], np.ndarray]:
    """Token ids of each text (int32, at least one) and the labels (int64)."""
    arrays = np.load(folder / f"{split}.npz")
    return np.split(arrays["ids"], arrays["lengths"].cumsum()[:-1]), arrays["labels"]


def read_texts(folder: Path, split: str) -> tuple[list[str], np.ndarray]:
    """The texts and their labels (int64)."""
    texts = json.loads((folder / f"{split}.json").read_text(encoding="utf-8"))
    return texts, np.load(folder / f"{split}.npz")["labels"]


def read_facts(folder: Path) -> dict[str, int]:
    """`vocab_size`, `num_labels`, `batch_size`, `size` (embedding and hidden) and `cores`."""
    return json.loads((folder / "facts.json").read_text(encoding="utf-8"))


def arguments() -> tuple[Path, str, int, int]:
    """FOLDER, cell (`lstm` or `gru`; unused without recurrence), epochs, seed."""
    folder, cell, epochs, seed = sys.argv[1:]
    return Path(folder), cell, int(epochs), int(seed)


def report(epoch_seconds: list[float], accuracy: float) -> None:
    """Print, as the last line, wall seconds of training per epoch, and accuracy on the test split.

    Neither validation nor test is part of the seconds.
    """
    print(json.dumps({"epoch_seconds": epoch_seconds, "test_accuracy": float(accuracy)}))
