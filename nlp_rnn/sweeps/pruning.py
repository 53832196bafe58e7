"""Optuna studies of a search, and the pruning of trials after each epoch."""

import warnings
from collections.abc import Callable, Mapping
from typing import Any

from nlp_rnn.config.sweep import Pruner, SearchConfig
from nlp_rnn.config.training import Monitor
from nlp_rnn.errors import ConfigError, PrunedError
from nlp_rnn.sweeps.child_runs import validation_metric

__all__ = ["load_study", "on_epoch", "optuna_library"]


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

    The sampler is the tree-structured Parzen estimator (Bergstra et al. 2011). It counts running
    trials as bad ones, so that trials that run at the same time differ.

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
        sampler=optuna.samplers.TPESampler(seed=search.seed, constant_liar=True),
        pruner=pruner,
        direction="minimize" if monitor is Monitor.loss else "maximize",
        load_if_exists=True,
    )
    return study


def on_epoch(search: SearchConfig, monitor: Monitor) -> Callable[[int, Mapping[str, float]], None]:
    """Return a callback that reports each epoch to the study of the job.

    The callback gets the epoch and its metrics, and raises `PrunedError` if the pruner stops the
    trial.
    """
    optuna = optuna_library()
    assert search.study is not None
    trial = optuna.trial.Trial(load_study(search, search.study, monitor), search.trial)

    def report(epoch: int, metrics: Mapping[str, float]) -> None:
        name = validation_metric(monitor, metrics)
        value = metrics[name]
        if value != value:
            return  # the trainer raises its own error for a loss that is NaN
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an epoch that is repeated after an interruption
            trial.report(value, epoch)
        if trial.should_prune():
            raise PrunedError(
                f"pruned after epoch {epoch}: {name} {value:.4f} is behind ({search.pruner.name})"
            )

    return report
