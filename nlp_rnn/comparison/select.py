"""Step 2: select the runs that can be compared, and sort them into configurations."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from nlp_rnn.comparison.compared_run import Run
from nlp_rnn.comparison.rules import Rules
from nlp_rnn.config.signature import NOT_IN_SIGNATURE
from nlp_rnn.scoring.predictions import Predictions
from nlp_rnn.tracking.tags import KIND

__all__ = [
    "RunsByName",
    "affects_result",
    "group_of_preset",
    "runs_by_configuration",
    "same_texts",
    "usable_runs",
    "with_same_texts",
]

RunsByName = Mapping[str, tuple[Run, ...]]
"""The runs of each configuration, one per seed, by the name of the configuration."""

MOST_NAMES = 3
"""Runs that a note names."""

MOST_KEYS = 3
"""Differing keys that a name has, unless more are needed to tell configurations apart."""


def usable_runs(runs: Iterable[Run], rules: Rules) -> tuple[list[Run], list[str]]:
    """Return the finished runs with a test and a validation score, and a note on the others.

    A run without a validation metric is left out: its weights may have been chosen on the test
    split.
    """
    problems: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        problems[_problem(run, rules.of_task(run.is_multi_label).metric)].append(run)
    usable = problems.pop("", [])
    notes = []
    for problem, left_out in problems.items():
        names = [run.name for run in left_out[:MOST_NAMES]] + ["…"] * (len(left_out) > MOST_NAMES)
        runs_were = "1 run was" if len(left_out) == 1 else f"{len(left_out):,} runs were"
        notes.append(f"{runs_were} left out ({problem}): {', '.join(names)}.")
    return usable, notes


def _problem(run: Run, metric: str) -> str:
    """Why a run cannot be used, or an empty string."""
    value = run.metrics.get(f"test/{metric}")
    if run.is_external:
        return ""
    if not run.signature and run.kind != KIND:
        return "not made by nlp-rnn train"
    if run.status != "FINISHED":
        return f"status {run.status}"
    if value is None:
        return f"no test/{metric}"
    if not abs(value) < float("inf"):  # NaN too
        return f"test/{metric} is not finite, and without it the configuration looks better"
    if run.kind != KIND and not any(name.startswith("validation/") for name in run.metrics):
        return "no validation metric, so it may have been chosen on the test split"
    return ""


def runs_by_configuration(
    runs: Iterable[Run], by: str
) -> tuple[dict[str, tuple[Run, ...]], list[str]]:
    """Sort runs into configurations: runs with the same signature, one per seed.

    If a seed was run twice, the first run counts, even if another one scored higher. Where the
    short names do not differ, they get the value of the compared key `by`, and then other values.

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
        f"{name} was trained {count + 1} times; the first run counts, even if another was better."
        for name, count in sorted(repeated.items())
    ]
    by_seed = [sorted(seeds.values(), key=_seed) for seeds in by_signature.values()]
    return _named([tuple(runs) for runs in by_seed], by), notes


def _seed(run: Run) -> int:
    return run.seed or 0


def _named(configurations: Sequence[tuple[Run, ...]], by: str) -> dict[str, tuple[Run, ...]]:
    """Configurations by short name; keys that differ are added where a name is not unique."""
    by_name: dict[str, list[tuple[Run, ...]]] = defaultdict(list)
    for runs in configurations:
        run = runs[0]
        name = run.configuration_name.removesuffix(f" {run.signature}")
        name = name.removesuffix(f" {run.tags.get('data')}")
        by_name[name or run.cell or run.name].append(runs)
    named = {}
    for name, same_name in by_name.items():
        first_runs = [runs[0] for runs in same_name]
        keys = _keys_in_names(first_runs, by)
        for runs, run in zip(same_name, first_runs, strict=True):
            full_name = " ".join(
                [name, *(f"{_short_key(key)}={run.level(key) or None}" for key in keys)]
            )
            if full_name in named:
                full_name += f" {run.signature}"
            named[full_name] = runs
    return named


def _keys_in_names(runs: Sequence[Run], by: str) -> list[str]:
    """The compared key, up to two other differing keys, and more if they tell more runs apart."""
    differing = [
        key
        for key in sorted({key for run in runs for key in run.config} | {by})
        if len({run.level(key) for run in runs}) > 1 and (key == by or affects_result(key))
    ]
    presets = {f"{group}." for key in differing if (group := group_of_preset(key))}
    differing.sort(key=lambda key: (key != by, not group_of_preset(key)))
    keys: list[str] = []

    def distinct(keys: Sequence[str]) -> int:
        return len({tuple(run.level(key) for key in keys) for run in runs})

    for key in differing:
        of_preset = not group_of_preset(key) and key.startswith(tuple(presets))
        if distinct([*keys, key]) > distinct(keys) or (len(keys) < MOST_KEYS and not of_preset):
            keys.append(key)
    return keys


def _short_key(key: str) -> str:
    """The last part of a key; the group for the name of its preset: `tokenizer.name`."""
    return group_of_preset(key) or key.rpartition(".")[2]


def group_of_preset(key: str) -> str:
    """Return the group whose preset a key names: `tokenizer` for `tokenizer.name`, or ""."""
    group, _, last = key.rpartition(".")
    return group if last == "name" else ""


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
    configurations: RunsByName, reference: Predictions | None = None
) -> tuple[dict[str, tuple[Run, ...]], Predictions | None, list[str]]:
    """Select the runs that predicted the same test texts as a reference.

    Parameters
    ----------
    configurations : mapping of str to sequence of Run
        Runs by name of their configuration, with their predictions.
    reference : Predictions, optional
        Predictions for the test texts. Default: those of the first run that has any.

    Returns
    -------
    configurations : dict of str to tuple of Run
        Those that still have a run.
    reference : Predictions or None
        None where no run has predictions.
    notes : list of str
        One sentence per run that was left out.
    """
    selected: dict[str, tuple[Run, ...]] = defaultdict(tuple)
    notes = []
    for name, runs in configurations.items():
        for run in runs:
            if run.predictions is None:
                problem = "has no saved predictions for the test split"
            elif reference is not None and not same_texts(reference, run.predictions):
                problem = "was evaluated on other test texts"
            else:
                reference = reference or run.predictions
                selected[name] += (run,)
                continue
            notes.append(f"{run.name} of {name} {problem} and was left out.")
    return dict(selected), reference, notes
