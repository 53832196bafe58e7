"""Latency, throughput, start time and memory of a loaded classifier on this machine."""

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
# Number of different words in texts of a given length.
NUM_WORDS = 500


class Predictor(Protocol):
    """A `TextClassifier`, or a baseline with the same methods."""

    @property
    def runtime(self) -> str:
        """Name of the library that computes the probabilities."""
        ...

    @property
    def thresholds(self) -> NDArray[np.float64] | None:
        """Smallest probability at which each label is predicted (C,); None if single-label."""
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
    """Measure the milliseconds from one text to its probabilities, tokenization included.

    Parameters
    ----------
    classifier : Predictor
        The classifier. A single text uses one thread, whatever its `threads`.
    texts : sequence of str
        Texts that are predicted one at a time, in turn.
    calls : int, default 300
        Number of measured calls.

    Returns
    -------
    dict
        `latency/RUNTIME_batch1_p50_ms` and `latency/RUNTIME_batch1_p95_ms`, in milliseconds.
    """
    one_text = itertools.cycle([[text] for text in texts])
    milliseconds = _call_times(lambda: classifier.predict_proba(next(one_text)), calls)
    name = f"latency/{classifier.runtime}_batch1"
    return {
        f"{name}_p50_ms": float(np.quantile(milliseconds, 0.5)),
        f"{name}_p95_ms": float(np.quantile(milliseconds, 0.95)),
    }


def texts_of_length(
    classifier: TextClassifier, length: int, count: int = 20, seed: int = 0
) -> list[str]:
    """Make texts of exactly `length` tokens from random words of the vocabulary.

    If words are not one token each, as with characters, a text is the beginning of a sequence of
    them.

    Raises
    ------
    ClassifierError
        Texts are truncated to fewer tokens, or no text of that length was found.
    """
    longest = classifier.config["max_length"]
    if longest is not None and length > longest:
        raise ClassifierError(f"This classifier truncates texts to {longest} tokens.")
    random = np.random.default_rng(seed)
    words = classifier.vocabulary()
    sample = [words[index] for index in random.permutation(len(words))[: 4 * NUM_WORDS]]
    counts = classifier.token_counts([f"{word} {word} {word}" for word in sample])
    three = 3 if longest is None else min(3, longest)
    single = [word for word, tokens in zip(sample, counts, strict=True) if tokens == three]
    texts = [
        " ".join(random.choice(single[:NUM_WORDS], length)) for _ in range(count if single else 0)
    ]
    if not texts or set(classifier.token_counts(texts).tolist()) != {length}:
        subwords = [
            subword for word in sample if (subword := word.strip("▁Ġ#")) and "[" not in subword
        ]
        texts = [_cut_text(classifier, length, subwords, random) for _ in range(count)]
    return texts


def _cut_text(
    classifier: TextClassifier, length: int, subwords: list[str], random: np.random.Generator
) -> str:
    """Return the beginning of a sequence of random `subwords` that has `length` tokens."""
    sequence = "".join(random.choice(subwords, 4 * length + 8)) if subwords else ""
    low, high = 0, len(sequence)
    while high - low > 1:
        middle = (low + high) // 2
        enough = classifier.token_counts([sequence[:middle]])[0] >= length
        low, high = (low, middle) if enough else (middle, high)
    # a longer text may have fewer tokens, so the bisection only comes close
    candidates = [sequence[:end] for end in range(max(0, high - 20), high + 20)]
    counts = classifier.token_counts(candidates).tolist()
    if length not in counts:
        raise ClassifierError(f"No text of {length} tokens was found for this tokenizer.")
    return str(candidates[counts.index(length)])


def latency_by_length(
    classifier: TextClassifier, lengths: Sequence[int], calls: int = 200
) -> dict[int, dict[str, float]]:
    """Measure `p50_ms` and `p95_ms` of one text, tokenization included, by number of tokens.

    Lengths above `max_length`, to which texts are truncated, are skipped.
    """
    longest = classifier.config["max_length"] or max(lengths)
    measured = {}
    for length in lengths:
        if length <= longest:
            texts = texts_of_length(classifier, length)
            p50, p95 = prediction_latency(classifier, texts, calls).values()
            measured[length] = {"p50_ms": p50, "p95_ms": p95}
    return measured


def throughput(classifier: TextClassifier, texts: Sequence[str]) -> dict[str, float]:
    """Measure `texts_per_second` and `tokens_per_second` of one call of `predict_proba`."""
    tokens = int(classifier.token_counts(texts).sum())
    classifier.predict_proba(texts[:64])
    started = time.perf_counter()
    classifier.predict_proba(texts)
    seconds = time.perf_counter() - started
    return {"texts_per_second": len(texts) / seconds, "tokens_per_second": tokens / seconds}


def step_latency(classifier: TextClassifier, calls: int = 2000) -> float:
    """Measure the microseconds (median) that a stream of the network takes for one more token.

    Raises
    ------
    ClassifierError
        The network is bidirectional.
    """
    stream = classifier.stream(network_only=classifier.is_ensemble)
    tokens = itertools.cycle([[2], [1], [2]])
    return 1000 * statistics.median(_call_times(lambda: stream.read_tokens(next(tokens)), calls))


COLD_START_PROGRAM = """\
import nlp_rnn
nlp_rnn.load({location!r}, runtime={runtime!r}).predict_proba(["a text"])
"""
MEMORY_PROGRAM = """\
import psutil
import numpy, onnxruntime, tokenizers
bare = psutil.Process().memory_info().rss
import nlp_rnn
classifier = nlp_rnn.load({location!r}, runtime={runtime!r})
classifier.predict_proba(["a text"])
print(psutil.Process().memory_info().rss - bare)
"""


def cold_start(classifier: TextClassifier, starts: int = 3) -> float:
    """Measure the seconds (median) from starting Python to the first prediction."""
    seconds = []
    for _ in range(starts):
        started = time.perf_counter()
        _run_in_new_process(COLD_START_PROGRAM, classifier)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def memory_of_process(classifier: TextClassifier) -> int:
    """Measure the bytes of a new process after one prediction, without the imported libraries."""
    return int(_run_in_new_process(MEMORY_PROGRAM, classifier))


def _run_in_new_process(program: str, classifier: TextClassifier) -> str:
    program = program.format(location=classifier.location, runtime=classifier.runtime)
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    if process.returncode != 0:
        reason = (process.stderr.strip().splitlines() or ["unknown reason"])[-1]
        raise ClassifierError(f"A new process cannot load {classifier.location}: {reason}")
    return process.stdout


def _call_times(call: Callable[[], object], calls: int) -> list[float]:
    """Return the milliseconds of each call, after some warm-up calls."""
    for _ in range(WARM_UP_CALLS):
        call()
    milliseconds = []
    for _ in range(calls):
        started = time.perf_counter()
        call()
        milliseconds.append(1000 * (time.perf_counter() - started))
    return milliseconds
