"""The first word of a command becomes its module's work, and errors an exit code."""

import atexit
import gc
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module

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
  nlp-rnn baselines data=...                       majority class and linear SVM on the same data
  nlp-rnn bench MODEL                             how fast a saved classifier answers here
  nlp-rnn register RUN --name NAME                make a run's classifier the champion in MLflow
  nlp-rnn sync [FOLDER ...]                       send what MLflow missed while it was away

nlp-rnn COMMAND --help shows an example.  --debug shows the traceback of an error.
"""

COMMANDS = (
    "train",
    "pretrain",
    "compare",
    "ui",
    "predict",
    "evaluate",
    "inspect",
    "baselines",
    "bench",
    "register",
    "sync",
)
"""Each a module of `nlp_rnn.commands` that has `HELP` and a function of its name."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 the work failed, 2 wrong words.

    Without `arguments` they are the process's, which ends with the command.
    """
    if arguments is not None:
        return _answer(list(arguments))
    # Torch, MLflow and Hydra make half a million objects that stay: to look through all of them
    # eight times, as after every 700 new ones, is a tenth of a short command.
    gc.set_threshold(20_000)
    code = 1

    def leave() -> None:
        # What is registered first runs last. Python would now take torch and MLflow apart, module
        # by module, for more than half a second.
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)

    atexit.register(leave)
    try:
        code = _answer(sys.argv[1:])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        raise
    return code


def _answer(words: list[str]) -> int:
    """Run the command of `words`; an error becomes its lines and its exit code."""
    debug = "--debug" in words or bool(os.environ.get("HYDRA_FULL_ERROR"))
    words = [word for word in words if word != "--debug"]
    if not words or words[0] in ("-h", "--help", "help"):
        print(HELP, end="")
        return 0
    if words[0] == "--version":
        print(f"nlp-rnn {__version__}")
        return 0
    try:
        return _command(words[0], words[1:])
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


def _command(name: str, words: list[str]) -> int:
    """Run a command, or with `--help` show how it is used."""
    if name not in COMMANDS:
        raise ConfigError(f"There is no command {name!r}; there are {', '.join(COMMANDS)}.")
    module = import_module(f"nlp_rnn.commands.{name}")
    options = words[: words.index("--")] if "--" in words else words
    if "-h" in options or "--help" in options:
        print(module.HELP, end="")
        return 0
    code: int = getattr(module, name)(words)
    return code
