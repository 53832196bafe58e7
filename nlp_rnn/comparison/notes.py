"""Notes on a comparison: its limits, how it was measured, or why nothing can be compared."""

import math
from collections import defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence

import numpy as np

from nlp_rnn.comparison.compared_run import Run
from nlp_rnn.comparison.records import Difference, NotComparable
from nlp_rnn.comparison.rules import Rules
from nlp_rnn.comparison.score import ScoredData
from nlp_rnn.comparison.select import affects_result, group_of_preset
from nlp_rnn.comparison.verdict import counted

__all__ = ["limits", "machines_of", "methods", "nothing_comparable"]

MOST_KEYS = 3
"""Keys that differ and are not compared, of which a note is written."""

MULTI_LABEL_METHODS = (
    "The thresholds of the labels are part of a classifier: each seed has its own, and the "
    "differences between seeds contain those between their thresholds.",
    "McNemar's test counts texts whose labels are all correct.",
    "Labels: F1 of each label, by the bootstrap over seeds and texts, with Holm's correction over "
    "the labels, which are ordered by their number of texts.",
)

EXACT_SEEDS = 6
"""With fewer seeds Wilcoxon's test cannot be significant at 5 %."""


def machines_of(data: ScoredData) -> list[str]:
    """Return the machines on which the runs of the candidates were timed."""
    runs = [run for candidate in data.configurations for run in candidate.runs]
    return sorted({run.machine for run in runs if not run.is_external})


def limits(data: ScoredData, differences: Sequence[Difference], rules: Rules) -> Iterator[str]:
    """Yield what a reader must know: absent classes, few seeds, machines, missing baselines."""
    if data.labels.ndim == 2:
        present = np.flatnonzero(data.labels.any(axis=0))
    else:
        present = np.unique(data.labels)
    absent = set(range(len(data.label_names))) - set(present.tolist())
    if absent:
        names = ", ".join(sorted(data.label_names[label] for label in absent)[:5])
        yield f"Classes without a test text, about which nothing is known: {names}."
    for pair in differences:
        yield from (f"{pair.first} and {pair.second}: {remark}." for remark in pair.remarks)
    for pair in differences:
        names, seeds = f"{pair.first} and {pair.second}", len(pair.by_seed)
        if seeds < rules.min_seeds:
            shared = counted(seeds, "seed")
            yield f"{names} share {shared}: a conclusion needs at least {rules.min_seeds}."
        elif seeds < EXACT_SEEDS:
            least = f"{2 / 2**seeds:.3g}"
            yield f"With {seeds} seeds the p-value of Wilcoxon's test cannot be below {least}."
    for key, values in _uncompared(data, rules).items():
        yield (
            f"The configurations also differ in {key} ({', '.join(values)}), which is not compared "
            f"here. Run nlp-rnn compare --by {key}."
        )
    machines = machines_of(data)
    if len(machines) > 1:
        listed = f"{len(machines)} machines ({'; '.join(machines)})"
        yield f"Runs were timed on {listed}: their speeds cannot be compared, their quality can."
    known = {baseline.runs[0].cell or baseline.name for baseline in data.baselines if baseline.runs}
    if not known - {"average", "majority"}:
        yield "There is no linear baseline on this data; nlp-rnn baselines data=… trains it."
    elif "ngrams" not in known:
        yield "There is no ngrams baseline on this data; nlp-rnn baselines data=… trains it."
    if "average" not in known:
        yield "There is no average baseline; nlp-rnn train model=average on this data trains it."


def _uncompared(data: ScoredData, rules: Rules) -> dict[str, list[str]]:
    """Values of the keys that vary among configurations with the same compared value."""
    alike: dict[object, list[Mapping[str, str]]] = defaultdict(list)
    for configuration in data.configurations:
        config = configuration.runs[0].config
        alike[configuration.level, config.get("model.cell")].append(config)
    values: dict[str, set[str]] = defaultdict(set)
    for configs in alike.values():
        for key in set.intersection(*map(set, configs)) - set(rules.tuned_keys):
            of_key = {config[key] for config in configs}
            if len(of_key) > 1 and affects_result(key):
                values[key] |= of_key
    keys = sorted(key for key in values if group_of_preset(key) or not _of_preset(key, values))
    return {key: sorted(values[key], key=_number_first) for key in keys[:MOST_KEYS]}


def _of_preset(key: str, differing: Container[str]) -> bool:
    """Whether the preset of a key's group differs too, and so may have set the key."""
    return f"{key.partition('.')[0]}.name" in differing


def _number_first(value: str) -> tuple[float, str]:
    try:
        return float(value), ""
    except ValueError:
        return math.inf, value


def methods(data: ScoredData, rules: Rules) -> tuple[str, ...]:
    """Return how the scores, intervals and outcomes were computed."""
    machines = machines_of(data)
    multi_label = data.labels.ndim == 2
    chosen = "Weights, stopping and thresholds" if multi_label else "Weights and stopping"
    return (
        f"Scores: test {rules.metric_name} of "
        f"{counted(data.differences[0].difference.texts, 'text')}, computed once per finished "
        f"classifier. {chosen} were chosen on the validation split.",
        *(MULTI_LABEL_METHODS if multi_label else ()),
        f"{100 * rules.confidence:g} % intervals: bootstrap with {rules.resamples:,} resamples of "
        "seeds and of texts, paired by seed and by text, widened for few seeds (Student's t).",
        f"Better: the whole interval is outside ±{rules.rope:g} points, and the bootstrap "
        f"p-value after Holm's correction is at most {1 - rules.confidence:.2g}. Equivalent: the "
        "whole interval is inside.",
        f"Machine: {'; '.join(machines) or 'not recorded'}.",
    )


def nothing_comparable(
    runs: Sequence[Run],
    notes: Sequence[str],
    not_comparable: Sequence[NotComparable],
    rules: Rules,
) -> str:
    """Return why there is no pair to compare, and what to do about it, in two lines."""
    candidates = [run for run in runs if not run.is_baseline]
    if not_comparable:
        pair, others = not_comparable[0], len(not_comparable) - 1
        more = f" ({counted(others, 'more pair')} cannot either)" if others else ""
        return (
            f"{pair.first} and {pair.second} cannot be compared: {pair.reason}{more}.\n"
            f"Train them with the same settings except {rules.by}, and with the same seeds."
        )
    if not candidates:
        reason = " ".join(notes) or "no run of nlp-rnn train has finished."
        return (
            f"There is nothing to compare: {reason}\n"
            "Run nlp-rnn train -m model=lstm,gru seed=1,2,3,4,5"
        )
    levels = sorted({run.level(rules.by) for run in candidates})
    if len(levels) == 1:
        return (
            f"All runs have the same {rules.by} ({levels[0] or 'none'}); a comparison needs two.\n"
            "Train another on the same data and seeds, such as model=lstm, or set --by KEY."
        )
    data = defaultdict(set)
    for run in candidates:
        data[run.level(rules.by)].add(f"{run.tags.get('data', '?')} {run.digest[:8]}")
    listed = [f"{level} on {', '.join(sorted(data[level])[:3])}" for level in levels[:4]]
    return (
        "No two configurations were trained on the same data, so none can be compared: "
        f"{'; '.join(listed)}.\nTrain them on the same data."
    )
