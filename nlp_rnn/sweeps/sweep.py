"""A sweep: one run in MLflow with a child run for every job, compared at the end."""

import json
import math
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from nlp_rnn.config.sweep import SearchConfig
from nlp_rnn.errors import ConfigError, DataError, TrackingError
from nlp_rnn.launch import remove_empty_folders
from nlp_rnn.runs.run_folder import check_unused
from nlp_rnn.runs.run_logging import PATIENCE_IN_A_SWEEP
from nlp_rnn.sweeps.attempts import Attempt, claim, holder_of, is_finished
from nlp_rnn.sweeps.backend_choice import make_backend
from nlp_rnn.sweeps.backend_options import with_new_options, without_other_backends
from nlp_rnn.sweeps.best_classifier import BestClassifier
from nlp_rnn.sweeps.child_runs import ARGUMENTS_TAG, Children, Parent, find_parent
from nlp_rnn.sweeps.conclusion import FinishedSweep, SweepResult, conclude
from nlp_rnn.sweeps.detached import start_detached
from nlp_rnn.sweeps.forecast import print_forecast
from nlp_rnn.sweeps.job_records import RECORDS, STOPPED, SUPERVISOR, JobRecords
from nlp_rnn.sweeps.jobs import Job, expand_grid
from nlp_rnn.sweeps.progress import JobCounts, SweepProgress, raise_failures
from nlp_rnn.sweeps.search import Search
from nlp_rnn.sweeps.supervisor import Supervisor
from nlp_rnn.sweeps.sweep_arguments import (
    SweepCommand,
    changes_only_how,
    compose_sweep,
    space_text,
)
from nlp_rnn.sweeps.sweep_note import note
from nlp_rnn.tracking.ended_runs import pending_run_folders, send_pending
from nlp_rnn.tracking.store import experiment_name, obtain_experiment, prepare_store, ui_link
from nlp_rnn.tracking.tags import CONFIGURATION_TAG
from nlp_rnn.tracking.uri import resolve_uri

if TYPE_CHECKING:
    from nlp_rnn.tracking.tracked_run import TrackedRun

__all__ = ["sweep"]

DRY_RUN = "--dry-run"
RESUME = "sweep.resume="
ENSEMBLE, NO_ENSEMBLE = "model.ensemble", "model.ensemble=off"
DETACH = "sweep.detach="


def sweep(arguments: list[str], *, attach: bool = False) -> SweepResult | None:
    """Run every combination as a child of one run, and compare them at the end.

    Parameters
    ----------
    arguments : list of str
        Arguments after `nlp-rnn train`. With `--dry-run` the jobs are only listed. With
        `sweep.resume` and otherwise only options of how jobs run, the arguments of the resumed
        sweep are used.
    attach : bool
        Do not start the jobs of a resumed sweep again that failed or were killed.

    Returns
    -------
    SweepResult or None
        The result; None if the jobs are only listed, or continue without this process.

    Raises
    ------
    ConfigError
        The arguments are wrong.
    SweepError
        Some jobs did not finish; raised after all others have.
    """
    dry_run = DRY_RUN in arguments
    arguments = [item for item in arguments if item not in (DRY_RUN, "-m", "--multirun")]
    resumed_id = next((item for item in arguments if item.startswith(RESUME)), "")
    others = [item for item in arguments if not item.startswith(RESUME)]
    composed = arguments
    if resumed_id and changes_only_how(others):
        store = [item for item in others if item.startswith("tracking.")]
        with compose_sweep([*store, resumed_id]) as command:
            uri, experiment_id = _store(command)
            parent = find_parent(uri, experiment_id, resumed_id.removeprefix(RESUME))
        stored = with_new_options(parent.arguments, parent.run_id[:8])
        if Children(uri, experiment_id, parent.run_id).lack(ENSEMBLE):
            stored = [NO_ENSEMBLE, *stored]  # an earlier version started it
        # The parent keeps the options of other backends, in case it is resumed there again.
        arguments = [*stored, *others, resumed_id]
        composed = [*without_other_backends(stored, others), *others, resumed_id]
    with compose_sweep(composed) as command:
        sweep_options = command.sweep_options
        search = _search(command)
        if sweep_options.search.study is not None or sweep_options.search.trial is not None:
            raise ConfigError(
                "search.study and search.trial are set by the sweep for each of its jobs.\n"
                "Remove them."
            )
        if not isinstance(search, Search) and sweep_options.search != SearchConfig():
            raise ConfigError(
                "search.… has no effect on a sweep without a hyperparameter search.\n"
                "Set search.trials_per_cell=20 too, or sweep=search."
            )
        jobs = search.first_jobs() if search else expand_grid(command)
        duplicates = math.prod(map(len, command.space.values())) - len(jobs)
        if duplicates > 0 and not search:
            print(f"{duplicates} combinations are left out, because they equal another one.")
        if dry_run:
            print_forecast(command, jobs, resolve_uri(sweep_options.tracking.uri, Path.cwd()))
            if isinstance(search, BestClassifier):
                print(search.further_steps)
            return None
        uri, experiment_id = _store(command)
        resumed = sweep_options.sweep.resume
        resumed_parent = find_parent(uri, experiment_id, resumed) if resumed else None
        return _run(command, jobs, search, uri, experiment_id, arguments, resumed_parent, attach)


def _search(command: SweepCommand) -> Search | BestClassifier | None:
    """Return what chooses the jobs of a sweep; None if every combination is a job."""
    options = command.sweep_options
    if options.sweep.max_minutes is None:
        return None if options.search.trials_per_cell is None else Search(command)
    if options.search.trials_per_cell is not None:
        raise ConfigError(
            "search.trials_per_cell and sweep.max_minutes are two kinds of search.\n"
            "Remove one of them."
        )
    return BestClassifier(command)


def _store(command: SweepCommand) -> tuple[str, str]:
    tracking = command.sweep_options.tracking
    uri = resolve_uri(tracking.uri, Path.cwd())
    prepare_store(uri)
    return uri, obtain_experiment(uri, experiment_name(tracking.experiment, uri))


@contextmanager
def _supervised(folder: Path, backend: str) -> Iterator[tuple[JobRecords, Attempt]]:
    """Hold the lease of the sweep inside the block, so that only one process supervises it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"The sweep's folder {folder} cannot be created: {error.strerror}.\n"
            "Set output_dir=FOLDER to a folder that is writable."
        ) from error
    records = JobRecords(folder)
    lease = claim(records, SUPERVISOR, folder, {"backend": backend})
    if lease is None:
        holder = holder_of(records, SUPERVISOR, records.state(SUPERVISOR), records.now())
        process = (holder.content if holder else {}).get("process", "?").partition(" ")[0]
        host = (holder.content if holder else {}).get("host", "?")
        raise ConfigError(
            f"The sweep in {folder} is still running: process {process} on {host} supervises it.\n"
            "nlp-rnn sweep attach follows it, and nlp-rnn sweep cancel stops it."
        )
    try:
        with lease.heartbeats():
            yield records, lease
    finally:
        lease.end({"status": "ENDED"})
        remove_empty_folders(folder)


def _run(
    command: SweepCommand,
    jobs: Sequence[Job],
    search: Search | BestClassifier | None,
    uri: str,
    experiment_id: str,
    arguments: Sequence[str],
    parent: Parent | None,
    attach: bool,
) -> SweepResult | None:
    from nlp_rnn.tracking.run_lifecycle import tracked_run

    folder = Path(parent.tags["run_folder"] if parent else command.base.hydra.sweep.dir).absolute()
    space = space_text(command.space)
    arguments = [item for item in arguments if not item.startswith((RESUME, DETACH))]
    detach = command.sweep_options.sweep.detach
    continue_detached: Callable[[], None] | None = None
    result: SweepResult | None = None
    backend_name = command.sweep_options.sweep.backend.name
    if parent is None and not (folder / RECORDS).is_dir():
        check_unused(folder)
    with _supervised(folder, backend_name) as (records, lease):
        if parent is None and any(records.folder.glob("*.task")):
            raise ConfigError(f"{folder} holds a sweep already.\nSet another output_dir.")
        backend = make_backend(command.sweep_options, records)
        backend.check()
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
            elif not attach:  # what was cancelled is not started again by whoever follows it
                (folder / STOPPED).unlink(missing_ok=True)
            count = search.count if search else len(jobs)
            print(f"sweep         {run.run_id[:8]}: {count} job{'s' * (count != 1)}, {space}")
            print(f"folder        {folder}")
            print(f"MLflow        {ui_link(uri, experiment_id, run.run_id)}", flush=True)
            pending = () if search else _pending(jobs, children, records)
            finished = 0 if search else len(jobs) - len(pending)
            if finished:
                print(f"{finished} of {count} jobs are finished already.")
            counts = JobCounts(count, finished)
            progress = SweepProgress(counts, lambda text: run.set_tags({"progress": text}))
            shared = {
                "parent": run.run_id,
                "tracking_uri": uri,
                "experiment": experiment_name(command.sweep_options.tracking.experiment, uri),
                "on_failure": command.sweep_options.sweep.on_failure.name,
            }
            restarts = command.sweep_options.sweep.restarts
            supervisor = Supervisor(
                backend, records, children, progress, shared, restarts, lease, attach
            )
            tuned: Sequence[Job] = ()
            try:
                if detach:
                    continue_detached = start_detached(
                        run, supervisor, backend, pending, uri, shared["experiment"]
                    )
                elif search is None:
                    supervisor.run(pending)
                else:
                    tuned = search.run(supervisor, counts, progress, children, folder, run)
                    jobs = search.jobs
            except BaseException as error:
                progress.close()
                supervisor.close_interrupted(f"stopped by {str(error) or 'Ctrl-C'}")
                planned = search.jobs if search else jobs
                _report_interruption(command, planned, count, run, children, supervisor)
                raise
            if not detach:
                progress.close()
                backend.close()
                _deliver(folder)
                by_key = children.read(PATIENCE_IN_A_SWEEP)
                chosen, steps = "", ""
                if isinstance(search, BestClassifier):
                    chosen, steps = search.chosen, search.note
                finished_sweep = FinishedSweep(
                    command, jobs, tuned, uri, experiment_id, folder, run, chosen, steps
                )
                result = conclude(finished_sweep, by_key)
                raise_failures(jobs, supervisor.ends, run.run_id[:8])
    if continue_detached is not None:
        continue_detached()
    return result


def _pending(jobs: Sequence[Job], children: Children, records: JobRecords) -> tuple[Job, ...]:
    """Return the jobs that are not finished yet."""
    existing, states = children.read(), records.states()
    return tuple(
        job
        for job in jobs
        if not (job.key in existing and existing[job.key].done)
        and not (job.key in states and is_finished(records, job.key, states[job.key]))
    )


def _deliver(folder: Path) -> None:
    """Send what MLflow did not store of the jobs because it was unavailable."""
    for run_folder in list(pending_run_folders([folder])):
        if run_folder != folder:
            with suppress(TrackingError):  # it stays in the run folder, for nlp-rnn sync
                send_pending(run_folder)


def _report_interruption(
    command: SweepCommand,
    jobs: Sequence[Job],
    count: int,
    run: "TrackedRun",
    children: Children,
    supervisor: Supervisor,
) -> None:
    sweep_id = run.run_id[:8]
    if continuing := supervisor.continuing():
        shown = ", ".join(f"{name} ({task})" for name, task in list(continuing.items())[:5])
        more = f" and {len(continuing) - 5} more" if len(continuing) > 5 else ""
        print(
            f"{len(continuing)} jobs continue on the cluster: {shown}{more}\n"
            f"Cancel them with: nlp-rnn sweep cancel {sweep_id}"
        )
    print(f"Resume it with: nlp-rnn train -m resume={sweep_id}", flush=True)
    try:
        run.set_note(note(command, jobs, run.run_id, children.read(), count=count))
    except TrackingError:
        return  # the note from the start stays
