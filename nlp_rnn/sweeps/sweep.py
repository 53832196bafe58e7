"""The words of a sweep become one run in MLflow with a child for every job."""

import json
import math
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nlp_rnn.config.sweep import SearchConfig
from nlp_rnn.errors import ConfigError, DataError, SweepError, TrackingError
from nlp_rnn.launch import remove_empty
from nlp_rnn.pipeline import PATIENCE_IN_A_SWEEP
from nlp_rnn.sweeps.child_runs import Child, Children, Parent, find_parent
from nlp_rnn.sweeps.conclusion import Ended, conclude, note
from nlp_rnn.sweeps.forecast import print_forecast
from nlp_rnn.sweeps.job_run import STOPPED
from nlp_rnn.sweeps.jobs import Command, Job, grid, opened, swept_words
from nlp_rnn.sweeps.launcher import Launcher
from nlp_rnn.sweeps.progress import Progress, Watch
from nlp_rnn.sweeps.search import Search
from nlp_rnn.tracking.store import experiment_name, obtain_experiment, prepare_store, ui_link
from nlp_rnn.tracking.uri import resolve_uri

if TYPE_CHECKING:
    from nlp_rnn.tracking.tracked_run import TrackedRun

__all__ = ["sweep"]

DRY_RUN = "--dry-run"
RESUME = "sweep.resume="


def sweep(words: list[str]) -> None:
    """Run every combination as a child of one run, and compare them at the end.

    `words` are those after `nlp-rnn train`; with `--dry-run` the jobs are only listed, and with
    nothing but `sweep.resume` those of the sweep to go on with are taken.

    Raises:
        NlpRnnError: wrong words (`ConfigError`); `SweepError` at the end if jobs failed.
    """
    dry = DRY_RUN in words
    typed = [word for word in words if word not in (DRY_RUN, "-m", "--multirun")]
    if len(typed) == 1 and typed[0].startswith(RESUME):
        with opened(typed) as command:
            uri, experiment_id = _store(command)
            found = find_parent(uri, experiment_id, typed[0].removeprefix(RESUME))
        typed = [*json.loads(found.tags["sweep_words"]), typed[0]]
    with opened(typed) as command:
        search = Search(command) if command.told.search.trials_per_cell is not None else None
        if search is None and command.told.search != SearchConfig():
            raise ConfigError(
                "search.… does nothing where every combination is tried: "
                "type search.trials_per_cell=20 too, or sweep=search."
            )
        jobs = search.first_jobs() if search else grid(command)
        left_out = math.prod(map(len, command.space.values())) - len(jobs)
        if left_out > 0 and not search:
            print(f"{left_out} of the combinations are the same as another and left out.")
        if dry:
            print_forecast(command, jobs, resolve_uri(command.told.tracking.uri, Path.cwd()))
            return
        uri, experiment_id = _store(command)
        resumed = command.told.sweep.resume
        parent = find_parent(uri, experiment_id, resumed) if resumed else None
        _run(command, jobs, search, uri, experiment_id, typed, parent)


def _store(command: Command) -> tuple[str, str]:
    uri = resolve_uri(command.told.tracking.uri, Path.cwd())
    prepare_store(uri)
    return uri, obtain_experiment(uri, experiment_name(command.told.tracking.experiment))


def _run(
    command: Command,
    jobs: Sequence[Job],
    search: Search | None,
    uri: str,
    experiment_id: str,
    words: Sequence[str],
    parent: Parent | None,
) -> None:
    from nlp_rnn.tracking.run_lifecycle import tracked_run

    folder = Path(parent.tags["run_folder"] if parent else command.base.hydra.sweep.dir).absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"The sweep's folder {folder} cannot be made: {error.strerror}.\n"
            "Type hydra.sweep.dir=FOLDER for another."
        ) from error
    space = swept_words(command.space)
    typed = [word for word in words if not word.startswith(RESUME)]
    with tracked_run(
        uri,
        experiment_id,
        run_id=parent.run_id if parent else None,
        name=command.told.tracking.run_name or f"sweep {space}"[:250],
        parameters={} if parent else {key: ",".join(v) for key, v in command.space.items()},
        tags={
            "kind": "sweep",
            "group": f"sweep {space}"[:250],
            "run_folder": str(folder),
            "sweep_words": json.dumps(typed),
            "command": shlex.join(["nlp-rnn", "train", "-m", *typed]),
        },
        folder=folder,
        system_metrics=False,
    ) as run:
        run.set_tags({"sweep": run.run_id[:8]})
        children = Children(uri, experiment_id, run.run_id)
        if parent is None:
            run.set_note(f"**Running**: `{space}`\n\nNothing is known yet.")
        else:
            children.close("KILLED", "its sweep was killed")
            (folder / STOPPED).unlink(missing_ok=True)
        count = search.count if search else len(jobs)
        print(f"sweep         {run.run_id[:8]}: {count} jobs, {space}")
        print(f"folder        {folder}\nMLflow        {ui_link(uri, experiment_id, run.run_id)}")
        tuned: Sequence[Job] = ()
        try:
            asked = {each.key for each in jobs}
            finished = sum(
                child.done and (search is not None or key in asked)
                for key, child in children.read().items()
            )
            if finished:
                print(f"{finished} of {count} jobs are finished already.")
            launcher = Launcher(command, uri, folder, run.run_id, children)
            names: dict[str, str] = {}
            progress = Progress(count, finished)
            with Watch(
                children.read, names, progress, lambda said: run.set_tags({"progress": said})
            ):
                if search is None:
                    _launch(launcher, jobs, names, children)
                else:
                    jobs, tuned = search.run(launcher, names, progress, children, folder, run)
        except BaseException as error:
            _close_after(error, children)
            _say_how_to_go_on(command, jobs, run, children)
            raise
        finally:
            remove_empty(folder)
        found = children.read(PATIENCE_IN_A_SWEEP)
        conclude(Ended(command, jobs, tuned, uri, experiment_id, folder, run), found)
        _raise_failures(jobs, found, run.run_id[:8])


def _launch(
    launcher: Launcher, jobs: Sequence[Job], names: dict[str, str], children: Children
) -> None:
    """Run what is not finished yet."""
    known = children.read()
    pending = [each for each in jobs if not (each.key in known and known[each.key].done)]
    names |= {each.key: each.name for each in pending}
    launcher.launch(pending)


def _close_after(error: BaseException, children: Children) -> None:
    reason = f"stopped by {str(error) or 'Ctrl-C'}"
    killed = not isinstance(error, Exception)
    try:
        children.close("KILLED" if killed else "FAILED", reason if killed else str(error))
    except TrackingError:
        return  # whoever goes on with the sweep closes them


def _say_how_to_go_on(
    command: Command, jobs: Sequence[Job], run: "TrackedRun", children: Children
) -> None:
    print(f"Go on with it: nlp-rnn train -m resume={run.run_id[:8]}", flush=True)
    try:
        run.set_note(note(command, jobs, run.run_id, children.read()))
    except TrackingError:
        return  # the note of its beginning stays


def _raise_failures(jobs: Sequence[Job], children: dict[str, Child], sweep_id: str) -> None:
    lines = []
    for each in jobs:
        child = children.get(each.key)
        if child is None:
            lines.append(f"  {each.name}: not run")
        elif not child.done:
            lines.append(f"  {each.name}: {child.told}")
    if lines:
        raise SweepError(
            f"{len(lines)} of {len(jobs)} jobs did not finish:\n"
            + "\n".join(lines)
            + f"\nMend it and type: nlp-rnn train -m resume={sweep_id}"
        )
