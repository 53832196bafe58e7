"""Supervisor of the jobs of a sweep: starts them on a backend, and decides what became of them.

The supervisor schedules nothing; that is the work of the backend. Every decision follows from the
records of a job (`job_records`) and from the backend's state of the job, and can be made again by
another supervisor: a job that is waiting or running is attached to, and one that is finished is
never started.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from nlp_rnn.errors import SweepError, TrackingError
from nlp_rnn.sweeps.attempts import Attempt, Holder, holder_of, is_finished
from nlp_rnn.sweeps.backends import ClusterBackend, JobBackend, Kind, TaskState
from nlp_rnn.sweeps.child_runs import Children
from nlp_rnn.sweeps.job_records import DIED, STOPPED, JobRecords, JobState
from nlp_rnn.sweeps.jobs import Job
from nlp_rnn.sweeps.open_job import OpenJob, end_without_record, job_end, killed, task_content
from nlp_rnn.sweeps.progress import JobEnd, SweepProgress

__all__ = ["Supervisor"]


class Supervisor:
    """Runs the jobs of one sweep on a backend.

    Attributes
    ----------
    ends : dict of JobEnd
        How jobs ended, by key.
    """

    def __init__(
        self,
        backend: JobBackend,
        records: JobRecords,
        children: Children,
        progress: SweepProgress,
        shared: Mapping[str, Any],
        restarts: int,
        lease: Attempt,
        attach: bool = False,
    ) -> None:
        """Prepare to run jobs.

        Parameters
        ----------
        backend : JobBackend
            Starts the jobs.
        records : JobRecords
            Records of the jobs.
        children : Children
            MLflow runs of the jobs.
        progress : SweepProgress
            Prints the jobs that end.
        shared : mapping
            What the tasks of all jobs have in common: `parent`, `tracking_uri`, `experiment` and
            `on_failure`.
        restarts : int
            How often a job whose process died is started again.
        lease : Attempt
            Lease of this process for the sweep.
        attach : bool
            Do not start jobs again that failed or were killed.
        """
        self.ends: dict[str, JobEnd] = {}
        self._backend, self._records, self._children = backend, records, children
        self._progress, self._shared, self._restarts = progress, shared, restarts
        self._lease, self._attach = lease, attach
        self._open: dict[str, OpenJob] = {}
        self._submitted, self._now = dict[str, str](), 0.0

    @property
    def folder(self) -> Path:
        """Folder of the sweep."""
        return self._records.sweep_folder

    def run(
        self, jobs: Sequence[Job], searches: Sequence[Mapping[str, Any] | None] | None = None
    ) -> dict[str, JobEnd]:
        """Run jobs, wait until all have ended, and return how.

        Parameters
        ----------
        jobs : sequence of Job
            Jobs that are not finished.
        searches : sequence of mapping, optional
            For each job, the study and the trial that it reports to.

        Raises
        ------
        SweepError
            The backend accepts no job.
        """
        self.start(jobs, searches)
        waiting = [key for key, item in self._open.items() if item.task_id is None]
        while self._open:
            self._lease.check()
            if waiting and not self._records.stopped:
                waiting = self._submit(waiting)
            ids = [item.task_id for item in self._open.values() if item.task_id]
            task_states = self._backend.poll(ids)
            states, self._now = self._records.states(), self._records.now()
            again = []
            for key, item in list(self._open.items()):
                item.state = task_states.get(item.task_id or "", TaskState(Kind.unknown))
                if self._step(key, item, states.get(key, JobState()), key in waiting):
                    again.append(key)
            waiting += again
            self._progress.show(
                [i.job.name for i in self._open.values() if i.state.kind is Kind.running],
                sum(item.state.kind is Kind.waiting for item in self._open.values()),
            )
            if self._open:
                self._backend.wait(0.0 if again else self._backend.seconds_between_polls)
        return {job.key: self.ends[job.key] for job in jobs}

    def start(
        self, jobs: Sequence[Job], searches: Sequence[Mapping[str, Any] | None] | None = None
    ) -> None:
        """Record the tasks of jobs, and attach to those that are waiting or running."""
        states, self._now = self._records.states(), self._records.now()
        for job, search in zip(jobs, searches or [None] * len(jobs), strict=True):
            state = states.get(job.key, JobState())
            self._records.write(f"{job.key}.task", task_content(job, self._shared, search))
            since = max(0, state.attempt if state.ended else state.attempt - 1)
            if self._attach:  # attempts of the last submission count
                since = int(self._records.submission(job.key, state).get("after", 0))
            self._open[job.key] = OpenJob(job, since)
        self._adopt(states)

    def submit_all(self) -> dict[str, str]:
        """Give all jobs that have no task yet to the backend; return the ids by key.

        Raises
        ------
        SweepError
            The backend does not accept all jobs; those that it had accepted are cancelled.
        """
        waiting = [key for key, item in self._open.items() if item.task_id is None]
        left, count = waiting, len(waiting) + 1
        try:
            while left and len(left) < count:
                count, left = len(left), self._submit(left)
            if left:
                raise SweepError(
                    f"{len(left)} of {len(waiting)} jobs exceed the limit of a user's jobs.\n"
                    "Run the sweep without sweep.detach: it submits them one after the other."
                )
        except SweepError:
            self.cancel_submitted()
            raise
        return {key: item.task_id for key, item in self._open.items() if item.task_id}

    def cancel_submitted(self) -> None:
        """Cancel the jobs that this supervisor has given to a cluster."""
        if isinstance(self._backend, ClusterBackend):
            self._backend.cancel(self._submitted.values())
        for key in self._submitted:
            self._open[key].task_id = None

    def continuing(self) -> dict[str, str]:
        """Return the ids, by name, of jobs that go on when this process ends."""
        items = self._open.values() if self._backend.continues else ()
        return {item.job.name: item.task_id for item in items if item.task_id}

    def close_interrupted(self, reason: str) -> None:
        """Stop the jobs that do not continue alone, and close the runs of dead ones."""
        self._backend.close()
        if self._backend.continues:
            return
        states, self._now = self._records.states(), self._records.now()
        dead = []
        for key in self._open:
            state = states.get(key, JobState())
            holder = self._holder(key, state)
            if holder is not None and holder.surely_dead:
                self._records.end(key, state.attempt, killed(holder.content, reason))
                dead.append(key)
        if dead:
            with suppress(TrackingError):  # they are closed when the sweep is resumed
                self._children.close("KILLED", reason, dead)

    def _adopt(self, states: Mapping[str, JobState]) -> None:
        """Attach to jobs that an earlier supervisor has submitted and that are not over."""
        ids = {}
        for key in self._open:
            submission = self._records.submission(key, states.get(key, JobState()))
            if submission.get("backend") == self._backend.name and self._backend.continues:
                ids[key] = str(submission["id"])
        known = self._backend.poll(ids.values()) if ids else {}
        for key, task_id in ids.items():
            state = known.get(task_id, TaskState(Kind.unknown))
            if state.kind in (Kind.waiting, Kind.running) or (self._attach and state.is_over):
                self._open[key].task_id = task_id
        for key, item in self._open.items():
            state_of_job = states.get(key, JobState())
            holder = self._holder(key, state_of_job)
            if item.task_id is None and holder is not None and holder.alive:
                item.task_id, item.is_foreign = str(holder.content.get("id") or key), True
            elif self._attach and state_of_job.ended and state_of_job.attempt > item.since:
                item.task_id = item.task_id or key  # its end decides

    def _submit(self, keys: Sequence[str]) -> list[str]:
        """Give jobs to the backend; return the keys that it does not accept yet."""
        chosen = [key for key in keys if key in self._open]
        if not chosen:
            return []
        before = self._records.states()
        ids = self._backend.submit(chosen)
        for key, task_id in ids.items():
            self._open[key].task_id = task_id
            self._open[key].over_since = None
        self._submitted |= ids
        self._records.submit(ids, self._backend.name, before)
        return [key for key in chosen if key not in ids]

    def _holder(self, key: str, state: JobState) -> Holder | None:
        return holder_of(self._records, key, state, self._now)

    def _step(self, key: str, item: OpenJob, state: JobState, unsubmitted: bool) -> bool:
        """Decide what became of one job; return whether it has to be started again."""
        if is_finished(self._records, key, state):
            self._finish(key, item, state)
            return False
        if state.ended and state.attempt > item.since:
            end = self._records.read(f"{key}.end.{state.attempt}")
            if item.is_foreign:  # stopped with the supervisor that had started it
                item.is_foreign, item.task_id, item.since = False, None, state.attempt
                return True
            if end["status"] == DIED:
                return self._died(key, item, state, end)
            if end["status"] == "KILLED" and not end.get("pruned"):
                if item.state.kind is Kind.waiting:  # the cluster will start it again
                    self._reopen(key, item)
                    return False
                if item.state.kind is Kind.running:
                    return False  # until the cluster says whether it starts it again
                with suppress(TrackingError):  # it may have been set RUNNING while it waited
                    self._children.close("KILLED", str(end.get("error")), [key])
            if end["status"] == "SUPERSEDED":  # the accepted result may have to be logged
                over = item.state.is_over and not item.waits_for_record()
                return over and self._died(key, item, state, end)
            self._report(key, item, end)
            return False
        if unsubmitted:
            if self._records.stopped:
                self._drop(key)
            return False
        holder = self._holder(key, state)
        if not item.state.is_over:
            lost = item.state.kind is Kind.unknown and (holder is None or not holder.alive)
            return lost and self._vanished(key, item, state)
        if self._records.stopped and holder is None:
            self._drop(key)
            return False
        if holder is not None and not holder.surely_dead and item.waits_for_record():
            return False
        return self._over(key, item, state)

    def _over(self, key: str, item: OpenJob, state: JobState) -> bool:
        """Decide about a job whose process ended without a record; return whether to restart."""
        holder = self._holder(key, state)
        # a process that another one has started continues
        if holder is not None and holder.alive and holder.content.get("id") != item.task_id:
            return False
        end = end_without_record(item.state, holder)
        if holder is not None:
            self._records.end(key, state.attempt, end)
        if end["status"] == DIED:
            return self._died(key, item, state, end)
        with suppress(TrackingError):
            self._children.close("KILLED", end["error"], [key])
        self._report(key, item, end)
        return False

    def _vanished(self, key: str, item: OpenJob, state: JobState) -> bool:
        """Decide about a job that the backend does not know, such as Slurm without accounting."""
        if item.task_id is None or item.waits_for_record():
            return False
        item.state = TaskState(Kind.died, "there is no heartbeat")
        if not state.leases or state.ended:
            item.state = TaskState(Kind.cancelled, "the cluster does not know it any more")
        return self._over(key, item, state)

    def _died(self, key: str, item: OpenJob, state: JobState, end: Mapping[str, Any]) -> bool:
        """Count a death; return whether the job is started again."""
        reason = str(end.get("error") or "its process died")
        item.deaths += 1
        item.since, item.over_since = state.attempt, None
        if item.deaths <= self._restarts and not self._records.stopped:
            item.task_id = None
            item.state = TaskState(Kind.waiting)
            again = f"it is started again ({item.deaths} of {self._restarts})"
            self._progress.note(f"{item.job.name}  {reason}; {again}")
            return True
        with suppress(TrackingError):
            self._children.close("FAILED", reason, [key])
        failed = {**end, "status": "FAILED", "error": reason}
        if state.leases:
            self._records.write(f"{key}.end.{state.attempt}", failed)
        if self._shared["on_failure"] == "stop":
            (self._records.sweep_folder / STOPPED).touch()
        self._report(key, item, failed)
        return False

    def _reopen(self, key: str, item: OpenJob) -> None:
        """Set a run RUNNING again that the cluster has stopped and will start again."""
        if not item.is_requeued:
            item.is_requeued = True
            with suppress(TrackingError):
                self._children.reopen(key)
            self._progress.note(f"{item.job.name}  waits; the cluster will start it again")

    def _finish(self, key: str, item: OpenJob, state: JobState) -> None:
        end = self._records.read(f"{key}.end.{max(state.ends, default=0)}")
        metrics = self._records.read(f"{key}.result")["metrics"]
        self._report(key, item, {**end, "status": "FINISHED", "metrics": metrics})

    def _report(self, key: str, item: OpenJob, end: Mapping[str, Any]) -> None:
        self.ends[key] = job_end(end)
        del self._open[key]
        self._progress.report(item.job.name, self.ends[key])

    def _drop(self, key: str) -> None:
        """Leave out a job that may not start any more."""
        self.ends[key] = JobEnd("SCHEDULED", "not run", False)
        del self._open[key]
