"""The epochs of a trial become reports to its study, which may give the trial up."""

import warnings
from collections.abc import Callable, Mapping
from typing import Any

from nlp_rnn.config.sweep import Pruner, SearchConfig
from nlp_rnn.config.training import Monitor
from nlp_rnn.errors import ConfigError, PrunedError
from nlp_rnn.sweeps.child_runs import validation_metric

__all__ = ["load_study", "on_epoch", "optuna_library"]


def optuna_library() -> Any:
    """Optuna, which says nothing.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise ConfigError(
            "A search needs Optuna, which is not installed. Type pip install 'nlp_rnn[optuna]'."
        ) from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def load_study(search: SearchConfig, name: str, monitor: Monitor) -> Any:
    """The study of this name, made if it is not in the storage yet.

    The sampler is the tree-structured Parzen estimator (Bergstra et al. 2011), which counts
    running trials as bad ones, so that several at a time are not alike.
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
    """What a job does after each epoch: report, and stop when it falls behind.

    The callable raises `PrunedError`.
    """
    optuna = optuna_library()
    assert search.study is not None
    trial = optuna.trial.Trial(load_study(search, search.study, monitor), search.trial)

    def report(epoch: int, metrics: Mapping[str, float]) -> None:
        name = validation_metric(monitor, metrics)
        value = metrics[name]
        if value != value:
            return  # the trainer has its own words for a loss that is no number
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an epoch that is repeated after an interruption
            trial.report(value, epoch)
        if trial.should_prune():
            raise PrunedError(
                f"pruned after epoch {epoch}: {name} {value:.4f} is behind ({search.pruner.name})"
            )

    return report
