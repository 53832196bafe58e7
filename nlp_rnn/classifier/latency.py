"""A loaded classifier becomes measured times and memory of answering on this machine."""

import itertools
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.classifier.predictor import TextClassifier
from nlp_rnn.errors import ClassifierError

__all__ = [
    "Predictor",
    "cold_start",
    "latency_by_length",
    "memory_of_process",
    "prediction_latency",
    "step_latency",
    "texts_of_length",
    "throughput",
]

WARM_UP_CALLS = 20
# Words that texts of a wanted length are made of.
WORDS = 500


class Predictor(Protocol):
    """A `TextClassifier`, or a baseline with the same methods."""

    @property
    def runtime(self) -> str:
        """Name of the library that computes the probabilities."""
        ...

    @property
    def thresholds(self) -> NDArray[np.float64] | None:
        """Probability (C,) from which on a text has each label; None for single-label tasks."""
        ...

    def predict_proba(self, texts: Iterable[str]) -> NDArray[np.float32]:
        """Return the probabilities of n texts and C labels, float32 (n, C)."""
        ...

    def token_counts(self, texts: Iterable[str]) -> NDArray[np.int64]:
        """Return the number of tokens of each text, int64 (n,)."""
        ...


def prediction_latency(
    classifier: Predictor, texts: Sequence[str], calls: int = 300
) -> dict[str, float]:
    """Milliseconds from one text to its probabilities, tokenization included.

    Calls `predict_proba` on one text at a time, going round `texts`. One text is answered on
    one thread whatever the classifier's `threads`. Returns `latency/onnx_batch1_p50_ms` and
    `latency/onnx_batch1_p95_ms`, or the classifier's own runtime instead of `onnx`.
    """
    one_text = itertools.cycle([[text] for text in texts])
    milliseconds = _times(lambda: classifier.predict_proba(next(one_text)), calls)
    name = f"latency/{classifier.runtime}_batch1"
    return {
        f"{name}_p50_ms": float(np.quantile(milliseconds, 0.5)),
        f"{name}_p95_ms": float(np.quantile(milliseconds, 0.95)),
    }


def texts_of_length(
    classifier: TextClassifier, length: int, count: int = 20, seed: int = 0
) -> list[str]:
    """`count` texts of exactly `length` tokens, of random words of the classifier's vocabulary.

    Where words do not stay one token each, as with characters, a text is a run of them, cut.

    Raises:
        ClassifierError: texts are cut before they are so long, or none of that length was found.
    """
    longest = classifier.config["max_length"]
    if longest is not None and length > longest:
        raise ClassifierError(f"This classifier cuts texts at {longest} tokens.")
    random = np.random.default_rng(seed)
    words = classifier.vocabulary()
    some = [words[place] for place in random.permutation(len(words))[: 4 * WORDS]]
    counts = classifier.token_counts([f"{word} {word} {word}" for word in some])
    three = 3 if longest is None else min(3, longest)
    alone = [word for word, tokens in zip(some, counts, strict=True) if tokens == three]
    texts = [" ".join(random.choice(alone[:WORDS], length)) for _ in range(count if alone else 0)]
    if not texts or set(classifier.token_counts(texts).tolist()) != {length}:
        pieces = [piece for word in some if (piece := word.strip("▁Ġ#")) and "[" not in piece]
        texts = [_cut_text(classifier, length, pieces, random) for _ in range(count)]
    return texts


def _cut_text(
    classifier: TextClassifier, length: int, pieces: list[str], random: np.random.Generator
) -> str:
    """The beginning of a run of random `pieces` that has `length` tokens."""
    run = "".join(random.choice(pieces, 4 * length + 8)) if pieces else ""
    low, high = 0, len(run)
    while high - low > 1:
        middle = (low + high) // 2
        enough = classifier.token_counts([run[:middle]])[0] >= length
        low, high = (low, middle) if enough else (middle, high)
    # a longer text may have fewer tokens, so the place that was found is only near
    near = [run[:end] for end in range(max(0, high - 20), high + 20)]
    counts = classifier.token_counts(near).tolist()
    if length not in counts:
        raise ClassifierError(f"No text of {length} tokens was found for this tokenizer.")
    return str(near[counts.index(length)])


def latency_by_length(
    classifier: TextClassifier, lengths: Sequence[int], calls: int = 200
) -> dict[int, dict[str, float]]:
    """Milliseconds of one text, tokenization included, by its tokens: `p50_ms`, `p95_ms`.

    Lengths at which texts are cut already are left out.
    """
    longest = classifier.config["max_length"] or max(lengths)
    measured = {}
    for length in lengths:
        if length <= longest:
            found = prediction_latency(classifier, texts_of_length(classifier, length), calls)
            p50, p95 = found.values()
            measured[length] = {"p50_ms": p50, "p95_ms": p95}
    return measured


def throughput(classifier: TextClassifier, texts: Sequence[str]) -> dict[str, float]:
    """`texts_per_second` and `tokens_per_second` of one call of `predict_proba`."""
    tokens = int(classifier.token_counts(texts).sum())
    classifier.predict_proba(texts[:64])
    started = time.perf_counter()
    classifier.predict_proba(texts)
    seconds = time.perf_counter() - started
    return {"texts_per_second": len(texts) / seconds, "tokens_per_second": tokens / seconds}


def step_latency(classifier: TextClassifier, calls: int = 2000) -> float:
    """Microseconds (median) until the probabilities after one more token of a stream.

    Raises:
        ClassifierError: the network reads from both ends.
    """
    stream = classifier.stream()
    tokens = itertools.cycle([[2], [1], [2]])
    return 1000 * statistics.median(_times(lambda: stream.read_tokens(next(tokens)), calls))


COLD = """\
import nlp_rnn
nlp_rnn.load({location!r}, runtime={runtime!r}).predict_proba(["a text"])
"""
MEMORY = """\
import psutil
import numpy, onnxruntime, tokenizers
bare = psutil.Process().memory_info().rss
import nlp_rnn
classifier = nlp_rnn.load({location!r}, runtime={runtime!r})
classifier.predict_proba(["a text"])
print(psutil.Process().memory_info().rss - bare)
"""


def cold_start(classifier: TextClassifier, starts: int = 3) -> float:
    """Seconds (median) from starting a process to its first answer, Python's own start included."""
    seconds = []
    for _ in range(starts):
        started = time.perf_counter()
        _fresh(COLD, classifier)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def memory_of_process(classifier: TextClassifier) -> int:
    """Bytes that a fresh process takes after one answer, beyond the libraries it imports."""
    return int(_fresh(MEMORY, classifier))


def _fresh(program: str, classifier: TextClassifier) -> str:
    program = program.format(location=classifier.location, runtime=classifier.runtime)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no word why"])[-1]
        raise ClassifierError(f"A fresh process cannot load {classifier.location}: {reason}")
    return done.stdout


def _times(call: Callable[[], object], calls: int) -> list[float]:
    """Milliseconds of each call, after some that are not counted."""
    for _ in range(WARM_UP_CALLS):
        call()
    milliseconds = []
    for _ in range(calls):
        started = time.perf_counter()
        call()
        milliseconds.append(1000 * (time.perf_counter() - started))
    return milliseconds
