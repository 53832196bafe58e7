"""The command `nlp-rnn sweep`: show, follow or cancel a sweep that runs somewhere else."""

import time
from collections import Counter
from pathlib import Path
from typing import Any

from nlp_rnn.errors import ConfigError, SweepError

__all__ = ["HELP", "sweep"]

HELP = """\
Show, follow or cancel a sweep, on this machine, Slurm or Ray.

  nlp-rnn sweep status last          its jobs: what they do, where, and their scores
  nlp-rnn sweep attach ID            follow it to its end; supervise it if no process does
  nlp-rnn sweep cancel ID            stop its jobs; the runs are KILLED and can be resumed

ID is the id that nlp-rnn train -m prints, or last. tracking.uri=... and tracking.experiment=...
name the MLflow store, as for train. nlp-rnn train -m resume=ID also runs failed and cancelled
jobs again.
"""

VERBS = ("status", "attach", "cancel")
SECONDS_BETWEEN_READS = 2.0
SECONDS_TO_STOP = 60.0
CANCELLED = "cancelled by nlp-rnn sweep cancel"


def sweep(arguments: list[str]) -> int:
    """Run the command and return the exit code."""
    if len(arguments) < 2 or arguments[0] not in VERBS:
        received = " ".join(arguments) or "nothing"
        raise ConfigError(
            f"Expected one of {', '.join(VERBS)} and the id of a sweep, found {received}.\n"
            "For example: nlp-rnn sweep status last"
        )
    verb, sweep_id, *overrides = arguments
    if unknown := [item for item in overrides if not item.startswith("tracking.")]:
        raise ConfigError(f"{unknown[0]} is not an option of nlp-rnn sweep; see --help.")
    watched = _Sweep(sweep_id, overrides)
    return int(getattr(watched, verb)())


class _Sweep:
    """A sweep that was started before, possibly by another process."""

    def __init__(self, sweep_id: str, overrides: list[str]) -> None:
        from nlp_rnn.sweeps.child_runs import find_parent
        from nlp_rnn.sweeps.job_records import JobRecords
        from nlp_rnn.sweeps.sweep_arguments import compose_sweep
        from nlp_rnn.tracking.store import experiment_name, obtain_experiment, prepare_store
        from nlp_rnn.tracking.uri import resolve_uri

        with compose_sweep(overrides) as command:
            tracking = command.sweep_options.tracking
        self.uri = resolve_uri(tracking.uri, Path.cwd())
        prepare_store(self.uri)
        name = experiment_name(tracking.experiment, self.uri)
        self.experiment_id = obtain_experiment(self.uri, name)
        self.parent = find_parent(self.uri, self.experiment_id, sweep_id, allow_running=True)
        self.id = str(self.parent.tags["sweep"])
        self.overrides = overrides
        self.records = JobRecords(Path(self.parent.tags["run_folder"]))

    def status(self) -> int:
        """Print one line for each job, and the totals."""
        rows = self._rows()
        width = max((len(row[0]) for row in rows), default=0)
        for name, state, details in rows:
            print(f"{name:<{width}}  {state:<9} {details}".rstrip())
        counts = Counter(state for _, state, _ in rows)
        totals = ", ".join(f"{count} {state}" for state, count in counts.items()) or "no jobs"
        holder = self._supervisor()
        by = "no process supervises it"
        if holder is not None and holder.alive:
            process = str(holder.content["process"]).partition(" ")[0]
            by = f"supervised by process {process} on {holder.content['host']}"
        print(f"sweep {self.id}: {totals}; {self.parent.status} in MLflow; {by}")
        return 0

    def attach(self) -> int:
        """Follow the sweep; supervise it if no other process does."""
        holder = self._supervisor()
        if holder is None or not holder.alive:
            from nlp_rnn.sweeps.sweep import sweep as run_sweep

            run_sweep([f"sweep.resume={self.parent.run_id}", *self.overrides], attach=True)
            return 0
        shown: set[str] = set()
        while holder is not None and holder.alive:
            for name, state, details in self._rows():
                if state not in ("waiting", "running") and name not in shown:
                    shown.add(name)
                    print(f"{name}  {state}  {details}".rstrip(), flush=True)
            time.sleep(SECONDS_BETWEEN_READS)
            holder = self._supervisor()
        status = self._parent_status()
        print(f"The sweep {self.id} is {status}. Its results: nlp-rnn compare --sweep {self.id}")
        return 0 if status == "FINISHED" else 1

    def cancel(self) -> int:
        """Stop all jobs and the process that supervises them."""
        from nlp_rnn.sweeps.job_records import STOPPED
        from nlp_rnn.tracking.ended_runs import close_run
        from nlp_rnn.tracking.liveness import on_this_machine, stop_process

        holder = self._supervisor()
        if self.parent.status == "FINISHED" and not (holder is not None and holder.alive):
            print(f"The sweep {self.id} has finished already, so nothing is cancelled.")
            return 0
        (self.records.sweep_folder / STOPPED).touch()
        self._cancel_on_slurm()
        holder = self._supervisor()
        # one on Slurm ends with its jobs, on whichever machine it is
        if holder is not None and holder.alive and holder.content.get("backend") != "slurm":
            if not on_this_machine(holder.content):
                raise SweepError(
                    f"The sweep {self.id} is supervised on {holder.content['host']}.\n"
                    f"Run there: nlp-rnn sweep cancel {self.id}"
                )
            stop_process(holder.content, SECONDS_TO_STOP)
        self._wait_for_ends()
        close_run(self.uri, self.parent.run_id, "KILLED", CANCELLED)
        print(
            f"The sweep {self.id} was cancelled. Finished jobs keep their results.\n"
            f"Resume it with: nlp-rnn train -m resume={self.id}"
        )
        return 0

    def _cancel_on_slurm(self) -> None:
        """Cancel the jobs that were submitted to Slurm last and are not finished."""
        from nlp_rnn.config.sweep import SlurmConfig
        from nlp_rnn.sweeps.slurm_backend import SlurmBackend

        states = self.records.states()
        last = (self.records.submission(k, s) for k, s in states.items() if not s.result)
        if any(submission.get("backend") == "slurm" for submission in last):
            SlurmBackend(SlurmConfig(), self.records, None).cancel_all()

    def _wait_for_ends(self) -> None:
        """Wait until no process works on the sweep, and close the runs of jobs that have ended."""
        from nlp_rnn.sweeps.attempts import holder_of
        from nlp_rnn.sweeps.child_runs import Children
        from nlp_rnn.sweeps.job_records import SUPERVISOR

        end = time.monotonic() + SECONDS_TO_STOP
        while True:
            now, states = self.records.now(), self.records.states()
            holders = {key: holder_of(self.records, key, s, now) for key, s in states.items()}
            alive = {key for key, holder in holders.items() if holder is not None and holder.alive}
            if not alive or time.monotonic() > end:
                break
            time.sleep(0.5)
        if SUPERVISOR in alive:
            raise SweepError(
                f"The process that supervises the sweep {self.id} still runs after "
                f"{SECONDS_TO_STOP:.0f} seconds. No other job starts.\n"
                f"Run nlp-rnn sweep cancel {self.id} again."
            )
        ended = [key for key, state in states.items() if key not in alive and not state.result]
        children = Children(self.uri, self.experiment_id, self.parent.run_id)
        children.close("KILLED", CANCELLED, ended)

    def _supervisor(self) -> Any:
        from nlp_rnn.sweeps.attempts import holder_of
        from nlp_rnn.sweeps.job_records import SUPERVISOR

        state = self.records.state(SUPERVISOR)
        return holder_of(self.records, SUPERVISOR, state, self.records.now())

    def _parent_status(self) -> str:
        from mlflow import MlflowClient

        from nlp_rnn.tracking.store import tracking_errors

        with tracking_errors(self.uri):
            run = MlflowClient(tracking_uri=self.uri).get_run(self.parent.run_id)
        return str(run.info.status)

    def _rows(self) -> list[tuple[str, str, str]]:
        """Return name, state and details of each job."""
        from nlp_rnn.sweeps.attempts import holder_of
        from nlp_rnn.sweeps.child_runs import score_text
        from nlp_rnn.sweeps.job_records import SUPERVISOR

        rows = []
        now = self.records.now()
        for key, state in self.records.states().items():
            task = self.records.read(f"{key}.task")
            if key == SUPERVISOR or not task:
                continue
            holder = holder_of(self.records, key, state, now)
            submission = self.records.submission(key, state)
            task_id = ""
            if submission.get("id", key) != key:  # Ray and processes have no ids of their own
                task_id = f"{submission['backend']} {submission['id']}"
            if state.result:
                metrics = self.records.read(f"{key}.result").get("metrics", {})
                row = ("finished", score_text(metrics))
            elif holder is not None and holder.alive:
                age = round(now - state.leases[state.attempt])
                row = ("running", f"{task_id} on {holder.content['host']}, seen {age} s ago")
            elif state.ended:
                end = self.records.read(f"{key}.end.{state.attempt}")
                row = (str(end["status"]).lower(), " ".join(str(end.get("error", "")).split()))
            elif holder is not None:
                row = ("lost", f"no heartbeat from {holder.content['host']}")
            else:
                row = ("waiting", task_id)
            rows.append((str(task["name"]), row[0], row[1].strip()))
        return sorted(rows)
