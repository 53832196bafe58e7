"""The words of `nlp-rnn ui` become MLflow's own interface on this folder's store."""

from pathlib import Path

from nlp_rnn.commands.argument_parser import number, read_words
from nlp_rnn.errors import ConfigError

__all__ = ["HELP", "ui"]

HELP = """\
Open the MLflow UI on the store that `nlp-rnn train` writes to from here.

  nlp-rnn ui
  nlp-rnn ui --port 5001
"""

PORT = 5000


def ui(words: list[str]) -> int:
    """Run the command."""
    given = read_words("ui", words, ("--port",))
    if given.arguments:
        raise ConfigError(
            f"ui takes --port and no {given.arguments[0]!r}: it opens the store that nlp-rnn train "
            "writes to from here."
        )
    port = number(given, "--port", 1, 65535, whole=True) or PORT
    from nlp_rnn.tracking.store import experiment_name
    from nlp_rnn.tracking.ui_server import serve
    from nlp_rnn.tracking.uri import resolve_uri

    return serve(resolve_uri(None, Path.cwd()), experiment_name(None), int(port))
