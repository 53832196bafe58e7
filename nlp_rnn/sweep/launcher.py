"""Jobs go to Hydra's launcher, again where a worker died before their turn."""

from collections.abc import Sequence
from pathlib import Path

from omegaconf import OmegaConf, open_dict

from nlp_rnn.pipeline import PATIENCE_IN_A_SWEEP
from nlp_rnn.sweep.children import Children
from nlp_rnn.sweep.grid import Command, Job
from nlp_rnn.sweep.job import job

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

        A job whose process dies is FAILED; those that had not begun by then are launched again.
        Other failures of jobs are in their runs.

        Raises:
            Exception: whatever broke the launcher before it ran anything.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self._command.base, self._folder / "multirun.yaml")
        extra = more or [[]] * len(jobs)
        told = {each.key: list(words) for each, words in zip(jobs, extra, strict=True)}
        pending = list(jobs)
        while pending:
            before = {
                key: child.run_id for key, child in self._children.read(PATIENCE_IN_A_SWEEP).items()
            }
            broken = self._launch(pending, told)
            if broken is None:
                return
            self._children.close("FAILED", f"its process died: {broken}", set(told))
            now = {
                key: child.run_id for key, child in self._children.read(PATIENCE_IN_A_SWEEP).items()
            }
            left = [each for each in pending if now.get(each.key) == before.get(each.key)]
            if len(left) == len(pending):
                raise broken
            pending = left

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
        try:
            launcher.launch(words, initial_job_idx=0)
        except Exception as error:
            return error
        return None


def _own(job: Job) -> list[str]:
    words = ",".join(_quoted(word) for word in job.words)
    return [f"hydra.sweep.subdir={_quoted(job.folder)}", f"sweep.words=[{words}]"]


def _quoted(value: object) -> str:
    """A value as Hydra's grammar takes it, whatever characters it has."""
    return "'" + str(value).replace("\\", "\\\\").replace("'", "\\'") + "'"
