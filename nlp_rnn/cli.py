"""The words of a command become work, and errors become one or two lines and an exit code."""

import os
import sys
from collections.abc import Callable, Sequence

from nlp_rnn.errors import ConfigError, NlpRnnError
from nlp_rnn.version import __version__

__all__ = ["main"]

HELP = """\
Train LSTM and GRU text classifiers, compare them in MLflow, keep the better one.

  nlp-rnn train [group=choice] [key=value] [-m]   train one classifier, or with -m a sweep
  nlp-rnn pretrain data=...                       language models a classifier can start from
  nlp-rnn compare [--sweep ID]                    which is better, and how sure that is
  nlp-rnn ui [--port N]                           browse the runs in MLflow
  nlp-rnn predict MODEL [TEXT ... | --input FILE] answer with a saved classifier
  nlp-rnn evaluate MODEL data=...                 test a saved classifier on labelled texts
  nlp-rnn inspect MODEL TEXT                      see what it read: tokens, gates, memory
  nlp-rnn controls data=...                       majority class and linear SVM on the same data
  nlp-rnn bench MODEL                             how fast a saved classifier answers here
  nlp-rnn register RUN --name NAME                make a run's classifier the champion in MLflow
  nlp-rnn sync [FOLDER ...]                       send what MLflow missed while it was away

nlp-rnn COMMAND --help shows an example.  --debug shows the traceback of an error.
"""

TRAIN_HELP = """\
Train one classifier: tokenize, train, test, save, log to MLflow.

  nlp-rnn train                                    the built-in corpus, a GRU
  nlp-rnn train model=lstm model.hidden_size=256
  nlp-rnn train data=files data.path=FOLDER_OR_FILE data.text=COLUMN data.label=COLUMN
  nlp-rnn train -m model=lstm,gru seed=1,2,3       a sweep: every combination, compared at the end
  nlp-rnn train sweep=cells sweep.jobs=2           a sweep that others use too, two jobs at a time
  nlp-rnn train -m model=lstm,gru --dry-run        what it would run, and how long
  nlp-rnn train resume=RUN_FOLDER                  go on with a run that was interrupted
  nlp-rnn train -m resume=SWEEP                    go on with a sweep: its id, or last

Groups and their choices:
{groups}
nlp-rnn train --cfg job prints every key with its value; hydra.run.dir=FOLDER says where the
run folder goes; --config-dir FOLDER adds your own group files.
"""

UI_HELP = """\
Open the MLflow UI on the store that `nlp-rnn train` writes to from here.

  nlp-rnn ui
  nlp-rnn ui --port 5001
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 the work failed, 2 wrong words."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words or bool(os.environ.get("HYDRA_FULL_ERROR"))
    words = [word for word in words if word != "--debug"]
    commands: dict[str, Callable[[list[str]], int]] = {
        "train": _train,
        "pretrain": _pretrain,
        "compare": _compare,
        "ui": _ui,
        "predict": _predict,
        "evaluate": _evaluate,
        "inspect": _inspect,
        "controls": _controls,
        "bench": _bench,
        "register": _register,
        "sync": _sync,
    }
    if not words or words[0] in ("-h", "--help", "help"):
        print(HELP, end="")
        return 0
    if words[0] == "--version":
        print(f"nlp-rnn {__version__}")
        return 0
    try:
        if words[0] not in commands:
            known = ", ".join(commands)
            raise ConfigError(f"There is no command {words[0]!r}; there are {known}.")
        return commands[words[0]](words[1:])
    except KeyboardInterrupt:
        print("\nStopped by Ctrl-C.", file=sys.stderr)
        return 130
    except NlpRnnError as error:
        if debug:
            raise
        print(f"nlp-rnn: {error}", file=sys.stderr)
        return error.exit_code
    except Exception as error:
        if debug:
            raise
        lines = str(error).strip().splitlines() or [""]
        print(
            f"nlp-rnn: {type(error).__name__}: {lines[0]}\n"
            "This was not foreseen; add --debug for the traceback.",
            file=sys.stderr,
        )
        return 1


def _train(words: list[str]) -> int:
    if "-h" in words or "--help" in words:
        print(TRAIN_HELP.format(groups=_groups()), end="")
        return 0
    if _is_worker():
        from nlp_rnn.training.processes import torchrun_processes
        from nlp_rnn.worker import follow

        follow(torchrun_processes())
        return 0
    if any(word in ("-m", "--multirun") or word.startswith("sweep=") for word in words):
        return _sweep(words)
    resumed = [word.removeprefix("resume=") for word in words if word.startswith("resume=")]
    if resumed:
        if len(words) > 1:
            raise ConfigError(
                "resume=FOLDER goes on with that run's own configuration; found more: "
                f"{' '.join(word for word in words if not word.startswith('resume='))}."
            )
        from pathlib import Path

        from nlp_rnn.pipeline import resume

        resume(Path(resumed[0]))
        return 0
    from nlp_rnn.launch import launch

    launch(words)
    return 0


def _sweep(words: list[str]) -> int:
    if any(word.split("=")[0] in ("--cfg", "-c", "--info", "-i", "--hydra-help") for word in words):
        from nlp_rnn.launch import launch

        launch(words)
        return 0
    from nlp_rnn.sweep.sweep import sweep

    sweep(["sweep." + word if word.startswith("resume=") else word for word in words])
    return 0


def _is_worker() -> bool:
    """Whether torchrun started this process to follow another one, which reads the words."""
    return "TORCHELASTIC_RUN_ID" in os.environ and os.environ.get("RANK", "0") != "0"


def _groups() -> str:
    from nlp_rnn.composition import conf_dir

    lines = ""
    for folder in sorted(path for path in conf_dir().iterdir() if path.is_dir()):
        choices = sorted(path.stem for path in folder.glob("*.yaml"))
        lines += f"  {folder.name:<11}{', '.join(choices)}\n"
    return lines


def _ui(words: list[str]) -> int:
    if "-h" in words or "--help" in words:
        print(UI_HELP, end="")
        return 0
    options = _options(words, {"--port": "5000"}, UI_HELP)
    if not options["--port"].isdigit():
        raise ConfigError(f"--port must be a number, not {options['--port']!r}.")
    from pathlib import Path

    from nlp_rnn.tracking.store import experiment_name, resolve_uri
    from nlp_rnn.tracking.ui import serve

    return serve(resolve_uri(None, Path.cwd()), experiment_name(None), int(options["--port"]))


def _pretrain(words: list[str]) -> int:
    from nlp_rnn.commands import pretrain

    return _helped(words, pretrain.HELP, pretrain.pretrain)


def _compare(words: list[str]) -> int:
    from nlp_rnn.commands import compare

    return _helped(words, compare.HELP, compare.compare)


def _predict(words: list[str]) -> int:
    from nlp_rnn.commands import predict

    return _helped(words, predict.HELP, predict.predict)


def _evaluate(words: list[str]) -> int:
    from nlp_rnn.commands import evaluate

    return _helped(words, evaluate.HELP, evaluate.evaluate)


def _inspect(words: list[str]) -> int:
    from nlp_rnn.commands import inspect

    return _helped(words, inspect.HELP, inspect.inspect)


def _controls(words: list[str]) -> int:
    from nlp_rnn.commands import controls

    return _helped(words, controls.HELP, controls.controls)


def _bench(words: list[str]) -> int:
    from nlp_rnn.commands import bench

    return _helped(words, bench.HELP, bench.bench)


def _register(words: list[str]) -> int:
    from nlp_rnn.commands import register

    return _helped(words, register.HELP, register.register)


def _sync(words: list[str]) -> int:
    from nlp_rnn.commands import sync

    return _helped(words, sync.HELP, sync.sync)


def _helped(words: list[str], usage: str, command: Callable[[list[str]], int]) -> int:
    """Run a command, or with `--help` show how it is used."""
    options = words[: words.index("--")] if "--" in words else words
    if "-h" in options or "--help" in options:
        print(usage, end="")
        return 0
    return command(words)


def _options(words: list[str], defaults: dict[str, str], usage: str) -> dict[str, str]:
    """`--name value` and `--name=value` pairs over `defaults`."""
    found = dict(defaults)
    rest = [part for word in words for part in word.split("=", 1)]
    while rest:
        name = rest.pop(0)
        if name not in defaults or not rest:
            raise ConfigError(f"{name!r} was not understood here.\n{usage.strip()}")
        found[name] = rest.pop(0)
    return found
