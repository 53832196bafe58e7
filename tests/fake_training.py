"""A training that takes a second and needs no torch, for tests of sweeps.

It has the files of a real run folder and a real MLflow run: a checkpoint after every epoch, which a
resumed run continues from, and a result. Every epoch is one line in `trained.log`.
"""

import importlib.abc
import importlib.machinery
import os
import shutil
import sys
import time
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

SECONDS, EPOCHS = "FAKE_SECONDS", "FAKE_EPOCHS"
HOLD = "FAKE_HOLD"
"""Variable with the path of a file; while it exists, no second epoch ends."""
PATIENCE = 20.0


def environment(seconds: float = 0.1, epochs: int = 5) -> dict[str, str]:
    """Return the variables with which every Python process trains like this."""
    path = [str(Path(__file__).parent / "fake_site"), str(Path(__file__).parent.parent)]
    path += [os.environ["PYTHONPATH"]] if "PYTHONPATH" in os.environ else []
    return {"PYTHONPATH": os.pathsep.join(path), SECONDS: str(seconds), EPOCHS: str(epochs)}


def install() -> None:
    """Replace the training of every later import of `nlp_rnn.pipeline`."""
    sys.meta_path.insert(0, _Finder())


def train(config: Any, folder: Path, overrides: list[str], membership: Any = None) -> Any:
    from nlp_rnn.runs.run_folder import Origin, empty_folder
    from nlp_rnn.tracking.store import obtain_experiment, prepare_store

    prepare_store(membership.tracking_uri, patience=PATIENCE)
    empty_folder(folder)
    experiment_id = obtain_experiment(membership.tracking_uri, membership.experiment)
    origin = Origin("", experiment_id, membership.tracking_uri, "", "nlp-rnn train")
    return _run(config, folder, origin, membership)


def resume(folder: Path, membership: Any = None) -> Any:
    from nlp_rnn.config.compose import read_config
    from nlp_rnn.runs.run_folder import CONFIG, read_origin
    from nlp_rnn.tracking.store import prepare_store

    origin = read_origin(folder, "train")
    prepare_store(origin.tracking_uri, patience=PATIENCE)
    return _run(read_config(folder / CONFIG), folder, origin, membership)


def complete(folder: Path, result: Any, command: str) -> None:
    from nlp_rnn.runs.run_folder import RESULT, write_json
    from nlp_rnn.tracking.run_lifecycle import tracked_run

    write_json(folder / RESULT, dict(result))
    with tracked_run(
        result["tracking_uri"],
        result["experiment_id"],
        run_id=result["run_id"],
        name="",
        parameters={},
        tags={},
        folder=folder,
        system_metrics=False,
    ) as run:
        run.log_final(result["metrics"])


def _run(config: Any, folder: Path, origin: Any, membership: Any) -> Any:
    from nlp_rnn.config.signature import signature
    from nlp_rnn.pipeline import Result
    from nlp_rnn.runs.run_folder import CHECKPOINT, RESULT, save_inputs, write_json
    from nlp_rnn.runs.run_logging import run_name
    from nlp_rnn.tracking.run_lifecycle import tracked_run

    tags = {"cell": "gru", "data": "fake", "run_folder": str(folder)}
    with tracked_run(
        origin.tracking_uri,
        origin.experiment_id,
        run_id=origin.run_id or None,
        parent_run_id=membership.parent_run_id,
        name=run_name(config, membership),
        parameters={},
        tags=tags | {"signature": signature(config)} | dict(membership.tags),
        folder=folder,
        system_metrics=False,
    ) as run:
        if not origin.run_id:
            save_inputs(config, folder, origin, run)
        checkpoint = folder / CHECKPOINT / "epoch"
        done = int(checkpoint.read_text()) if checkpoint.exists() else 0
        for epoch in range(done + 1, int(os.environ.get(EPOCHS, "5")) + 1):
            time.sleep(float(os.environ.get(SECONDS, "0.1")))
            while epoch > 1 and Path(os.environ.get(HOLD) or "/nowhere").exists():
                time.sleep(0.1)
            with (folder / "trained.log").open("a") as log:
                log.write(f"{epoch} {os.getpid()}\n")
            run.log_metrics({"validation/macro_f1": epoch / 10}, step=epoch)
            membership.on_epoch(None)
            part = checkpoint.with_suffix(".part")
            part.write_text(str(epoch))
            part.replace(checkpoint)
        metrics = {"test/accuracy": 0.5, "validation/macro_f1": 0.5}
        result = Result(run.run_id, origin.experiment_id, origin.tracking_uri, "", metrics)
        membership.accept(asdict(result))
        write_json(folder / RESULT, asdict(result))
        run.log_final(metrics)
    shutil.rmtree(folder / CHECKPOINT)
    return result


class _Finder(importlib.abc.MetaPathFinder):
    """Import hook that patches `nlp_rnn.pipeline` and `nlp_rnn.sweeps.completion`."""

    def find_spec(self, name: str, path: Any, target: ModuleType | None = None) -> Any:
        if name not in ("nlp_rnn.pipeline", "nlp_rnn.sweeps.completion"):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        assert spec is not None
        assert spec.loader is not None
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            for function in (train, resume, complete):
                if hasattr(module, function.__name__):
                    setattr(module, function.__name__, function)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec
