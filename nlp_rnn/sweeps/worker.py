"""Program of a worker: `python -m nlp_rnn.sweeps.worker FOLDER`, or a task of a Slurm array.

    python -m nlp_rnn.sweeps.worker FOLDER           keys on standard input, one a line
    python -m nlp_rnn.sweeps.worker FOLDER ARRAY     the key of this task of a Slurm array

In the first form the worker writes a line for each job that has ended, and ends with its input. If
the process of the sweep dies, the input ends, and the running job is stopped.
"""

import os
import queue
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from nlp_rnn.sweeps.job_records import JobRecords
from nlp_rnn.sweeps.job_run import run_job
from nlp_rnn.tracking.interruption import Terminated, interruptions

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Run the jobs and return the exit code."""
    folder = Path(arguments[0])
    try:
        with interruptions():
            if len(arguments) > 1:
                _array_task(folder, arguments[1])
            else:
                _keys_of_input(folder)
    except (KeyboardInterrupt, Terminated) as error:
        return int(error.code) if isinstance(error, Terminated) and error.code else 130
    return 0


def _array_task(folder: Path, array: str) -> None:
    keys = JobRecords(folder).read(array)["keys"]
    environment = os.environ
    task_id = f"{environment['SLURM_ARRAY_JOB_ID']}_{environment['SLURM_ARRAY_TASK_ID']}"
    key = keys[int(environment["SLURM_ARRAY_TASK_ID"])]
    run_job(folder, key, {"backend": "slurm", "id": task_id})


def _keys_of_input(folder: Path) -> None:
    """Run the jobs whose keys are on standard input."""
    ended = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints belongs to the log
    keys: queue.Queue[str | None] = queue.Queue()
    busy = threading.Event()

    def read() -> None:
        for line in sys.stdin:
            keys.put(line.strip())
        keys.put(None)
        if busy.is_set():
            os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=read, name="input", daemon=True).start()
    while (key := keys.get()) is not None:
        busy.set()
        run_job(folder, key)
        busy.clear()
        with suppress(BrokenPipeError):
            print(key, file=ended)


if __name__ == "__main__":
    # Ctrl-C reaches every process of the terminal; the sweep stops its workers itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # cleaning up torch and MLflow would take half a second
