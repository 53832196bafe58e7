"""Run `nlp-rnn` in a process that has imported all libraries already, which saves seconds."""

import gc
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from pkgutil import walk_packages

import nlp_rnn

PACKAGE = Path(nlp_rnn.__file__).parent
HEAVY = [
    "torch",
    "torch.fx.experimental.symbolic_shapes",
    "mlflow",
    "mlflow.pyfunc",
    "mlflow.store.tracking.sqlalchemy_store",
    "datasets",
    "pandas",
    "sklearn.metrics",
    "sklearn.svm",
    "hydra",
    "matplotlib.figure",
    "matplotlib.backends.backend_agg",
    "onnx",
    "onnxruntime",
    "git",
    "tokenizers",
    "alembic.config",
    "mlflow.models",
    "mlflow.tracing.provider",
    "rich.progress",
    *(
        module.name
        for module in walk_packages([str(PACKAGE)], "nlp_rnn.")
        if not module.name.endswith("__main__")
    ),
    "tests.installed",
    "tests.quick_hydra",
]


def run(command: list[str]) -> "subprocess.CompletedProcess[str]":
    """Run `nlp-rnn …` like `subprocess.run(command, capture_output=True, text=True)`."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        process = start(command, out, err)
        process.join()
        assert process.exitcode is not None
        return subprocess.CompletedProcess(
            command, process.exitcode, out.read_text("utf-8"), err.read_text("utf-8")
        )


def processes() -> ForkServerContext:
    """Return a context of `multiprocessing` whose processes have imported the heavy libraries."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(HEAVY)
    return context


def start(command: list[str], out: Path, err: Path) -> ForkServerProcess:
    """Start `nlp-rnn …` in a new session, with stdout and stderr in the two files."""
    assert command[0] == "nlp-rnn", command
    process = processes().Process(
        target=_work, args=(command, str(out), str(err), os.getcwd(), dict(os.environ))
    )
    process.start()
    return process


def wait_for(process: ForkServerProcess, out: Path, beginning: str) -> None:
    """Wait until `process` has written a line with this beginning to `out`."""
    while not any(line.startswith(beginning) for line in written(out)):
        assert process.is_alive(), out.read_text("utf-8")
        time.sleep(0.01)


def written(out: Path) -> list[str]:
    """Return the lines of `out` so far."""
    return out.read_text("utf-8").splitlines() if out.exists() else []


def _work(command: list[str], out: str, err: str, folder: str, environment: dict[str, str]) -> None:
    os.setsid()
    gc.freeze()  # objects from before the command need not be collected
    # MLflow adds the code of a loaded model to the path, and this process inherits the path
    sys.path.insert(0, str(Path(__file__).parent.parent))
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for path, number in ((out, 1), (err, 2)):
        os.dup2(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND), number)
    sys.argv = command
    from nlp_rnn.cli import main

    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    sys.exit(code)
