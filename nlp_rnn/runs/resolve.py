"""From the requested configuration to the resolved one.

`config` is what the user requested and is never changed. `resolved` is what it comes to for this
data and this machine. Both are saved in the run folder and logged.
"""

from dataclasses import replace
from pathlib import Path

from nlp_rnn.config.checks import check
from nlp_rnn.config.defaults import TrainingFacts, resolve_defaults
from nlp_rnn.config.run import RunConfig
from nlp_rnn.config.training import Precision
from nlp_rnn.runs.size_matching import with_matched_size
from nlp_rnn.runs.worker_processes import with_process_count

__all__ = ["resolve"]


def resolve(config: RunConfig, facts: TrainingFacts | None = None) -> RunConfig:
    """Return a copy of `config` in which open options have their values.

    Parameters
    ----------
    config : RunConfig
        The requested configuration, or one that has been resolved in part.
    facts : TrainingFacts, optional
        Size and labels of the training split. Without them the options that depend on the data
        stay open.

    Returns
    -------
    RunConfig
        The resolved configuration.

    Raises
    ------
    ConfigError
        If a value is out of range, an option could not have an effect, no size matches
        `model.match`, or this machine lacks the device or the precision.
    """
    check(config)
    resolved = with_matched_size(config)
    resolved = with_process_count(resolved)
    resolved = _with_machine(resolved)
    resolved = _with_tracking_uri(resolved)
    return resolved if facts is None else resolve_defaults(resolved, facts)


def _with_machine(config: RunConfig) -> RunConfig:
    """Return a copy with the device, precision and threads that this machine has."""
    from nlp_rnn.training.device import (
        available_cores,
        choose_device,
        choose_precision,
        precision_name,
    )
    from nlp_rnn.training.processes import Processes, local_count

    trainer = config.trainer
    first = Processes(0, trainer.processes, 0, local_count(trainer.processes))
    device = choose_device(trainer.device, first)
    precision = Precision[precision_name(choose_precision(trainer.precision, device))]
    return replace(
        config,
        trainer=replace(
            trainer,
            device=device.type if trainer.device == "auto" else trainer.device,
            precision=precision,
            threads=trainer.threads or available_cores(),
        ),
    )


def _with_tracking_uri(config: RunConfig) -> RunConfig:
    """Return a copy whose tracking URI, where one is set, means the same from any directory."""
    from nlp_rnn.tracking.uri import resolve_uri

    if config.tracking.uri is None:
        return config
    uri = resolve_uri(config.tracking.uri, Path.cwd())
    return replace(config, tracking=replace(config.tracking, uri=uri))
