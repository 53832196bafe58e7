"""Lines that a run prints on the terminal."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nlp_rnn.data.corpus import Corpus

__all__ = ["announced", "output_to", "print_corpus", "print_lines", "print_result"]


def print_corpus(corpus: "Corpus") -> None:
    """Print the numbers of texts and labels, and the notes about the data."""
    sizes = ", ".join(
        f"{len(getattr(corpus, split)):,} {split}" for split in ("train", "validation", "test")
    )
    print(f"{corpus.name}: {sizes} texts, {len(corpus.labels)} labels", flush=True)
    print_lines((*corpus.notes, *corpus.quality.lines))


def print_lines(lines: Iterable[str]) -> None:
    """Print indented detail lines under the previous message."""
    for line in lines:
        print(f"  {line}", flush=True)


def print_result(
    run_id: str, classifier: str, metrics: Mapping[str, float], summary: Sequence[str]
) -> None:
    """Print the summary, the test scores, the latency, and where the results are.

    Without a summary, the scores of the parts of an ensemble are printed too.
    """
    from nlp_rnn.scoring.predictions import PART_NAMES

    parts = "".join(
        f"  {name:<20} {_scores(metrics, f'test/{part}_')}\n"
        for part, name in PART_NAMES.items()
        if f"test/{part}_macro_f1" in metrics and not summary
    )
    folder = Path(classifier)
    print(
        "".join(f"{line}\n" for line in ["", *summary, ""] if summary)
        + f"test {_scores(metrics, 'test/')}  "
        f"latency (one text) {metrics['latency/onnx_batch1_p50_ms']:.2f} ms\n{parts}"
        f"classifier    {classifier}\n"
        f"mistakes      {folder.with_name('mistakes.html')}\n"
        f"MLflow run    {run_id} (nlp-rnn ui)",
        flush=True,
    )


def _scores(metrics: Mapping[str, float], prefix: str) -> str:
    """Return accuracy or micro-F1, and macro-F1, of the metrics that begin with `prefix`."""
    first = f"micro-F1 {metrics[f'{prefix}micro_f1']:.4f}" if f"{prefix}micro_f1" in metrics else ""
    first = first or f"accuracy {metrics[f'{prefix}accuracy']:.4f}"
    return f"{first}  macro-F1 {metrics[f'{prefix}macro_f1']:.4f}"


@contextmanager
def announced(step: str) -> Iterator[None]:
    """Show on a terminal, until the block ends, which step is running."""
    if sys.stdout.isatty():
        print(f"{step} …", end="\r", flush=True)
    yield
    if sys.stdout.isatty():
        print("\x1b[2K", end="", flush=True)


@contextmanager
def output_to(path: Path) -> Iterator[None]:
    """Append what the block prints to a file, for jobs that share a terminal."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8", buffering=1) as file, redirect_stdout(file):
        yield
