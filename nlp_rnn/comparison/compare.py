"""Compare runs: the steps read, select, pair, score, decide and recommend, one after another."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from nlp_rnn.comparison.compared_run import Run
from nlp_rnn.comparison.data_sets import across_data_sets
from nlp_rnn.comparison.decide import decide
from nlp_rnn.comparison.ensembles import (
    ScoredEnsembles,
    ensemble_sentences,
    network_alone,
    score_ensembles,
)
from nlp_rnn.comparison.labels import label_differences
from nlp_rnn.comparison.notes import limits, machines_of, methods, nothing_comparable
from nlp_rnn.comparison.pair import Pair, Pairing, pair_configurations, paired_runs
from nlp_rnn.comparison.ranking import Ranking, rank
from nlp_rnn.comparison.read import with_predictions
from nlp_rnn.comparison.recommend import recommend
from nlp_rnn.comparison.records import (
    Comparison,
    Difference,
    LabelDifference,
    NotComparable,
    Recommendation,
)
from nlp_rnn.comparison.rules import ENSEMBLE_KEY, Rules
from nlp_rnn.comparison.score import ScoredData, score_data, score_runs
from nlp_rnn.comparison.select import RunsByName, usable_runs, with_same_texts
from nlp_rnn.comparison.verdict import (
    inconclusive_sentences,
    main_pair,
    outcome_text,
    robustness_sentences,
    signed,
    verdict,
)
from nlp_rnn.errors import ComparisonError

__all__ = ["compare_runs"]


def compare_runs(
    runs: Sequence[Run], rules: Rules, uri: str | None = None
) -> tuple[Comparison, ...]:
    """Compare all comparable configurations among the runs, separately for each data set.

    Of ensembles with n-gram models the networks alone are compared, unless `rules.by` is
    `model.ensemble`. The recommendations depend on the scores of the ensembles. Holm's correction
    is over the pairs of all data sets.

    Parameters
    ----------
    runs : sequence of Run
        For example from `read_runs`.
    rules : Rules
        Metric, compared key and thresholds.
    uri : str, optional
        MLflow store from which the predictions of the paired runs are read. Default: the runs
        have their predictions.

    Returns
    -------
    tuple of Comparison
        One per data set with at least one pair, ordered by the name of the data.

    Raises
    ------
    ComparisonError
        No pair can be compared. The message gives the reason.
    """
    usable, notes = usable_runs(runs, rules)
    saved = {run.run_id: run for run in usable}
    if rules.by != ENSEMBLE_KEY:
        usable = [network_alone(run) for run in usable]
    by_data: dict[str, list[Run]] = defaultdict(list)
    for run in usable:
        by_data[run.digest].append(run)
    not_comparable: list[NotComparable] = []
    pairings: dict[str, Pairing] = {}
    scored: list[ScoredData] = []
    ensembles: dict[str, ScoredEnsembles] = {}
    unpaired: list[str] = []
    for digest, runs_on_data in by_data.items():
        pairing = pair_configurations(runs_on_data, rules)
        if not pairing.pairs:
            unpaired.append(digest)
        else:
            pairing = _read_predictions(pairing, uri)
            if pairing.pairs:
                of_task = rules.of_task(runs_on_data[0].is_multi_label)
                scored.append(score_data(digest, pairing, of_task))
                candidates = [run for of_name in pairing.configurations.values() for run in of_name]
                if any(run.part for run in candidates):
                    read = with_predictions(uri, [saved[run.run_id] for run in candidates])
                    by_id = {run.run_id: run for run in read}
                    ensembles[digest] = score_ensembles(digest, pairing, by_id, of_task)
            else:
                notes += pairing.notes
        pairings[digest] = pairing
        not_comparable += pairing.not_comparable
    if unpaired:
        count = sum(len(by_data[digest]) for digest in unpaired)
        versions = f"{len(unpaired):,} other version{'s' if len(unpaired) > 1 else ''} of data"
        notes.append(f"{count:,} runs were trained on {versions}, with no pair to compare.")
    if not scored:
        raise ComparisonError(nothing_comparable(usable, notes, not_comparable, rules))
    decided = _Decided(scored, rules)
    deployed = _Decided([ensemble.data for ensemble in ensembles.values()], rules)
    effects = decide([e for ensemble in ensembles.values() for e in ensemble.effects], rules)
    comparisons = []
    for data in scored:
        of_task = rules.of_task(by_data[data.digest][0].is_multi_label)
        comparison = _comparison(data, pairings[data.digest], decided, of_task, notes)
        if data.digest in ensembles:
            ensemble = ensembles[data.digest].data
            changes = effects.get(data.digest, ())
            comparison = _with_ensembles(comparison, ensemble, deployed, changes)
        comparisons.append(comparison)
    comparisons = [
        replace(one, ranking=_ranking(one, [saved[run.run_id] for run in by_data[one.digest]], uri))
        for one in comparisons
    ]
    comparisons.sort(key=lambda comparison: (comparison.data, comparison.digest))
    across = across_data_sets(comparisons, rules)
    return _share_few_labels([replace(one, across=across) for one in comparisons])


def _read_predictions(pairing: Pairing, uri: str | None) -> Pairing:
    """Read the predictions of the paired runs, and keep the runs with the same test texts."""

    def read(configurations: RunsByName) -> RunsByName:
        return {name: with_predictions(uri, runs) for name, runs in configurations.items()}

    candidates, reference, notes = with_same_texts(read(pairing.configurations))
    baselines, _, more_notes = with_same_texts(read(pairing.baselines), reference)
    return pairing.restricted_to(candidates, baselines, [*notes, *more_notes])


class _Decided:
    """Decided differences of several data sets, on all texts and on the long ones."""

    def __init__(self, scored: Sequence[ScoredData], rules: Rules) -> None:
        self._all = decide([pair for data in scored for pair in data.differences], rules)
        self._long = decide([pair for data in scored for pair in data.long_differences], rules)

    def of(self, digest: str) -> tuple[tuple[Difference, ...], tuple[Difference, ...]]:
        """Return the differences of one data set, on all texts and on the long ones."""
        return self._all[digest], self._long.get(digest, ())


def _comparison(
    data: ScoredData,
    pairing: Pairing,
    decided: _Decided,
    rules: Rules,
    notes: Sequence[str],
) -> Comparison:
    """The comparison on one data set, with its sentences and recommendations."""
    differences, long_differences = decided.of(data.digest)
    configurations, baselines = data.configurations, data.baselines
    same_machine = len(machines_of(data)) == 1
    levels = {configuration.name: configuration.level for configuration in configurations}
    all_notes = [*notes, *pairing.notes, *limits(data, differences, rules)]
    label_pair: tuple[str, ...] = ()
    of_labels: tuple[LabelDifference, ...] = ()
    if data.labels.ndim == 2:
        main = main_pair(differences, configurations, rules)
        label_pair = main.first, main.second
        runs = {configuration.name: configuration.runs for configuration in configurations}
        of_labels = label_differences(runs[main.first], runs[main.second], rules)
    return Comparison(
        data=configurations[0].runs[0].tags.get("data", data.digest),
        digest=data.digest,
        label_names=data.label_names,
        rules=rules,
        configurations=configurations,
        baselines=baselines,
        differences=differences,
        not_comparable=pairing.not_comparable,
        verdict=verdict(differences, configurations, rules),
        robustness=robustness_sentences(differences, levels),
        inconclusive=inconclusive_sentences(differences, rules),
        recommendations=recommend(
            configurations, baselines, differences, long_differences, rules, same_machine
        ),
        notes=tuple(dict.fromkeys(all_notes)),
        methods=methods(data, rules),
        same_machine=same_machine,
        label_pair=label_pair,
        label_differences=of_labels,
    )


def _ranking(comparison: Comparison, runs: Sequence[Run], uri: str | None) -> Ranking:
    """Rank all configurations of a data set, and compare the simplest good one with the best."""
    rules = comparison.rules
    ranking, by_name = rank([run for run in runs if not run.is_external], rules)
    if len(ranking.configurations) < 2 or not ranking.simplest:
        return ranking
    best, simplest = ranking.configurations[0].name, ranking.simplest
    metric, region = rules.metric_name, f"±{rules.rope:g} points"
    if best == simplest:
        sentence = f"{best} has the best validation {metric}, and none within {region} is smaller."
        return replace(ranking, sentence=sentence)
    sentence = (
        f"{best} has the best validation {metric}; {simplest} is the smallest configuration "
        f"within {region} of it."
    )
    pair = {name: with_predictions(uri, by_name[name]) for name in (simplest, best)}
    same, _, _ = with_same_texts(pair)
    if len(same) == 2 and paired_runs(same[simplest], same[best]):
        scored = score_runs(comparison.digest, [*same[simplest], *same[best]], rules)
        measured = scored.difference(
            Pair(simplest, best, ("configuration",), ()), same[simplest], same[best]
        )
        (difference,) = decide([measured], rules)[comparison.digest]
        mean, low, high = (
            difference.interval.mean,
            difference.interval.low,
            difference.interval.high,
        )
        sentence += (
            f" On the test split it is at {signed(mean)} points ({signed(low)} to {signed(high)}): "
            f"{outcome_text(difference, difference.outcome)}."
        )
    return replace(ranking, sentence=sentence)


def _with_ensembles(
    comparison: Comparison,
    data: ScoredData,
    decided: _Decided,
    effects: tuple[Difference, ...],
) -> Comparison:
    """Add the scores of the saved classifiers, and recommend by them."""
    differences, long_differences = decided.of(data.digest)
    rules = comparison.rules
    return replace(
        comparison,
        deployed=data.configurations,
        deployed_differences=differences,
        effects=effects,
        ensembles=ensemble_sentences(data.configurations, effects, rules),
        recommendations=recommend(
            data.configurations,
            comparison.baselines,
            differences,
            long_differences,
            rules,
            comparison.same_machine,
        ),
    )


def _share_few_labels(comparisons: Sequence[Comparison]) -> tuple[Comparison, ...]:
    """Use the recommendation from runs with few labels for all comparisons on the same data."""
    recommended: dict[str, Recommendation] = {}
    for comparison in comparisons:
        for recommendation in comparison.recommendations:
            if recommendation.use == "few labels" and "Trained with" in recommendation.evidence:
                recommended[comparison.data] = recommendation
    shared = []
    for comparison in comparisons:
        recommendations = [
            recommended.get(comparison.data, recommendation)
            if recommendation.use == "few labels"
            else recommendation
            for recommendation in comparison.recommendations
        ]
        shared.append(replace(comparison, recommendations=tuple(recommendations)))
    return tuple(shared)
