"""Hidden sizes at which a cell has as many parameters, or the latency, of another cell."""

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

__all__ = ["matching_hidden_size", "recurrent_parameters", "with_matched_size"]

# How far off parameters, and a measured latency, may be.
TOLERANCE, LATENCY_TOLERANCE = 0.01, 0.1
SIZE = r":([1-9][0-9]*)"
BY_PARAMETERS = re.compile(rf"([a-z]\w*)(?:{SIZE})?")
BY_LATENCY = re.compile(rf"latency(?::([a-z]\w*)(?:{SIZE}{SIZE})?)?")


@dataclass(frozen=True)
class _Match:
    """A parsed `model.match`: the criterion, the other cell and its size, and the matched size."""

    latency: bool
    cell: str
    size: int | None
    matched_size: int | None


def with_matched_size(config: RunConfig) -> RunConfig:
    """Return a copy of `config` with the hidden size that `model.match` asks for.

    For a GRU, `model.match=lstm` with `model.hidden_size=128` results in `model.match=lstm:128`
    and `model.hidden_size=155`, which has as many recurrent parameters. `model.match=latency:lstm`
    measures both cells once on this machine and results in, say, `latency:lstm:128:140`. A
    configuration that has been resolved before stays as it is. A cell matches itself at its own
    size, so that one value of `model.match` can be used in a sweep over cells.

    Raises
    ------
    ConfigError
        If `model.match` names no recurrent cell, no size comes close enough, or `model.match` and
        `model.hidden_size` contradict each other.
    """
    model = config.model
    if not isinstance(model, RecurrentConfig) or model.match is None:
        return config
    match = _parse(model.match)
    size = match.size if match.size is not None else model.hidden_size
    architecture = replace(_architecture(model), hidden_size=size)
    if match.matched_size is not None:
        solved = match.matched_size
    elif match.latency:
        solved = _equally_fast(architecture, match.cell)
    else:
        solved = _equally_large(architecture, match.cell)
    if match.size is not None and model.hidden_size != solved:
        criterion = f"latency:{match.cell}" if match.latency else match.cell
        raise ConfigError(
            f"model.match={model.match} requires model.hidden_size={solved}, but it is set to "
            f"{model.hidden_size}.\nSet model.match={criterion} model.hidden_size={match.size}."
        )
    resolved = f"latency:{match.cell}:{size}:{solved}" if match.latency else f"{match.cell}:{size}"
    return replace(config, model=replace(model, hidden_size=solved, match=resolved))


def recurrent_parameters(architecture: Architecture, cell: str, hidden_size: int) -> int:
    """Return the recurrent parameters of all layers and directions with another cell and size."""
    other = replace(architecture, cell=cell, hidden_size=hidden_size)
    return other.parameter_counts()["recurrent"]


def matching_hidden_size(architecture: Architecture, cell: str) -> tuple[int, float]:
    """Return the size at which `architecture`'s cell matches the recurrent parameters of `cell`.

    `architecture.hidden_size` is the size of `cell`. Embedding and head are not counted, because
    the head grows with the states.

    Returns
    -------
    tuple of int and float
        The nearest hidden size, and the relative difference of its parameters: 0.01 is 1 % too
        many.
    """
    target = recurrent_parameters(architecture, cell, architecture.hidden_size)

    def parameters(size: int) -> int:
        return recurrent_parameters(architecture, architecture.cell, size)

    low, high = 1, 1
    while parameters(high) < target:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if parameters(middle) < target else (low, middle)
    nearest = min((low, high), key=lambda size: abs(parameters(size) - target))
    return nearest, parameters(nearest) / target - 1


def _parse(text: str) -> _Match:
    by_latency = BY_LATENCY.fullmatch(text)
    parsed = by_latency or BY_PARAMETERS.fullmatch(text)
    cell = parsed[1] or "lstm" if parsed else ""
    if parsed and cell in CELLS:
        sizes = [None if size is None else int(size) for size in parsed.groups()[1:]]
        return _Match(by_latency is not None, cell, sizes[0], sizes[1] if by_latency else None)
    hint = " average has no recurrence to match." if cell == AVERAGE else ""
    raise ConfigError(
        f"model.match={text} does not name a recurrent cell.{hint}\nSet model.match="
        f"{', '.join(CELLS)} or latency:CELL, and model.hidden_size to the size of that cell."
    )


def _equally_large(architecture: Architecture, cell: str) -> int:
    solved, difference = matching_hidden_size(architecture, cell)
    if abs(difference) > TOLERANCE:
        size = architecture.hidden_size
        wanted = recurrent_parameters(architecture, cell, size)
        raise ConfigError(
            f"No {architecture.cell} comes within {TOLERANCE:.0%} of the {wanted:,} recurrent "
            f"parameters of model.match={cell} at model.hidden_size={size}: {solved} is off by "
            f"{difference:+.1%}.\nSet a larger model.hidden_size."
        )
    return solved


def _equally_fast(architecture: Architecture, cell: str) -> int:
    """Return the matched size, measured once per machine and cached so that all seeds share it."""
    if architecture.cell == cell:
        return architecture.hidden_size
    import onnxruntime
    from filelock import FileLock

    from nlp_rnn.caches import cache_dir
    from nlp_rnn.classifier.latency_matching import equally_fast_size
    from nlp_rnn.tracking.machine import machine_tags

    processor = machine_tags()["processor"]
    key = [asdict(architecture), cell, processor, onnxruntime.__version__]
    name = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]
    path = cache_dir() / "matching" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        matched: dict[str, Any] = {}
        if path.is_file():
            matched = json.loads(path.read_text(encoding="utf-8"))
        else:
            solved, ratio = equally_fast_size(architecture, cell)
            if abs(ratio - 1) > LATENCY_TOLERANCE:
                raise ConfigError(
                    f"No {architecture.cell} predicts as fast as model.match=latency:{cell} at "
                    f"model.hidden_size={architecture.hidden_size}: {solved} takes {ratio:.2f} "
                    "times as long.\nSet a larger model.hidden_size."
                )
            matched = {"hidden_size": solved, "ratio": ratio}
            unfinished = path.with_suffix(".part")
            unfinished.write_text(json.dumps(matched) + "\n", encoding="utf-8")
            unfinished.replace(path)
    return int(matched["hidden_size"])


def _architecture(model: RecurrentConfig) -> Architecture:
    """Return the sizes of the recurrent part; vocabulary and labels do not count and are small."""
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
