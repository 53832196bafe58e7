"""Ensembles of a network and n-gram models: the network alone is compared, and the ensemble too.

What a comparison asks about, a cell or a pooling, is a property of the network. So the scores,
latencies and predictions of an ensemble's network alone are compared. What is deployed is the
ensemble: recommendations depend on its scores, and the comparison says what it changes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from nlp_rnn.comparison.compared_run import Run
from nlp_rnn.comparison.pair import Pair, Pairing
from nlp_rnn.comparison.records import Configuration, Difference
from nlp_rnn.comparison.rules import Outcome, Rules
from nlp_rnn.comparison.score import MeasuredDifference, ScoredData, score_data, score_runs
from nlp_rnn.comparison.select import RunsByName
from nlp_rnn.comparison.verdict import counted, signed

__all__ = [
    "NGRAMS",
    "SUFFIX",
    "ScoredEnsembles",
    "ensemble_sentences",
    "is_ensemble",
    "network_alone",
    "score_ensembles",
]

NETWORK, NGRAMS = "network", "ngrams"
"""Prefixes in metric names, such as `test/network_accuracy`, and names of saved predictions."""

SUFFIX = " with n-gram models"
"""Follows the name of a configuration whose ensemble is meant."""


@dataclass(frozen=True)
class ScoredEnsembles:
    """Scores of the saved classifiers of one data set, some of which are ensembles.

    Attributes
    ----------
    data : ScoredData
        As for the networks alone, under the same names.
    effects : tuple of MeasuredDifference
        Ensemble minus network alone, for each configuration with an ensemble.
    """

    data: ScoredData
    effects: tuple[MeasuredDifference, ...]


def is_ensemble(run: Run) -> bool:
    """Return whether the classifier of a run is an ensemble with n-gram models."""
    return any(name.startswith(f"test/{NETWORK}_") for name in run.metrics)


def network_alone(run: Run) -> Run:
    """Return the run with the metrics and predictions of its network alone.

    A metric such as `test/network_accuracy` replaces `test/accuracy`. A run without n-gram models
    is returned as it is.
    """
    if not is_ensemble(run):
        return run
    metrics = dict(run.metrics)
    for name, value in run.metrics.items():
        group, _, rest = name.partition("/")
        if rest.startswith(f"{NETWORK}_"):
            metrics[f"{group}/{rest.removeprefix(f'{NETWORK}_')}"] = value
    predictions = None if run.predictions is None else run.predictions.of(NETWORK)
    return replace(run, metrics=metrics, predictions=predictions, part=NETWORK)


def score_ensembles(
    digest: str, pairing: Pairing, saved: Mapping[str, Run], rules: Rules
) -> ScoredEnsembles:
    """Score the saved classifiers of the paired configurations, and what the ensemble changes.

    Parameters
    ----------
    digest : str
        Digest of the data set.
    pairing : Pairing
        The paired networks alone, with their predictions.
    saved : mapping of str to Run
        The runs with the predictions of their saved classifiers, by run id.
    rules : Rules
        Metric, number of resamples, seed and confidence.
    """
    ensembles: RunsByName = {
        name: tuple(saved[run.run_id] for run in runs)
        for name, runs in pairing.configurations.items()
    }
    data = score_data(digest, replace(pairing, configurations=ensembles), rules)
    effects = tuple(
        _effect(digest, name, networks, ensembles[name], rules)
        for name, networks in sorted(pairing.configurations.items())
        if any(map(is_ensemble, ensembles[name]))
    )
    return ScoredEnsembles(_without_predictions(data), effects)


def _effect(
    digest: str, name: str, networks: Sequence[Run], ensembles: Sequence[Run], rules: Rules
) -> MeasuredDifference:
    """Measure the scores of the ensembles minus those of their networks, paired by run."""
    ensembles = [replace(run, run_id=f"{run.run_id}{SUFFIX}") for run in ensembles]
    scored = score_runs(digest, [*ensembles, *networks], rules)
    pair = Pair(f"{name}{SUFFIX}", name, ("configuration",), ())
    return scored.difference(pair, ensembles, networks)


def _without_predictions(data: ScoredData) -> ScoredData:
    """Drop the predictions, which are needed for the scores only."""
    configurations = tuple(
        replace(
            configuration,
            runs=tuple(replace(run, predictions=None) for run in configuration.runs),
        )
        for configuration in data.configurations
    )
    return replace(data, configurations=configurations)


def ensemble_sentences(
    deployed: Sequence[Configuration], effects: Sequence[Difference], rules: Rules
) -> tuple[str, ...]:
    """Return one sentence per configuration: its ensemble against its network and n-gram models."""
    by_name = {configuration.name: configuration for configuration in deployed}
    confidence = f"{100 * rules.confidence:g} %"
    sentences = []
    for effect in effects:
        ensemble, interval = by_name[effect.second], effect.interval
        ngrams = ensemble.means.get(f"test/{NGRAMS}_{rules.metric}")
        alone = "" if ngrams is None else f", n-gram models alone {100 * ngrams:.2f}"
        outcome = {
            Outcome.first: "The ensemble is better.",
            Outcome.second: "The network alone is better.",
            Outcome.equivalent: "Both are equivalent.",
            Outcome.inconclusive: "Whether it differs is inconclusive.",
        }[effect.outcome]
        sentences.append(
            f"{effect.second}: the {rules.metric_name} of the saved classifier, an ensemble with "
            f"n-gram models, is {ensemble.score.mean:.2f} (network alone "
            f"{ensemble.score.mean - interval.mean:.2f}{alone}), a difference of "
            f"{signed(interval.mean)} points ({confidence} interval {signed(interval.low)} to "
            f"{signed(interval.high)}, {counted(len(effect.by_seed), 'seed')}). {outcome}"
        )
    return tuple(sentences)
