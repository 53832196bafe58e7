"""Fields of the configuration schemas, each with its help text."""

import dataclasses
from typing import Any

__all__ = ["MISSING", "help_of", "option"]

MISSING: Any = "???"
"""OmegaConf's mark of a value that has to be set; importing it would take a tenth of a second."""


def option(default: Any, help_text: str) -> Any:
    """Return a dataclass field with a default and the one line that explains it.

    The help text is shown by `nlp-rnn train --help` and by `--cfg job`, and it is the text of the
    configuration reference.
    """
    if isinstance(default, list):
        return dataclasses.field(
            default_factory=lambda: list(default), metadata={"help": help_text}
        )
    return dataclasses.field(default=default, metadata={"help": help_text})


def help_of(schema: type) -> dict[str, str]:
    """Return the help text of every field of a schema, by field name."""
    return {f.name: f.metadata.get("help", "") for f in dataclasses.fields(schema)}
