"""Step 4: score the configurations of one data set, and measure the differences of the pairs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.comparison.compared_run import Run
from nlp_rnn.comparison.pair import Pair, Pairing, paired_runs
from nlp_rnn.comparison.records import Configuration, Difference, Interval
from nlp_rnn.comparison.resampling import (
    bootstrap_interval,
    resampled_scores,
    run_scores,
    seed_shares,
    text_variance,
)
from nlp_rnn.comparison.rules import Outcome, Rules
from nlp_rnn.comparison.select import RunsByName, same_texts
from nlp_rnn.comparison.statistics import (
    aso,
    cliffs_delta,
    cohens_dz,
    detectable_difference,
    mcnemar,
    median_p,
    superiority,
    wilcoxon,
)
from nlp_rnn.errors import ComparisonError

__all__ = [
    "LONG_SHARE",
    "MeasuredDifference",
    "ScoredData",
    "ScoredRuns",
    "majority_class",
    "score_data",
    "score_runs",
]

LONG_SHARE = 0.25
"""Share of the test texts, the longest ones, that count as long."""

MIN_LONG_TEXTS = 100
"""With fewer long texts no difference is measured on them."""


@dataclass(frozen=True)
class MeasuredDifference:
    """A difference before the decision: without outcome, adjusted p-values and required samples.

    Attributes
    ----------
    digest : str
        Digest of the data set.
    difference : Difference
        The measured numbers.
    seed_sd : float
        Standard deviation of the paired differences over the seeds, points.
    text_variance : float
        Variance of the mean that comes from the texts, points².
    """

    digest: str
    difference: Difference
    seed_sd: float
    text_variance: float


@dataclass(frozen=True)
class ScoredData:
    """Scores and measured differences of everything that is compared on one data set.

    Attributes
    ----------
    digest : str
        Digest of the data set.
    label_names : tuple of str
        The C classes.
    labels : ndarray of int64 (N,) or bool (N, C)
        True classes of the test texts.
    configurations, baselines : tuple of Configuration
        The candidates, ordered by name; and majority class, linear and average baseline.
    differences, long_differences : tuple of MeasuredDifference
        On all test texts, and on the long ones. `long_differences` is empty where fewer than 100
        texts are long.
    """

    digest: str
    label_names: tuple[str, ...]
    labels: NDArray[Any]
    configurations: tuple[Configuration, ...]
    baselines: tuple[Configuration, ...]
    differences: tuple[MeasuredDifference, ...]
    long_differences: tuple[MeasuredDifference, ...]


@dataclass(frozen=True)
class ScoredRuns:
    """Scores of R runs on the same N test texts, observed and resampled.

    Attributes
    ----------
    digest : str
        Digest of the data set.
    rules : Rules
        Metric, number of resamples, seed and confidence.
    columns : mapping of str to int
        Column of each run, by its id.
    labels : ndarray of int64 (N,) or bool (N, C)
        True classes.
    predictions : ndarray of int64 (R, N) or bool (R, N, C)
        Predicted classes.
    scores : ndarray of float64, shape (R,)
        Percent.
    replicates : ndarray of float64, shape (resamples, R)
        Percent, on resampled texts.
    """

    digest: str
    rules: Rules
    columns: Mapping[str, int]
    labels: NDArray[Any]
    predictions: NDArray[Any]
    scores: NDArray[np.float64]
    replicates: NDArray[np.float64]

    def columns_of(self, runs: Sequence[Run]) -> list[int]:
        """Return the columns of the runs."""
        return [self.columns[run.run_id] for run in runs]

    def _correct(self, columns: Sequence[int]) -> NDArray[np.bool_]:
        """Whether the labels of each text are all correct, bool (runs, N)."""
        same = self.predictions[columns] == self.labels
        correct: NDArray[np.bool_] = same.all(axis=2) if self.labels.ndim == 2 else same
        return correct

    def configuration(self, name: str, runs: Sequence[Run]) -> Configuration:
        """Score a configuration: one run per seed."""
        columns, texts = self.columns_of(runs), len(self.labels)
        scores = self.scores[columns]
        shares = seed_shares(len(columns), self.rules.resamples, self.rules.seed)
        mean, low, high, _ = bootstrap_interval(
            scores, self.replicates[:, columns], shares, self.rules.confidence, texts
        )
        metrics = set.intersection(*(set(run.metrics) for run in runs))
        return Configuration(
            name=name,
            level="" if runs[0].is_baseline else runs[0].level(self.rules.by),
            is_baseline=runs[0].is_baseline,
            runs=tuple(runs),
            scores={run.seed or 0: float(score) for run, score in zip(runs, scores, strict=True)},
            score=Interval(mean, max(low, 0.0), min(high, 100.0)),  # widened, it can exceed them
            sd=float(scores.std(ddof=1)) if len(columns) > 1 else float("nan"),
            means={
                metric: float(np.mean([run.metrics[metric] for run in runs]))
                for metric in sorted(metrics)
            },
        )

    def difference(
        self, pair: Pair, first: Sequence[Run], second: Sequence[Run]
    ) -> MeasuredDifference:
        """Measure `first` minus `second` over the seeds that both have."""
        rules, texts = self.rules, len(self.labels)
        pairs = paired_runs(first, second)
        seeds = [(y if x.is_external else x).seed for x, y in pairs]
        a = self.columns_of([run for run, _ in pairs])
        b = self.columns_of([run for _, run in pairs])
        by_seed = self.scores[a] - self.scores[b]
        replicates = self.replicates[:, a] - self.replicates[:, b]
        shares = seed_shares(len(seeds), rules.resamples, rules.seed)
        mean, low, high, p = bootstrap_interval(
            by_seed, replicates, shares, rules.confidence, texts
        )
        correct_a, correct_b = self._correct(a), self._correct(b)
        wins = (correct_a & ~correct_b).sum(axis=1)
        losses = (correct_b & ~correct_a).sum(axis=1)
        by_text = [mcnemar(int(w), int(x))["mid_p"] for w, x in zip(wins, losses, strict=True)]
        sd = float(by_seed.std(ddof=1)) if len(seeds) > 1 else float("nan")
        variance = text_variance(replicates)
        p_values = {"bootstrap": p, "mcnemar": median_p(by_text), "wilcoxon": wilcoxon(by_seed)}
        confidence, power = rules.confidence, rules.power
        difference = Difference(
            first=pair.first,
            second=pair.second,
            metric=rules.metric,
            matching=pair.matching,
            interval=Interval(mean, low, high),
            by_seed={seed or 0: float(x) for seed, x in zip(seeds, by_seed, strict=True)},
            texts=texts,
            p_values=p_values,
            adjusted=dict(p_values),
            effect_size=cohens_dz(by_seed),
            cliffs_delta=cliffs_delta(self.scores[a], self.scores[b]),
            aso=aso(self.scores[a], self.scores[b], rules.seed),
            wins=int(wins.sum()),
            losses=int(losses.sum()),
            detectable=detectable_difference(sd, len(seeds), variance, confidence, power),
            outcome=Outcome.inconclusive,
            outcomes={},
            required=None,
            remarks=pair.remarks,
            detectable_by_texts=detectable_difference(0.0, texts, variance, confidence, power),
            superiority=Interval(*superiority(by_seed, confidence)),
        )
        return MeasuredDifference(self.digest, difference, sd, variance)


def score_runs(
    digest: str, runs: Sequence[Run], rules: Rules, mask: NDArray[np.bool_] | None = None
) -> ScoredRuns:
    """Score runs on the same test texts, or on those that the boolean mask (N,) selects.

    Raises
    ------
    ComparisonError
        The predictions are not for the same test texts.
    """
    saved = [run.predictions for run in runs if run.predictions is not None]
    if len(saved) != len(runs) or not saved or not all(same_texts(saved[0], p) for p in saved):
        raise ComparisonError("The predictions of these runs are not for the same test texts.")
    labels = saved[0].labels
    predictions = np.stack([prediction.predictions for prediction in saved])
    if mask is not None:
        labels, predictions = labels[mask], predictions[:, mask]
    classes = len(saved[0].label_names)
    return ScoredRuns(
        digest=digest,
        rules=rules,
        columns={run.run_id: column for column, run in enumerate(runs)},
        labels=labels,
        predictions=predictions,
        scores=run_scores(labels, predictions, classes, rules.metric),
        replicates=resampled_scores(
            labels, predictions, classes, rules.metric, rules.resamples, rules.seed
        ),
    )


def score_data(digest: str, pairing: Pairing, rules: Rules) -> ScoredData:
    """Score the paired configurations and the baselines of one data set.

    Parameters
    ----------
    digest : str
        Digest of the data set.
    pairing : Pairing
        At least one pair. All runs have predictions for the same test texts.
    rules : Rules
        Metric, number of resamples, seed and confidence.
    """
    candidates = [run for runs in pairing.configurations.values() for run in runs]
    baseline_runs = [run for runs in pairing.baselines.values() for run in runs]
    scored = score_runs(digest, [*candidates, *baseline_runs], rules)

    def measured(scored: ScoredRuns) -> tuple[MeasuredDifference, ...]:
        runs = pairing.configurations
        return tuple(scored.difference(p, runs[p.first], runs[p.second]) for p in pairing.pairs)

    def configurations(runs: RunsByName) -> list[Configuration]:
        return [scored.configuration(name, runs[name]) for name in sorted(runs)]

    reference = candidates[0].predictions
    assert reference is not None
    baselines = configurations(pairing.baselines)
    if not any(baseline.runs[0].cell == "majority" for baseline in baselines):
        baselines.insert(0, majority_class(reference.labels, reference.label_names, rules))
    order = {"majority": 0, "average": 2}
    baselines.sort(key=lambda baseline: order.get(baseline.runs[0].cell, 1) if baseline.runs else 0)
    is_long = reference.lengths >= np.quantile(reference.lengths, 1 - LONG_SHARE)
    enough = is_long.sum() >= MIN_LONG_TEXTS
    return ScoredData(
        digest=digest,
        label_names=reference.label_names,
        labels=reference.labels,
        configurations=tuple(configurations(pairing.configurations)),
        baselines=tuple(baselines),
        differences=measured(scored),
        long_differences=measured(score_runs(digest, candidates, rules, is_long)) if enough else (),
    )


def majority_class(labels: NDArray[Any], label_names: Sequence[str], rules: Rules) -> Configuration:
    """Score the constant prediction of the most frequent class of the test labels."""
    if labels.ndim == 2:
        most = int(labels.sum(axis=0).argmax())
        predictions = np.zeros((1, *labels.shape), dtype=bool)
        predictions[..., most] = True
    else:
        most = int(np.bincount(labels, minlength=len(label_names)).argmax())
        predictions = np.full((1, len(labels)), most, dtype=np.int64)
    score = run_scores(labels, predictions, len(label_names), rules.metric)
    resamples = min(rules.resamples, 1000)
    replicates = resampled_scores(
        labels, predictions, len(label_names), rules.metric, resamples, rules.seed
    )
    tail = (1 - rules.confidence) / 2
    low, high = np.quantile(replicates[:, 0], [tail, 1 - tail])
    return Configuration(
        name=f"majority class ({label_names[most]})",
        level="",
        is_baseline=True,
        runs=(),
        scores={0: float(score[0])},
        score=Interval(float(score[0]), float(low), float(high)),
        sd=float("nan"),
        means={},
    )
