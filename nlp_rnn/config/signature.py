"""A configuration becomes plain values, dotted keys and the short hash of what shapes a result."""

import dataclasses
import hashlib
import json
from contextlib import suppress
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import Any

from nlp_rnn.config.pretraining import AUTO
from nlp_rnn.config.run import RunConfig

__all__ = ["flatten", "plain", "recorded", "signature"]


def plain(config: Any) -> Any:
    """A config as dicts, lists and scalars; enums become their names."""
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        return {f.name: plain(getattr(config, f.name)) for f in dataclasses.fields(config)}
    if isinstance(config, Enum):
        return config.name
    if isinstance(config, dict):
        return {key: plain(value) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return [plain(value) for value in config]
    return config


def flatten(config: Any) -> dict[str, Any]:
    """A config as dotted keys: `model.hidden_size`, `seed`."""
    flat: dict[str, Any] = {}

    def visit(prefix: str, value: Any) -> None:
        if dataclasses.is_dataclass(value):
            for f in dataclasses.fields(value):
                visit(f"{prefix}.{f.name}" if prefix else f.name, getattr(value, f.name))
        else:
            flat[prefix] = plain(value)  # a mapping of a user's own words stays one value

    visit("", config)
    return flat


def recorded(config: RunConfig) -> dict[str, Any]:
    """The dotted keys that MLflow is told: those of a pretraining where there is one."""
    return {
        key: value
        for key, value in flatten(config).items()
        if not key.startswith("pretraining.") or config.model.pretrained == AUTO
    }


NOT_IN_SIGNATURE = (
    "seed",
    "tracking",
    "model.match",
    "model.pretrained_digest",
    "pretraining.checkpoint_minutes",
    "trainer.device",
    "trainer.threads",
    "trainer.processes",
    "trainer.checkpoint_minutes",
    "trainer.log_gradient_norm",
    "trainer.find_learning_rate",
    "trainer.profile",
)


def signature(config: RunConfig) -> str:
    """Eight characters that two runs share exactly when only seed, device or tracking differ."""
    shaping = {
        key: value
        for key, value in sorted(flatten(config).items())
        if not any(key == name or key.startswith(name + ".") for name in NOT_IN_SIGNATURE)
    }
    if (vectors := config.model.vectors) is not None and Path(vectors).is_file():
        stat = Path(vectors).stat()
        # wherever it lies
        shaping["model.vectors"] = _content(vectors, stat.st_size, stat.st_mtime_ns)
    if (pretrained := config.model.pretrained) != AUTO:
        shaping = {k: v for k, v in shaping.items() if not k.startswith("pretraining.")}
        if pretrained is not None and (digest := _encoder_digest(Path(pretrained))):
            shaping["model.pretrained"] = digest
    return hashlib.sha256(json.dumps(shaping).encode()).hexdigest()[:8]


def _encoder_digest(folder: Path) -> str | None:
    """What names a pretrained encoder wherever it lies; None if there is none in `folder`."""
    for path in (folder / "encoder" / "config.json", folder / "config.json"):
        with suppress(OSError, ValueError, KeyError, TypeError):
            return str(json.loads(path.read_text(encoding="utf-8"))["digest"])
    return None


@lru_cache
def _content(path: str, size: int, time: int) -> str:
    """SHA-256 of a file; its size and time say that it is still the one that was hashed."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
