"""Jobs on Ray, as remote tasks of the process of the sweep."""

import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from nlp_rnn.config.sweep import RayConfig
from nlp_rnn.cores import available_cores
from nlp_rnn.errors import ConfigError
from nlp_rnn.sweeps.backends import Kind, TaskState, travelling_environment
from nlp_rnn.sweeps.job_records import JobRecords

__all__ = ["RayBackend"]

SECONDS_TO_END = 20.0
SECONDS_TO_CONNECT = 10.0


class RayBackend:
    """Runs jobs as tasks of Ray, which stop when the process of the sweep ends."""

    name = "ray"
    continues = False
    seconds_between_polls = 1.0

    def __init__(self, options: RayConfig, records: JobRecords, parallel: int | None) -> None:
        """Import Ray; it is not started yet.

        Parameters
        ----------
        options : RayConfig
            Address of the cluster, and what a job requests.
        records : JobRecords
            Records of the sweep.
        parallel : int or None
            Number of jobs that may run at the same time; None for no limit.

        Raises
        ------
        ConfigError
            Ray is not installed.
        """
        try:
            import ray
        except ImportError:
            raise ConfigError(
                "sweep.backend=ray needs Ray, which is not installed. "
                "Run pip install 'nlp_rnn[ray]'."
            ) from None
        self._ray: Any = ray
        self._options, self._records, self._parallel = options, records, parallel
        self._tasks: dict[str, Any] = {}
        self._queue: list[str] = []
        self._ended: dict[str, TaskState] = {}

    def check(self) -> None:
        """Connect to the cluster, or start Ray on this machine.

        Raises
        ------
        ConfigError
            There is no cluster at `ray.address`, or no node of it can run a job.
        """
        ray, options = self._ray, self._options
        if not ray.is_initialized():
            local = {} if options.address else {"num_cpus": available_cores()}
            try:
                _reach(options.address)
                ray.init(
                    address=options.address or "local",
                    log_to_driver=False,
                    logging_level="ERROR",
                    runtime_env={"env_vars": travelling_environment()},
                    **({"include_dashboard": False} | local if local else {}),
                )
            except (OSError, RuntimeError, ValueError) as error:
                first = (str(error).strip().splitlines() or ["no reason given"])[0]
                raise ConfigError(
                    f"There is no Ray cluster at ray.address={options.address}: {first}\n"
                    "Run ray start --head on a machine, or remove ray.address."
                ) from None
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        wanted = {"CPU": options.num_cpus, "GPU": options.num_gpus}
        if not any(all(node.get(k, 0) >= v for k, v in wanted.items()) for node in nodes):
            most = max((node.get("CPU", 0) for node in nodes), default=0)
            raise ConfigError(
                f"No node of Ray has ray.num_cpus={options.num_cpus:g} and "
                f"ray.num_gpus={options.num_gpus:g}; the largest has {most:g} CPU cores."
            )

    def submit(self, keys: Sequence[str]) -> dict[str, str]:
        """Give jobs to Ray."""
        for key in keys:
            self._ended.pop(key, None)
            self._queue.append(key)
        self._dispatch()
        return {key: key for key in keys}

    def poll(self, ids: Iterable[str]) -> Mapping[str, TaskState]:
        """Return the states of the jobs; one that Ray has not started yet is waiting."""
        self._collect()
        self._dispatch()
        records = self._records.states() if self._tasks else {}
        states = dict(self._ended)
        for key in self._queue:
            states[key] = TaskState(Kind.waiting)
        for key in self._tasks:
            started = key in records and records[key].leases and not records[key].ended
            states[key] = TaskState(Kind.running if started else Kind.waiting)
        return {key: states[key] for key in ids if key in states}

    def wait(self, seconds: float) -> None:
        """Wait until a task has ended."""
        if self._tasks:
            self._ray.wait(list(self._tasks.values()), timeout=seconds)
        else:
            time.sleep(seconds)

    def cancel(self, ids: Iterable[str]) -> None:
        """Cancel jobs."""
        for key in ids:
            if key in self._queue:
                self._queue.remove(key)
                self._ended[key] = TaskState(Kind.cancelled)
            elif key in self._tasks:
                self._ray.cancel(self._tasks[key])

    def close(self) -> None:
        """Cancel the tasks, and wait until they have closed their runs."""
        self._queue.clear()
        self.cancel(list(self._tasks))
        end = time.monotonic() + SECONDS_TO_END
        while self._tasks and time.monotonic() < end:
            self.wait(0.2)
            self._collect()
        self._ray.shutdown()

    def _dispatch(self) -> None:
        limit = self._parallel or len(self._queue) + len(self._tasks)
        while self._queue and len(self._tasks) < limit:
            key = self._queue.pop(0)
            options = self._options
            # No retries by Ray: the supervisor counts them and says so.
            task = self._ray.remote(
                num_cpus=options.num_cpus, num_gpus=options.num_gpus, max_retries=0
            )(_work)
            self._tasks[key] = task.options(name=key).remote(str(self._records.sweep_folder), key)

    def _collect(self) -> None:
        if not self._tasks:
            return
        tasks = {task: key for key, task in self._tasks.items()}
        ended, _ = self._ray.wait(list(tasks), num_returns=len(tasks), timeout=0)
        for task in ended:
            key = tasks[task]
            del self._tasks[key]
            self._ended[key] = self._outcome(task)

    def _outcome(self, task: Any) -> TaskState:
        errors = self._ray.exceptions
        try:
            self._ray.get(task)
        except errors.TaskCancelledError:
            return TaskState(Kind.cancelled, "cancelled on Ray")
        except (errors.NodeDiedError, errors.RaySystemError) as error:
            return TaskState(Kind.lost, _first_line(error))
        except errors.RayError as error:
            if "KeyboardInterrupt" in str(error):
                return TaskState(Kind.cancelled, "cancelled on Ray")
            return TaskState(Kind.died, _first_line(error))
        return TaskState(Kind.ended)


def _reach(address: str | None) -> None:
    """Raise `OSError` if nothing listens at HOST:PORT, for which Ray would wait for minutes."""
    host, _, port = (address or "").rpartition(":")
    if host and port.isdecimal() and "/" not in host:
        socket.create_connection((host, int(port)), SECONDS_TO_CONNECT).close()


def _work(folder: str, key: str) -> None:
    """Run one job in a process of Ray."""
    import ray

    from nlp_rnn.sweeps.job_run import run_job
    from nlp_rnn.tracking.interruption import Terminated

    task_id = ray.get_runtime_context().get_task_id()
    with suppress(KeyboardInterrupt, Terminated):  # recorded as KILLED
        run_job(Path(folder), key, {"backend": "ray", "id": task_id})


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"
