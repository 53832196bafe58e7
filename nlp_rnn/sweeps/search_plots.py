"""The trials of a search become two pictures: what the budget bought, and what mattered."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nlp_rnn.sweeps.pruning import optuna_library

__all__ = ["write_search_plots"]

LEAST_TRIALS = 4
"""With fewer an importance means nothing."""


def write_search_plots(
    studies: Mapping[tuple[str, ...], Any], folder: Path, monitor: str
) -> list[Path]:
    """Write `best_by_trials.png` and, where there are trials enough, `importance.png`.

    The importance of a key is the share of the variance of the validation metric over the
    completed trials that it explains (functional ANOVA, Hutter et al. 2014).
    """
    states = optuna_library().trial.TrialState
    named = {" ".join(cell) or "all": study for cell, study in studies.items()}
    paths = [folder / "best_by_trials.png"]
    _best_by_trials(named, paths[0], monitor, states)
    importances = {}
    for name, study in named.items():
        done = study.get_trials(deepcopy=False, states=(states.COMPLETE,))
        if len(done) >= LEAST_TRIALS and len({trial.value for trial in done}) > 1:
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

    keys = list(dict.fromkeys(key for found in importances.values() for key in found))[::-1]
    height = 0.8 / len(importances)
    figure = Figure(figsize=(7, 1.2 + 0.5 * len(keys)), layout="constrained")
    axes = figure.subplots()
    for number, (name, found) in enumerate(importances.items()):
        places = [place - number * height for place in range(len(keys))]
        axes.barh(places, [found.get(key, 0) for key in keys], height, label=name)
    middle = height * (len(importances) - 1) / 2
    axes.set_yticks([place - middle for place in range(len(keys))], keys)
    axes.set_xlabel(f"share of the variance of validation {monitor}".replace("auto", "F1"))
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
