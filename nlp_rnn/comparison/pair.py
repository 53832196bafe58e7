"""Step 3: pair the configurations that can be compared, and say why the others cannot."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from nlp_rnn.comparison.compared_run import Run
from nlp_rnn.comparison.differing_keys import candidate_key, compare_keys
from nlp_rnn.comparison.records import NotComparable
from nlp_rnn.comparison.rules import Rules
from nlp_rnn.comparison.select import RunsByName, runs_by_configuration

__all__ = [
    "LATENCY",
    "Pair",
    "Pairing",
    "mean_metrics",
    "pair_configurations",
    "paired_runs",
]

LATENCY = ("latency/onnx_batch1_p95_ms", "latency/onnx_batch1_p50_ms")
"""Latency of one text with the runtime that is deployed, the preferred metric first."""

MOST_UNPAIRED = 20
"""Configurations without any comparable one for which a reason is reported."""


@dataclass(frozen=True)
class Pair:
    """Two configurations that can be compared.

    Attributes
    ----------
    first, second : str
        Names of the configurations.
    matching : tuple of str
        Matching criteria that hold: `size`, `parameters`, `latency`, `tuning budget`, or
        `configuration`; `test texts` for external predictions.
    remarks : tuple of str
        Differences between their runs that a reader should know.
    """

    first: str
    second: str
    matching: tuple[str, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Pairing:
    """Configurations of one data set, and the pairs of them that are compared.

    Attributes
    ----------
    configurations : mapping of str to tuple of Run
        Candidates by name, only those in a pair (all if there is no pair). One run per seed.
    baselines : mapping of str to tuple of Run
        The same for baselines.
    pairs : tuple of Pair
        Pairs of candidates.
    not_comparable : tuple of NotComparable
        Pairs that cannot be compared.
    notes : tuple of str
        What was left out.
    """

    configurations: RunsByName
    baselines: RunsByName
    pairs: tuple[Pair, ...]
    not_comparable: tuple[NotComparable, ...]
    notes: tuple[str, ...]

    def restricted_to(
        self, configurations: RunsByName, baselines: RunsByName, notes: Sequence[str]
    ) -> "Pairing":
        """Return the pairing of a part of the runs; pairs that lost their shared seeds are out."""
        pairs, not_comparable = [], list(self.not_comparable)
        for pair in self.pairs:
            first = configurations.get(pair.first, ())
            if paired_runs(first, configurations.get(pair.second, ())):
                pairs.append(pair)
            else:
                reason = "no shared seed has saved predictions for the same test texts"
                not_comparable.append(NotComparable(pair.first, pair.second, reason))
        paired = _names(pairs)
        return replace(
            self,
            configurations={name: runs for name, runs in configurations.items() if name in paired},
            baselines=baselines,
            pairs=tuple(pairs),
            not_comparable=tuple(not_comparable),
            notes=(*self.notes, *notes),
        )


def pair_configurations(runs: Sequence[Run], rules: Rules) -> Pairing:
    """Sort the usable runs of one data set into configurations, and pair the comparable ones.

    The configurations of a pair differ only in `rules.by` and in what `compare_keys` allows. If
    cells are compared, their sizes must be matched.
    """
    candidates = [run for run in runs if not run.is_baseline]
    configurations, notes = runs_by_configuration(candidates, rules.by)
    baselines, more_notes = runs_by_configuration(
        (run for run in runs if run.is_baseline), rules.by
    )
    notes += more_notes
    pairs: list[Pair] = []
    not_comparable: list[NotComparable] = []

    def judge(a: str, b: str) -> None:
        judged = _pair(a, configurations[a], b, configurations[b], rules)
        if isinstance(judged, Pair):
            pairs.append(judged)
        else:
            not_comparable.append(judged)

    external = {name for name, runs in configurations.items() if runs[0].is_external}
    trained = {name: runs for name, runs in configurations.items() if name not in external}
    for a, b in _candidate_pairs(trained, rules):
        if configurations[a][0].level(rules.by) != configurations[b][0].level(rules.by):
            judge(a, b)
    # A configuration without a comparable one is reported once, with the one most similar to it.
    unjudged = set(trained) - _names(pairs) - _names(not_comparable)
    for name in sorted(unjudged)[:MOST_UNPAIRED]:
        if most_similar := _most_similar(name, trained, rules):
            judge(*sorted((name, most_similar)))
    for a, b in combinations(sorted(configurations), 2):
        if {a, b} & external:
            remarks = _external_remarks(a, configurations[a], b, configurations[b])
            pairs.append(Pair(a, b, ("test texts",), remarks))
    paired = _names(pairs)
    alone = sorted(set(configurations) - paired)
    if alone and pairs:
        listed = ", ".join(alone[:5]) + (", …" if len(alone) > 5 else "")
        notes.append(f"No other configuration differs from these only in {rules.by}: {listed}.")
    return Pairing(
        {name: runs for name, runs in configurations.items() if name in paired or not pairs},
        baselines,
        tuple(pairs),
        tuple(dict.fromkeys(not_comparable)),
        tuple(notes),
    )


def _names(pairs: Sequence[Pair | NotComparable]) -> set[str]:
    return {name for pair in pairs for name in (pair.first, pair.second)}


def paired_runs(first: Sequence[Run], second: Sequence[Run]) -> list[tuple[Run, Run]]:
    """Return the pairs of runs with the same seed.

    External predictions have no seeds: several files are paired in their order, and a single one
    with every run, because then it stands for itself and not for a sample of seeds.
    """
    if any(runs and runs[0].is_external for runs in (first, second)):
        if len(first) == 1 or len(second) == 1:
            return [(a, b) for a in first for b in second]
        return list(zip(first, second, strict=False))
    of_second = {run.seed: run for run in second}
    return [(run, of_second[run.seed]) for run in first if run.seed in of_second]


def _external_remarks(
    a: str, first: Sequence[Run], b: str, second: Sequence[Run]
) -> tuple[str, ...]:
    """What a reader of a pair with external predictions should know."""
    remarks = [
        f"{name} is one file of predictions, so the conclusion is about these predictions and not "
        "about other trainings of the model"
        for name, runs in ((a, first), (b, second))
        if runs[0].is_external and len(runs) == 1
    ]
    counts = len(first), len(second)
    if min(counts) > 1 and counts[0] != counts[1]:
        more, least = (a if counts[0] > counts[1] else b), min(counts)
        remarks.append(f"only the first {least} runs of {more} are compared")
    return tuple(remarks)


def _candidate_pairs(configurations: RunsByName, rules: Rules) -> list[tuple[str, str]]:
    """Pairs of names with the same values of all keys that must be equal and that all have."""
    configs = [runs[0].config for runs in configurations.values()]
    shared_keys = sorted(set.intersection(*map(set, configs))) if configs else []
    pairs: dict[tuple[str, str], None] = {}
    for by_match in (False, True):
        names: dict[object, list[str]] = defaultdict(list)
        for name, runs in configurations.items():
            names[candidate_key(runs[0], shared_keys, rules, by_match)].append(name)
        for group in names.values():
            pairs |= dict.fromkeys(combinations(sorted(group), 2))
    return list(pairs)


def _most_similar(name: str, configurations: RunsByName, rules: Rules) -> str | None:
    """The configuration of another level that differs in the fewest keys."""
    run = configurations[name][0]
    others = [
        (sum(runs[0].config.get(key) != value for key, value in run.config.items()), other)
        for other, runs in configurations.items()
        if runs[0].level(rules.by) != run.level(rules.by)
    ]
    return min(others)[1] if others else None


def mean_metrics(
    first: Sequence[Run], second: Sequence[Run], *names: str
) -> tuple[float, float] | None:
    """Return the means of the first of these metrics that all runs of both have."""
    for name in names:
        if all(name in run.metrics for run in (*first, *second)):
            a, b = (sum(run.metrics[name] for run in runs) / len(runs) for runs in (first, second))
            return a, b
    return None


def _pair(
    a: str, first: tuple[Run, ...], b: str, second: tuple[Run, ...], rules: Rules
) -> Pair | NotComparable:
    keys = compare_keys(first[0], second[0], rules)
    if keys.problem:
        return NotComparable(a, b, keys.problem)
    if not paired_runs(first, second):
        return NotComparable(a, b, "they have no seed in common")
    remarks = []
    for tag in ("precision", "device", "nlp_rnn"):
        values = {run.tags.get(tag, "") for run in (*first, *second)} - {""}
        if len(values) > 1:
            remarks.append(f"the runs differ in {tag}: {', '.join(sorted(values))}")
    if keys.remark:
        remarks.append(f"their presets also differ in other keys: {keys.remark}")
    if not keys.cells:
        size = [f"model.match={keys.match}"] if keys.match else []
        return Pair(a, b, ("configuration", *size), tuple(remarks))
    matching = _matching(first, second, rules)
    if not matching:
        sizes = [runs[0].config.get("model.hidden_size", "None") for runs in (first, second)]
        reason = (
            "no matching criterion holds (size, parameters, latency): hidden size "
            f"{' and '.join(sizes)}"
        )
        return NotComparable(a, b, reason)
    return Pair(a, b, matching, tuple(remarks))


def _matching(first: tuple[Run, ...], second: tuple[Run, ...], rules: Rules) -> tuple[str, ...]:
    """The matching criteria that hold for two configurations with different cells."""
    criteria = ["tuning budget"] if rules.tuned_keys else []
    sizes = [runs[0].config.get("model.hidden_size") for runs in (first, second)]
    if sizes[0] == sizes[1]:
        criteria.append("size")
    same_machine = len({run.machine for run in (*first, *second)}) == 1
    for name, metrics, tolerance in (
        ("parameters", ("parameters/recurrent",), rules.parameter_tolerance),
        ("latency", LATENCY, rules.latency_tolerance if same_machine else -1.0),
    ):
        means = mean_metrics(first, second, *metrics)
        if means and min(means) > 0 and abs(means[0] - means[1]) <= tolerance * max(means):
            criteria.append(name)
    return tuple(criteria)
