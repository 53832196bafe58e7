"""Entry point of `nlp-rnn`: dispatch to the commands, errors as messages and exit codes."""

import atexit
import gc
import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

from nlp_rnn.errors import ConfigError, NlpRnnError
from nlp_rnn.extras import missing_package
from nlp_rnn.version import __version__

__all__ = ["main"]

HELP = """\
Train LSTM and GRU text classifiers, compare them in MLflow, and deploy the better one.

  nlp-rnn train [group=choice] [key=value] [-m]   train one classifier, or with -m a sweep
  nlp-rnn sweep status|attach|cancel ID           show, follow or cancel a sweep
  nlp-rnn pretrain data=...                       pretrain language models to start from
  nlp-rnn compare [--sweep ID]                    compare the runs of an experiment or sweep
  nlp-rnn ui [--port N]                           browse the runs in MLflow
  nlp-rnn predict MODEL [TEXT ... | --input FILE] predict with a saved classifier
  nlp-rnn evaluate MODEL data=...                 evaluate a saved classifier on labelled texts
  nlp-rnn inspect MODEL TEXT                      show attributions, gates and memory of a text
  nlp-rnn suggest MODEL --input FILE              choose the texts to label next
  nlp-rnn baselines data=...                      train the majority class and linear models
  nlp-rnn bench MODEL                             measure latency, throughput and memory
  nlp-rnn register RUN --name NAME                register the classifier of a run in MLflow
  nlp-rnn serve CLASSIFIER ...                    serve classifiers over HTTP, with a page
  nlp-rnn sync [FOLDER ...]                       send log entries that MLflow has not received

nlp-rnn COMMAND --help shows an example.  --debug shows the traceback of an error.
"""

COMMANDS = (
    "train",
    "sweep",
    "pretrain",
    "compare",
    "ui",
    "predict",
    "evaluate",
    "inspect",
    "suggest",
    "baselines",
    "bench",
    "register",
    "serve",
    "sync",
)
"""Each command is a module of `nlp_rnn.commands` with `HELP` and a function of the same name."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Parameters
    ----------
    arguments : sequence of str, optional
        Command and arguments. Default: those of the process, which then ends with the command.

    Returns
    -------
    int
        0 for success, 1 if the work failed, 2 for wrong arguments.
    """
    if arguments is not None:
        return _run(list(arguments))
    # Torch, MLflow and Hydra create half a million objects that stay. Collecting garbage after
    # every 700 new objects, Python's default, would take a tenth of the time of a short command.
    gc.set_threshold(20_000)
    if isinstance(sys.stdout, io.TextIOWrapper):  # not if it was closed or replaced
        sys.stdout = _StandardOutput(sys.stdout, sys.argv[1:2])
    code = 1

    def leave() -> None:
        # What is registered first runs last. Python would now clean up torch and MLflow, module by
        # module, for more than half a second.
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError, AttributeError):  # None if it was closed
                stream.flush()
        os._exit(code)

    atexit.register(leave)
    try:
        code = _run(sys.argv[1:])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        raise
    return code


class _StandardOutput(io.TextIOWrapper):
    """Standard output whose reader may end first, as in `nlp-rnn train … | head -1`.

    A training continues without output; every other command ends. Characters that the encoding
    lacks are replaced by question marks.
    """

    def __init__(self, stream: Any, command: Sequence[str]) -> None:
        self._continues = command in (["train"], ["pretrain"])
        lines = stream.line_buffering
        super().__init__(stream.detach(), stream.encoding, "replace", line_buffering=lines)

    def write(self, text: str) -> int:
        """Write, or discard the text if nobody reads it."""
        try:
            return super().write(text)
        except BrokenPipeError:
            self._discard()
            return len(text)

    def flush(self) -> None:
        """Flush, or discard the buffer if nobody reads it."""
        try:
            super().flush()
        except BrokenPipeError:
            self._discard()

    def _discard(self) -> None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
        if not self._continues:
            raise SystemExit(128 + 13)  # as if SIGPIPE had ended it


def _run(arguments: list[str]) -> int:
    """Run the command, print the message of an error and return the exit code."""
    debug = "--debug" in arguments or bool(os.environ.get("HYDRA_FULL_ERROR"))
    arguments = [argument for argument in arguments if argument != "--debug"]
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(HELP, end="")
        return 0
    if arguments[0] == "--version":
        print(f"nlp-rnn {__version__}")
        return 0
    try:
        return _command(arguments[0], arguments[1:])
    except KeyboardInterrupt as stop:
        _print_stop(stop, "Ctrl-C")
        return 130
    except SystemExit as stop:
        if getattr(stop, "__notes__", None):  # of a run that a signal stopped
            _print_stop(stop, str(stop))
        raise
    except NlpRnnError as error:
        if debug:
            raise
        print(f"nlp-rnn: {error}", file=sys.stderr)
        return error.exit_code
    except Exception as error:
        if debug:
            raise
        print(f"nlp-rnn: {_unexpected(error, arguments[0])}", file=sys.stderr)
        return 1


def _print_stop(stop: BaseException, reason: str) -> None:
    """Print what stopped the command and how the run is resumed, if that can be shown."""
    resume = [note for note in getattr(stop, "__notes__", ()) if note.startswith("To resume")]
    with suppress(OSError):  # the terminal is gone
        print("\n".join([f"\nStopped by {reason}.", *resume]), file=sys.stderr, flush=True)


def _unexpected(error: Exception, command: str) -> str:
    """Return the message of an error that is not one of nlp_rnn, such as a missing package."""
    if isinstance(error, ImportError) and (missing := missing_package(error, command)):
        return str(missing)
    first = (str(error).strip().splitlines() or [""])[0]
    return (
        f"{type(error).__name__}: {first}\n"
        "This error is not expected. Add --debug for the traceback."
    )


def _command(name: str, arguments: list[str]) -> int:
    """Run a command, or print its help."""
    if name not in COMMANDS:
        from difflib import get_close_matches

        close = get_close_matches(name, COMMANDS, n=1)
        hint = f"Did you mean nlp-rnn {close[0]}?" if close else "nlp-rnn --help describes them."
        raise ConfigError(f"There is no command {name!r}; there are {', '.join(COMMANDS)}.\n{hint}")
    module = import_module(f"nlp_rnn.commands.{name}")
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if "-h" in options or "--help" in options:
        print(module.HELP, end="")
        return 0
    code: int = getattr(module, name)(arguments)
    return code
