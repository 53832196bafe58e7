"""Runs of MLflow become comparisons, one for each data set: read, pair, measure, decide."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from nlp_rnn.comparison.decide import decide, inconclusive, robustness, verdict
from nlp_rnn.comparison.pair import Pairing, is_baseline, pair_configurations, usable_runs
from nlp_rnn.comparison.read import with_predictions
from nlp_rnn.comparison.recommend import LONG_SHARE, recommend, share_few_labels
from nlp_rnn.comparison.records import (
    Comparison,
    Configuration,
    Difference,
    NotComparable,
    Rules,
    Run,
)
from nlp_rnn.comparison.score import (
    MeasuredDifference,
    ScoredRuns,
    majority,
    same_texts,
    score_runs,
)
from nlp_rnn.errors import ComparisonError
from nlp_rnn.scoring.predictions import Predictions

__all__ = ["compare_runs"]

LONG_TEXTS = 100
"""Of the longest quarter, at least."""


def compare_runs(
    runs: Sequence[Run], rules: Rules, uri: str | None = None
) -> tuple[Comparison, ...]:
    """Compare all that can be compared among the runs, in the order of the data's names.

    Holm's correction runs over all pairs of all data sets. The answers of the runs that are
    needed, and of no others, are read from the store at `uri`; without one the runs hold them.

    Raises:
        ComparisonError: there is no pair that can be compared; it says what makes it so.
    """
    kept, notes = usable_runs(runs, rules.metric)
    by_data: dict[str, list[Run]] = defaultdict(list)
    for run in kept:
        by_data[run.digest].append(run)
    planned = {digest: pair_configurations(found, rules) for digest, found in by_data.items()}
    read = (lambda some: with_predictions(uri, some)) if uri is not None else list
    ready: list[_Ready] = []
    not_comparable: list[NotComparable] = []
    for digest, each in planned.items():
        not_comparable += each.not_comparable
        if each.pairs:
            found = _ready(digest, each, rules, read)
            not_comparable += [r for r in found.not_comparable if r not in each.not_comparable]
            if found.measured:
                ready.append(found)
            else:
                notes += found.notes
    elsewhere = [digest for digest, each in planned.items() if not each.pairs]
    others = sum(len(by_data[digest]) for digest in elsewhere)
    if others:
        where = f"{len(elsewhere)} other version{'s' if len(elsewhere) > 1 else ''} of data"
        notes.append(f"{others:,} runs read {where}, on which there is no pair to compare.")
    if not ready:
        raise ComparisonError(_nothing(kept, notes, not_comparable, rules))
    whole = decide([m for part in ready for m in part.measured], rules)
    lengthy = decide([m for part in ready for m in part.long], rules)
    comparisons = []
    for part in ready:
        own = tuple(whole[: len(part.measured)])
        long = tuple(lengthy[: len(part.long)])
        whole, lengthy = whole[len(own) :], lengthy[len(long) :]
        comparisons.append(_comparison(part, own, long, rules, notes))
    return share_few_labels(tuple(sorted(comparisons, key=lambda c: (c.data, c.digest))))


class _Ready:
    """A data set whose answers are read and measured."""

    def __init__(
        self,
        digest: str,
        configurations: Sequence[Configuration],
        baselines: Sequence[Configuration],
    ) -> None:
        self.digest, self.configurations, self.baselines = (
            digest,
            tuple(configurations),
            tuple(baselines),
        )
        self.measured: list[MeasuredDifference] = []
        self.long: list[MeasuredDifference] = []
        self.not_comparable: list[NotComparable] = []
        self.notes: list[str] = []


def _ready(
    digest: str, planned: Pairing, rules: Rules, read: Callable[[Sequence[Run]], list[Run]]
) -> _Ready:
    notes = list(planned.notes)
    not_comparable = list(planned.not_comparable)
    configurations: dict[str, tuple[Run, ...]] = {}
    baselines: dict[str, tuple[Run, ...]] = {}
    reference = None
    for chosen, target in (
        (planned.configurations, configurations),
        (planned.baselines, baselines),
    ):
        for name, runs in chosen.items():
            answered = []
            for run in read(runs):
                if run.tags.get("task") == "multi_label":
                    notes.append(
                        f"{run.name} of {name} gave several labels a text; it is left out."
                    )
                elif run.predictions is None:
                    notes.append(
                        f"{run.name} of {name} has no answers to the test texts, as runs of old "
                        "had none, and is left out."
                    )
                elif reference is not None and not same_texts(reference, run.predictions):
                    notes.append(f"{run.name} of {name} answered other test texts; it is left out.")
                else:
                    reference = reference or run.predictions
                    answered.append(run)
            if answered:
                target[name] = tuple(answered)
    pairs = []
    for pair in planned.pairs:
        ones, others = configurations.get(pair.first, ()), configurations.get(pair.second, ())
        if not {run.seed for run in ones} & {run.seed for run in others}:
            reason = "no seed in common has its answers to the test texts"
            not_comparable.append(NotComparable(pair.first, pair.second, reason))
        else:
            pairs.append(pair)
    if reference is None or not pairs:
        found = _Ready(digest, (), ())
        found.not_comparable, found.notes = not_comparable, notes
        return found
    paired = {name for pair in pairs for name in (pair.first, pair.second)}
    configurations = {name: runs for name, runs in configurations.items() if name in paired}
    everyone = [run for runs in (*configurations.values(), *baselines.values()) for run in runs]
    sheet = score_runs(everyone, rules)
    found = _Ready(
        digest,
        [
            sheet.configuration(name, _level(runs[0], rules), False, runs)
            for name, runs in sorted(configurations.items())
        ],
        _baselines(sheet, baselines, reference),
    )
    found.notes, found.not_comparable = notes, not_comparable

    def measure(on: ScoredRuns) -> list[MeasuredDifference]:
        return [
            on.difference(pair, configurations[pair.first], configurations[pair.second])
            for pair in pairs
        ]

    found.measured = measure(sheet)
    lengths = reference.lengths
    longest = lengths >= np.quantile(lengths, 1 - LONG_SHARE)
    if longest.sum() >= LONG_TEXTS:
        found.long = measure(
            score_runs([r for runs in configurations.values() for r in runs], rules, longest)
        )
    absent = set(range(len(reference.label_names))) - set(reference.labels.tolist())
    if absent:
        names = ", ".join(sorted(reference.label_names[each] for each in absent)[:5])
        found.notes.append(f"Not in the test, so nothing is known of them: {names}.")
    return found


def _baselines(
    sheet: ScoredRuns, baselines: Mapping[str, Sequence[Run]], reference: Predictions
) -> list[Configuration]:
    """Majority class first, counted from the labels where no run of it is there; average last."""
    configurations = [
        sheet.configuration(name, "", True, runs) for name, runs in sorted(baselines.items())
    ]
    if not any(configuration.runs[0].cell == "majority" for configuration in configurations):
        configurations.insert(0, majority(reference.labels, reference.label_names, sheet.rules))
    order = {"majority": 0, "average": 2}
    return sorted(configurations, key=lambda g: order.get(g.runs[0].cell, 1) if g.runs else 0)


def _level(run: Run, rules: Rules) -> str:
    return run.config.get(rules.by, run.tags.get(rules.by, ""))


def _comparison(
    part: _Ready,
    own: tuple[Difference, ...],
    long: tuple[Difference, ...],
    rules: Rules,
    notes: Sequence[str],
) -> Comparison:
    runs = [run for configuration in part.configurations for run in configuration.runs]
    machines = sorted({run.machine for run in runs})
    same_machine = len(machines) == 1
    said = [*notes, *part.notes]
    said += [f"{each.first} against {each.second}: {r}." for each in own for r in each.remarks]
    said += _few_seeds(own, rules)
    if not same_machine:
        said.append(
            f"The runs were timed on {len(machines)} machines ({'; '.join(machines)}): speeds "
            "cannot be compared, quality can."
        )
    known = {
        configuration.runs[0].cell or configuration.name
        for configuration in part.baselines
        if configuration.runs
    }
    if not known - {"average", "majority"}:
        said.append("No linear baseline on this data: nlp-rnn baselines data=… trains it.")
    if "average" not in known:
        said.append("No average baseline: nlp-rnn train model=average with the same data.")
    predictions = runs[0].predictions
    assert predictions is not None
    return Comparison(
        data=runs[0].tags.get("data", part.digest),
        digest=part.digest,
        label_names=predictions.label_names,
        rules=rules,
        configurations=part.configurations,
        baselines=part.baselines,
        differences=own,
        not_comparable=tuple(part.not_comparable),
        verdict=verdict(own, rules),
        robustness=robustness(
            own,
            {configuration.name: configuration.level for configuration in part.configurations},
            rules,
        ),
        inconclusive=inconclusive(own, rules),
        recommendations=recommend(
            part.configurations, part.baselines, own, long, rules, same_machine
        ),
        notes=tuple(dict.fromkeys(said)),
        methods=_measured(runs, machines, rules, len(predictions.labels)),
        same_machine=same_machine,
    )


def _few_seeds(found: Sequence[Difference], rules: Rules) -> list[str]:
    told = []
    for each in found:
        seeds = len(each.by_seed)
        if seeds < rules.min_seeds:
            told.append(
                f"{each.first} against {each.second} share {seeds} "
                f"seed{'' if seeds == 1 else 's'}: no verdict below {rules.min_seeds}."
            )
        elif seeds < 6:
            told.append(
                f"With {seeds} seeds Wilcoxon's test cannot go below p = {2 / 2**seeds:.3g}."
            )
    return told


def _measured(
    runs: Sequence[Run], machines: Sequence[str], rules: Rules, texts: int
) -> tuple[str, ...]:
    interval = f"{rules.confidence:.0%}"
    return (
        f"Test {rules.metric} of {texts:,} texts, read once by finished classifiers whose weights "
        "and stopping were chosen on the validation split.",
        f"{interval} intervals: bootstrap of {rules.resamples:,} draws of seeds and of texts, "
        "paired by seed and by text, stretched for few seeds (Student's t).",
        f"Better: the whole interval beyond ±{rules.rope:g} points, and bootstrap p after Holm at "
        f"most {1 - rules.confidence:.2g}; equivalent: the whole interval within.",
        f"Machine: {'; '.join(machines) or 'not recorded'}.",
    )


def _nothing(
    kept: Sequence[Run], notes: Sequence[str], not_comparable: Sequence[NotComparable], rules: Rules
) -> str:
    """Why there is no pair, and what to type, in two lines."""
    candidates = [run for run in kept if not is_baseline(run)]
    if not_comparable:
        first = not_comparable[0]
        more = (
            f" ({len(not_comparable) - 1} more pairs likewise)" if len(not_comparable) > 1 else ""
        )
        why = f"{first.first} and {first.second} cannot be compared: {first.reason}{more}."
        return f"{why}\nTrain them alike but for {rules.by}, with the same seeds."
    levels = sorted({_level(run, rules) for run in candidates})
    if not candidates:
        why = " ".join(notes) or "no finished run of nlp-rnn train"
        return f"There is nothing to compare: {why}\nnlp-rnn train -m model=lstm,gru seed=1,2,3,4,5"
    if len(levels) == 1:
        word = levels[0] or "nothing"
        return (
            f"There is only one kind of {rules.by}: {word}; a comparison takes two.\n"
            "Train another on the same data and seeds, such as model=lstm, or type --by KEY."
        )
    data = "; ".join(
        f"{level} read "
        + ", ".join(
            sorted(
                {
                    f"{run.tags.get('data', '?')} {run.digest[:8]}"
                    for run in candidates
                    if _level(run, rules) == level
                }
            )[:3]
        )
        for level in levels[:4]
    )
    why = f"No two of them read the same data, so nothing can be compared: {data}."
    return f"{why}\nTrain both on one."
