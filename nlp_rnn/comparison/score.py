"""Configurations of runs and their answers to one test become intervals and paired differences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.comparison.pair import Pair
from nlp_rnn.comparison.records import Configuration, Difference, Interval, Outcome, Rules, Run
from nlp_rnn.comparison.resampling import (
    drawn_seeds,
    interval,
    resampled_scores,
    score_of,
    text_influence,
)
from nlp_rnn.comparison.statistics import (
    aso,
    cliffs_delta,
    cohens_dz,
    detectable,
    mcnemar,
    median_p,
    wilcoxon,
)
from nlp_rnn.errors import ComparisonError
from nlp_rnn.scoring.predictions import Predictions

__all__ = ["MeasuredDifference", "ScoredRuns", "majority", "same_texts", "score_runs"]


@dataclass(frozen=True)
class MeasuredDifference:
    """A difference and what its needs are computed from.

    Attributes:
        difference: without outcome, adjusted p-values and needs.
        seed_sd: points, of the paired differences.
        text_variance: points², what the texts give to the variance of the mean.
    """

    difference: Difference
    seed_sd: float
    text_variance: float


def same_texts(one: Predictions, other: Predictions) -> bool:
    """Whether two runs answered the same texts with the same labels."""
    return (
        one.label_names == other.label_names
        and np.array_equal(one.rows, other.rows)
        and np.array_equal(one.labels, other.labels)
    )


@dataclass(frozen=True)
class ScoredRuns:
    """The scores of R runs on one test of N texts, as it is and resampled.

    Attributes:
        rules: metric, resamples, seed.
        place: the column of each run, by its id.
        labels: int64 (N,).
        answers: int64 (R, N).
        scores: percent (R,).
        replicates: percent (resamples, R).
    """

    rules: Rules
    place: Mapping[str, int]
    labels: NDArray[np.int64]
    answers: NDArray[np.int64]
    scores: NDArray[np.float64]
    replicates: NDArray[np.float64]

    def columns(self, runs: Sequence[Run]) -> list[int]:
        """Where the runs stand."""
        return [self.place[run.run_id] for run in runs]

    def configuration(
        self, name: str, level: str, baseline: bool, runs: Sequence[Run]
    ) -> Configuration:
        """Score a configuration: one run for each seed."""
        at, texts = self.columns(runs), len(self.labels)
        scores = self.scores[at]
        shares = drawn_seeds(len(at), self.rules.resamples, self.rules.seed)
        mean, low, high, _ = interval(
            scores, self.replicates[:, at], shares, self.rules.confidence, texts
        )
        shared = set.intersection(*(set(run.metrics) for run in runs))
        return Configuration(
            name=name,
            level=level,
            is_baseline=baseline,
            runs=tuple(runs),
            scores={run.seed or 0: float(x) for run, x in zip(runs, scores, strict=True)},
            score=Interval(mean, low, high),
            sd=float(scores.std(ddof=1)) if len(at) > 1 else float("nan"),
            means={
                key: float(np.mean([run.metrics[key] for run in runs])) for key in sorted(shared)
            },
        )

    def difference(
        self, pair: Pair, first: Sequence[Run], second: Sequence[Run]
    ) -> MeasuredDifference:
        """Measure first − second over the seeds that both have."""
        rules, texts = self.rules, len(self.labels)
        ones = {run.seed: run for run in first}
        others = {run.seed: run for run in second}
        seeds = [seed for seed in ones if seed in others]
        a = self.columns([ones[seed] for seed in seeds])
        b = self.columns([others[seed] for seed in seeds])
        by_seed = self.scores[a] - self.scores[b]
        replicates = self.replicates[:, a] - self.replicates[:, b]
        shares = drawn_seeds(len(seeds), rules.resamples, rules.seed)
        mean, low, high, p = interval(by_seed, replicates, shares, rules.confidence, texts)
        right_a, right_b = self.answers[a] == self.labels, self.answers[b] == self.labels
        wins = (right_a & ~right_b).sum(axis=1)
        losses = (right_b & ~right_a).sum(axis=1)
        by_text = [mcnemar(int(w), int(x))["mid_p"] for w, x in zip(wins, losses, strict=True)]
        sd = float(by_seed.std(ddof=1)) if len(seeds) > 1 else float("nan")
        texts_part = text_influence(replicates)
        p_values = {"bootstrap": p, "mcnemar": median_p(by_text), "wilcoxon": wilcoxon(by_seed)}
        found = Difference(
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
            detectable=detectable(sd, len(seeds), texts_part, rules.confidence, rules.power),
            outcome=Outcome.inconclusive,
            outcomes={},
            required=None,
            remarks=pair.remarks,
            detectable_by_texts=detectable(0.0, texts, texts_part, rules.confidence, rules.power),
        )
        return MeasuredDifference(found, sd, texts_part)


def score_runs(
    runs: Sequence[Run], rules: Rules, chosen: NDArray[np.bool_] | None = None
) -> ScoredRuns:
    """Score all runs, which answered the same texts; `chosen` (N,) keeps some of the texts.

    Raises:
        ComparisonError: they did not.
    """
    known = [run.predictions for run in runs if run.predictions is not None]
    if len(known) != len(runs) or not known or not all(same_texts(known[0], p) for p in known):
        raise ComparisonError("The runs did not answer the same test texts.")
    labels = known[0].labels
    answers = np.stack([each.predictions for each in known])
    if chosen is not None:
        labels, answers = labels[chosen], answers[:, chosen]
    classes = len(known[0].label_names)
    return ScoredRuns(
        rules=rules,
        place={run.run_id: place for place, run in enumerate(runs)},
        labels=labels,
        answers=answers,
        scores=score_of(labels, answers, classes, rules.metric),
        replicates=resampled_scores(
            labels, answers, classes, rules.metric, rules.resamples, rules.seed
        ),
    )


def majority(labels: NDArray[np.int64], names: Sequence[str], rules: Rules) -> Configuration:
    """What always answering the most frequent class of the test would score."""
    most = int(np.bincount(labels, minlength=len(names)).argmax())
    answers = np.full((1, len(labels)), most, dtype=np.int64)
    score = score_of(labels, answers, len(names), rules.metric)
    replicates = resampled_scores(
        labels, answers, len(names), rules.metric, min(rules.resamples, 1000), rules.seed
    )
    tail = (1 - rules.confidence) / 2
    low, high = np.quantile(replicates[:, 0], [tail, 1 - tail])
    return Configuration(
        name=f"majority class ({names[most]})",
        level="",
        is_baseline=True,
        runs=(),
        scores={0: float(score[0])},
        score=Interval(float(score[0]), float(low), float(high)),
        sd=float("nan"),
        means={},
    )
