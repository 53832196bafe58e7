"""Worker processes of a data-parallel training: start them, send them the job, end them.

The first process is the ordinary one, with MLflow, console and checkpoints. It sends the others
the configuration and the paths of the token ids. A worker builds the same network, trains on its
share of every batch and ends. `trainer.processes` starts workers on this machine, `torchrun` on
any machines.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from nlp_rnn.config.compose import as_config
from nlp_rnn.config.run import RunConfig
from nlp_rnn.config.signature import plain
from nlp_rnn.errors import NlpRnnError, TrainingError

if TYPE_CHECKING:
    from nlp_rnn.tokens.tokenization import TokenizedCorpus
    from nlp_rnn.training.processes import Processes

__all__ = ["follow", "main", "processes_of", "send_job", "work"]

HOST = "127.0.0.1"
TARGETS = "targets.npz"
SECONDS_TO_END = 10.0
SECONDS_TO_FAIL = 2.0


@contextmanager
def processes_of(config: RunConfig) -> "Iterator[Processes]":
    """Run the worker processes of `config` inside the block, with this process as the first.

    They have ended when the block is left, also after an error.

    Raises
    ------
    TrainingError
        If a worker ends before the training does.
    """
    from nlp_rnn.training.processes import (
        SINGLE_PROCESS,
        Processes,
        launched_by_torchrun,
        process_group,
        torchrun_processes,
    )

    count = config.trainer.processes
    if launched_by_torchrun():
        with process_group(torchrun_processes()) as processes:
            yield processes
    elif count == 1:
        yield SINGLE_PROCESS
    else:
        workers = _Workers(count)
        try:
            store = workers.start()
            with process_group(Processes(0, count, 0, count), store) as processes:
                try:
                    yield processes
                except RuntimeError as error:  # torch raises it when it cannot reach a worker
                    reason = workers.failure()
                    if reason is None:
                        raise
                    raise TrainingError(reason) from error
            workers.wait()
        finally:
            workers.end()


def send_job(
    config: RunConfig,
    resolved: RunConfig,
    tokens: "TokenizedCorpus",
    num_labels: int,
    checkpoint: Path,
    processes: "Processes",
) -> None:
    """Send the other processes what they need to train.

    The number of threads is sent as requested, because another machine can have other cores. Soft
    targets are written beside the checkpoint.
    """
    trainer = replace(resolved.trainer, threads=config.trainer.threads)
    job = {
        "config": plain(replace(resolved, trainer=trainer)),
        "files": {split: str(path) for split, path in tokens.files.items()},
        "vocab_size": tokens.vocab_size,
        "num_labels": num_labels,
        "checkpoint": str(checkpoint),
    }
    if processes.count > 1 and tokens.train.targets is not None:
        path = checkpoint.with_name(TARGETS)
        np.savez(path, labels=tokens.train.labels, targets=tokens.train.targets)
        job["targets"] = str(path)
    processes.broadcast_text(json.dumps(job))


def work(processes: "Processes", store: Any = None) -> None:
    """Receive the job, train and end: the work of every process except the first.

    Raises
    ------
    NlpRnnError
        For an error that the first process raises too, or one of this machine only.
    """
    from omegaconf import OmegaConf

    from nlp_rnn.model.network import make_network
    from nlp_rnn.tokens.tokenization import open_tokens
    from nlp_rnn.training.processes import process_group
    from nlp_rnn.training.trainer import Trainer

    with process_group(processes, store):
        job = json.loads(processes.broadcast_text(""))
        config = as_config(OmegaConf.create(job["config"]))
        train, validation = (open_tokens(Path(job["files"][s])) for s in ("train", "validation"))
        if "targets" in job:
            with np.load(job["targets"], allow_pickle=False) as saved:
                train = train.with_targets(saved["labels"], saved["targets"])
        trainer = Trainer(
            make_network(config.network, job["vocab_size"], job["num_labels"], config.seed),
            config.trainer,
            config.optimizer,
            seed=config.seed,
            checkpoint=Path(job["checkpoint"]),
            processes=processes,
        )
        trainer.fit(train, validation)


def follow(processes: "Processes") -> None:
    """Do the work of a process that torchrun started, and end the process on success.

    The process ends without Python's cleanup: libraries whose threads were still ending have
    aborted it now and then, and torchrun then stops the first process too.

    Raises
    ------
    NlpRnnError
        As `work` does.
    """
    work(processes)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


class _Workers:
    """Worker processes on this machine; each ends when its standard input is closed."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.processes: list[subprocess.Popen[bytes]] = []
        self.errors: list[IO[bytes]] = []

    def start(self) -> Any:
        """Start the workers and return the TCPStore at which they wait."""
        from torch.distributed import TCPStore  # type: ignore[attr-defined]

        store = TCPStore(HOST, 0, self.count, is_master=True, wait_for_workers=False)
        for rank in range(1, self.count):
            self.errors.append(tempfile.TemporaryFile())
            self.processes.append(
                subprocess.Popen(
                    [
                        sys.executable,
                        "-m",
                        "nlp_rnn.runs.worker_processes",
                        str(store.port),
                        str(rank),
                        str(self.count),
                    ],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=self.errors[-1],
                    # Ctrl-C is for the first process, which ends the others
                    start_new_session=True,
                )
            )
        while not store.check([f"ready/{rank}" for rank in range(1, self.count)]):
            if any(process.poll() is not None for process in self.processes):
                raise TrainingError(
                    self.failure() or "A worker process ended before the training started."
                )
            time.sleep(0.02)
        return store

    def failure(self) -> str | None:
        """Return the reason why a worker has ended; None if all of them run."""
        deadline = time.monotonic() + SECONDS_TO_FAIL
        while time.monotonic() < deadline and not any(p.poll() for p in self.processes):
            time.sleep(0.02)
        failures = []
        for rank, process in enumerate(self.processes, start=1):
            if code := process.poll():
                errors = self.errors[rank - 1]
                errors.seek(0)
                lines = errors.read().decode(errors="replace").strip().splitlines()
                reason = lines[-1].removeprefix("nlp-rnn: ") if lines else "it was killed"
                # a worker that was killed breaks the connections of the others
                failures.append((code > 0, f"exit code {code}: {reason}", rank))
        if not failures:
            return None
        _, message, rank = min(failures)
        return f"Process {rank + 1} of {self.count} ended with {message}"

    def wait(self) -> None:
        """Wait some seconds for the workers to end by themselves."""
        for process in self.processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(SECONDS_TO_END)

    def end(self) -> None:
        """Kill workers that still run; they write no files."""
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()
            if process.stdin is not None:
                process.stdin.close()
        for errors in self.errors:
            errors.close()


def main() -> int:
    """Run one process that `_Workers.start` started, with the arguments PORT RANK COUNT."""
    port, rank, count = (int(argument) for argument in sys.argv[1:])

    def end_with_the_first() -> None:
        os.read(0, 1)  # returns when the first process closes it, or dies
        os._exit(1)

    threading.Thread(target=end_with_the_first, daemon=True).start()
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    from nlp_rnn.training.processes import Processes

    store = TCPStore(HOST, port, count, is_master=False)
    store.set(f"ready/{rank}", "")
    try:
        work(Processes(rank, count, rank, count), store)
    except NlpRnnError as error:
        print(f"nlp-rnn: {error}".replace("\n", " "), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
