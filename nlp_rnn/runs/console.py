"""What a run has to say becomes a few lines on the screen."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nlp_rnn.data.corpus import Corpus

__all__ = ["announced", "output_to", "print_corpus", "print_lines", "print_result"]


def print_corpus(corpus: "Corpus") -> None:
    """How many texts and labels there are, and what was done to them."""
    sizes = ", ".join(
        f"{len(getattr(corpus, split)):,} {split}" for split in ("train", "validation", "test")
    )
    print(f"{corpus.name}: {sizes} texts, {len(corpus.labels)} labels", flush=True)
    print_lines((*corpus.notes, *corpus.quality.lines))


def print_lines(lines: Iterable[str]) -> None:
    """Say some more about what was said last."""
    for line in lines:
        print(f"  {line}", flush=True)


def print_result(run_id: str, classifier: str, metrics: Mapping[str, float]) -> None:
    """The scores, and where the classifier and the run are."""
    first = f"accuracy {metrics['test/accuracy']:.4f}" if "test/accuracy" in metrics else ""
    first = first or f"micro-F1 {metrics['test/micro_f1']:.4f}"
    print(
        f"test {first}  macro-F1 {metrics['test/macro_f1']:.4f}  "
        f"one answer {metrics['latency/onnx_batch1_p50_ms']:.2f} ms\n"
        f"classifier    {classifier}\n"
        f"MLflow run    {run_id}",
        flush=True,
    )


@contextmanager
def announced(what: str) -> Iterator[None]:
    """Say on a terminal what takes its time, and take it back when it is done."""
    if sys.stdout.isatty():
        print(f"{what} …", end="\r", flush=True)
    yield
    if sys.stdout.isatty():
        print("\x1b[2K", end="", flush=True)


@contextmanager
def output_to(path: Path) -> Iterator[None]:
    """Append to a file what the block prints, where others speak too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8", buffering=1) as file, redirect_stdout(file):
        yield
