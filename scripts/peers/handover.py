"""Input and output of the programs that `scripts/bench_peers` runs.

FOLDER/train.npz and FOLDER/test.npz hold the concatenated token ids of all texts (`ids`), the
number of tokens of each text (`lengths`) and its label (`labels`). FOLDER/train.json and
FOLDER/test.json hold the texts.
"""

import json
import sys
from pathlib import Path

import numpy as np


def read_tokens(folder: Path, split: str) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the token ids of each text (int32, at least one) and the labels (int64)."""
    arrays = np.load(folder / f"{split}.npz")
    return np.split(arrays["ids"], arrays["lengths"].cumsum()[:-1]), arrays["labels"]


def read_texts(folder: Path, split: str) -> tuple[list[str], np.ndarray]:
    """Return the texts and their labels (int64)."""
    texts = json.loads((folder / f"{split}.json").read_text(encoding="utf-8"))
    return texts, np.load(folder / f"{split}.npz")["labels"]


def read_facts(folder: Path) -> dict[str, int]:
    """Return `vocab_size`, `num_labels`, `batch_size`, `size` (embedding, hidden) and `cores`."""
    return json.loads((folder / "facts.json").read_text(encoding="utf-8"))


def arguments() -> tuple[Path, str, int, int]:
    """Return the command line: FOLDER, cell (unused if not recurrent), epochs and seed."""
    folder, cell, epochs, seed = sys.argv[1:]
    return Path(folder), cell, int(epochs), int(seed)


def report(epoch_seconds: list[float], accuracy: float) -> None:
    """Print the wall seconds of every epoch and the test accuracy as a line of JSON.

    This has to be the last line of the output. The seconds include neither validation nor test.
    """
    print(json.dumps({"epoch_seconds": epoch_seconds, "test_accuracy": float(accuracy)}))
