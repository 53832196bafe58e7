"""Optuna studies of a search that is resumed with another search space or with failed trials.

Optuna does not allow a study to change its choices, nor a trial that has ended to run again, so
that the trials are copied to a new study.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from nlp_rnn.config.sweep import SearchConfig
from nlp_rnn.config.training import Monitor
from nlp_rnn.sweeps.pruning import load_study, optuna_library
from nlp_rnn.sweeps.search_space import Dimension

__all__ = ["LEFT_OPEN", "study_with_space"]

LEFT_OPEN = "left_open"
"""Attribute of a trial: the tuned keys that it leaves as they are configured."""

_SPACES = "spaces"
"""Attribute of a study: the number of search spaces that it has had."""


def study_with_space(
    search: SearchConfig,
    name: str,
    monitor: Monitor,
    dimensions: Sequence[Dimension],
    unchanged: Mapping[str, Any],
) -> Any:
    """Load a study, or create it, with the trials of earlier search spaces that are in this one.

    Trials that failed wait to be run again with the same values.

    Parameters
    ----------
    search : SearchConfig
        Pruner, storage and seed.
    name : str
        Name of the study in its first search space.
    monitor : Monitor
        Metric that the study optimizes.
    dimensions : sequence of Dimension
        The search space.
    unchanged : mapping of str to value
        The configuration without tuned values: what keys had that an earlier space did not tune.
    """
    first = load_study(search, name, monitor)
    spaces = first.user_attrs.get(_SPACES, 1)
    study = first if spaces == 1 else load_study(search, _numbered(name, spaces), monitor)
    distributions = {dimension.key: dimension.distribution() for dimension in dimensions}
    if all(_fits(trial, distributions) for trial in study.get_trials(deepcopy=False)):
        return study
    optuna = optuna_library()
    new_name = _numbered(name, spaces + 1)
    if new_name in optuna.get_all_study_names(search.storage):  # copying was interrupted
        optuna.delete_study(study_name=new_name, storage=search.storage)
    new = load_study(search, new_name, monitor)
    trials = study.get_trials(deepcopy=False)
    tuned_before = {key for trial in trials for key in _keys(trial)}
    for trial in trials:
        values = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
        as_configured = {*trial.user_attrs.get(LEFT_OPEN, ()), *distributions.keys() - tuned_before}
        values |= {key: unchanged.get(key) for key in as_configured if key not in values}
        converted = {
            dimension.key: value
            for dimension in dimensions
            if (value := dimension.study_value(values.get(dimension.key))) is not None
        }
        left_open = {
            LEFT_OPEN: [key for key in distributions if key in as_configured - converted.keys()]
        }
        if not _has_result(trial):
            new.enqueue_trial(converted, user_attrs=left_open)
        elif len(converted) + len(left_open[LEFT_OPEN]) == len(dimensions):
            new.add_trial(
                optuna.trial.create_trial(
                    state=trial.state,
                    values=trial.values,
                    params=converted,
                    distributions={key: distributions[key] for key in converted},
                    user_attrs=left_open,
                    intermediate_values=trial.intermediate_values,
                )
            )
    first.set_user_attr(_SPACES, spaces + 1)
    return new


def _numbered(name: str, spaces: int) -> str:
    return f"{name} space {spaces}"


def _fits(trial: Any, distributions: Mapping[str, Any]) -> bool:
    """Return whether a trial has values of this search space, as many as it has got so far."""
    known: dict[str, Any] = trial.distributions
    if any(distributions.get(key) != distribution for key, distribution in known.items()):
        return False
    if not trial.state.is_finished():
        return True
    return _has_result(trial) and _keys(trial) == set(distributions)


def _has_result(trial: Any) -> bool:
    """Return whether a trial has ended and did not fail."""
    return bool(trial.state.is_finished()) and trial.state.name != "FAIL"


def _keys(trial: Any) -> set[str]:
    """Return the tuned keys of a trial."""
    return {*trial.distributions, *trial.user_attrs.get(LEFT_OPEN, ())}
