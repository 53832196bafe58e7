"""A configuration that asks for the size of another cell becomes one that names the size."""

import re
from dataclasses import dataclass, replace

from nlp_rnn.config import Cell, RecurrentConfig, RunConfig
from nlp_rnn.errors import ConfigError
from nlp_rnn.model.architecture import GATES, Architecture
from nlp_rnn.model.matching import matching_hidden_size, recurrent_parameters

__all__ = ["resolve_match"]

TOLERANCE = 0.01
FORM = re.compile(r"([a-z]+)(?::([0-9]+))?")


@dataclass(frozen=True)
class _Match:
    """What `model.match` says: the other cell, and its size if that is written there."""

    cell: str
    size: int | None


def resolve_match(config: RunConfig) -> None:
    """Write the hidden size that `model.match` asks for into `config`; without it, do nothing.

    `model.match=lstm` with `model.hidden_size=128` becomes for a GRU `model.match=lstm:128` and
    `model.hidden_size=155`. What has been resolved stays as it is. A cell matches itself at its
    own size, so that one word does for a sweep over cells.

    Raises:
        ConfigError: the word names no cell; no size comes near enough; the sizes contradict.
    """
    model = config.model
    if not isinstance(model, RecurrentConfig) or model.match is None:
        return
    match = _parse(model.match)
    size = match.size if match.size is not None else model.hidden_size
    architecture = replace(_architecture(model), hidden_size=size)
    solved, difference = matching_hidden_size(architecture, match.cell)
    if abs(difference) > TOLERANCE:
        wanted = recurrent_parameters(architecture, match.cell, size)
        raise ConfigError(
            f"No {model.cell.name} comes within {TOLERANCE:.0%} of the {wanted:,} recurrent "
            f"parameters of model.match={match.cell} at model.hidden_size={size}: {solved} is off "
            f"by {difference:+.1%}.\nType a larger model.hidden_size."
        )
    if match.size is not None and model.hidden_size != solved:
        raise ConfigError(
            f"model.match={model.match} gives model.hidden_size={solved}, but it is "
            f"{model.hidden_size}.\nType model.match={match.cell} model.hidden_size={match.size}."
        )
    model.hidden_size, model.match = solved, f"{match.cell}:{size}"


def _parse(words: str) -> _Match:
    found = FORM.fullmatch(words)
    if found is None or found[1] not in GATES or found[2] == "0":
        hint = ""
        if found is not None and found[1] == Cell.average.name:
            hint = " average has no recurrent parameters."
        raise ConfigError(
            f"model.match={words} is no cell.{hint}\nType model.match=lstm, gru or rnn, with "
            "model.hidden_size for the size of that cell."
        )
    return _Match(found[1], None if found[2] is None else int(found[2]))


def _architecture(model: RecurrentConfig) -> Architecture:
    """The network's recurrent part; vocabulary and labels, which do not count, are small."""
    return Architecture(
        cell=model.cell.name,
        vocab_size=100,
        num_labels=2,
        embedding_size=model.embedding_size,
        hidden_size=model.hidden_size,
        num_layers=model.num_layers,
        bidirectional=model.bidirectional,
        pooling=model.pooling.name,
    )
