"""Swept keys become a search with the same budget for every cell, and the best of each is kept."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.config.signature import flatten
from nlp_rnn.config.training import LEARNING_RATE, Monitor
from nlp_rnn.errors import ConfigError
from nlp_rnn.pipeline import PATIENCE_IN_A_SWEEP
from nlp_rnn.sweeps.child_runs import Child, Children, validation_metric
from nlp_rnn.sweeps.jobs import Command, Job, make_job
from nlp_rnn.sweeps.launcher import Launcher
from nlp_rnn.sweeps.progress import Progress
from nlp_rnn.sweeps.pruning import load_study, optuna_library

if TYPE_CHECKING:
    from nlp_rnn.tracking.tracked_run import TrackedRun

__all__ = ["Search"]

STORAGE = "search.db"


@dataclass(frozen=True)
class Dimension:
    """A key that is tuned: one of `values`, or a number from `low` to `high`."""

    key: str
    values: tuple[str, ...] = ()
    low: float = math.nan
    high: float = math.nan
    log: bool = False
    whole: bool = False

    def suggest(self, trial: Any) -> str:
        """The value that the study wants to try, as a word."""
        if self.values:
            return f"{self.key}={trial.suggest_categorical(self.key, self.values)}"
        if self.whole:
            number = trial.suggest_int(self.key, int(self.low), int(self.high), log=self.log)
            return f"{self.key}={number}"
        return f"{self.key}={trial.suggest_float(self.key, self.low, self.high, log=self.log)!r}"

    def holds(self, value: Any) -> Any:
        """`value` as the study takes it; None if it lies outside."""
        if self.values:
            return str(value) if str(value) in self.values else None
        if isinstance(value, int | float) and self.low <= value <= self.high:
            return int(value) if self.whole else float(value)
        return None


class Search:
    """One study for each combination of the swept groups, all with the same budget.

    The first trial of each is the configuration as it is, so that no cell ends worse than that
    on the validation split; a learning rate that is left open is that of little text. Nothing is
    ever chosen on the test split.
    """

    def __init__(self, command: Command) -> None:
        """Read the space.

        Raises:
            ConfigError: nothing is tuned, the seed is swept, the budget is no number above 0.
        """
        optuna_library()
        told = command.told.search
        assert told.trials_per_cell is not None
        if told.trials_per_cell < 1 or told.seeds < 0:
            raise ConfigError(
                f"search.trials_per_cell={told.trials_per_cell} and search.seeds={told.seeds}: "
                "there must be a trial at least, and no fewer seeds than none."
            )
        if "seed" in command.space:
            raise ConfigError(
                "A search trains every trial with one seed, then the best of each cell with "
                "search.seeds seeds.\nType seed=1, or leave it out."
            )
        space = command.space
        groups = [key for key in space if "." not in key]
        self._dimensions = [_dimension(command, key) for key in space if "." in key]
        if not self._dimensions:
            raise ConfigError(
                "The search has nothing to tune: sweep over a key, such as "
                "optimizer.learning_rate='tag(log,interval(1e-3,2e-2))'."
            )
        self._command = command
        self._cells = [
            tuple(f"{group}={value}" for group, value in zip(groups, values, strict=True))
            for values in itertools.product(*(space[group] for group in groups))
        ]
        finals = len(self._cells) * told.seeds
        self.count = len(self._cells) * told.trials_per_cell + finals

    def first_jobs(self) -> tuple[Job, ...]:
        """Each cell as it is, for a forecast.

        Raises:
            ConfigError: one of them could not run.
        """
        jobs = tuple(
            make_job(self._command, (*self._command.fixed, *cell), ("as it is",))
            for cell in self._cells
        )
        for job in jobs:
            if job.problem:
                raise ConfigError(job.problem)
        return jobs

    def run(
        self,
        launcher: Launcher,
        names: dict[str, str],
        progress: Progress,
        children: Children,
        folder: Path,
        run: "TrackedRun",
    ) -> tuple[list[Job], list[Job]]:
        """Spend the budgets, in turns; return all jobs, and those of the best with every seed."""
        from nlp_rnn.sweeps.search_plots import write_search_plots

        folder.mkdir(parents=True, exist_ok=True)
        FixedTrial = optuna_library().trial.FixedTrial  # noqa: N806
        storage = self._command.told.search.storage or f"sqlite:///{folder / STORAGE}"
        told = replace(self._command.told.search, storage=storage)
        monitor = self._command.told.trainer.monitor
        studies = [
            load_study(told, f"{run.run_id[:8]} {' '.join(cell) or 'all'}", monitor)
            for cell in self._cells
        ]
        jobs: dict[str, Job] = {}
        for number, study in enumerate(studies):
            if not study.trials:
                self._try_as_it_is(study, self._cells[number])
            for trial in study.get_trials(deepcopy=False):
                if trial.state.is_finished():  # before the search was interrupted
                    job = self._job(number, trial.number, FixedTrial(trial.params))
                    jobs[job.key] = job
        while waiting := self._ask(studies):
            asked = []
            for number, trial in waiting:
                job = self._job(number, trial.number, trial)
                jobs[job.key] = job
                asked.append((studies[number], trial, job))
            self._launch(asked, launcher, names, children, storage)
            known = children.read(PATIENCE_IN_A_SWEEP)
            for study, trial, job in asked:
                _tell(study, trial, known.get(job.key), monitor)
        tuned = [
            job
            for cell, study in zip(self._cells, studies, strict=True)
            for job in self._best(cell, study)
        ]
        named = dict(zip(self._cells, studies, strict=True))
        for path in write_search_plots(named, folder, monitor.name):
            run.log_file(path, "search")
        known = children.read(PATIENCE_IN_A_SWEEP)
        pending = [job for job in tuned if not (job.key in known and known[job.key].done)]
        names |= {job.key: job.name for job in pending}
        progress.total -= len(tuned) - len(pending)  # the best trials themselves
        launcher.launch(pending)
        jobs |= {job.key: job for job in tuned if job.key not in jobs}
        return list(jobs.values()), tuned

    def _job(self, cell: int, number: int, trial: Any) -> Job:
        words = [dimension.suggest(trial) for dimension in self._dimensions]
        overrides = (*self._command.fixed, *self._cells[cell], *words)
        return make_job(self._command, overrides, (f"trial{number}",))

    def _try_as_it_is(self, study: Any, cell: tuple[str, ...]) -> None:
        job = make_job(self._command, (*self._command.fixed, *cell), ())
        now = flatten(job.config)
        if now["optimizer.learning_rate"] is None:  # how much text there is is not known yet
            now["optimizer.learning_rate"] = LEARNING_RATE
        given = {each.key: each.holds(now.get(each.key)) for each in self._dimensions}
        study.enqueue_trial({key: value for key, value in given.items() if value is not None})

    def _ask(self, studies: Sequence[Any]) -> list[tuple[int, Any]]:
        """The next trials, as many as run at a time: interrupted ones first, then by turns."""
        optuna = optuna_library()
        budget = self._command.told.search.trials_per_cell or 0
        states = optuna.trial.TrialState
        found: list[tuple[int, Any]] = []
        for number, study in enumerate(studies):
            for frozen in study.get_trials(deepcopy=False, states=(states.RUNNING,)):
                found.append((number, optuna.trial.Trial(study, frozen._trial_id)))
        if found:
            return found
        ended = (states.COMPLETE, states.PRUNED, states.FAIL)
        left = [budget - len(study.get_trials(deepcopy=False, states=ended)) for study in studies]
        while any(count > 0 for count in left) and len(found) < self._command.told.sweep.jobs:
            number = max(range(len(studies)), key=lambda index: left[index])
            left[number] -= 1
            found.append((number, studies[number].ask()))
        return found

    def _launch(
        self,
        asked: Sequence[tuple[Any, Any, Job]],
        launcher: Launcher,
        names: dict[str, str],
        children: Children,
        storage: str,
    ) -> None:
        """Run the trials, but for a combination that was tried before."""
        known = children.read(PATIENCE_IN_A_SWEEP)
        pending: list[Job] = []
        more = []
        for study, trial, job in asked:
            if job.key in known and known[job.key].done:
                continue
            if job.key in {each.key for each in pending}:
                continue
            pending.append(job)
            more.append(
                [
                    f"search.study='{study.study_name}'",
                    f"search.trial={trial._trial_id}",
                    f"search.storage='{storage}'",
                    f"search.pruner={self._command.told.search.pruner.name}",
                ]
            )
        names |= {job.key: job.name for job in pending}
        launcher.launch(pending, more)

    def _best(self, cell: tuple[str, ...], study: Any) -> list[Job]:
        optuna = optuna_library()
        done = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
        if not done:
            return []
        fixed = optuna.trial.FixedTrial(study.best_trial.params)
        words = [dimension.suggest(fixed) for dimension in self._dimensions]
        seeds = range(1, self._command.told.search.seeds + 1)
        return [
            make_job(
                self._command, (*self._command.fixed, *cell, *words, f"seed={seed}"), ("tuned",)
            )
            for seed in seeds
        ]


def _dimension(command: Command, key: str) -> Dimension:
    from hydra.core.override_parser.types import IntervalSweep

    override = command.choices[key]
    swept = override.value()
    if not isinstance(swept, IntervalSweep):
        return Dimension(key, command.space[key])
    value: Any = swept
    whole = isinstance(value.start, int) and isinstance(value.end, int)
    low, high = float(value.start), float(value.end)
    log = "log" in value.tags
    if not low < high or (log and low <= 0):
        raise ConfigError(
            f"{override.input_line} is no range to search: the first number "
            f"must be below the second{', and above 0 for log' if log else ''}."
        )
    return Dimension(key, (), low, high, log, whole)


def _tell(study: Any, trial: Any, child: Child | None, monitor: Monitor) -> None:
    states = optuna_library().trial.TrialState
    metrics = {} if child is None else child.metrics
    value = metrics.get(validation_metric(monitor, metrics))
    if child is not None and child.status == "FINISHED" and value is not None and value == value:
        study.tell(trial, value)
    elif child is not None and child.done:
        study.tell(trial, state=states.PRUNED)
    else:
        study.tell(trial, state=states.FAIL)
