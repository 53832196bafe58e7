"""Answers of runs to the same texts become scores of resampled tests and seeds: the bootstrap.

Texts are drawn once for all runs and seeds once for both sides of a difference, so that what is
paired stays paired. Two levels drawn at once: the pigeonhole bootstrap of Owen 2007 (Annals of
Applied Statistics 1, 386), whose variance is never below the true one but for its few seeds;
that is mended as Hesterberg 2015 (The American Statistician 69, 371) does for small samples: the
deviations are stretched by √(n / (n − 1)) and by Student's t over the normal quantile.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

__all__ = ["drawn_seeds", "interval", "resampled_scores", "score_of", "stretch", "text_influence"]

Scores = NDArray[np.float64]

CHUNK_BYTES = 64_000_000
"""Of drawn counts and of indicator columns that are in memory at a time, each."""


def score_of(
    labels: NDArray[np.int64], predictions: NDArray[np.int64], classes: int, metric: str
) -> Scores:
    """The score of each run in percent.

    Args:
        labels: (N,), the true classes.
        predictions: (runs, N).
        classes: C.
        metric: `accuracy`, or `macro_f1`: the mean over the classes that are in the labels or
            the predictions of a run, as scikit-learn counts.
    """
    once = np.ones((1, labels.shape[0]), dtype=np.float32)
    return np.asarray(_scores(once, labels, predictions, classes, metric)[0])


def resampled_scores(
    labels: NDArray[np.int64],
    predictions: NDArray[np.int64],
    classes: int,
    metric: str,
    resamples: int,
    seed: int,
) -> Scores:
    """Score every run on `resamples` tests drawn from the N texts with replacement.

    Arguments as for `score_of`. Returns percent, float64 (resamples, runs); a row is one draw of
    texts for all runs. Time grows with resamples × N × runs, for macro-F1 times 2 C.
    """
    runs, texts = predictions.shape
    columns = 1 if metric == "accuracy" else 2 * classes
    block = max(1, CHUNK_BYTES // (4 * texts * columns))
    scores = np.empty((resamples, runs))
    for start in range(0, runs, block):
        chosen = predictions[start : start + block]
        done = 0
        for counts in _drawn_texts(texts, resamples, seed):  # the same draws for every block
            part = _scores(counts, labels, chosen, classes, metric)
            scores[done : done + len(counts), start : start + block] = part
            done += len(counts)
    return scores


def _drawn_texts(texts: int, resamples: int, seed: int) -> Iterator[NDArray[np.float32]]:
    """How often each text is drawn, float32 (a chunk of the resamples, N)."""
    random = np.random.default_rng(seed)
    chunk = max(1, CHUNK_BYTES // (4 * texts))
    for start in range(0, resamples, chunk):
        rows = min(chunk, resamples - start)
        counts = np.empty((rows, texts), dtype=np.float32)
        for row in range(rows):
            counts[row] = np.bincount(random.integers(0, texts, texts), minlength=texts)
        yield counts


def _scores(
    counts: NDArray[np.float32],
    labels: NDArray[np.int64],
    predictions: NDArray[np.int64],
    classes: int,
    metric: str,
) -> Scores:
    """Percent (draws, runs) where text i counts `counts[draw, i]` times."""
    right = predictions == labels
    if metric == "accuracy":
        hits = counts @ right.T.astype(np.float32)
        return np.asarray(100 * hits.astype(np.float64) / counts.sum(axis=1, keepdims=True))
    each = np.arange(classes)
    of_class = (labels[:, None] == each).astype(np.float32)
    true = (counts @ of_class)[:, None, :]  # (draws, 1, C)
    shape = (len(counts), len(predictions), classes)
    said = (predictions.T[:, :, None] == each).astype(np.float32)  # (N, runs, C)
    flat = (len(labels), -1)
    predicted = (counts @ said.reshape(flat)).reshape(shape)
    hits = (counts @ (said * right.T[:, :, None]).reshape(flat)).reshape(shape)
    total = true + predicted
    f1 = np.divide(2 * hits, total, out=np.zeros(shape, np.float32), where=total > 0)
    return np.asarray(100 * f1.sum(axis=2, dtype=np.float64) / (total > 0).sum(axis=2))


def drawn_seeds(seeds: int, resamples: int, seed: int) -> Scores:
    """The share of each of n seeds in a draw of n with replacement, float64 (resamples, n)."""
    random = np.random.default_rng([seed, 1])
    return random.multinomial(seeds, np.full(seeds, 1 / seeds), resamples) / seeds


def text_influence(replicates: Scores) -> float:
    """The variance that the draw of texts alone gives to the mean over the runs, (resamples, n)."""
    return float(replicates.mean(axis=1).var(ddof=1))


def stretch(by_seed: Scores, text_variance: float, texts: int, confidence: float) -> float:
    """By how much the deviations of the bootstrap are too small for so few seeds, at least 1.

    Args:
        by_seed: (n,), the number that is averaged, for each seed.
        text_variance: from `text_influence`.
        texts: N.
        confidence: of the interval.

    The seeds' share of the variance is biased by (n − 1) / n and has n − 1 degrees of freedom,
    the texts' N − 1; Satterthwaite 1946 joins them. One seed: the texts' alone.
    """
    from scipy.stats import norm, t

    n = len(by_seed)
    if n < 2:
        return 1.0
    seeds = float(by_seed.var(ddof=1)) / n
    total = seeds + text_variance
    if total == 0:
        return 1.0
    freedom = total**2 / (seeds**2 / (n - 1) + text_variance**2 / max(texts - 1, 1))
    quantile = (1 + confidence) / 2
    heavier = float(t.ppf(quantile, freedom) / norm.ppf(quantile))
    return heavier * float(np.sqrt(total / (seeds * (n - 1) / n + text_variance)))


def interval(
    by_seed: Scores, replicates: Scores, shares: Scores, confidence: float, texts: int
) -> tuple[float, float, float, float]:
    """Mean, lower and upper end, and the two-sided p-value of the mean being 0.

    Args:
        by_seed: (n,), scores or paired differences of scores on the texts as they are.
        replicates: (resamples, n), the same on drawn texts.
        shares: (resamples, n), from `drawn_seeds`.
        confidence: such as 0.95.
        texts: N.

    Percentiles of the hierarchical bootstrap around the mean, stretched; p is the smallest
    1 − confidence whose interval, by these stretched deviations, leaves 0 out (at least
    2 / (resamples + 1)).
    """
    mean = float(by_seed.mean())
    drawn = np.einsum("rs,rs->r", replicates, shares)
    wide = stretch(by_seed, text_influence(replicates), texts, confidence)
    # around its own mean: resampling shifts macro-F1 a little
    drawn = mean + wide * (drawn - drawn.mean())
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    below = min(int((drawn <= 0).sum()), int((drawn >= 0).sum()))
    p = min(1.0, 2 * (below + 1) / (len(drawn) + 1))
    return mean, float(low), float(high), p
