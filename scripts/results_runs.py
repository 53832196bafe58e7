"""Runs of scripts/results in the MLflow store, and the sweeps that train the missing ones."""

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable
from typing import Any

from results_table import CELLS

IGNORED = ("seed=", "sweep.", "hydra.", "tracking.", "trainer.device=", "trainer.threads=")
"""Beginnings of arguments that may differ between a sweep and the one that it resumes."""


class Store:
    """The runs of one data set in an MLflow store.

    Parameters
    ----------
    uri
        Tracking URI of the store.
    experiment
        Id of the experiment.
    digest
        Digest of the texts. Runs on other texts are ignored.
    configs
        The configuration of a run of each cell, by the name of the cell.
    """

    def __init__(self, uri: str, experiment: str, digest: str, configs: dict[str, Any]) -> None:
        from mlflow import MlflowClient

        from nlp_rnn.config.signature import signature

        self._client, self._uri = MlflowClient(tracking_uri=uri), uri
        self._experiment, self._digest = experiment, digest
        self.signatures = {signature(config): cell for cell, config in configs.items()}
        self._other_data: set[str] = set()  # sweeps that read other texts from the same folder

    def finished(self) -> dict[tuple[str, int], Any]:
        """Return the oldest finished run of each cell and seed on these texts."""
        runs: dict[tuple[str, int], Any] = {}
        for signature, cell in self.signatures.items():
            query = f"tags.signature = '{signature}' and attributes.status = 'FINISHED'"
            for run in self._search(query):
                digests = {entry.dataset.digest for entry in run.inputs.dataset_inputs}
                if self._digest[:36] not in digests:
                    self._other_data.add(run.data.tags.get("mlflow.parentRunId", ""))
                elif run.data.params.get("seed", "").isdigit():
                    runs.setdefault((cell, int(run.data.params["seed"])), run)
        return runs

    def sweep(self, arguments: list[str]) -> Any:
        """Return the run of the newest sweep with these arguments, or None.

        Arguments that begin as in `IGNORED` may differ.
        """
        wanted = _compared(arguments)
        for run in reversed(self._search("tags.kind = 'sweep'")):
            tags = run.data.tags  # older stores have sweep_words
            arguments = json.loads(tags.get("sweep_arguments") or tags.get("sweep_words", "[]"))
            if _compared(arguments) == wanted and run.info.run_id not in self._other_data:
                return run
        return None

    def _search(self, query: str) -> list[Any]:
        from nlp_rnn.tracking.store import tracking_errors

        runs: list[Any] = []
        token = None
        with tracking_errors(self._uri):
            while True:
                page = self._client.search_runs(
                    [self._experiment],
                    query,
                    order_by=["attributes.start_time ASC"],
                    page_token=token,
                )
                runs += page
                token = page.token
                if not token:
                    return runs


def _compared(arguments: Iterable[str]) -> list[str]:
    return sorted(argument for argument in arguments if not argument.startswith(IGNORED))


def missing(
    runs: dict[tuple[str, int], Any], seeds: Iterable[int], arguments: list[str], store: Store
) -> list[list[str]]:
    """Return the arguments of the sweeps that train the cells and seeds missing from `runs`.

    If all `runs` belong to one sweep, it is resumed with both cells, so that it compares all
    runs at its end. Otherwise each cell has a sweep of the seeds that it lacks.
    """
    wanted = list(seeds)
    lacking = {cell: [s for s in wanted if (cell, s) not in runs] for cell in CELLS}
    if not any(lacking.values()):
        return []
    previous = wait_for(store, arguments)
    parents = {run.data.tags.get("mlflow.parentRunId") for run in runs.values()}
    if not runs or (previous and parents == {previous.info.run_id}):
        sweeps = [(arguments, wanted)]
    else:
        sweeps = [([*arguments, f"model={cell}"], rest) for cell, rest in lacking.items() if rest]
    commands = []
    for sweep, sweep_seeds in sweeps:
        previous = wait_for(store, sweep)
        resume = [f"sweep.resume={previous.data.tags['sweep']}"] if previous else []
        commands.append([*sweep, f"seed={','.join(map(str, sweep_seeds))}", *resume])
    return commands


def wait_for(store: Store, arguments: list[str]) -> Any:
    """Return the run of the sweep to resume, or None.

    If a process that a killed script left behind still runs the sweep, wait until it ends.
    """
    from nlp_rnn.tracking.liveness import is_alive

    is_reported = False
    while (
        (run := store.sweep(arguments)) and run.info.status == "RUNNING" and is_alive(run.data.tags)
    ):
        if not is_reported:
            print(f"waiting for process {run.data.tags['process']} to end this sweep", flush=True)
        is_reported = True
        time.sleep(2)
    return run if run and "sweep" in run.data.tags else None


def train(arguments: list[str]) -> int:
    """Run a sweep in a process that ends together with this one, and return its exit code."""
    command = [sys.executable, "-m", "nlp_rnn", "train", "-m", *arguments]
    print(shlex.join(["nlp-rnn", "train", "-m", *arguments]), flush=True)
    with subprocess.Popen(command) as process:
        try:
            return process.wait()
        except BaseException:
            try:  # Ctrl-C reaches the sweep, too
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.terminate()
                process.wait()
            raise
