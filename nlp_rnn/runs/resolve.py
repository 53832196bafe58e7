"""Resolve a configuration: set the options that the user left open (null or auto).

`config` is what the user requested and is never changed. `resolved` also has the values of the open
options for this data and this machine. Both are saved in the run folder and logged.
"""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeGuard

from nlp_rnn.config.checks import check
from nlp_rnn.config.data import FilesConfig, TableConfig
from nlp_rnn.config.defaults import TrainingFacts, resolve_defaults
from nlp_rnn.config.model import NetworkConfig, NgramsConfig
from nlp_rnn.config.pretraining import AUTO
from nlp_rnn.config.run import RunConfig
from nlp_rnn.config.tokenizer import GivenTokenizerConfig
from nlp_rnn.config.training import Precision
from nlp_rnn.cores import available_cores
from nlp_rnn.errors import ConfigError
from nlp_rnn.runs.size_matching import with_matched_size

__all__ = ["resolve", "with_absolute_paths"]


def with_absolute_paths(config: RunConfig) -> RunConfig:
    """Return a copy of `config` whose paths mean the same from any working directory."""
    data, model, tokenizer = config.data, config.model, config.tokenizer
    if isinstance(data, TableConfig) and data.unlabelled is not None:
        data = replace(data, unlabelled=_absolute(data.unlabelled))
    if isinstance(data, FilesConfig):
        data = replace(data, path=_absolute(data.path))
    if isinstance(model, NetworkConfig | NgramsConfig) and _is_local(model.vectors):
        model = replace(model, vectors=_absolute(model.vectors))
    if isinstance(model, NetworkConfig):
        if model.pretrained is not None and _is_path(model.pretrained):
            model = replace(model, pretrained=_absolute(model.pretrained))
    if isinstance(tokenizer, GivenTokenizerConfig) and Path(tokenizer.path).expanduser().exists():
        tokenizer = replace(tokenizer, path=_absolute(tokenizer.path))
    teacher = replace(config.teacher, path=_absolute_where_local(config.teacher.path))
    return replace(config, data=data, model=model, tokenizer=tokenizer, teacher=teacher)


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
    if isinstance(config.model, NgramsConfig):
        if "TORCHELASTIC_RUN_ID" in os.environ and os.environ.get("WORLD_SIZE", "1") != "1":
            raise ConfigError(
                "model=ngrams is fitted by one process, but torchrun started "
                f"{os.environ['WORLD_SIZE']}.\nRun nlp-rnn train without torchrun."
            )
        threads = config.trainer.threads or available_cores()
        return replace(config, trainer=replace(config.trainer, threads=threads))
    resolved = with_matched_size(config)
    resolved = _with_machine(resolved)
    return resolved if facts is None else resolve_defaults(resolved, facts)


def _with_machine(config: RunConfig) -> RunConfig:
    """Return a copy with the processes, device, precision and threads of this machine."""
    from nlp_rnn.training.device import (
        choose_device,
        choose_precision,
        precision_name,
    )
    from nlp_rnn.training.processes import Processes, local_count

    trainer = config.trainer
    count = _process_count(trainer.processes)
    device = choose_device(trainer.device, Processes(0, count, 0, local_count(count)))
    precision = Precision[precision_name(choose_precision(trainer.precision, device))]
    return replace(
        config,
        trainer=replace(
            trainer,
            processes=count,
            device=device.type if trainer.device == "auto" else trainer.device,
            precision=precision,
            threads=trainer.threads or available_cores(),
        ),
    )


def _process_count(requested: int) -> int:
    """Return the number of processes: that of torchrun, if it started this process."""
    from nlp_rnn.training.processes import launched_by_torchrun, torchrun_processes

    if not launched_by_torchrun():
        return requested
    count = torchrun_processes().count
    if requested not in (1, count):
        raise ConfigError(
            f"torchrun started {count} processes, but trainer.processes={requested}. "
            "Remove trainer.processes, or train without torchrun."
        )
    return count


def _is_local(vectors: str | None) -> TypeGuard[str]:
    """Return whether `model.vectors` is a path, not the name of a repository on the hub."""
    from nlp_rnn.tokens.static_vectors import is_static

    return vectors is not None and (Path(vectors).expanduser().exists() or not is_static(vectors))


def _is_path(pretrained: str) -> bool:
    """Return whether a `model.pretrained` is a folder, not `auto` or a run in MLflow."""
    return pretrained != AUTO and not pretrained.startswith("runs:/")


def _absolute_where_local(path: Any) -> Any:
    """Return a path, or a list of paths, absolute where it exists; a name is returned as it is."""
    if isinstance(path, list):
        return [_absolute_where_local(one) for one in path]
    is_local = isinstance(path, str) and path.strip() and Path(path).expanduser().exists()
    return _absolute(path) if is_local else path


def _absolute(path: str) -> str:
    if not path.strip():
        return path  # the check of the configuration reports it
    return str(Path(path).expanduser().absolute())
