"""What MLflow has of a data set becomes the sweeps of scripts/results that train the rest."""

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable
from typing import Any

from results_table import CELLS

# What says how a sweep is run, and not what it runs.
MANNER = ("seed=", "sweep.", "hydra.", "tracking.", "trainer.device=", "trainer.threads=")


class Store:
    """What MLflow has of one set."""

    def __init__(self, uri: str, experiment: str, digest: str, config: dict[str, Any]) -> None:
        """`config` are those of the cells."""
        from mlflow import MlflowClient

        from nlp_rnn.config.signature import signature

        self._client, self._uri = MlflowClient(tracking_uri=uri), uri
        self._experiment, self._digest = experiment, digest
        self.signatures = {signature(each): cell for cell, each in config.items()}
        self._other_data: set[str] = set()  # sweeps that read other texts from the same place

    def finished(self) -> dict[tuple[str, int], Any]:
        """The oldest finished run of each cell and seed on these very texts."""
        found: dict[tuple[str, int], Any] = {}
        for known, cell in self.signatures.items():
            query = f"tags.signature = '{known}' and attributes.status = 'FINISHED'"
            for run in self._search(query):
                digests = {each.dataset.digest for each in run.inputs.dataset_inputs}
                if self._digest[:36] not in digests:
                    self._other_data.add(run.data.tags.get("mlflow.parentRunId", ""))
                elif run.data.params.get("seed", "").isdigit():
                    found.setdefault((cell, int(run.data.params["seed"])), run)
        return found

    def sweep(self, words: list[str]) -> Any:
        """The run of the newest sweep that was told the same but for seeds and manner, or None."""
        asked = _matter(words)
        for run in reversed(self._search("tags.kind = 'sweep'")):
            tags = run.data.tags  # older stores have sweep_words
            words = json.loads(tags.get("sweep_arguments") or tags.get("sweep_words", "[]"))
            if _matter(words) == asked and run.info.run_id not in self._other_data:
                return run
        return None

    def _search(self, query: str) -> list[Any]:
        from nlp_rnn.tracking.store import tracking_errors

        found: list[Any] = []
        token = None
        with tracking_errors(self._uri):
            while True:
                page = self._client.search_runs(
                    [self._experiment],
                    query,
                    order_by=["attributes.start_time ASC"],
                    page_token=token,
                )
                found += page
                token = page.token
                if not token:
                    return found


def _matter(words: Iterable[str]) -> list[str]:
    return sorted(word for word in words if not word.startswith(MANNER))


def missing(
    runs: dict[tuple[str, int], Any], seeds: Iterable[int], words: list[str], store: Store
) -> list[list[str]]:
    """The words of the sweeps that train what is not there.

    One sweep of both cells, its own runs of before included, so that it compares them at its end;
    where other runs stand for some of them, one of each cell with the seeds that it lacks.
    """
    wanted = list(seeds)
    lacking = {cell: [s for s in wanted if (cell, s) not in runs] for cell in CELLS}
    if not any(lacking.values()):
        return []
    own = wait_for(store, words)
    parents = {run.data.tags.get("mlflow.parentRunId") for run in runs.values()}
    if not runs or (own and parents == {own.info.run_id}):
        ways = [(words, wanted)]
    else:
        ways = [([*words, f"model={cell}"], some) for cell, some in lacking.items() if some]
    made = []
    for told, some in ways:
        before = wait_for(store, told)
        resumed = [f"sweep.resume={before.data.tags['sweep']}"] if before else []
        made.append([*told, f"seed={','.join(map(str, some))}", *resumed])
    return made


def wait_for(store: Store, words: list[str]) -> Any:
    """The sweep to go on with, once no process that a killed script left works at it, or None."""
    from nlp_rnn.tracking.liveness import is_alive

    said = False
    while (run := store.sweep(words)) and run.info.status == "RUNNING" and is_alive(run.data.tags):
        if not said:
            print(f"waiting for process {run.data.tags['process']} to end this sweep", flush=True)
        said = True
        time.sleep(2)
    return run if run and "sweep" in run.data.tags else None


def train(words: list[str]) -> int:
    """Run a sweep in a process of its own, which ends with this one; its exit code."""
    command = [sys.executable, "-m", "nlp_rnn", "train", "-m", *words]
    print(shlex.join(["nlp-rnn", "train", "-m", *words]), flush=True)
    with subprocess.Popen(command) as process:
        try:
            return process.wait()
        except BaseException:
            try:  # Ctrl-C reaches it too
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.terminate()
                process.wait()
            raise
