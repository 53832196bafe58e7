"""Ranking of all configurations of a data set by validation, and the simplest good one.

The pairs of a comparison differ in one key; the ranking has every configuration, whatever it
differs in, with the scores of what is saved: of an ensemble those of the ensemble. Nothing is
chosen on the test split.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from nlp_rnn.comparison.compared_run import Run
from nlp_rnn.comparison.rules import Rules
from nlp_rnn.comparison.select import RunsByName, runs_by_configuration

__all__ = ["RankedConfiguration", "Ranking", "rank"]

NOT_SAVED = ("majority", "linear")
"""Baselines that are not saved as classifiers, and so cannot be deployed."""

PARAMETERS = "parameters/total"


@dataclass(frozen=True)
class RankedConfiguration:
    """Scores and size of one configuration; NaN where a run does not have the metric.

    Attributes
    ----------
    name : str
        Short name, unique within the ranking.
    seeds : int
        Number of runs.
    validation, sd, test : float
        Mean and standard deviation over the seeds of the validation metric, and mean of the test
        metric, percent.
    parameters : float
        Number of parameters.
    inside : bool
        Whether the validation score is below the best one by no more than the equivalence region.
    """

    name: str
    seeds: int
    validation: float
    sd: float
    test: float
    parameters: float
    inside: bool


@dataclass(frozen=True)
class Ranking:
    """All configurations with a validation score, the best first.

    Attributes
    ----------
    configurations : tuple of RankedConfiguration
        The configurations.
    simplest : str
        Name of the one with the fewest parameters of those that are inside the equivalence region
        of the best; empty where the sizes are unknown.
    sentence : str
        What the two best choices are, and how they compare on the test split.
    """

    configurations: tuple[RankedConfiguration, ...] = ()
    simplest: str = ""
    sentence: str = ""


def rank(runs: Sequence[Run], rules: Rules) -> tuple[Ranking, RunsByName]:
    """Rank the configurations of one data set by the mean of their validation metric.

    Parameters
    ----------
    runs : sequence of Run
        Usable runs, with the metrics of what is saved. Runs without the validation metric and
        baselines that are not saved are left out.
    rules : Rules
        Metric and equivalence region.

    Returns
    -------
    ranking : Ranking
        Without its sentence.
    configurations : mapping of str to tuple of Run
        The ranked runs by the name of their configuration.
    """
    metric = f"validation/{rules.metric}"
    candidates = [
        run
        for run in runs
        if run.cell not in NOT_SAVED and not math.isnan(run.metrics.get(metric, math.nan))
    ]
    by_name, _ = runs_by_configuration(candidates, rules.by)
    scored = [(name, [100 * run.metrics[metric] for run in of]) for name, of in by_name.items()]
    best = max((statistics.fmean(values) for _, values in scored), default=math.nan)
    ranked = [
        RankedConfiguration(
            name=name,
            seeds=len(values),
            validation=(mean := statistics.fmean(values)),
            sd=statistics.stdev(values) if len(values) > 1 else math.nan,
            test=100 * _mean(by_name[name], f"test/{rules.metric}"),
            parameters=_mean(by_name[name], PARAMETERS),
            inside=best - mean <= rules.rope,
        )
        for name, values in scored
    ]
    ranked.sort(key=lambda one: -one.validation)
    inside = [one for one in ranked if one.inside]
    known = all(not math.isnan(one.parameters) for one in inside)
    simplest = min(inside, key=lambda one: one.parameters).name if inside and known else ""
    return Ranking(tuple(ranked), simplest), by_name


def _mean(runs: Sequence[Run], metric: str) -> float:
    return statistics.fmean(run.metrics.get(metric, math.nan) for run in runs)
