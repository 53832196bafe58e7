"""Launching of jobs with Hydra's launcher, repeated for jobs whose worker died too early."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

from omegaconf import OmegaConf, open_dict

from nlp_rnn.config.sweep import OnFailure
from nlp_rnn.errors import SweepError
from nlp_rnn.pipeline import PATIENCE_IN_A_SWEEP
from nlp_rnn.sweeps.child_runs import Child, Children
from nlp_rnn.sweeps.job_run import STOPPED, run_job
from nlp_rnn.sweeps.jobs import Job
from nlp_rnn.sweeps.sweep_arguments import SweepCommand

__all__ = ["Launcher"]


class Launcher:
    """Runs the jobs of one sweep with the launcher that `hydra/launcher` names."""

    def __init__(
        self, command: SweepCommand, uri: str, folder: Path, parent_run_id: str, children: Children
    ) -> None:
        """Prepare the overrides that all jobs share.

        Parameters
        ----------
        command : SweepCommand
            Composed arguments of the sweep.
        uri : str
            Absolute URI of the MLflow store.
        folder : Path
            Folder of the sweep; every job gets a run folder in it.
        parent_run_id : str
            Run of the sweep.
        children : Children
            Runs of the jobs.
        """
        self._command, self._folder, self._children = command, folder, children
        with open_dict(command.base):
            command.base.hydra.sweep.dir = str(folder)  # a launcher creates this folder itself
        self._sweep_overrides = [
            f"hydra.sweep.dir={_quoted(folder)}",
            # In the environment, because overrides are logged and a URI may contain a password.
            f"++hydra.job.env_set.MLFLOW_TRACKING_URI={_quoted(uri)}",
            f"sweep.parent={parent_run_id}",
            f"sweep.on_failure={command.sweep_options.sweep.on_failure.name}",
        ]

    def launch(self, jobs: Sequence[Job], extra: Sequence[Sequence[str]] | None = None) -> None:
        """Run jobs and wait for them; failures of jobs are recorded in their runs.

        When a process dies, the launcher may stop other jobs with it. If several jobs were
        running, each of them runs again alone, so that only a job that kills its process again
        is FAILED. Jobs that had not started are launched together as before. If no job had
        started, each is tried alone.

        Parameters
        ----------
        jobs : sequence of Job
            Jobs to run.
        extra : sequence, optional
            For each job, overrides that are not part of its configuration.

        Raises
        ------
        SweepError
            The launcher failed before it could start a single job.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self._command.base, self._folder / "multirun.yaml")
        by_key = dict(zip((job.key for job in jobs), extra or [[]] * len(jobs), strict=True))
        groups = [list(jobs)]
        while groups:
            group = groups.pop(0)
            before = self._children.read(PATIENCE_IN_A_SWEEP)
            failure = self._launch(group, by_key)
            if failure is None:
                continue
            now = self._children.read(PATIENCE_IN_A_SWEEP)
            started = [job for job in group if _state(now, job) != _state(before, job)]
            if not started and len(group) > 1:
                groups = [[job] for job in group] + groups
                continue
            if not started:
                raise SweepError(
                    f"The job {group[0].name} did not start: {_first_sentence(failure)}.\n"
                    "Fix the cause and resume the sweep."
                )
            dead = {job.key: job for job in started if _died(now[job.key])}
            if len(dead) > 1:
                self._children.close("KILLED", "another job's process died beside it", dead)
                groups += [[job] for job in dead.values()]
            elif dead:
                reason = f"its process died, perhaps out of memory: {_first_sentence(failure)}"
                self._children.close("FAILED", reason, dead)
                if self._command.sweep_options.sweep.on_failure is OnFailure.stop:
                    (self._folder / STOPPED).touch()
            if waiting := [job for job in group if job not in started]:
                groups.insert(0, waiting)

    def _launch(self, jobs: Sequence[Job], extra: Mapping[str, Sequence[str]]) -> Exception | None:
        """Call Hydra's launcher; return the exception that stopped the launcher itself."""
        from hydra._internal.callbacks import Callbacks
        from hydra.core.plugins import Plugins
        from hydra.types import HydraContext

        base = self._command.base
        context = HydraContext(
            config_loader=self._command.engine.config_loader, callbacks=Callbacks(base)
        )
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=context, task_function=run_job, config=base
        )
        overrides = [
            [*job.overrides, *self._sweep_overrides, *extra[job.key], *_job_overrides(job)]
            for job in jobs
        ]
        with warnings.catch_warnings():
            # joblib replaces a worker whose memory has grown, which has no effect on the jobs
            warnings.filterwarnings("ignore", "A worker stopped while some jobs")
            try:
                launcher.launch(overrides, initial_job_idx=0)
            except Exception as error:
                return error
        return None


def _state(children: Mapping[str, Child], job: Job) -> tuple[str, str] | None:
    """Return the id and status of a job's run, or None if it has no run."""
    child = children.get(job.key)
    return (child.run_id, child.status) if child else None


def _died(child: Child) -> bool:
    """Return whether a run's process is gone; the next run that began may have closed it."""
    return child.status in ("RUNNING", "KILLED") and not child.done


def _first_sentence(failure: Exception) -> str:
    """Return the first sentence of an error; launchers write paragraphs about dead processes."""
    first = (str(failure).splitlines() or [""])[0].partition(". ")[0].rstrip(".")
    return f"{type(failure).__name__}: {first}"


def _job_overrides(job: Job) -> list[str]:
    parts = ",".join(_quoted(part) for part in job.name_parts)
    return [f"hydra.sweep.subdir={_quoted(job.folder)}", f"sweep.words=[{parts}]"]


def _quoted(value: object) -> str:
    """Return a value in quotes for Hydra's grammar, whatever characters it contains."""
    return "'" + str(value).replace("\\", "\\\\").replace("'", "\\'") + "'"
