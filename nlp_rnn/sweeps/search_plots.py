"""Plots of a hyperparameter search: best validation metric by trials, and key importances."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nlp_rnn.sweeps.pruning import optuna_library

__all__ = ["write_search_plots"]

MIN_TRIALS = 4
"""Completed trials that a study needs for its importances to be computed."""


def write_search_plots(
    studies: Mapping[tuple[str, ...], Any], folder: Path, monitor: str
) -> list[Path]:
    """Write `best_by_trials.png` and, if there are enough trials, `importance.png`.

    The importance of a configuration key, computed from the completed trials, is that of Optuna's
    default method. In Optuna 4 this is functional ANOVA (Hutter et al. 2014): the share of the
    variance of the validation metric that the key explains. In Optuna 5 it is PED-ANOVA (Watanabe
    et al. 2023, arXiv:2304.10255): how much the key matters for being among the best 10 % of the
    trials. The importances of a study add up to 1.

    Parameters
    ----------
    studies : mapping from tuple of str to optuna.Study
        One study for each combination of swept Hydra config groups. The key has the overrides of
        the combination, such as `("model=lstm",)`; it is empty if no group is swept.
    folder : Path
        Folder where the files are written.
    monitor : str
        Name of the validation metric, such as `auto` (F1) or `loss`, which is minimized.

    Returns
    -------
    list of Path
        Files that were written.
    """
    states = optuna_library().trial.TrialState
    named = {" ".join(cell) or "all": study for cell, study in studies.items()}
    paths = [folder / "best_by_trials.png"]
    _plot_best_by_trials(named, paths[0], monitor, states)
    importances = {}
    for name, study in named.items():
        completed = study.get_trials(deepcopy=False, states=(states.COMPLETE,))
        keys = sorted({key for trial in completed for key in trial.params})
        # the first trial may leave some keys open
        values = [trial.value for trial in completed if len(trial.params) == len(keys)]
        if len(values) >= MIN_TRIALS and len(set(values)) > 1:
            get_importances = optuna_library().importance.get_param_importances
            importances[name] = get_importances(study, params=keys)
    if importances:
        paths.append(folder / "importance.png")
        _plot_importances(importances, paths[-1], monitor)
    return paths


def _plot_best_by_trials(studies: Mapping[str, Any], path: Path, monitor: str, states: Any) -> None:
    """Plot each completed trial as a dot, and the best value so far of each study as a line.

    Pruned and failed trials count on the x-axis. `states` is `optuna.trial.TrialState`.
    """
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
    if axes.get_legend_handles_labels()[0]:  # a trial of a study finished
        axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)


def _plot_importances(
    importances: Mapping[str, Mapping[str, float]], path: Path, monitor: str
) -> None:
    """Plot a bar for the importance of each key, side by side for the studies.

    `importances` maps the name of a study to the importance of each of its keys.
    """
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
    axes.set_xlabel(f"importance for validation {monitor} (in total 1)".replace("auto", "F1"))
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
