"""Hyperparameter search with Optuna: the same number of trials for every cell, then the best."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.config.signature import flatten
from nlp_rnn.config.training import Monitor
from nlp_rnn.errors import ConfigError
from nlp_rnn.runs.run_logging import PATIENCE_IN_A_SWEEP
from nlp_rnn.sweeps.child_runs import Child, Children, validation_metric
from nlp_rnn.sweeps.job_records import STOPPED
from nlp_rnn.sweeps.jobs import Job, make_job
from nlp_rnn.sweeps.progress import JobCounts, SweepProgress
from nlp_rnn.sweeps.pruning import optuna_library, seeded_sampler
from nlp_rnn.sweeps.search_space import read_dimension
from nlp_rnn.sweeps.search_studies import LEFT_OPEN, study_with_space
from nlp_rnn.sweeps.supervisor import Supervisor
from nlp_rnn.sweeps.sweep_arguments import SweepCommand

if TYPE_CHECKING:
    from nlp_rnn.tracking.tracked_run import TrackedRun

__all__ = ["Search"]

STORAGE = "search.db"


class Search:
    """One Optuna study for each combination of swept groups, all with the same number of trials.

    The first trial of each study is the unchanged configuration, so that no cell ends with a worse
    validation metric than that. It leaves a key open that is null, or whose value is outside the
    search space. Nothing is chosen on the test split.

    Attributes
    ----------
    count : int
        Number of all jobs: the trials, and the best of each cell with every seed.
    jobs : list of Job
        Jobs so far, one for each trial and each seed. A trial that repeats another has its job.
    """

    def __init__(self, command: SweepCommand) -> None:
        """Read the groups and the tuned keys from the swept space.

        Raises
        ------
        ConfigError
            No key is tuned, the seed is swept, or the number of trials or seeds is too small.
        """
        optuna_library()
        options = command.sweep_options.search
        assert options.trials_per_cell is not None
        if options.trials_per_cell < 1 or options.seeds < 0:
            raise ConfigError(
                f"search.trials_per_cell={options.trials_per_cell} must be at least 1, and "
                f"search.seeds={options.seeds} at least 0."
            )
        if "seed" in command.space:
            raise ConfigError(
                "A search trains every trial with one seed, then the best of each cell with "
                "search.seeds seeds.\nSet one seed, such as seed=1."
            )
        space = command.space
        groups = [key for key in space if "." not in key]
        self._dimensions = [read_dimension(command, key) for key in space if "." in key]
        if not self._dimensions:
            raise ConfigError(
                "The search has no key to tune. Sweep over a key, such as "
                "optimizer.learning_rate='tag(log,interval(1e-3,2e-2))'."
            )
        self._command = command
        self._cells = [
            tuple(f"{group}={value}" for group, value in zip(groups, values, strict=True))
            for values in itertools.product(*(space[group] for group in groups))
        ]
        self.jobs: list[Job] = []
        self._first: dict[str, str] = {}  # name of the first trial of each job by its key
        self.count = len(self._cells) * (options.trials_per_cell + options.seeds)

    def first_jobs(self) -> tuple[Job, ...]:
        """Return a job with the unchanged configuration of each cell, for a forecast.

        Raises
        ------
        ConfigError
            One of them cannot run.
        """
        jobs = tuple(
            make_job(self._command, (*self._command.fixed, *cell), ("unchanged",))
            for cell in self._cells
        )
        for job in jobs:
            if job.problem:
                raise ConfigError(job.problem)
        return jobs

    def run(
        self,
        supervisor: Supervisor,
        counts: JobCounts,
        progress: SweepProgress,
        children: Children,
        folder: Path,
        run: "TrackedRun",
    ) -> list[Job]:
        """Run the trials of all studies by turns, then the best configurations with all seeds.

        Parameters
        ----------
        supervisor : Supervisor
            Runs the jobs.
        counts : JobCounts
            Counts of the jobs; those that ended before the search was resumed are added.
        progress : SweepProgress
            Prints the jobs that need no run, each with the reason.
        children : Children
            Runs of the jobs.
        folder : Path
            Folder of the sweep.
        run : TrackedRun
            MLflow run of the sweep, to which the plots are logged.

        Returns
        -------
        list of Job
            Jobs that train the best configurations. `jobs` has all.
        """
        from nlp_rnn.sweeps.search_plots import write_search_plots

        folder.mkdir(parents=True, exist_ok=True)
        options = self._command.sweep_options.search
        storage = options.storage or f"sqlite:///{folder / STORAGE}"
        options = replace(options, storage=storage)
        monitor = self._command.sweep_options.trainer.monitor
        studies = [
            study_with_space(
                options,
                f"{run.run_id[:8]} {' '.join(cell) or 'all'}",
                monitor,
                self._dimensions,
                self._unchanged(cell),
            )
            for cell in self._cells
        ]
        for number, study in enumerate(studies):
            if not study.trials:
                self._enqueue_unchanged(study, self._cells[number])
            for trial in study.get_trials(deepcopy=False):
                if trial.state.is_finished():  # before the search was interrupted
                    self._plan(self._job(number, trial))
        if self.jobs:
            print(f"{len(self.jobs)} of {self.count} jobs were run before the interruption.")
            counts.count_earlier(len(self.jobs), 0)
        while batch := self._next_trials(studies):
            trials = []
            for number, trial in batch:
                job = self._job(number, trial, studies[number])
                self._plan(job)
                trials.append((studies[number], trial, job))
            self._launch(trials, supervisor, progress, children, storage)
            by_key = children.read(PATIENCE_IN_A_SWEEP)
            stopped = (folder / STOPPED).exists()
            ended = [
                _finish_trial(study, trial, by_key.get(job.key), monitor, stopped)
                for study, trial, job in trials
            ]
            if not all(ended):
                return []  # `resume` continues these trials, and the search
        tuned = [
            job
            for cell, study in zip(self._cells, studies, strict=True)
            for job in self._best(cell, study, progress)
        ]
        by_cell = dict(zip(self._cells, studies, strict=True))
        for path in write_search_plots(by_cell, folder, monitor.name):
            run.log_file(path, "search")
        by_key = children.read(PATIENCE_IN_A_SWEEP)
        pending = []
        for job in tuned:
            if job.key in by_key and by_key[job.key].done:
                progress.count_without_run(job.name, self._why_not_run(job))
            else:
                pending.append(job)
        self.jobs += tuned
        supervisor.run(pending)
        return tuned

    def _plan(self, job: Job) -> None:
        self.jobs.append(job)
        self._first.setdefault(job.key, job.name)

    def _why_not_run(self, job: Job) -> str:
        first = self._first.get(job.key, job.name)
        return "was finished before" if first == job.name else f"is the same as {first}"

    def _job(self, cell: int, trial: Any, study: Any = None) -> Job:
        tuned = []
        for dimension in self._dimensions:
            if dimension.key in trial.user_attrs.get(LEFT_OPEN, ()):
                continue
            if study is not None:  # not a trial whose values are known
                seed = self._command.sweep_options.search.seed
                study.sampler = seeded_sampler(seed, trial.number, dimension.key)
            tuned.append(dimension.suggest(trial))
        overrides = (*self._command.fixed, *self._cells[cell], *tuned)
        return make_job(self._command, overrides, (f"trial{trial.number}",))

    def _unchanged(self, cell: tuple[str, ...]) -> dict[str, Any]:
        """Return the configuration of a cell without tuned values."""
        job = make_job(self._command, (*self._command.fixed, *cell), ())
        return flatten(job.config)

    def _enqueue_unchanged(self, study: Any, cell: tuple[str, ...]) -> None:
        config = self._unchanged(cell)
        values = {
            dimension.key: dimension.study_value(config.get(dimension.key))
            for dimension in self._dimensions
        }
        study.enqueue_trial(
            {key: value for key, value in values.items() if value is not None},
            user_attrs={LEFT_OPEN: [key for key, value in values.items() if value is None]},
        )

    def _next_trials(self, studies: Sequence[Any]) -> list[tuple[int, Any]]:
        """Return interrupted trials, or else as many new ones as run at the same time, by turns."""
        optuna = optuna_library()
        sweep_options = self._command.sweep_options
        budget = sweep_options.search.trials_per_cell or 0
        states = optuna.trial.TrialState
        trials: list[tuple[int, Any]] = []
        for number, study in enumerate(studies):
            for frozen in study.get_trials(deepcopy=False, states=(states.RUNNING,)):
                trials.append((number, optuna.trial.Trial(study, frozen._trial_id)))
        if trials:
            return trials
        ended = (states.COMPLETE, states.PRUNED, states.FAIL)
        left = [budget - len(study.get_trials(deepcopy=False, states=ended)) for study in studies]
        while any(count > 0 for count in left) and len(trials) < (sweep_options.sweep.jobs or 1):
            number = max(range(len(studies)), key=lambda index: left[index])
            left[number] -= 1
            trials.append((number, studies[number].ask()))
        return trials

    def _launch(
        self,
        trials: Sequence[tuple[Any, Any, Job]],
        supervisor: Supervisor,
        progress: SweepProgress,
        children: Children,
        storage: str,
    ) -> None:
        """Run the trials, except combinations that were tried before."""
        by_key = children.read(PATIENCE_IN_A_SWEEP)
        pending: list[Job] = []
        searches = []
        for study, trial, job in trials:
            done = job.key in by_key and by_key[job.key].done
            if done or job.key in {other.key for other in pending}:
                progress.count_without_run(job.name, self._why_not_run(job))
                continue
            pending.append(job)
            searches.append(
                {
                    "study": study.study_name,
                    "trial": trial._trial_id,
                    "storage": storage,
                    "pruner": self._command.sweep_options.search.pruner.name,
                }
            )
        supervisor.run(pending, searches)

    def _best(self, cell: tuple[str, ...], study: Any, progress: SweepProgress) -> list[Job]:
        optuna = optuna_library()
        if not study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,)):
            reason = (
                f"{' '.join(cell) or 'all'}: no trial finished, so none is trained with more seeds"
            )
            progress.drop(self._command.sweep_options.search.seeds, reason)
            return []
        best = study.best_trial
        left_open = best.user_attrs.get(LEFT_OPEN, ())
        tuned = [
            dimension.suggest(best)
            for dimension in self._dimensions
            if dimension.key not in left_open
        ]
        seeds = range(1, self._command.sweep_options.search.seeds + 1)
        return [
            make_job(
                self._command, (*self._command.fixed, *cell, *tuned, f"seed={seed}"), ("tuned",)
            )
            for seed in seeds
        ]


def _finish_trial(
    study: Any, trial: Any, child: Child | None, monitor: Monitor, stopped: bool
) -> bool:
    """Report the result of a trial to its study: of an ensemble, that of the network alone.

    The keys that are tuned are those of the network, and its cell is what is compared.

    Returns
    -------
    bool
        Whether the trial has ended. One that was killed, or was not started because the sweep was
        `stopped`, stays open, so that `resume` continues it.
    """
    states = optuna_library().trial.TrialState
    metrics = {} if child is None else child.metrics
    metric = validation_metric(monitor, metrics)
    value = metrics.get(metric.replace("/", "/network_"), metrics.get(metric))
    if child is not None and child.status == "FINISHED" and value is not None and value == value:
        study.tell(trial, value)
    elif child is not None and child.done:
        study.tell(trial, state=states.PRUNED)
    elif stopped if child is None else child.status == "KILLED":
        return False
    else:
        study.tell(trial, state=states.FAIL)
    return True
