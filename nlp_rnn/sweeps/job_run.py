"""One job of a sweep becomes a run below the sweep's, wherever a launcher runs it."""

import contextlib
from dataclasses import replace
from pathlib import Path

from omegaconf import DictConfig

from nlp_rnn.config.arguments import run_config
from nlp_rnn.config.run import RunConfig
from nlp_rnn.config.sweep import OnFailure
from nlp_rnn.errors import ConfigError, DataError, PrunedError, TrackingError
from nlp_rnn.launch import remove_empty
from nlp_rnn.runs.console import output_to
from nlp_rnn.runs.run_folder import interrupted
from nlp_rnn.runs.run_logging import Member
from nlp_rnn.sweeps.pruning import on_epoch

__all__ = ["STOPPED", "job"]

STOPPED = ".stopped"
"""A file in the sweep's folder that tells the jobs not yet begun to stay so."""

OUTPUT = "output.log"


def job(composed: DictConfig) -> None:
    """Train one job, or go on with it where it was interrupted.

    Whatever goes wrong becomes a FAILED run with its traceback, even before the training began,
    and goes on to the launcher.
    """
    from hydra.core.hydra_config import HydraConfig

    hydra_config = HydraConfig.get()
    folder = Path(hydra_config.runtime.output_dir)
    config, told = run_config(composed)
    assert told.sweep.parent is not None
    stopped = folder.parent / STOPPED
    if stopped.exists():
        remove_empty(folder)
        return
    member = Member(
        told.sweep.parent,
        {"kind": "train", "sweep": told.sweep.parent[:8], "job": folder.name[-8:]},
        told.sweep.words,
    )
    own = ("sweep.", "search.")
    words = [word for word in hydra_config.overrides.task if not word.startswith(own)]
    try:
        if told.search.study:
            report = on_epoch(told.search, config.trainer.monitor)
            member = replace(member, on_epoch=report)
        with output_to(folder / OUTPUT):
            _train(config, folder, words, member)
    except PrunedError:
        raise
    except Exception as error:
        if told.sweep.on_failure is OnFailure.stop:
            stopped.touch()
        if not any(note.startswith("MLflow run") for note in getattr(error, "__notes__", ())):
            _record(error, config, member, folder)
        raise


def _train(config: RunConfig, folder: Path, words: list[str], member: Member) -> None:
    from nlp_rnn.pipeline import resume, train

    if interrupted(folder):
        try:
            resume(folder, member)
            return
        except (ConfigError, DataError, TrackingError) as error:
            print(f"It cannot go on where it was interrupted: {error}\nIt starts again.")
    train(config, folder, words, member)


def _record(error: Exception, config: RunConfig, member: Member, folder: Path) -> None:
    """A run for a job that failed before it had one."""
    from nlp_rnn.config.signature import flatten
    from nlp_rnn.runs.run_logging import run_name
    from nlp_rnn.tracking.run_lifecycle import tracked_run
    from nlp_rnn.tracking.store import experiment_name, obtain_experiment, prepare_store
    from nlp_rnn.tracking.uri import resolve_uri

    uri = resolve_uri(config.tracking.uri, Path.cwd())
    prepare_store(uri)
    experiment_id = obtain_experiment(uri, experiment_name(config.tracking.experiment))
    tags = {"cell": config.model.cell, "data": config.data.name, "run_folder": str(folder)}
    with (
        contextlib.suppress(type(error)),
        tracked_run(
            uri,
            experiment_id,
            name=run_name(config, member),
            parameters=flatten(config),
            tags=tags | dict(member.tags),
            folder=folder,
            parent_run_id=member.parent_run_id,
            system_metrics=False,
        ),
    ):
        raise error
