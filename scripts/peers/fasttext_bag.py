# /// script
# dependencies = ["fasttext-wheel==0.9.2", "numpy==2.4.6"]
# ///
"""Bag of word uni- and bigrams in fastText, with the final options of its tutorial.

As in the tutorial, texts are lower case with separate punctuation, the learning rate is 1, and
there are 25 epochs.
"""

import re
import tempfile
import time
from pathlib import Path

import fasttext
from handover import arguments, read_facts, read_texts, report

EPOCHS = 25


def write(path: Path, texts: list[str], labels: list[int]) -> int:
    """Write one text per line in the format of fastText, and return the number of lines."""
    lines = []
    for text, label in zip(texts, labels, strict=True):
        words = re.sub(r"([.!?,'/()])", r" \1 ", text.lower()).split()
        lines.append(f"__label__{label} {' '.join(words)}\n")
    path.write_text("".join(lines), encoding="utf-8")
    return len(lines)


def main() -> None:
    """Train, and evaluate once on the test split."""
    folder, _, _, seed = arguments()
    cores = read_facts(folder)["cores"]
    with tempfile.TemporaryDirectory() as temporary:
        train, test = Path(temporary, "train.txt"), Path(temporary, "test.txt")
        write(train, *read_texts(folder, "train"))
        num_test = write(test, *read_texts(folder, "test"))
        options = {"epoch": EPOCHS, "lr": 1.0, "wordNgrams": 2, "bucket": 200_000, "dim": 50}
        started = time.perf_counter()
        model = fasttext.train_supervised(str(train), thread=cores, seed=seed, verbose=0, **options)
        seconds = time.perf_counter() - started
        num_predicted, precision, _ = model.test(str(test))  # skips texts without known words
    report([seconds / EPOCHS] * EPOCHS, precision * num_predicted / num_test)


if __name__ == "__main__":
    main()
