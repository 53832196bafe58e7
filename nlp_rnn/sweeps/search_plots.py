"""Plots of a search: the best metric by number of trials, and the importance of each key."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nlp_rnn.sweeps.pruning import optuna_library

__all__ = ["write_search_plots"]

MIN_TRIALS = 4
"""Completed trials below which no importance is computed."""


def write_search_plots(
    studies: Mapping[tuple[str, ...], Any], folder: Path, monitor: str
) -> list[Path]:
    """Write `best_by_trials.png` and, if there are enough trials, `importance.png`.

    The importance of a key is the share of the variance of the validation metric that it
    explains over the completed trials (functional ANOVA, Hutter et al. 2014).

    Parameters
    ----------
    studies : mapping
        Optuna study of every combination of swept groups.
    folder : Path
        Where the files are written.
    monitor : str
        Name of the validation metric.

    Returns
    -------
    list of Path
        Files that were written.
    """
    states = optuna_library().trial.TrialState
    named = {" ".join(cell) or "all": study for cell, study in studies.items()}
    paths = [folder / "best_by_trials.png"]
    _best_by_trials(named, paths[0], monitor, states)
    importances = {}
    for name, study in named.items():
        completed = study.get_trials(deepcopy=False, states=(states.COMPLETE,))
        if len(completed) >= MIN_TRIALS and len({trial.value for trial in completed}) > 1:
            importances[name] = optuna_library().importance.get_param_importances(study)
    if importances:
        paths.append(folder / "importance.png")
        _importance(importances, paths[-1], monitor)
    return paths


def _best_by_trials(studies: Mapping[str, Any], path: Path, monitor: str, states: Any) -> None:
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    choose = min if monitor == "loss" else max
    for number, (name, study) in enumerate(studies.items()):
        steps: list[int] = []
        bests: list[float] = []
        trials = study.get_trials(deepcopy=False)
        for count, trial in enumerate(trials, 1):
            if trial.state == states.COMPLETE:
                steps.append(count)
                bests.append(choose([*bests[-1:], trial.value]))
                axes.plot(count, trial.value, ".", color=f"C{number}", alpha=0.4)
        if not bests:
            continue
        axes.step(
            [*steps, len(trials)], [*bests, bests[-1]], where="post", color=f"C{number}", label=name
        )
    axes.set_xlabel("trials")
    axes.set_ylabel(f"best validation {monitor}".replace("auto", "F1"))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)


def _importance(importances: Mapping[str, Mapping[str, float]], path: Path, monitor: str) -> None:
    from matplotlib.figure import Figure

    keys = list(dict.fromkeys(key for shares in importances.values() for key in shares))[::-1]
    height = 0.8 / len(importances)
    figure = Figure(figsize=(7, 1.2 + 0.5 * len(keys)), layout="constrained")
    axes = figure.subplots()
    for number, (name, shares) in enumerate(importances.items()):
        positions = [index - number * height for index in range(len(keys))]
        axes.barh(positions, [shares.get(key, 0) for key in keys], height, label=name)
    middle = height * (len(importances) - 1) / 2
    axes.set_yticks([index - middle for index in range(len(keys))], keys)
    axes.set_xlabel(f"share of the variance of validation {monitor}".replace("auto", "F1"))
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
