"""A configuration that asks for the size of another cell becomes one that names the size."""

import hashlib
import json
import re
from dataclasses import asdict, dataclass, replace
from typing import Any

from nlp_rnn.config.model import RecurrentConfig
from nlp_rnn.config.run import RunConfig
from nlp_rnn.errors import ConfigError
from nlp_rnn.layers.cells import AVERAGE, CELLS
from nlp_rnn.model.architecture import Architecture
from nlp_rnn.model.matching import matching_hidden_size, recurrent_parameters

__all__ = ["resolve_match"]

# How far off parameters, and a measured latency, may be.
TOLERANCE, LATENCY_TOLERANCE = 0.01, 0.1
SIZE = r":([1-9][0-9]*)"
BY_PARAMETERS = re.compile(rf"([a-z]+)(?:{SIZE})?")
BY_LATENCY = re.compile(rf"latency(?::([a-z]+)(?:{SIZE}{SIZE})?)?")


@dataclass(frozen=True)
class _Match:
    """What `model.match` says: the other cell, its size and the size that was found, if there."""

    latency: bool
    cell: str
    size: int | None
    found: int | None


def resolve_match(config: RunConfig) -> None:
    """Write the hidden size that `model.match` asks for into `config`; without it, do nothing.

    `model.match=lstm` with `model.hidden_size=128` becomes for a GRU `model.match=lstm:128` and
    `model.hidden_size=155`, by parameters. `model.match=latency`, or `latency:lstm`, measures on
    this machine, once, and becomes `latency:lstm:128:140`. What has been resolved stays as it is.
    A cell matches itself at its own size, so that one word does for a sweep over cells.

    Raises:
        ConfigError: the word names no cell; no size comes near enough; the sizes contradict.
    """
    model = config.model
    if not isinstance(model, RecurrentConfig) or model.match is None:
        return
    match = _parse(model.match)
    size = match.size if match.size is not None else model.hidden_size
    architecture = replace(_architecture(model), hidden_size=size)
    if match.found is not None:
        solved = match.found
    elif match.latency:
        solved = _equally_fast(architecture, match.cell)
    else:
        solved = _equally_large(architecture, match.cell)
    if match.size is not None and model.hidden_size != solved:
        word = f"latency:{match.cell}" if match.latency else match.cell
        raise ConfigError(
            f"model.match={model.match} gives model.hidden_size={solved}, but it is "
            f"{model.hidden_size}.\nType model.match={word} model.hidden_size={match.size}."
        )
    model.hidden_size = solved
    model.match = (
        f"latency:{match.cell}:{size}:{solved}" if match.latency else f"{match.cell}:{size}"
    )


def _parse(words: str) -> _Match:
    by_latency = BY_LATENCY.fullmatch(words)
    found = by_latency or BY_PARAMETERS.fullmatch(words)
    cell = found[1] or "lstm" if found else ""
    if found and cell in CELLS:
        sizes = [None if size is None else int(size) for size in found.groups()[1:]]
        return _Match(by_latency is not None, cell, sizes[0], sizes[1] if by_latency else None)
    hint = " average has no recurrence to match." if cell == AVERAGE else ""
    raise ConfigError(
        f"model.match={words} is no cell.{hint}\nType model.match=lstm, gru or rnn, or "
        "latency:lstm, with model.hidden_size for the size of that cell."
    )


def _equally_large(architecture: Architecture, cell: str) -> int:
    solved, difference = matching_hidden_size(architecture, cell)
    if abs(difference) > TOLERANCE:
        size = architecture.hidden_size
        wanted = recurrent_parameters(architecture, cell, size)
        raise ConfigError(
            f"No {architecture.cell} comes within {TOLERANCE:.0%} of the {wanted:,} recurrent "
            f"parameters of model.match={cell} at model.hidden_size={size}: {solved} is off by "
            f"{difference:+.1%}.\nType a larger model.hidden_size."
        )
    return solved


def _equally_fast(architecture: Architecture, cell: str) -> int:
    """Measured once on a machine and kept in the cache, so that all seeds have one size."""
    if architecture.cell == cell:
        return architecture.hidden_size
    import onnxruntime
    from filelock import FileLock

    from nlp_rnn.classifier.latency_matching import equally_fast_size
    from nlp_rnn.tokens.tokenization import cache_dir
    from nlp_rnn.tracking.machine import machine_tags

    processor = machine_tags()["processor"]
    key = [asdict(architecture), cell, processor, onnxruntime.__version__]
    name = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]
    path = cache_dir() / "matching" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        kept: dict[str, Any] = {}
        if path.is_file():
            kept = json.loads(path.read_text(encoding="utf-8"))
        else:
            solved, ratio = equally_fast_size(architecture, cell)
            if abs(ratio - 1) > LATENCY_TOLERANCE:
                raise ConfigError(
                    f"No {architecture.cell} answers as fast as model.match=latency:{cell} at "
                    f"model.hidden_size={architecture.hidden_size}: {solved} takes {ratio:.2f} "
                    "times as long.\nType a larger model.hidden_size."
                )
            kept = {"hidden_size": solved, "ratio": ratio}
            unfinished = path.with_suffix(".part")
            unfinished.write_text(json.dumps(kept) + "\n", encoding="utf-8")
            unfinished.replace(path)
    return int(kept["hidden_size"])


def _architecture(model: RecurrentConfig) -> Architecture:
    """The network's recurrent part; vocabulary and labels, which do not count, are small."""
    return Architecture(
        cell=model.cell,
        vocab_size=100,
        num_labels=2,
        embedding_size=model.embedding_size,
        hidden_size=model.hidden_size,
        num_layers=model.num_layers,
        bidirectional=model.bidirectional,
        pooling=model.pooling,
    )
