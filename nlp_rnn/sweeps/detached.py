"""Detached sweeps: what runs their jobs and their comparison after the command has returned."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from nlp_rnn.errors import SweepError
from nlp_rnn.sweeps.backends import ClusterBackend, JobBackend
from nlp_rnn.sweeps.jobs import Job
from nlp_rnn.sweeps.supervisor import Supervisor
from nlp_rnn.tracking.ended_runs import close_run

if TYPE_CHECKING:
    from nlp_rnn.tracking.tracked_run import TrackedRun

__all__ = ["start_detached"]

LOG = "sweep.log"


def start_detached(
    run: "TrackedRun",
    supervisor: Supervisor,
    backend: JobBackend,
    jobs: Sequence[Job],
    uri: str,
    experiment: str,
) -> Callable[[], None]:
    """Leave the run of a sweep open, and return a function that starts what continues it.

    The function is called when this process no longer holds the lease of the sweep. It starts
    `nlp-rnn sweep attach` in the background, or on Slurm as a job that depends on all others.

    Parameters
    ----------
    run : TrackedRun
        MLflow run of the sweep.
    supervisor : Supervisor
        Submits the jobs, if the backend runs them without a supervisor.
    backend : JobBackend
        Backend of the sweep.
    jobs : sequence of Job
        Jobs that are not finished.
    uri, experiment : str
        Address of the MLflow store, and name of the experiment.
    """
    sweep_id = run.run_id[:8]
    command = [sys.executable, "-m", "nlp_rnn", "sweep", "attach", run.run_id]
    environment = {"MLFLOW_TRACKING_URI": uri, "MLFLOW_EXPERIMENT_NAME": experiment}
    folder = supervisor.folder
    depends_on: Sequence[str] = ()
    if isinstance(backend, ClusterBackend):
        supervisor.start(jobs)
        depends_on = list(supervisor.submit_all().values())
    run.set_tags({"process": ""})  # no process has to exist while the run is RUNNING
    run.leave_open()

    def proceed() -> None:
        if isinstance(backend, ClusterBackend):
            try:
                task_id = backend.submit_after(depends_on, command, environment, folder / LOG)
            except SweepError as error:
                supervisor.cancel_submitted()
                close_run(uri, run.run_id, "FAILED", " ".join(str(error).split()))
                raise SweepError(
                    f"{error}\nIts jobs were cancelled. Correct the options slurm.… and run "
                    f"nlp-rnn train -m resume={sweep_id}"
                ) from None
            print(f"{len(depends_on)} jobs were submitted; job {task_id} compares them at the end.")
        else:
            with (folder / LOG).open("ab") as log:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=os.environ | environment,
                    start_new_session=True,
                )
            print(f"The sweep continues in process {process.pid}; its output is in {folder / LOG}")
        for verb in ("status", "attach", "cancel"):
            print(f"{verb + ':':<14}nlp-rnn sweep {verb} {sweep_id}", flush=True)

    return proceed
