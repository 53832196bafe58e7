"""Differences between two configurations on the single labels of multi-label data."""

from collections.abc import Sequence

import numpy as np

from nlp_rnn.comparison.compared_run import Run
from nlp_rnn.comparison.decide import outcome
from nlp_rnn.comparison.pair import paired_runs
from nlp_rnn.comparison.records import Interval, LabelDifference
from nlp_rnn.comparison.resampling import (
    bootstrap_interval,
    label_scores,
    resampled_label_scores,
    seed_shares,
)
from nlp_rnn.comparison.rules import Rules
from nlp_rnn.comparison.statistics import holm

__all__ = ["MOST_LABELS", "label_differences"]

MOST_LABELS = 100
"""Labels that are compared, those that most test texts have."""


def label_differences(
    first: Sequence[Run], second: Sequence[Run], rules: Rules
) -> tuple[LabelDifference, ...]:
    """Return the differences in F1 of `first` minus `second`, the most frequent label first.

    The labels are chosen by their number of test texts, not by their difference, and Holm's
    correction is over all of them. Texts and seeds are resampled as for the metric of all labels.

    Parameters
    ----------
    first, second : sequence of Run
        Runs of two configurations with predictions for the same texts, one per seed.
    rules : Rules
        Number of resamples, seed, confidence, equivalence region and smallest number of seeds.
    """
    pairs = paired_runs(first, second)
    runs = [run.predictions for pair in zip(*pairs, strict=True) for run in pair]
    saved = [predictions for predictions in runs if predictions is not None]
    support = saved[0].labels.sum(axis=0)
    chosen = np.argsort(-support, kind="stable")[:MOST_LABELS]
    chosen = chosen[support[chosen] > 0]
    labels = np.ascontiguousarray(saved[0].labels[:, chosen])
    predictions = np.stack([run.predictions[:, chosen] for run in saved])
    seeds, texts = len(pairs), len(labels)
    observed = label_scores(labels, predictions).T.reshape(len(chosen), 2, seeds)
    drawn = resampled_label_scores(labels, predictions, rules.resamples, rules.seed)
    shares = seed_shares(seeds, rules.resamples, rules.seed)
    intervals, p_values = [], {}
    for index, (scores, replicates) in enumerate(zip(observed, drawn, strict=True)):
        mean, low, high, p = bootstrap_interval(
            scores[0] - scores[1],
            replicates[:, :seeds].astype(float) - replicates[:, seeds:],
            shares,
            rules.confidence,
            texts,
        )
        intervals.append(Interval(mean, low, high))
        p_values[str(index)] = p
    adjusted = holm(p_values)
    return tuple(
        LabelDifference(
            label=saved[0].label_names[label],
            texts=int(support[label]),
            first=float(observed[index, 0].mean()),
            second=float(observed[index, 1].mean()),
            interval=interval,
            adjusted_p=adjusted[str(index)],
            outcome=outcome(interval, rules.rope, seeds, adjusted[str(index)], rules),
        )
        for index, (label, interval) in enumerate(zip(chosen, intervals, strict=True))
    )
