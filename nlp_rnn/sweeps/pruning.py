"""Optuna studies of a search, and the pruning of trials after each epoch."""

import hashlib
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nlp_rnn.config.sweep import Pruner, SearchConfig
from nlp_rnn.config.training import Monitor
from nlp_rnn.errors import ConfigError, PrunedError
from nlp_rnn.sweeps.child_runs import validation_metric

if TYPE_CHECKING:
    from nlp_rnn.training.events import EpochEnd

__all__ = ["load_study", "on_epoch", "optuna_library", "seeded_sampler"]


def optuna_library() -> Any:
    """Import and return Optuna with its logging turned off.

    Raises
    ------
    ConfigError
        Optuna is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise ConfigError(
            "A search needs Optuna, which is not installed. Run pip install 'nlp_rnn[optuna]'."
        ) from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def load_study(search: SearchConfig, name: str, monitor: Monitor) -> Any:
    """Load a study from the storage, or create it if it does not exist.

    Parameters
    ----------
    search : SearchConfig
        Pruner, storage and seed.
    name : str
        Name of the study.
    monitor : Monitor
        Metric whose direction the study optimizes.
    """
    optuna = optuna_library()
    pruner = {
        Pruner.none: optuna.pruners.NopPruner,
        Pruner.median: optuna.pruners.MedianPruner,
        Pruner.hyperband: optuna.pruners.HyperbandPruner,
    }[search.pruner]()
    study = optuna.create_study(
        study_name=name,
        storage=search.storage,
        sampler=seeded_sampler(search.seed, 0, ""),
        pruner=pruner,
        direction="minimize" if monitor is Monitor.loss else "maximize",
        load_if_exists=True,
    )
    return study


def seeded_sampler(seed: int, number: int, key: str) -> Any:
    """Return a sampler for one value of one trial.

    Its random numbers depend on nothing else, so that a search that was interrupted draws the same
    points as one that was not. The sampler is the tree-structured Parzen estimator (Bergstra et
    al. 2011). It counts running trials as bad ones, so that trials that run at the same time
    differ.

    Parameters
    ----------
    seed : int
        Seed of the search.
    number : int
        Number of the trial in its study.
    key : str
        Tuned key.
    """
    digest = hashlib.sha256(f"{seed} {number} {key}".encode()).digest()
    return optuna_library().samplers.TPESampler(
        seed=int.from_bytes(digest[:4], "big"), constant_liar=True
    )


def on_epoch(search: SearchConfig, monitor: Monitor) -> "Callable[[EpochEnd], None]":
    """Return a callback that reports each epoch to the study of the job.

    The callback raises `PrunedError` if the pruner stops the trial. After the last epoch it only
    reports: a trial that is finished is never pruned.
    """
    optuna = optuna_library()
    assert search.study is not None
    trial = optuna.trial.Trial(load_study(search, search.study, monitor), search.trial)

    def report(event: "EpochEnd") -> None:
        name = validation_metric(monitor, event.metrics)
        value = event.metrics[name]
        if value != value:
            return  # the trainer raises its own error for a loss that is NaN
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an epoch that is repeated after an interruption
            trial.report(value, event.epoch)
        if not event.is_last and trial.should_prune():
            raise PrunedError(
                f"pruned after epoch {event.epoch}: {name} {value:.4f} is behind "
                f"({search.pruner.name})"
            )

    return report
