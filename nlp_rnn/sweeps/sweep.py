"""A sweep: one run in MLflow with a child run for every job, compared at the end."""

import json
import math
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nlp_rnn.config.sweep import SearchConfig
from nlp_rnn.errors import ConfigError, DataError, SweepError, TrackingError
from nlp_rnn.launch import remove_empty_folders
from nlp_rnn.pipeline import PATIENCE_IN_A_SWEEP
from nlp_rnn.sweeps.child_runs import ARGUMENTS_TAG, Child, Children, Parent, find_parent
from nlp_rnn.sweeps.conclusion import FinishedSweep, conclude, note
from nlp_rnn.sweeps.forecast import print_forecast
from nlp_rnn.sweeps.job_run import STOPPED
from nlp_rnn.sweeps.jobs import Job, expand_grid
from nlp_rnn.sweeps.launcher import Launcher
from nlp_rnn.sweeps.progress import JobCounts, SweepProgress
from nlp_rnn.sweeps.search import Search
from nlp_rnn.sweeps.sweep_arguments import SweepCommand, compose_sweep, space_text
from nlp_rnn.tracking.store import experiment_name, obtain_experiment, prepare_store, ui_link
from nlp_rnn.tracking.tags import CONFIGURATION_TAG
from nlp_rnn.tracking.uri import resolve_uri

if TYPE_CHECKING:
    from nlp_rnn.tracking.tracked_run import TrackedRun

__all__ = ["sweep"]

DRY_RUN = "--dry-run"
RESUME = "sweep.resume="


def sweep(arguments: list[str]) -> None:
    """Run every combination as a child of one run, and compare them at the end.

    Parameters
    ----------
    arguments : list of str
        Arguments after `nlp-rnn train`. With `--dry-run` the jobs are only listed. With
        `sweep.resume` alone, the arguments of the resumed sweep are used.

    Raises
    ------
    ConfigError
        The arguments are wrong.
    SweepError
        Some jobs did not finish; raised after all others have.
    """
    dry_run = DRY_RUN in arguments
    arguments = [item for item in arguments if item not in (DRY_RUN, "-m", "--multirun")]
    if len(arguments) == 1 and arguments[0].startswith(RESUME):
        with compose_sweep(arguments) as command:
            uri, experiment_id = _store(command)
            parent = find_parent(uri, experiment_id, arguments[0].removeprefix(RESUME))
        arguments = [*parent.arguments, arguments[0]]
    with compose_sweep(arguments) as command:
        sweep_options = command.sweep_options
        is_search = sweep_options.search.trials_per_cell is not None
        search = Search(command) if is_search else None
        if search is None and sweep_options.search != SearchConfig():
            raise ConfigError(
                "search.… has no effect on a sweep that tries every combination.\n"
                "Set search.trials_per_cell=20 too, or sweep=search."
            )
        jobs = search.first_jobs() if search else expand_grid(command)
        duplicates = math.prod(map(len, command.space.values())) - len(jobs)
        if duplicates > 0 and not search:
            print(f"{duplicates} combinations are left out, because they equal another one.")
        if dry_run:
            print_forecast(command, jobs, resolve_uri(sweep_options.tracking.uri, Path.cwd()))
            return
        uri, experiment_id = _store(command)
        resumed = sweep_options.sweep.resume
        resumed_parent = find_parent(uri, experiment_id, resumed) if resumed else None
        _run(command, jobs, search, uri, experiment_id, arguments, resumed_parent)


def _store(command: SweepCommand) -> tuple[str, str]:
    tracking = command.sweep_options.tracking
    uri = resolve_uri(tracking.uri, Path.cwd())
    prepare_store(uri)
    return uri, obtain_experiment(uri, experiment_name(tracking.experiment))


def _run(
    command: SweepCommand,
    jobs: Sequence[Job],
    search: Search | None,
    uri: str,
    experiment_id: str,
    arguments: Sequence[str],
    parent: Parent | None,
) -> None:
    from nlp_rnn.tracking.run_lifecycle import tracked_run

    folder = Path(parent.tags["run_folder"] if parent else command.base.hydra.sweep.dir).absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"The sweep's folder {folder} cannot be created: {error.strerror}.\n"
            "Set output_dir=FOLDER to a folder that is writable."
        ) from error
    space = space_text(command.space)
    arguments = [item for item in arguments if not item.startswith(RESUME)]
    with tracked_run(
        uri,
        experiment_id,
        run_id=parent.run_id if parent else None,
        name=command.sweep_options.tracking.run_name or f"sweep {space}"[:250],
        parameters={} if parent else {key: ",".join(v) for key, v in command.space.items()},
        tags={
            "kind": "sweep",
            CONFIGURATION_TAG: f"sweep {space}"[:250],
            "run_folder": str(folder),
            ARGUMENTS_TAG: json.dumps(arguments),
            "command": shlex.join(["nlp-rnn", "train", "-m", *arguments]),
        },
        folder=folder,
        system_metrics=False,
    ) as run:
        run.set_tags({"sweep": run.run_id[:8]})
        children = Children(uri, experiment_id, run.run_id)
        if parent is None:
            run.set_note(f"**Running**: `{space}`\n\nThere are no results yet.")
        else:
            children.close("KILLED", "its sweep was killed")
            (folder / STOPPED).unlink(missing_ok=True)
        count = search.count if search else len(jobs)
        print(f"sweep         {run.run_id[:8]}: {count} jobs, {space}")
        print(f"folder        {folder}\nMLflow        {ui_link(uri, experiment_id, run.run_id)}")
        tuned: Sequence[Job] = ()
        try:
            keys = {job.key for job in jobs}
            finished = sum(
                child.done and search is None and key in keys
                for key, child in children.read().items()
            )
            if finished:
                print(f"{finished} of {count} jobs are finished already.")
            launcher = Launcher(command, uri, folder, run.run_id, children)
            names: dict[str, str] = {}
            counts = JobCounts(count, finished)
            with SweepProgress(
                children.read, names, counts, lambda text: run.set_tags({"progress": text})
            ) as progress:
                if search is None:
                    _launch(launcher, jobs, names, children)
                else:
                    tuned = search.run(launcher, names, counts, progress, children, folder, run)
                    jobs = search.jobs
        except BaseException as error:
            _close_after(error, children)
            planned = search.jobs if search else jobs
            _report_interruption(command, planned, count, run, children)
            raise
        finally:
            remove_empty_folders(folder)
        by_key = children.read(PATIENCE_IN_A_SWEEP)
        conclude(FinishedSweep(command, jobs, tuned, uri, experiment_id, folder, run), by_key)
        _raise_failures(jobs, by_key, run.run_id[:8])


def _launch(
    launcher: Launcher, jobs: Sequence[Job], names: dict[str, str], children: Children
) -> None:
    """Run the jobs that are not finished yet."""
    existing = children.read()
    pending = [job for job in jobs if not (job.key in existing and existing[job.key].done)]
    names |= {job.key: job.name for job in pending}
    launcher.launch(pending)


def _close_after(error: BaseException, children: Children) -> None:
    reason = f"stopped by {str(error) or 'Ctrl-C'}"
    killed = not isinstance(error, Exception)
    try:
        children.close("KILLED" if killed else "FAILED", reason if killed else str(error))
    except TrackingError:
        return  # they are closed when the sweep is resumed


def _report_interruption(
    command: SweepCommand,
    jobs: Sequence[Job],
    count: int,
    run: "TrackedRun",
    children: Children,
) -> None:
    print(f"Resume it with: nlp-rnn train -m resume={run.run_id[:8]}", flush=True)
    try:
        run.set_note(note(command, jobs, run.run_id, children.read(), count=count))
    except TrackingError:
        return  # the note from the start stays


def _raise_failures(jobs: Sequence[Job], children: dict[str, Child], sweep_id: str) -> None:
    lines = []
    for job in jobs:
        child = children.get(job.key)
        if child is None:
            lines.append(f"  {job.name}: not run")
        elif not child.done:
            lines.append(f"  {job.name}: {child.summary}")
    if lines:
        raise SweepError(
            f"{len(lines)} of {len(jobs)} jobs did not finish:\n"
            + "\n".join(lines)
            + f"\nFix the cause and run: nlp-rnn train -m resume={sweep_id}"
        )
