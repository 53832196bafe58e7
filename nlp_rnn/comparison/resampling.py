"""Bootstrap of test scores over texts and seeds, with intervals corrected for few seeds.

Texts are resampled once for all runs, and seeds once for both sides of a difference, so that
paired values stay paired. Both levels are resampled at once: the pigeonhole bootstrap of Owen 2007
(Annals of Applied Statistics 1, 386), whose variance is too small only for few seeds. Two
corrections for small samples follow Hesterberg 2015 (The American Statistician 69, 371):
deviations are multiplied by √(n / (n − 1)) and by the ratio of Student's t to the normal quantile.

The functions recognize the task by the labels, as those of `nlp_rnn.scoring.metrics` do: int64
(N,) are single-label, bool (N, C) multi-label. Predictions of R runs are int64 (R, N) or bool
(R, N, C).
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "bootstrap_interval",
    "label_scores",
    "resampled_label_scores",
    "resampled_scores",
    "run_scores",
    "seed_shares",
    "small_sample_factor",
    "text_variance",
]

Scores = NDArray[np.float64]

CHUNK_BYTES = 64_000_000
"""Memory for the counts of a chunk of resamples, and for the indicators of a block of runs."""

SPARSE_SHARE = 0.02
"""Share of the labels that a text has up to which a product of sparse matrices is faster."""


def run_scores(
    labels: NDArray[Any], predictions: NDArray[Any], classes: int, metric: str
) -> Scores:
    """Return the score of each run, percent, float64 (R,).

    Parameters
    ----------
    labels : ndarray of int64 (N,) or bool (N, C)
        True classes.
    predictions : ndarray of int64 (R, N) or bool (R, N, C)
        Predicted classes of R runs.
    classes : int
        Number of classes, C.
    metric : str
        `accuracy`, or `macro_f1`: as in scikit-learn, the mean over the classes that occur in the
        labels or in the predictions of a run. For multi-label data `micro_f1`, `macro_f1` or
        `subset_accuracy`, the share of texts whose labels are all correct.
    """
    once = np.ones((1, labels.shape[0]), dtype=np.float32)
    return np.asarray(_scores(once, labels, predictions, classes, metric)[0])


def resampled_scores(
    labels: NDArray[Any],
    predictions: NDArray[Any],
    classes: int,
    metric: str,
    resamples: int,
    seed: int,
) -> Scores:
    """Return the score of each run on resampled texts, percent, float64 (resamples, R).

    A row is one resample, with replacement, of the N texts for all runs. The other parameters are
    those of `run_scores`. The time grows with resamples × N × R, and for macro-F1 also with 2 C; of
    multi-label data with the number of predicted labels.
    """
    runs, texts = predictions.shape[:2]
    columns = 2 * classes if metric == "macro_f1" and labels.ndim == 1 else 3
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
    labels: NDArray[Any],
    predictions: NDArray[Any],
    classes: int,
    metric: str,
) -> Scores:
    """Scores (draws, R) in percent, where text i counts `counts[draw, i]` times."""
    if labels.ndim == 2:
        return _multi_label_scores(counts, labels, predictions, metric)
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


def _multi_label_scores(
    counts: NDArray[np.float32],
    labels: NDArray[np.bool_],
    predictions: NDArray[np.bool_],
    metric: str,
) -> Scores:
    """Scores (draws, R) as in `_scores`, of multi-label predictions bool (R, N, C)."""
    if metric == "subset_accuracy":
        exact = counts @ (predictions == labels).all(axis=2).T.astype(np.float32)
        return np.asarray(100 * exact.astype(np.float64) / counts.sum(axis=1, keepdims=True))
    if metric == "micro_f1":
        hits = counts @ (predictions & labels).sum(axis=2, dtype=np.float32).T
        predicted = counts @ predictions.sum(axis=2, dtype=np.float32).T
        true = counts @ labels.sum(axis=1, dtype=np.float32)
        total = (predicted + true[:, None]).astype(np.float64)
        return np.asarray(200 * hits / np.maximum(total, 1))
    scores = np.empty((len(counts), len(predictions)))
    for run, (f1, occurs) in enumerate(_f1_of_labels(counts, labels, predictions)):
        occurring = np.maximum(occurs.sum(axis=0), 1)
        scores[:, run] = 100 * f1.sum(axis=0, dtype=np.float64) / occurring
    return scores


def _f1_of_labels(
    counts: NDArray[np.float32], labels: NDArray[np.bool_], predictions: NDArray[np.bool_]
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.bool_]]]:
    """Yield for each run the F1 of the labels, from 0 to 1, and whether they occur, (C, draws)."""
    draws = np.ascontiguousarray(counts.T)
    true = _counted(labels, draws)
    for predicted in predictions:
        total = true + _counted(predicted, draws)
        hits = _counted(predicted & labels, draws)
        f1 = np.divide(2 * hits, total, out=np.zeros_like(total), where=total > 0)
        yield f1, total > 0


def _counted(indicators: NDArray[np.bool_], draws: NDArray[np.float32]) -> NDArray[np.float32]:
    """The product of an indicator matrix (N, C) and counts (N, draws), float32 (C, draws)."""
    if indicators.mean() > SPARSE_SHARE:
        return np.asarray(indicators.T.astype(np.float32) @ draws)
    from scipy.sparse import csr_array

    return np.asarray(csr_array(indicators.T, dtype=np.float32) @ draws)


def label_scores(labels: NDArray[np.bool_], predictions: NDArray[np.bool_]) -> Scores:
    """Return the F1 of each run on each label of multi-label data, percent, float64 (R, C)."""
    once = np.ones((1, len(labels)), dtype=np.float32)
    parts = [
        100 * f1[:, 0].astype(np.float64) for f1, _ in _f1_of_labels(once, labels, predictions)
    ]
    return np.stack(parts)


def resampled_label_scores(
    labels: NDArray[np.bool_], predictions: NDArray[np.bool_], resamples: int, seed: int
) -> NDArray[np.float32]:
    """Return `label_scores` on resampled texts, float32 (C, resamples, R).

    The texts are drawn as in `resampled_scores`.
    """
    runs, texts, classes = predictions.shape
    scores = np.empty((classes, resamples, runs), dtype=np.float32)
    done = 0
    for counts in _drawn_texts(texts, resamples, seed):
        rows = slice(done, done + len(counts))
        for run, (f1, _) in enumerate(_f1_of_labels(counts, labels, predictions)):
            scores[:, rows, run] = 100 * f1
        done += len(counts)
    return scores


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
