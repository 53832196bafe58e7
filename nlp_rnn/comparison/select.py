"""Step 2: select the runs that can be compared, and sort them into configurations."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from nlp_rnn.comparison.records import Run
from nlp_rnn.config.signature import NOT_IN_SIGNATURE
from nlp_rnn.scoring.predictions import Predictions
from nlp_rnn.tracking.tags import KIND

__all__ = [
    "affects_result",
    "runs_by_configuration",
    "same_texts",
    "usable_runs",
    "with_same_texts",
]

MOST_NAMES = 3
"""Runs that a note names."""


def usable_runs(runs: Iterable[Run], metric: str) -> tuple[list[Run], list[str]]:
    """Return the finished runs with a test and a validation score, and a note on the others.

    A run without a validation metric is left out: its weights may have been chosen on the test
    split.
    """
    usable: list[Run] = []
    left_out: dict[tuple[str, str], list[str]] = defaultdict(list)
    for run in runs:
        value = run.metrics.get(f"test/{metric}")
        if not run.signature and run.kind != KIND:
            reason = "was not made by nlp-rnn train", "were not made by nlp-rnn train"
        elif run.status != "FINISHED":
            reason = f"is {run.status}", f"are {run.status}"
        elif value is None:
            reason = f"has no test/{metric}", f"have no test/{metric}"
        elif not abs(value) < float("inf"):  # NaN too
            what = f"a test/{metric} that is not finite; without it the configuration looks better"
            reason = f"has {what}", f"have {what}"
        elif run.kind != KIND and not any(name.startswith("validation/") for name in run.metrics):
            what = "no validation metric and may have been chosen on the test split"
            reason = f"has {what}", f"have {what}"
        else:
            usable.append(run)
            continue
        left_out[reason].append(run.name)
    return usable, [_left_out(names, *reason) for reason, names in left_out.items()]


def _left_out(names: Sequence[str], singular: str, plural: str) -> str:
    listed = ", ".join(names[:MOST_NAMES]) + (", …" if len(names) > MOST_NAMES else "")
    if len(names) == 1:
        return f"1 run was left out because it {singular}: {listed}."
    return f"{len(names):,} runs were left out because they {plural}: {listed}."


def runs_by_configuration(runs: Iterable[Run]) -> tuple[dict[str, tuple[Run, ...]], list[str]]:
    """Sort runs into configurations: runs with the same signature, one per seed.

    If a seed was run twice, the first run counts, whatever the others scored.

    Returns
    -------
    configurations : dict of str to tuple of Run
        Under the shortest names that tell them apart, ordered by their first runs. The runs of a
        configuration are ordered by seed.
    notes : list of str
        One sentence per seed that was run more than once.
    """
    by_signature: dict[str, dict[int | None, Run]] = defaultdict(dict)
    repeated: Counter[str] = Counter()
    for run in sorted(runs, key=lambda run: (run.started, run.run_id)):
        seeds = by_signature[run.signature or f"{run.kind} {run.cell or run.name}"]
        if run.seed in seeds:
            repeated[f"{run.configuration_name or run.name}, seed {run.seed}"] += 1
        else:
            seeds[run.seed] = run
    notes = [
        f"{name} was trained {count + 1} times; the first run counts, whatever the others scored."
        for name, count in sorted(repeated.items())
    ]
    ordered = [
        tuple(sorted(seeds.values(), key=lambda run: run.seed or 0))
        for seeds in by_signature.values()
    ]
    return _named(ordered), notes


def _named(configurations: Sequence[tuple[Run, ...]]) -> dict[str, tuple[Run, ...]]:
    """Configurations by short name; keys that differ are added where a name is not unique."""
    by_name: dict[str, list[tuple[Run, ...]]] = defaultdict(list)
    for runs in configurations:
        run = runs[0]
        name = run.configuration_name.removesuffix(f" {run.signature}")
        name = name.removesuffix(f" {run.tags.get('data')}")
        by_name[name or run.cell or run.name].append(runs)
    named = {}
    for name, same_name in by_name.items():
        keys = sorted({key for runs in same_name for key in runs[0].config})
        differing = [
            key
            for key in keys
            if len({runs[0].config.get(key) for runs in same_name}) > 1 and affects_result(key)
        ]
        for runs in same_name:
            run, full_name = runs[0], name
            if len(same_name) > 1:
                values = [f"{key.split('.')[-1]}={run.config.get(key)}" for key in differing[:3]]
                full_name = " ".join([name, *values])
            if full_name in named:
                full_name += f" {run.signature}"
            named[full_name] = runs
    return named


def affects_result(key: str) -> bool:
    """Whether a configuration key affects the result; otherwise it may differ between runs."""
    return not any(key == name or key.startswith(name + ".") for name in NOT_IN_SIGNATURE)


def same_texts(first: Predictions, second: Predictions) -> bool:
    """Whether two predictions are for the same test texts with the same labels."""
    return (
        first.label_names == second.label_names
        and np.array_equal(first.rows, second.rows)
        and np.array_equal(first.labels, second.labels)
    )


def with_same_texts(
    configurations: Mapping[str, Sequence[Run]], reference: Predictions | None = None
) -> tuple[dict[str, tuple[Run, ...]], Predictions | None, list[str]]:
    """Keep the single-label runs whose predictions are for the test texts of the reference.

    Parameters
    ----------
    configurations : mapping of str to sequence of Run
        Runs by name of their configuration, with their predictions.
    reference : Predictions, optional
        Default: the predictions of the first run that has any.

    Returns
    -------
    configurations : dict of str to tuple of Run
        Those that still have a run.
    reference : Predictions or None
        None where no run has predictions.
    notes : list of str
        One sentence per run that was left out.
    """
    selected: dict[str, tuple[Run, ...]] = {}
    notes = []
    for name, runs in configurations.items():
        comparable = []
        for run in runs:
            if run.tags.get("task") == "multi_label":
                problem = "is multi-label"
            elif run.predictions is None:
                problem = "has no saved predictions for the test split"
            elif reference is not None and not same_texts(reference, run.predictions):
                problem = "was evaluated on other test texts"
            else:
                reference = reference or run.predictions
                comparable.append(run)
                continue
            notes.append(f"{run.name} of {name} {problem} and was left out.")
        if comparable:
            selected[name] = tuple(comparable)
    return selected, reference, notes
