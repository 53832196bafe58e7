"""Jobs on Slurm, as tasks of job arrays, through the programs sbatch, squeue, sacct and scancel."""

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from nlp_rnn.config.sweep import SlurmConfig
from nlp_rnn.errors import ConfigError, SweepError
from nlp_rnn.sweeps.backends import Kind, TaskState
from nlp_rnn.sweeps.job_records import JobRecords

__all__ = ["SlurmBackend"]

KINDS = {
    "PENDING": Kind.waiting,
    "CONFIGURING": Kind.waiting,
    "REQUEUED": Kind.waiting,
    "REQUEUE_HOLD": Kind.waiting,
    "REQUEUE_FED": Kind.waiting,
    "SPECIAL_EXIT": Kind.waiting,
    "RUNNING": Kind.running,
    "COMPLETING": Kind.running,
    "SIGNALING": Kind.running,
    "STAGE_OUT": Kind.running,
    "STOPPED": Kind.running,
    "SUSPENDED": Kind.running,
    "RESIZING": Kind.running,
    "COMPLETED": Kind.ended,
    "CANCELLED": Kind.cancelled,
    "TIMEOUT": Kind.timed_out,
    "DEADLINE": Kind.timed_out,
    "NODE_FAIL": Kind.lost,
}
"""Slurm's states of a job; in all others its process has died."""

LIMITS = re.compile(r"submit limit|MaxSubmit|SubmitJobs|MaxJobCount|temporarily unable", re.I)
"""Part of sbatch's message if a user, or the cluster, has as many jobs as are allowed."""

MAX_TASKS = 1000
SECONDS = 60


class SlurmBackend:
    """Submits jobs as arrays; every task of an array runs `nlp_rnn.sweeps.worker`."""

    name = "slurm"
    continues = True
    seconds_between_polls = 5.0

    def __init__(self, options: SlurmConfig, records: JobRecords, parallel: int | None) -> None:
        """Prepare to submit jobs; Slurm is not contacted yet.

        Parameters
        ----------
        options : SlurmConfig
            What a job requests.
        records : JobRecords
            Records of the sweep.
        parallel : int or None
            Number of jobs that may run at the same time; None for no limit.
        """
        self._options, self._records, self._parallel = options, records, parallel
        # The same for every supervisor of the sweep, so that each finds its jobs.
        digest = hashlib.sha256(str(records.sweep_folder).encode()).hexdigest()[:8]
        self._name = f"nlp-rnn-{digest}"
        self._accounting = shutil.which("sacct") is not None

    def check(self) -> None:
        """Raise `ConfigError` if Slurm would reject the jobs, such as for a wrong partition."""
        done = _run(["sbatch", "--test-only", *self._arguments(), "--wrap=true"])
        if done.returncode != 0 and not LIMITS.search(done.stderr):
            raise ConfigError(
                f"Slurm rejects the jobs: {_message(done)}\nCorrect the options slurm.…; "
                "sinfo shows the partitions and their limits."
            )

    def submit(self, keys: Sequence[str]) -> dict[str, str]:
        """Submit jobs in arrays that respect the limits of the cluster."""
        self._records.folder.mkdir(parents=True, exist_ok=True)
        ids: dict[str, str] = {}
        left, size = list(keys), min(MAX_TASKS, self._max_array_size())
        while left:
            chunk = left[:size]
            try:
                array_id = self._submit_array(chunk)
            except SweepError:
                if not ids:
                    raise
                break  # those that were accepted are recorded, and the next call raises the error
            if array_id is not None:
                ids |= {key: f"{array_id}_{number}" for number, key in enumerate(chunk)}
                left = left[size:]
            elif len(chunk) > 1:
                size = len(chunk) // 2
            else:
                break  # the supervisor tries again
        return ids

    def poll(self, ids: Iterable[str]) -> Mapping[str, TaskState]:
        """Return the states of jobs, from squeue and for those that it has forgotten from sacct."""
        wanted = set(ids)
        if not wanted:
            return {}
        command = ["squeue", "-h", "-r", "-t", "all", "--me", "-n", self._name]
        done = _run([*command, "-o", "%i|%T|%r"])
        if done.returncode != 0:  # the controller does not respond: nothing has changed
            return {task_id: TaskState(Kind.waiting, "squeue failed") for task_id in wanted}
        states = {}
        for line in done.stdout.splitlines():
            task_id, state, reason = line.split("|", 2)
            states[task_id] = _state(state, reason)
        missing = sorted(wanted - states.keys())
        if missing and self._accounting:
            states |= self._accounted(missing)
        return {task_id: states[task_id] for task_id in wanted & states.keys()}

    def wait(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def cancel(self, ids: Iterable[str]) -> None:
        """Cancel jobs; those that have ended are not changed."""
        if chosen := sorted(set(ids)):
            _run(["scancel", *chosen])

    def cancel_all(self) -> None:
        """Cancel every job of the sweep, including the one that compares the others.

        Raises
        ------
        SweepError
            Slurm's `scancel` failed, so jobs may still run.
        """
        for name in (self._name, f"{self._name}-end"):
            done = _run(["scancel", "--me", f"--name={name}"])
            if done.returncode != 0:
                reason = done.stderr.strip().splitlines()[:1] or ["no reason is known"]
                raise SweepError(
                    f"scancel failed, so jobs of the sweep may still run: {reason[0]}\n"
                    f"Run scancel --me --name={name} on a machine of the cluster."
                )

    def close(self) -> None:
        """Do nothing: the jobs continue."""

    def submit_after(
        self, ids: Sequence[str], command: Sequence[str], environment: Mapping[str, str], log: Path
    ) -> str:
        """Run a command as a job that starts when all others have ended."""
        arrays = sorted({task_id.partition("_")[0] for task_id in ids})
        after = [f"--dependency=afterany:{':'.join(arrays)}"] if arrays else []
        options = [item for item in self._arguments() if not item.startswith("--job-name")]
        done = _run(
            [
                "sbatch",
                "--parsable",
                *options,
                f"--job-name={self._name}-end",
                *after,
                "--open-mode=append",
                f"--output={log}",
            ],
            self._script([f"exec {shlex.join(command)}"]),
            environment,
        )
        if done.returncode != 0:
            raise SweepError(f"Slurm did not accept the last job: {_message(done)}")
        return done.stdout.strip().partition(";")[0]

    def _submit_array(self, keys: Sequence[str]) -> str | None:
        """Submit one array; return its id, or None if there are too many jobs already."""
        number = 1
        while not self._records.create(f"array-{number}", {"keys": list(keys)}):
            number += 1
        worker = [sys.executable, "-m", "nlp_rnn.sweeps.worker"]
        worker += [str(self._records.sweep_folder), f"array-{number}"]
        limit = f"%{self._parallel}" if self._parallel else ""
        done = _run(
            [
                "sbatch",
                "--parsable",
                *self._arguments(),
                f"--array=0-{len(keys) - 1}{limit}",
                f"--signal=B:USR1@{self._options.margin}",
                "--open-mode=append",
                f"--output={self._records.folder}/slurm-%A_%a.log",
            ],
            # exec: the signals of Slurm then reach the worker, without a shell in between
            self._script([f"exec {shlex.join(worker)}"]),
        )
        if done.returncode == 0:
            return done.stdout.strip().partition(";")[0]
        (self._records.folder / f"array-{number}").unlink()
        if LIMITS.search(done.stderr):
            return None
        raise SweepError(
            f"Slurm did not accept the jobs: {_message(done)}\n"
            "Correct the options slurm.… and resume the sweep."
        )

    def _arguments(self) -> list[str]:
        options = self._options
        pairs = {
            "job-name": self._name,
            "partition": options.partition,
            "time": options.time,
            "cpus-per-task": options.cpus_per_task,
            "mem": options.mem,
            "gpus": options.gpus,
            "account": options.account,
            "qos": options.qos,
        }
        arguments = [f"--{name}={value}" for name, value in pairs.items() if value is not None]
        return ["--ntasks=1", *arguments, *shlex.split(options.options or "")]

    def _script(self, lines: Sequence[str]) -> str:
        folder = shlex.quote(os.getcwd())
        return "\n".join(["#!/bin/bash", f"cd {folder}", self._options.setup or "", *lines, ""])

    def _max_array_size(self) -> int:
        match = re.search(r"MaxArraySize\s*=\s*(\d+)", _run(["scontrol", "show", "config"]).stdout)
        return max(1, int(match[1]) - 1) if match else MAX_TASKS

    def _accounted(self, ids: Sequence[str]) -> dict[str, TaskState]:
        """Return the states of jobs that squeue has forgotten."""
        command = ["sacct", "-n", "-P", "-X", "-o", "JobID,State"]
        done = _run([*command, "-j", ",".join(ids)])
        if done.returncode != 0:  # there is no accounting: the records of the jobs decide
            self._accounting = False
            return {}
        rows = (line.split("|", 1) for line in done.stdout.splitlines() if "|" in line)
        return {task_id: _state(state.partition(" ")[0], state) for task_id, state in rows}


def _state(state: str, reason: str) -> TaskState:
    kind = KINDS.get(state, Kind.died)
    return TaskState(kind, state if kind is not Kind.waiting else reason)


def _run(
    command: Sequence[str], script: str | None = None, environment: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(
            command,
            input=script,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            env=os.environ | (environment or {}),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(list(command), 1, "", str(error))


def _message(done: "subprocess.CompletedProcess[str]") -> str:
    """Return the last line of what a program of Slurm says about an error."""
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return lines[-1].removeprefix("sbatch: error: ") if lines else f"exit code {done.returncode}"
