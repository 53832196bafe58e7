# /// script
# dependencies = ["fasttext-wheel==0.9.2", "numpy==2.4.6"]
# ///
"""Texts become a bag of words and pairs in fastText, with the options its guide ends on.

The guide's clean-up (lower case, punctuation apart), learning rate 1, 25 epochs, pairs of words.
"""

import re
import tempfile
import time
from pathlib import Path

import fasttext
from handover import arguments, read_facts, read_texts, report

EPOCHS = 25


def write(path: Path, texts: list[str], labels: list[int]) -> int:
    """Write one text a line, as fastText reads them; how many."""
    lines = []
    for text, label in zip(texts, labels, strict=True):
        words = re.sub(r"([.!?,'/()])", r" \1 ", text.lower()).split()
        lines.append(f"__label__{label} {' '.join(words)}\n")
    path.write_text("".join(lines), encoding="utf-8")
    return len(lines)


def main() -> None:
    """Train and read the test split once."""
    folder, _, _, seed = arguments()
    cores = read_facts(folder)["cores"]
    with tempfile.TemporaryDirectory() as place:
        train, test = Path(place, "train.txt"), Path(place, "test.txt")
        write(train, *read_texts(folder, "train"))
        num_test = write(test, *read_texts(folder, "test"))
        options = {"epoch": EPOCHS, "lr": 1.0, "wordNgrams": 2, "bucket": 200_000, "dim": 50}
        started = time.perf_counter()
        model = fasttext.train_supervised(str(train), thread=cores, seed=seed, verbose=0, **options)
        seconds = time.perf_counter() - started
        num_answered, precision, _ = model.test(str(test))  # leaves out texts without known words
    report([seconds / EPOCHS] * EPOCHS, precision * num_answered / num_test)


if __name__ == "__main__":
    main()
