"""Bootstrap of test scores over texts and seeds, with intervals corrected for few seeds.

Texts are resampled once for all runs, and seeds once for both sides of a difference, so that
paired values stay paired. Both levels are resampled at once: the pigeonhole bootstrap of Owen 2007
(Annals of Applied Statistics 1, 386), whose variance is too small only for few seeds. Two
corrections for small samples follow Hesterberg 2015 (The American Statistician 69, 371):
deviations are multiplied by √(n / (n − 1)) and by the ratio of Student's t to the normal quantile.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "bootstrap_interval",
    "resampled_scores",
    "run_scores",
    "seed_shares",
    "small_sample_factor",
    "text_variance",
]

Scores = NDArray[np.float64]

CHUNK_BYTES = 64_000_000
"""Memory for the counts of a chunk of resamples, and for the indicators of a block of runs."""


def run_scores(
    labels: NDArray[np.int64], predictions: NDArray[np.int64], classes: int, metric: str
) -> Scores:
    """Return the score of each run, percent, float64 (R,).

    Parameters
    ----------
    labels : ndarray of int64, shape (N,)
        True classes.
    predictions : ndarray of int64, shape (R, N)
        Predicted classes of R runs.
    classes : int
        Number of classes, C.
    metric : str
        `accuracy`, or `macro_f1`: as in scikit-learn, the mean over the classes that occur in the
        labels or in the predictions of a run.
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
    """Return the score of each run on resampled texts, percent, float64 (resamples, R).

    A row is one resample, with replacement, of the N texts for all runs. The other parameters are
    those of `run_scores`. The time grows with resamples × N × R, and for macro-F1 also with 2 C.
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
    """Yield how often each text is drawn, float32 (chunk of the resamples, N)."""
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
    """Scores (draws, R) in percent, where text i counts `counts[draw, i]` times."""
    correct = predictions == labels
    if metric == "accuracy":
        hits = counts @ correct.T.astype(np.float32)
        return np.asarray(100 * hits.astype(np.float64) / counts.sum(axis=1, keepdims=True))
    if 4 * predictions.size * 2 * classes > CHUNK_BYTES:
        return _macro_f1_of_many_classes(counts, labels, predictions, classes)
    class_ids = np.arange(classes)
    of_class = (labels[:, None] == class_ids).astype(np.float32)
    true = (counts @ of_class)[:, None, :]  # (draws, 1, C)
    shape = (len(counts), len(predictions), classes)
    predicted_class = (predictions.T[:, :, None] == class_ids).astype(np.float32)  # (N, R, C)
    flat = (len(labels), -1)
    predicted = (counts @ predicted_class.reshape(flat)).reshape(shape)
    hits = counts @ (predicted_class * correct.T[:, :, None]).reshape(flat)
    hits = hits.reshape(shape)
    total = true + predicted
    f1 = np.divide(2 * hits, total, out=np.zeros(shape, np.float32), where=total > 0)
    return np.asarray(100 * f1.sum(axis=2, dtype=np.float64) / (total > 0).sum(axis=2))


def _macro_f1_of_many_classes(
    counts: NDArray[np.float32],
    labels: NDArray[np.int64],
    predictions: NDArray[np.int64],
    classes: int,
) -> Scores:
    """Macro-F1 as in `_scores`, in memory proportional to the texts and to the classes."""
    scores = np.empty((len(counts), len(predictions)))
    for draw, weights in enumerate(counts):
        true = np.bincount(labels, weights, classes)
        for run, predicted in enumerate(predictions):
            correct = labels == predicted
            hits = np.bincount(labels[correct], weights[correct], classes).astype(np.float32)
            total = (true + np.bincount(predicted, weights, classes)).astype(np.float32)
            f1 = np.divide(2 * hits, total, out=np.zeros(classes, np.float32), where=total > 0)
            scores[draw, run] = 100 * f1.sum(dtype=np.float64) / (total > 0).sum()
    return scores


def seed_shares(seeds: int, resamples: int, seed: int) -> Scores:
    """Return the share of each of n seeds in resamples of the seeds, float64 (resamples, n)."""
    random = np.random.default_rng([seed, 1])
    return random.multinomial(seeds, np.full(seeds, 1 / seeds), resamples) / seeds


def text_variance(replicates: Scores) -> float:
    """Return the variance of the mean over the n runs that resampling the texts alone causes.

    `replicates` are scores or differences on resampled texts, shape (resamples, n).
    """
    return float(replicates.mean(axis=1).var(ddof=1))


def small_sample_factor(by_seed: Scores, variance: float, texts: int, confidence: float) -> float:
    """Return the factor, at least 1, that widens the bootstrap's deviations for few seeds.

    The part of the variance that comes from the n seeds is biased by (n − 1) / n and has n − 1
    degrees of freedom; the part from the N texts has N − 1. Satterthwaite 1946 combines them.
    For one seed the factor is 1, because only the texts count.

    Parameters
    ----------
    by_seed : ndarray of float64, shape (n,)
        The values that are averaged, one per seed.
    variance : float
        The part of the variance that comes from the texts, see `text_variance`.
    texts : int
        Number of texts, N.
    confidence : float
        Confidence level of the interval.
    """
    from scipy.stats import norm, t

    n = len(by_seed)
    if n < 2:
        return 1.0
    seeds = float(by_seed.var(ddof=1)) / n
    total = seeds + variance
    if total == 0:
        return 1.0
    freedom = total**2 / (seeds**2 / (n - 1) + variance**2 / max(texts - 1, 1))
    quantile = (1 + confidence) / 2
    heavier = float(t.ppf(quantile, freedom) / norm.ppf(quantile))
    return heavier * float(np.sqrt(total / (seeds * (n - 1) / n + variance)))


def bootstrap_interval(
    by_seed: Scores, replicates: Scores, shares: Scores, confidence: float, texts: int
) -> tuple[float, float, float, float]:
    """Return the mean over the seeds, its confidence interval, and a p-value for "the mean is 0".

    The interval has the percentiles of the bootstrap over texts and seeds around the mean,
    widened by `small_sample_factor`. The two-sided p-value is the smallest 1 − confidence whose
    interval excludes 0, at least 2 / (resamples + 1).

    Parameters
    ----------
    by_seed : ndarray of float64, shape (n,)
        Scores, or paired differences of scores, on the observed texts.
    replicates : ndarray of float64, shape (resamples, n)
        The same on resampled texts.
    shares : ndarray of float64, shape (resamples, n)
        From `seed_shares`.
    confidence : float
        Confidence level, such as 0.95.
    texts : int
        Number of texts, N.

    Returns
    -------
    mean, low, high, p_value : float
    """
    mean = float(by_seed.mean())
    drawn = np.einsum("rs,rs->r", replicates, shares)
    factor = small_sample_factor(by_seed, text_variance(replicates), texts, confidence)
    # Centred on its own mean, because resampling shifts macro-F1 a little.
    drawn = mean + factor * (drawn - drawn.mean())
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    below = min(int((drawn <= 0).sum()), int((drawn >= 0).sum()))
    p = min(1.0, 2 * (below + 1) / (len(drawn) + 1))
    return mean, float(low), float(high), p
