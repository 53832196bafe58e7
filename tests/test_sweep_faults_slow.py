"""Random faults in sweeps of eight short jobs: every sweep ends, and no result is lost or doubled.

    NLP_RNN_FAULTS=200 NLP_RNN_BACKEND=processes pytest -s -m slow tests/test_sweep_faults_slow.py

NLP_RNN_BACKEND is processes, slurm or ray, and NLP_RNN_SEED another sequence of faults. A sweep has
two to eight faults; after each, the sweep is resumed if its command has ended. The runs are logged
to an MLflow server, which is one of the things that fail.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest
from mlflow import MlflowClient

from nlp_rnn.comparison.read import read_runs
from nlp_rnn.comparison.select import usable_runs
from tests import fake_training, warm
from tests.servers import MlflowServer
from tests.slurm_cluster import slurm_cluster
from tests.test_sweep import here, store

__all__ = ["here", "store"]  # fixtures

FAULTS = int(os.environ.get("NLP_RNN_FAULTS", "10"))
BACKEND = os.environ.get("NLP_RNN_BACKEND", "processes")
EPOCHS, JOBS = 5, 8
SECONDS_OF_A_COMMAND = 600
TRIES = 5
KINDS = ["cancel", "kill", "kill the supervisor", "ctrl-c", "resume twice", "server away"]
KINDS_OF_SLURM = ["scancel", "scancel all", "requeue", "nlp-rnn sweep cancel"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120 * FAULTS + 900)]


@pytest.fixture
def options(here: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Options of the backend."""
    for name, value in fake_training.environment(0.2, EPOCHS).items():
        monkeypatch.setenv(name, value)
    if BACKEND == "slurm":
        with slurm_cluster() as environment:
            for name, value in environment.items():
                monkeypatch.setenv(name, value)
            yield ["sweep.backend=slurm"]
    elif BACKEND == "ray":
        pytest.importorskip("ray")
        yield ["sweep.backend=ray", "ray.num_cpus=0.5"]
    else:
        yield ["sweep.jobs=2"]


@pytest.fixture
def server(here: Path, store: MlflowClient) -> Iterator[MlflowServer]:
    server = MlflowServer(store.tracking_uri, here)
    server.start()
    yield server
    server.close()


class Faults:
    """A sweep in a folder and an experiment of its own, and the faults that happen to it."""

    def __init__(self, number: int, here: Path, server: MlflowServer, chance: random.Random):
        self.here, self.server, self.chance = here, server, chance
        self.experiment = f"sweep{number}"
        self.folder = here / self.experiment
        self.output = here / f"output{number}.txt"
        self.before = chance.randrange(JOBS)
        os.environ["MLFLOW_EXPERIMENT_NAME"] = self.experiment
        os.environ["MLFLOW_TRACKING_URI"] = server.uri

    def start(self, *arguments: str) -> ForkServerProcess:
        command = ["nlp-rnn", "train", "-m", *arguments]
        return warm.start(command, self.output, self.output)

    def new(self, options: list[str]) -> ForkServerProcess:
        seeds = ",".join(map(str, range(1, JOBS + 1)))
        arguments = [f"seed={seeds}", "sweep.compare=false", f"output_dir={self.folder}"]
        return self.start(*options, *arguments)

    def resumed(self) -> ForkServerProcess:
        return self.start("resume=last")

    def leases(self) -> list[dict[str, str]]:
        """Leases of attempts that have not ended."""
        leases = []
        for path in (self.folder / ".jobs").glob("*.lease.*"):
            key, _, number = path.name.split(".")
            if key != "supervisor" and not path.with_name(f"{key}.end.{number}").exists():
                with suppress(OSError, ValueError):
                    leases.append(json.loads(path.read_text()))
        return leases

    def wait_for_jobs(self, process: ForkServerProcess) -> None:
        """Wait until some jobs have finished and another one is running, and a moment longer."""
        end = time.monotonic() + 90
        while time.monotonic() < end and process.is_alive():
            finished = len(list((self.folder / ".jobs").glob("*.result")))
            if finished >= self.before and self.leases():
                break
            time.sleep(0.05)
        time.sleep(self.chance.random())
        self.before = self.chance.randrange(self.before, JOBS)

    def cause(self, kind: str, process: ForkServerProcess) -> None:
        leases = self.leases()
        lease = self.chance.choice(leases) if leases else {}
        task = lease.get("id", "")
        if kind in ("cancel", "kill"):
            number = signal.SIGTERM if kind == "cancel" else signal.SIGKILL
            if lease:
                with suppress(ProcessLookupError):
                    os.kill(int(lease["process"].split()[0]), number)
        elif kind == "kill the supervisor":
            process.kill()
        elif kind == "ctrl-c":
            assert process.pid is not None
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGINT)
        elif kind == "resume twice":
            process.kill()
            process.join()
            both = [self.resumed() for _ in range(2)]
            for other in both:
                self.join(other)
        elif kind == "server away":
            self.server.stop()
            time.sleep(5 * self.chance.random())
            self.server.start()
        elif kind == "scancel":
            subprocess.run(["scancel", task or "0"], stderr=subprocess.DEVNULL)
        elif kind == "scancel all":
            subprocess.run(["scancel", task.partition("_")[0] or "0"], stderr=subprocess.DEVNULL)
        elif kind == "requeue":
            self.requeue(task)
        elif kind == "nlp-rnn sweep cancel":
            self.join(warm.start(["nlp-rnn", "sweep", "cancel", "last"], self.output, self.output))

    def requeue(self, task: str) -> None:
        """Let Slurm stop a job and start it again, for which it would wait for two minutes."""
        if task and not subprocess.run(["scontrol", "requeue", task]).returncode:
            update = ["scontrol", "update", f"JobId={task}", "StartTime=now"]
            for _ in range(10):  # it first has to end
                time.sleep(1)
                subprocess.run(update, stderr=subprocess.DEVNULL)

    def join(self, process: ForkServerProcess) -> int | None:
        process.join(SECONDS_OF_A_COMMAND)
        assert not process.is_alive(), f"it does not end:\n{self.output.read_text()}"
        return process.exitcode

    def check(self) -> None:
        """Check the statuses in MLflow, and the records and logs of every job."""
        client = MlflowClient(tracking_uri=self.server.uri)
        experiment = client.get_experiment_by_name(self.experiment)
        runs = client.search_runs([experiment.experiment_id])
        text = self.output.read_text()
        (parent,) = (run for run in runs if run.data.tags["kind"] == "sweep")
        children = [run for run in runs if run.data.tags["kind"] == "train"]
        finished = {run.info.run_id: run for run in children if run.info.status == "FINISHED"}
        assert parent.info.status == "FINISHED", text
        others = {run.info.status for run in children if run.info.run_id not in finished}
        assert others <= {"KILLED", "FAILED"}, text
        assert len({run.data.tags["job"] for run in finished.values()}) == JOBS, text
        compared, _ = usable_runs(
            read_runs(self.server.uri, self.experiment, parent.data.tags["sweep"]), "accuracy"
        )
        assert sorted(run.run_id for run in compared) == sorted(finished), text
        assert len(finished) == JOBS, text
        for run_id, run in finished.items():
            record = self.folder / ".jobs" / f"{run.data.tags['job']}.result"
            accepted = json.loads(record.read_text())
            assert accepted["run_id"] == run_id, text
            job_folder = Path(accepted["folder"])
            assert json.loads((job_folder / "result.json").read_text())["run_id"] == run_id
            for log in self.folder.glob(f"*-{run.data.tags['job']}*/trained.log"):
                assert log.stat().st_mtime <= record.stat().st_mtime + 0.01, (
                    f"{log} was written after its job had finished:\n{text}"
                )
            assert (job_folder / "trained.log").read_text().splitlines()[-1].split()[0] == str(
                EPOCHS
            )


def test_every_sweep_ends_whatever_happens(options: list[str], server: MlflowServer) -> None:
    chance = random.Random(os.environ.get("NLP_RNN_SEED", "1"))
    kinds = KINDS + (KINDS_OF_SLURM if BACKEND == "slurm" else [])
    caused: Counter[str] = Counter()
    number, started = 0, time.monotonic()
    while caused.total() < FAULTS:
        faults = Faults(number, Path.cwd(), server, chance)
        process = faults.new(options)
        happened = []
        for _ in range(min(chance.randrange(2, 9), FAULTS - caused.total())):
            if not process.is_alive():
                process = faults.resumed()
            faults.wait_for_jobs(process)
            happened.append(chance.choice(kinds))
            faults.cause(happened[-1], process)
            caused[happened[-1]] += 1
            if happened[-1] == "resume twice":
                process = faults.resumed()
        code = faults.join(process)
        for _ in range(TRIES):
            if code == 0:
                break
            code = faults.join(faults.resumed())
        faults.check()
        seconds = time.monotonic() - started
        print(f"{number}: {', '.join(happened)} ({seconds:.0f} s)", file=sys.stderr, flush=True)
        number += 1
    print(f"{BACKEND}: {number} sweeps, {dict(caused)}", file=sys.stderr)
