"""Jobs go to Hydra's launcher, again where a worker died before their turn."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

from omegaconf import OmegaConf, open_dict

from nlp_rnn.config.sweep import OnFailure
from nlp_rnn.errors import SweepError
from nlp_rnn.pipeline import PATIENCE_IN_A_SWEEP
from nlp_rnn.sweeps.child_runs import Child, Children
from nlp_rnn.sweeps.job_run import STOPPED, job
from nlp_rnn.sweeps.jobs import Command, Job

__all__ = ["Launcher"]


class Launcher:
    """Runs jobs of one sweep with the launcher that its configuration names."""

    def __init__(
        self, command: Command, uri: str, folder: Path, parent_run_id: str, children: Children
    ) -> None:
        """`folder` is the sweep's; every job gets one of its own in it."""
        self._command, self._folder, self._children = command, folder, children
        with open_dict(command.base):
            command.base.hydra.sweep.dir = str(folder)  # a launcher makes this one itself
        self._own = [
            f"hydra.sweep.dir={_quoted(folder)}",
            # by the environment, for an address may hold a password and overrides are logged
            f"++hydra.job.env_set.MLFLOW_TRACKING_URI={_quoted(uri)}",
            f"sweep.parent={parent_run_id}",
            f"sweep.on_failure={command.told.sweep.on_failure.name}",
        ]

    def launch(self, jobs: Sequence[Job], more: Sequence[Sequence[str]] | None = None) -> None:
        """Run the jobs; what `more` tells each is for the job alone, not for its configuration.

        When a process dies, its launcher may end those of other jobs with it. Where several were
        running, each goes on alone, so that only the job that brings its process down again is
        FAILED; those that had not begun by then are launched as before. Where none had begun, each
        is tried alone. Other failures of jobs are in their runs.

        Raises:
            SweepError: the launcher broke before it ran a job alone.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self._command.base, self._folder / "multirun.yaml")
        extra = more or [[]] * len(jobs)
        told = {each.key: list(words) for each, words in zip(jobs, extra, strict=True)}
        groups = [list(jobs)]
        while groups:
            group = groups.pop(0)
            before = self._children.read(PATIENCE_IN_A_SWEEP)
            broken = self._launch(group, told)
            if broken is None:
                continue
            now = self._children.read(PATIENCE_IN_A_SWEEP)
            begun = [each for each in group if _state(now, each) != _state(before, each)]
            if not begun and len(group) > 1:
                groups = [[each] for each in group] + groups
                continue
            if not begun:
                raise SweepError(
                    f"The job {group[0].name} did not begin: {_sentence(broken)}.\n"
                    "Mend it, and go on with the sweep."
                )
            dead = {each.key: each for each in begun if _died(now[each.key])}
            if len(dead) > 1:
                self._children.close("KILLED", "another job's process died beside it", dead)
                groups += [[each] for each in dead.values()]
            elif dead:
                reason = f"its process died, perhaps for want of memory: {_sentence(broken)}"
                self._children.close("FAILED", reason, dead)
                if self._command.told.sweep.on_failure is OnFailure.stop:
                    (self._folder / STOPPED).touch()
            if left := [each for each in group if each not in begun]:
                groups.insert(0, left)

    def _launch(self, jobs: Sequence[Job], more: dict[str, list[str]]) -> Exception | None:
        """What breaks the launcher itself is returned."""
        from hydra._internal.callbacks import Callbacks
        from hydra.core.plugins import Plugins
        from hydra.types import HydraContext

        base = self._command.base
        context = HydraContext(
            config_loader=self._command.engine.config_loader, callbacks=Callbacks(base)
        )
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=context, task_function=job, config=base
        )
        words = [[*each.overrides, *self._own, *more[each.key], *_own(each)] for each in jobs]
        with warnings.catch_warnings():
            # joblib puts another one in the place of a worker that has grown, which changes nothing
            warnings.filterwarnings("ignore", "A worker stopped while some jobs")
            try:
                launcher.launch(words, initial_job_idx=0)
            except Exception as error:
                return error
        return None


def _state(children: Mapping[str, Child], job: Job) -> tuple[str, str] | None:
    """Its run and how that is; None before it has one."""
    child = children.get(job.key)
    return (child.run_id, child.status) if child else None


def _died(child: Child) -> bool:
    """Whether a run's process is gone; the next run that began may have closed it."""
    return child.status in ("RUNNING", "KILLED") and not child.done


def _sentence(broken: Exception) -> str:
    """What a launcher says about a dead process is a paragraph; its first sentence."""
    first = (str(broken).splitlines() or [""])[0].partition(". ")[0].rstrip(".")
    return f"{type(broken).__name__}: {first}"


def _own(job: Job) -> list[str]:
    words = ",".join(_quoted(word) for word in job.words)
    return [f"hydra.sweep.subdir={_quoted(job.folder)}", f"sweep.words=[{words}]"]


def _quoted(value: object) -> str:
    """A value as Hydra's grammar takes it, whatever characters it has."""
    return "'" + str(value).replace("\\", "\\\\").replace("'", "\\'") + "'"
