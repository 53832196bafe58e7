"""The command `nlp-rnn ui`: open the MLflow UI on the store of this folder."""

from pathlib import Path

from nlp_rnn.commands.argument_parser import number, parse_arguments
from nlp_rnn.errors import ConfigError

__all__ = ["HELP", "ui"]

HELP = """\
Open the MLflow UI on the store that `nlp-rnn train` logs to in this folder.

  nlp-rnn ui
  nlp-rnn ui --port 5001
"""

PORT = 5000


def ui(arguments: list[str]) -> int:
    """Run `nlp-rnn ui` with the arguments after its name; return the exit code."""
    parsed = parse_arguments("ui", arguments, ("--port",))
    if parsed.positional:
        raise ConfigError(
            f"ui has the option --port and no argument {parsed.positional[0]!r}: it opens the "
            "store that nlp-rnn train logs to in this folder."
            + (f"\nRun nlp-rnn ui --port {parsed.positional[0]}" * parsed.positional[0].isdigit())
        )
    port = number(parsed, "--port", 1, 65535, whole=True) or PORT
    from nlp_rnn.tracking.ui_server import serve
    from nlp_rnn.tracking.uri import resolve_uri

    return serve(resolve_uri(None, Path.cwd()), int(port))
