"""Step 2: select the runs that can be compared, and sort them into configurations."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from nlp_rnn.comparison.records import Run
from nlp_rnn.config.signature import NOT_IN_SIGNATURE
from nlp_rnn.scoring.predictions import Predictions
from nlp_rnn.tracking.tags import KIND

__all__ = [
    "RunsByName",
    "affects_result",
    "runs_by_configuration",
    "same_texts",
    "usable_runs",
    "with_same_texts",
]

RunsByName = Mapping[str, tuple[Run, ...]]
"""The runs of each configuration, one per seed, by the name of the configuration."""

MOST_NAMES = 3
"""Runs that a note names."""


def usable_runs(runs: Iterable[Run], metric: str) -> tuple[list[Run], list[str]]:
    """Return the finished runs with a test and a validation score, and a note on the others.

    A run without a validation metric is left out: its weights may have been chosen on the test
    split.
    """
    problems: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        problems[_problem(run, metric)].append(run)
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


def runs_by_configuration(runs: Iterable[Run]) -> tuple[dict[str, tuple[Run, ...]], list[str]]:
    """Sort runs into configurations: runs with the same signature, one per seed.

    If a seed was run twice, the first run counts, even if another one scored higher.

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
    return _named([tuple(runs) for runs in by_seed]), notes


def _seed(run: Run) -> int:
    return run.seed or 0


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
        configs = [runs[0].config for runs in same_name]
        differing = [
            key
            for key in sorted({key for config in configs for key in config})
            if len({config.get(key) for config in configs}) > 1 and affects_result(key)
        ]
        for runs, config in zip(same_name, configs, strict=True):
            values = [f"{key.split('.')[-1]}={config.get(key)}" for key in differing[:3]]
            full_name = " ".join([name, *values])
            if full_name in named:
                full_name += f" {runs[0].signature}"
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
    configurations: RunsByName, reference: Predictions | None = None
) -> tuple[dict[str, tuple[Run, ...]], Predictions | None, list[str]]:
    """Select the single-label runs that predicted the same test texts as a reference.

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
            if run.tags.get("task") == "multi_label":
                problem = "is multi-label"
            elif run.predictions is None:
                problem = "has no saved predictions for the test split"
            elif reference is not None and not same_texts(reference, run.predictions):
                problem = "was evaluated on other test texts"
            else:
                reference = reference or run.predictions
                selected[name] += (run,)
                continue
            notes.append(f"{run.name} of {name} {problem} and was left out.")
    return dict(selected), reference, notes
