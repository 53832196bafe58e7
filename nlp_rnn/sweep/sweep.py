"""The words of a sweep become one run in MLflow with a child for every job."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import OmegaConf, open_dict

from nlp_rnn.errors import SweepError, TrackingError
from nlp_rnn.launch import remove_empty
from nlp_rnn.sweep.children import Child, Children, Parent, find_parent
from nlp_rnn.sweep.conclusion import conclude, note
from nlp_rnn.sweep.forecast import print_forecast
from nlp_rnn.sweep.grid import Grid, Job, opened, swept_words
from nlp_rnn.sweep.job import STOPPED, job
from nlp_rnn.sweep.watch import Progress, Watch
from nlp_rnn.tracking.store import (
    experiment_name,
    obtain_experiment,
    prepare_store,
    resolve_uri,
    ui_link,
)

if TYPE_CHECKING:
    from nlp_rnn.tracking.run import TrackedRun

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
        with opened(typed) as grid:
            uri, experiment_id = _store(grid)
            found = find_parent(uri, experiment_id, typed[0].removeprefix(RESUME))
        typed = [*json.loads(found.tags["sweep_words"]), typed[0]]
    with opened(typed) as grid:
        if grid.duplicates:
            plural = "s are" if grid.duplicates > 1 else " is"
            print(f"{grid.duplicates} job{plural} the same as another and left out.")
        if dry:
            print_forecast(grid, resolve_uri(grid.told.tracking.uri, Path.cwd()))
            return
        uri, experiment_id = _store(grid)
        resumed = grid.told.sweep.resume
        parent = find_parent(uri, experiment_id, resumed) if resumed else None
        _run(grid, uri, experiment_id, typed, parent)


def _store(grid: Grid) -> tuple[str, str]:
    uri = resolve_uri(grid.told.tracking.uri, Path.cwd())
    prepare_store(uri)
    return uri, obtain_experiment(uri, experiment_name(grid.told.tracking.experiment))


def _run(
    grid: Grid, uri: str, experiment_id: str, words: Sequence[str], parent: Parent | None
) -> None:
    from nlp_rnn.tracking.run import tracked_run

    folder = Path(parent.tags["run_folder"] if parent else grid.base.hydra.sweep.dir).absolute()
    with open_dict(grid.base):
        grid.base.hydra.sweep.dir = str(folder)  # a launcher makes this one, too
    space = swept_words(grid.space)
    typed = [word for word in words if not word.startswith(RESUME)]
    with tracked_run(
        uri,
        experiment_id,
        run_id=parent.run_id if parent else None,
        name=grid.told.tracking.run_name or f"sweep {space}"[:250],
        parameters={} if parent else {key: ",".join(v) for key, v in grid.space.items()},
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
        sweep_id = run.run_id[:8]
        run.set_tags({"sweep": sweep_id})
        if parent is None:
            run.set_note(f"**Running**: `{space}`\n\nNothing is known yet.")
        print(f"sweep         {sweep_id}: {len(grid.jobs)} jobs, {space}")
        print(f"folder        {folder}\nMLflow        {ui_link(uri, experiment_id, run.run_id)}")
        children = Children(uri, experiment_id, run.run_id)
        if parent is not None:
            children.close("KILLED", "its sweep was killed")
            (folder / STOPPED).unlink(missing_ok=True)
        try:
            _launch_all(grid, uri, folder, run, children)
        except BaseException as error:
            _close_after(error, children)
            _say_how_to_go_on(grid, run, children)
            raise
        finally:
            remove_empty(folder)
        found = children.read()
        conclude(grid, uri, experiment_id, folder, run, found)
        _raise_failures(grid, found, sweep_id)


def _launch_all(grid: Grid, uri: str, folder: Path, run: "TrackedRun", children: Children) -> None:
    """Launch what is not finished yet, again where a worker died before its turn."""
    finished = {key for key, child in children.read().items() if child.status == "FINISHED"}
    pending = [each for each in grid.jobs if each.key not in finished]
    if finished:
        print(f"{len(grid.jobs) - len(pending)} of {len(grid.jobs)} jobs are finished already.")
    if not pending:
        return
    began = set(children.read()) - {each.key for each in pending}
    progress = Progress(len(grid.jobs), len(grid.jobs) - len(pending))
    names = {each.key: each.name for each in pending}
    folder.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(grid.base, folder / "multirun.yaml")
    with Watch(children.read, names, progress, lambda words: _tell(run, words)):
        while pending:
            before = {key: child.run_id for key, child in children.read().items()}
            broken = _launch(grid, uri, folder, run.run_id, pending)
            if broken is None:
                return
            children.close("FAILED", f"its process died: {broken}", began | set(names))
            now = {key: child.run_id for key, child in children.read().items()}
            left = [each for each in pending if now.get(each.key) == before.get(each.key)]
            if len(left) == len(pending):
                raise broken
            pending = left


def _launch(
    grid: Grid, uri: str, folder: Path, parent_run_id: str, jobs: Sequence[Job]
) -> Exception | None:
    """Give the jobs to Hydra's launcher; what breaks the launcher itself is returned."""
    from hydra._internal.callbacks import Callbacks
    from hydra.core.plugins import Plugins
    from hydra.types import HydraContext

    callbacks = Callbacks(grid.base)
    context = HydraContext(config_loader=grid.engine.config_loader, callbacks=callbacks)
    launcher = Plugins.instance().instantiate_launcher(
        hydra_context=context, task_function=job, config=grid.base
    )
    own = [
        f"hydra.sweep.dir={_quoted(folder)}",
        f"tracking.uri={_quoted(uri)}",
        f"sweep.parent={parent_run_id}",
        f"sweep.swept=[{','.join(grid.space)}]",
        f"sweep.on_failure={grid.told.sweep.on_failure.name}",
    ]
    try:
        launcher.launch(
            [[*each.overrides, *own, f"hydra.sweep.subdir={each.folder}"] for each in jobs],
            initial_job_idx=0,
        )
    except Exception as error:
        return error
    return None


def _quoted(value: object) -> str:
    """A value as Hydra's grammar takes it, whatever characters it has."""
    return "'" + str(value).replace("\\", "\\\\").replace("'", "\\'") + "'"


def _tell(run: "TrackedRun", progress: str) -> None:
    try:
        run.set_tags({"progress": progress})
    except TrackingError:
        return  # the next one may get through


def _close_after(error: BaseException, children: Children) -> None:
    reason = f"stopped by {str(error) or 'Ctrl-C'}"
    killed = not isinstance(error, Exception)
    try:
        children.close("KILLED" if killed else "FAILED", reason if killed else str(error))
    except TrackingError:
        return  # whoever goes on with the sweep closes them


def _say_how_to_go_on(grid: Grid, run: "TrackedRun", children: Children) -> None:
    print(f"Go on with it: nlp-rnn train -m resume={run.run_id[:8]}", flush=True)
    try:
        run.set_note(note(grid, run.run_id, children.read()))
    except TrackingError:
        return  # the note of its beginning stays


def _raise_failures(grid: Grid, children: dict[str, Child], sweep_id: str) -> None:
    lines = []
    for each in grid.jobs:
        child = children.get(each.key)
        if child is None:
            lines.append(f"  {each.name}: not run")
        elif child.status != "FINISHED":
            lines.append(f"  {each.name}: {child.told}")
    if lines:
        raise SweepError(
            f"{len(lines)} of {len(grid.jobs)} jobs did not finish:\n"
            + "\n".join(lines)
            + f"\nMend it and type: nlp-rnn train -m resume={sweep_id}"
        )
