"""The command `nlp-rnn sync`: send the pending data of run folders to MLflow."""

import sys
from pathlib import Path

from nlp_rnn.commands.argument_parser import parse_arguments
from nlp_rnn.errors import TrackingError

__all__ = ["HELP", "sync"]

HELP = """\
Send the data of runs that MLflow could not store while it was unavailable. A run sends it by
itself if MLflow is available again before the run ends; otherwise the data is pending in the
folder unsent/ of the run folder.

  nlp-rnn sync                                  every run below outputs/ and multirun/
  nlp-rnn sync outputs/2026-01-31/12-00-00-gru
"""

DEFAULT_FOLDERS = ("outputs", "multirun")


def sync(arguments: list[str]) -> int:
    """Run `nlp-rnn sync` with the arguments after its name; return the exit code."""
    parsed = parse_arguments("sync", arguments, (), ())
    folders = [Path(argument) for argument in parsed.positional or DEFAULT_FOLDERS]
    for folder in folders:
        if parsed.positional and not folder.is_dir():
            raise TrackingError(f"There is no folder {folder}.")
    from nlp_rnn.tracking.ended_runs import pending_run_folders, send_pending
    from nlp_rnn.tracking.journal import StillLoggedError

    failed = count = 0
    for folder in pending_run_folders(folders):
        count += 1
        try:
            entries = send_pending(folder.absolute(), closing=True)
        except StillLoggedError as error:
            print(error)
        except TrackingError as error:
            print(f"nlp-rnn: {error}", file=sys.stderr)
            failed += 1
        else:
            print(f"{folder}: sent {entries} pending entries")
    if not count:
        print(f"There is nothing to send below {', '.join(map(str, folders))}.")
    return 1 if failed else 0
