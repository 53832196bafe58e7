"""Run folders that kept something while MLflow was away become complete runs."""

import sys
from pathlib import Path

from nlp_rnn.commands.argument_parser import read_words
from nlp_rnn.errors import TrackingError

__all__ = ["HELP", "sync"]

HELP = """\
Send MLflow what it missed while it was away. A run does so by itself when MLflow is back before
its end; what is left lies in the run folder, in unsent/.

  nlp-rnn sync                                  every run below outputs/ and multirun/
  nlp-rnn sync outputs/2026-01-31/12-00-00-gru
"""

PLACES = ("outputs", "multirun")


def sync(words: list[str]) -> int:
    """Run the command."""
    given = read_words("sync", words, (), ())
    places = [Path(word) for word in given.arguments or PLACES]
    for place in places:
        if given.arguments and not place.is_dir():
            raise TrackingError(f"There is no folder {place}.")
    from nlp_rnn.tracking.ended_runs import send_left_over, unsent_folders
    from nlp_rnn.tracking.outbox import StillLoggedError

    failed = found = 0
    for folder in unsent_folders(places):
        found += 1
        try:
            count = send_left_over(folder.absolute(), closing=True)
        except StillLoggedError as error:
            print(error)
        except TrackingError as error:
            print(f"nlp-rnn: {error}", file=sys.stderr)
            failed += 1
        else:
            print(f"{folder}: sent, {count} entries")
    if not found:
        print(f"Nothing is left to send below {', '.join(map(str, places))}.")
    return 1 if failed else 0
