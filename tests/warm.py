"""A command of `nlp-rnn` runs in a process that has imported all it may need: seconds less."""

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


def run(words: list[str]) -> "subprocess.CompletedProcess[str]":
    """What `subprocess.run(words, capture_output=True, text=True)` gives for `nlp-rnn …`."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        process = start(words, out, err)
        process.join()
        assert process.exitcode is not None
        return subprocess.CompletedProcess(
            words, process.exitcode, out.read_text("utf-8"), err.read_text("utf-8")
        )


def processes() -> ForkServerContext:
    """What `multiprocessing` starts here has the heavy libraries already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(HEAVY)
    return context


def start(words: list[str], out: Path, err: Path) -> ForkServerProcess:
    """Begin `nlp-rnn …` in a session of its own, writing to the two files."""
    assert words[0] == "nlp-rnn", words
    process = processes().Process(
        target=_work, args=(words, str(out), str(err), os.getcwd(), dict(os.environ))
    )
    process.start()
    return process


def wait_for(process: ForkServerProcess, out: Path, beginning: str) -> None:
    """Return when `process` has written a line to `out` that has this beginning."""
    while not any(line.startswith(beginning) for line in written(out)):
        assert process.is_alive(), out.read_text("utf-8")
        time.sleep(0.01)


def written(out: Path) -> list[str]:
    """The lines of `out` so far."""
    return out.read_text("utf-8").splitlines() if out.exists() else []


def _work(words: list[str], out: str, err: str, folder: str, environment: dict[str, str]) -> None:
    os.setsid()
    gc.freeze()  # what was there before is nothing of the command's
    # MLflow leaves the code of a model it loaded on the path, which comes here with it
    sys.path.insert(0, str(Path(__file__).parent.parent))
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for path, number in ((out, 1), (err, 2)):
        os.dup2(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND), number)
    sys.argv = words
    from nlp_rnn.cli import main

    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    sys.exit(code)
