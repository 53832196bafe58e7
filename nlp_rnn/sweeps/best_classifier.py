"""Search for the most accurate classifier in a limited time (`sweep.max_minutes`).

The search is greedy: each step tries changes of the best configuration so far, and validation says
whether one of them is kept. The test split is never used.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from nlp_rnn.config.compose import read_config
from nlp_rnn.config.signature import flatten
from nlp_rnn.errors import ConfigError, TrackingError
from nlp_rnn.runs.run_folder import RESOLVED
from nlp_rnn.runs.run_logging import PATIENCE_IN_A_SWEEP
from nlp_rnn.sweeps.best_changes import FURTHER_SEEDS, STEPS, Change, distilled, is_better
from nlp_rnn.sweeps.child_runs import Child, Children
from nlp_rnn.sweeps.jobs import Job, make_job
from nlp_rnn.sweeps.progress import JobCounts, SweepProgress, TimeUsed, duration
from nlp_rnn.sweeps.supervisor import Supervisor
from nlp_rnn.sweeps.sweep_arguments import SweepCommand

if TYPE_CHECKING:
    from nlp_rnn.tracking.tracked_run import TrackedRun

__all__ = ["BestClassifier"]

RECORD = "best.json"
"""File in the folder of the sweep: the time that it has used, and the jobs that were started."""

CLASSIFIER = "classifier"
TEACHER, UNLABELLED = "teacher", "data.unlabelled"

PRETRAINING_SHARE = 0.25
"""Share of the time that a pretraining may take."""


@dataclass(frozen=True)
class Trial:
    """A configuration that is tried.

    Attributes
    ----------
    job : Job
        The job that trains it.
    arguments : mapping of str to str
        Values of the keys that it changes.
    names : tuple of str
        Names of the changes.
    seconds : float
        Estimated time.
    margin : float
        As in `is_better`.
    """

    job: Job
    arguments: Mapping[str, str]
    names: tuple[str, ...]
    seconds: float
    margin: float = 0.0


class BestClassifier:
    """Steps towards the most accurate classifier, each kept if it is better on validation.

    Attributes
    ----------
    count : int
        Largest number of jobs.
    jobs : list of Job
        Jobs so far.
    chosen : str
        Key of the job with the best classifier; empty until the search has ended.
    """

    def __init__(self, command: SweepCommand) -> None:
        """Read the models to try from the swept space.

        Raises
        ------
        ConfigError
            Something else than the model is swept.
        """
        others = [key for key in command.space if key != "model"]
        if others:
            raise ConfigError(
                f"sweep.max_minutes looks for the most accurate classifier, and tries models only; "
                f"found a sweep over {', '.join(others)}.\nSet one value of it, or remove "
                "sweep.max_minutes."
            )
        self._command = command
        self._limit = command.sweep_options.sweep.max_minutes or 0.0
        self._models = command.space.get("model", ())
        fixed = dict(argument.partition("=")[::2] for argument in command.fixed)
        # without a teacher, unlabelled texts have an effect on some of the steps only
        self._unlabelled = None if TEACHER in fixed else fixed.pop(UNLABELLED, None)
        self._fixed = fixed
        self._steps = [
            [change for change in changes if self._unlabelled or not change.has_teacher]
            for changes in STEPS
        ]
        self.jobs: list[Job] = []
        self.chosen = ""
        self._rows: list[tuple[str, ...]] = []
        self.count = max(1, len(self._models)) + sum(map(len, self._steps)) + FURTHER_SEEDS
        self.count += self._unlabelled is not None  # a student of all seeds

    def first_jobs(self) -> tuple[Job, ...]:
        """Return the jobs with the unchanged configuration of each model, for a forecast.

        Raises
        ------
        ConfigError
            None of them can run.
        """
        jobs = tuple(trial.job for trial in self._unchanged())
        if all(job.problem for job in jobs):
            raise ConfigError(jobs[0].problem)
        return jobs

    @property
    def further_steps(self) -> str:
        """What follows the first jobs, in one line."""
        further = self.count - max(1, len(self._models))
        return (
            f"Then up to {further} trials that change the best of them, "
            f"{self._limit:g} minutes in all."
        )

    @property
    def note(self) -> str:
        """Markdown table of what each step gave."""
        heads = ("step", "validation accuracy %", "validation loss", "time", "")
        lines = [heads, ("---",) * len(heads), *self._rows]
        return "\n".join(f"| {' | '.join(row)} |" for row in lines)

    def run(
        self,
        supervisor: Supervisor,
        counts: JobCounts,
        progress: SweepProgress,
        children: Children,
        folder: Path,
        run: "TrackedRun",
    ) -> list[Job]:
        """Run the steps until all are done or the time is used.

        Parameters
        ----------
        supervisor : Supervisor
            Runs the jobs.
        counts : JobCounts
            Counts of the jobs.
        progress : SweepProgress
            Prints the jobs.
        children : Children
            Runs of the jobs.
        folder : Path
            Folder of the sweep.
        run : TrackedRun
            MLflow run of the sweep, whose note has the steps so far.

        Returns
        -------
        list of Job
            The jobs with the unchanged configuration of each model. `jobs` has all.
        """
        self._supervisor, self._progress, self._children = supervisor, progress, children
        self._time = TimeUsed(folder / RECORD)
        self._runs: dict[str, Child] = {}
        self._killed: list[str] = []  # jobs that `resume` continues
        unchanged = self._try(self._unchanged())
        best = self._best_of(None, unchanged)
        if best is None or self._killed:
            return []
        for changes in self._steps:
            trials = [trial for change in changes if (trial := self._changed(best, change))]
            best = self._best_of(best, self._try(trials)) or best
            run.set_note(f"**Running**\n\n{self.note}")
        seeds = self._try([self._with_seed(best, n) for n in range(1, FURTHER_SEEDS + 1)])
        teachers = {trial.job.key: self._folder(trial) for trial in [best, *seeds, *unchanged]}
        best = self._best_of(best, seeds) or best
        if self._unlabelled and (student := self._changed(best, distilled([*teachers.values()]))):
            best = self._best_of(best, self._try([student])) or best
        if self._killed:
            return []
        self.chosen = best.job.key
        return [trial.job for trial in unchanged]

    def _unchanged(self) -> list[Trial]:
        models: list[dict[str, str]] = [{"model": model} for model in self._models] or [{}]
        return [self._trial(arguments, (), 0.0) for arguments in models]

    def _changed(self, best: Trial, change: Change) -> Trial | None:
        """Return a changed configuration; None if an obstacle, which is noted, prevents it."""
        reason = self._obstacle(best, change)
        if not reason:
            arguments = {**best.arguments, **change.arguments}
            seconds = change.cost * self._seconds_of(best)
            if change.pretrains:
                minutes = PRETRAINING_SHARE * self._limit
                seconds += 60 * minutes
                arguments["pretraining.max_minutes"] = f"{minutes:g}"
            if self._unlabelled and (change.pretrains or change.has_teacher):
                arguments[UNLABELLED] = self._unlabelled
            trial = self._trial(arguments, (*best.names, change.name), seconds)
            if not trial.job.problem:
                return replace(trial, margin=change.margin)
            reason = " ".join(trial.job.problem.split())
        self._leave_out(change.name, reason)
        return None

    def _obstacle(self, best: Trial, change: Change) -> str:
        """Return why a change is not tried, or an empty string."""
        if taken := [key for key in change.arguments if key in self._fixed]:
            return f"{taken[0]} is set"
        path = self._folder(best).with_name(RESOLVED)
        values = flatten(read_config(path)) if path.exists() else {}
        if all(
            str(values.get(key)) in (value, f"{value}.0") for key, value in change.arguments.items()
        ):
            return "it is the default for this data"
        return ""

    def _with_seed(self, best: Trial, number: int) -> Trial:
        seed = best.job.config.seed + number
        return self._trial(
            {**best.arguments, "seed": str(seed)}, best.names, self._seconds_of(best)
        )

    def _seconds_of(self, trial: Trial) -> float:
        """Return how long the training took, without a pretraining."""
        child = self._runs[trial.job.key]
        return child.metrics.get("train/seconds", child.seconds or 0.0)

    def _trial(self, arguments: Mapping[str, str], names: tuple[str, ...], seconds: float) -> Trial:
        values = {**self._fixed, **arguments}
        overrides = tuple(f"{key}={value}" for key, value in values.items())
        return Trial(make_job(self._command, overrides, names), arguments, names, seconds)

    def _try(self, trials: Sequence[Trial]) -> list[Trial]:
        """Run the trials for which there is time, and return those that have finished."""
        at_once = self._command.sweep_options.sweep.jobs or 1
        for start in range(0, len(trials), at_once):
            if self._killed:
                break
            pending = [trial for trial in trials[start : start + at_once] if self._is_due(trial)]
            self._run(pending)
        return [
            trial
            for trial in trials
            if trial.job.key in self._runs and self._runs[trial.job.key].status == "FINISHED"
        ]

    def _is_due(self, trial: Trial) -> bool:
        """Whether a trial fits into the time that is left, or was started before."""
        name = trial.job.name
        if name in self._time.jobs:
            return True
        left = 60 * self._limit - self._time.seconds
        if left > 0 and trial.seconds <= left:
            return True
        needed = f"needs about {duration(trial.seconds)}"
        self._leave_out(name, f"{needed}, and {duration(max(left, 0))} is left")
        return False

    def _run(self, trials: Sequence[Trial]) -> None:
        known = self._children.read(PATIENCE_IN_A_SWEEP)
        jobs = [trial.job for trial in trials]
        self.jobs += jobs
        self._time.save(job.name for job in jobs)
        pending = []
        for job in jobs:
            if job.key in known and known[job.key].done:
                self._progress.count_without_run(job.name, "was finished before")
            else:
                pending.append(job)
        self._supervisor.run(pending)
        self._time.save()
        self._runs |= self._children.read(PATIENCE_IN_A_SWEEP)
        for job in jobs:
            child = self._runs.get(job.key)
            if child is None or child.status == "KILLED":
                self._killed.append(job.name)
            elif not child.done:
                self._rows.append((job.name, "", "", "", child.summary))

    def _best_of(self, best: Trial | None, trials: Sequence[Trial]) -> Trial | None:
        """Return the best of the trials and the best so far, by their validation predictions."""
        for trial in trials:
            child = self._runs[trial.job.key]
            try:
                kept = best is None or is_better(child, self._runs[best.job.key], trial.margin)
            except TrackingError as error:
                self._leave_out(trial.job.name, " ".join(str(error).split()))
                continue
            metrics = child.metrics
            self._rows.append(
                (
                    trial.job.name,
                    f"{100 * metrics.get('validation/accuracy', float('nan')):.2f}",
                    f"{metrics.get('validation/loss', float('nan')):.4f}",
                    duration(child.seconds or 0.0),
                    "best so far" if kept else "",
                )
            )
            if kept:
                best = trial
                self._progress.note(f"best so far on validation: {trial.job.name}")
        return best

    def _leave_out(self, name: str, reason: str) -> None:
        self._progress.drop(1, f"{name}  left out: {reason}")
        self._rows.append((name, "", "", "", f"left out: {reason}"))

    def _folder(self, trial: Trial) -> Path:
        """Return the classifier folder of a trial that has finished."""
        return Path(self._runs[trial.job.key].tags["run_folder"]) / CLASSIFIER
