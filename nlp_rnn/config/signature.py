"""Plain values and dotted keys of a configuration, and its signature, a short hash."""

import dataclasses
import hashlib
import json
from contextlib import suppress
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import Any

from nlp_rnn.config.model import ModelConfig, NetworkConfig
from nlp_rnn.config.ngrams_checks import has_effect_on_ngrams
from nlp_rnn.config.pretraining import AUTO
from nlp_rnn.config.run import RunConfig
from nlp_rnn.config.teacher import TeacherConfig, TeacherKind

__all__ = [
    "ADDED_LATER",
    "REMOVED",
    "content_digest",
    "flatten",
    "logged_parameters",
    "plain",
    "requested_values",
    "signature",
]


def plain(config: Any) -> Any:
    """Return a configuration as dicts, lists and scalars, with enums as their names."""
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
    """Return a configuration as a dict with dotted keys, such as `model.hidden_size` and `seed`."""
    flat: dict[str, Any] = {}

    def visit(prefix: str, value: Any) -> None:
        if dataclasses.is_dataclass(value):
            for f in dataclasses.fields(value):
                visit(f"{prefix}.{f.name}" if prefix else f.name, getattr(value, f.name))
        else:
            flat[prefix] = plain(value)  # a mapping that a user sets stays one value

    visit("", config)
    return flat


def logged_parameters(config: RunConfig) -> dict[str, Any]:
    """Return the dotted keys and values that are logged to MLflow as parameters.

    The options of a pretraining and of a teacher are among them only if the run has one; those of a
    network likewise.
    """
    has_teacher = config.teacher.kind is not TeacherKind.none
    return {
        key: value
        for key, value in flatten(config).items()
        if _is_logged(key, config.model) and (has_teacher or not key.startswith("teacher."))
    }


def _is_logged(key: str, model: ModelConfig) -> bool:
    if not isinstance(model, NetworkConfig):
        return has_effect_on_ngrams(key)
    return not key.startswith("pretraining.") or model.pretrained == AUTO


# Options that were logged as resolved before there was a `requested` tag.
ALWAYS_RESOLVED = (
    "model.hidden_size",
    "model.match",
    "model.pretrained",
    "trainer.processes",
    "tracking.uri",
)


def requested_values(config: RunConfig, resolved: RunConfig) -> dict[str, Any]:
    """Return the options that were resolved, with the values that were requested.

    Together with the logged parameters they give the requested configuration, by which
    comparisons pair runs: `{"trainer.max_epochs": None, "trainer.precision": "auto"}`.
    """
    values = logged_parameters(resolved)
    return {
        key: value
        for key, value in logged_parameters(config).items()
        if key not in ALWAYS_RESOLVED and value != values.get(key)
    }


# Options that were added after stores with signatures existed, with the value that has no effect.
# While they have it they are left out, so that signatures of older runs stay valid.
ADDED_LATER: dict[str, Any] = {
    "data.rows": None,
    "model.ensemble": "off",
    "trainer.restore_best": None,
    **{f"teacher.{key}": value for key, value in flatten(TeacherConfig()).items()},
}

# Options that no longer exist, with the value that had no effect. Signatures of networks have them
# all the same, so that those of older runs stay valid.
REMOVED: dict[str, Any] = {"model.ngrams": 0, "model.ngram_buckets": None}

# Options whose default became null, with the former default. The two swap places, so that
# signatures of older runs stay valid and null differs from the value.
FORMER_DEFAULTS = {"trainer.batch_size": 64}

RESOLVED_IN_SIGNATURE = ("model.hidden_size", "model.pretrained")
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


def signature(config: RunConfig, resolved: RunConfig | None = None) -> str:
    """Return a hash of all options that shape the result, as eight hexadecimal digits.

    Two runs share it exactly if they differ only in the seed, the device, the tracking, or options
    that do not change the result. Options count as requested. Only a matched hidden size and a
    pretrained encoder count as resolved, since they are the same however they were requested.

    Parameters
    ----------
    config : RunConfig
        The requested configuration, with absolute paths.
    resolved : RunConfig, optional
        What it was resolved to. Default: `config` itself.
    """
    values = flatten(config)
    if isinstance(config.model, NetworkConfig):
        values |= REMOVED
    if resolved is not None:
        values |= {
            key: value for key, value in flatten(resolved).items() if key in RESOLVED_IN_SIGNATURE
        }
    shaping = {
        key: value
        for key, value in sorted(values.items())
        if not any(key == name or key.startswith(name + ".") for name in NOT_IN_SIGNATURE)
        and not (key in ADDED_LATER and value == ADDED_LATER[key])
    }
    if "teacher.path" in shaping:
        shaping["teacher.path"] = _content_of_paths(shaping["teacher.path"])
    for key, value in FORMER_DEFAULTS.items():
        shaping[key] = {None: value, value: None}.get(shaping[key], shaping[key])
    vectors = values.get("model.vectors")
    if vectors is not None and Path(vectors).exists():
        shaping["model.vectors"] = content_digest(vectors)  # the same wherever it is
    if not isinstance(config.model, NetworkConfig):
        shaping = {key: value for key, value in shaping.items() if has_effect_on_ngrams(key)}
        if vectors is None:  # signatures from before the option existed stay valid
            shaping.pop("model.vectors", None)
        return _short_hash(shaping)
    if (pretrained := values["model.pretrained"]) != AUTO:
        shaping = {k: v for k, v in shaping.items() if not k.startswith("pretraining.")}
        if pretrained is not None and (digest := _encoder_digest(Path(pretrained))):
            shaping["model.pretrained"] = digest
    return _short_hash(shaping)


def _short_hash(shaping: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(shaping).encode()).hexdigest()[:8]


def _encoder_digest(folder: Path) -> str | None:
    """Return the digest of a pretrained encoder; None if there is none in `folder`."""
    for path in (folder / "encoder" / "config.json", folder / "config.json"):
        with suppress(OSError, ValueError, KeyError, TypeError):
            return str(json.loads(path.read_text(encoding="utf-8"))["digest"])
    return None


def _content_of_paths(path: Any) -> Any:
    """Return a path, or a list of paths, with the hash of its content in place of a local path."""
    if isinstance(path, list):
        return [_content_of_paths(one) for one in path]
    return content_digest(path) if Path(path).exists() else path


def content_digest(path: str) -> str:
    """Return the SHA-256 of a file, or of the files of a model in a folder by their names."""
    files = [Path(path)]
    if Path(path).is_dir():
        files = [
            file
            for file in sorted(Path(path).rglob("*"))
            if file.suffix in _MODEL_FILES and file.is_file()
        ]
    digests = [
        (file.relative_to(path).as_posix(), _content(str(file), stat.st_size, stat.st_mtime_ns))
        for file in files
        for stat in [file.stat()]
    ]
    if Path(path).is_file():
        return digests[0][1]
    return hashlib.sha256(json.dumps(digests).encode()).hexdigest()


_MODEL_FILES = (".json", ".safetensors", ".bin", ".txt", ".model")


@lru_cache
def _content(path: str, size: int, time: int) -> str:
    """Return the SHA-256 of a file; size and time are the key of the cached value."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
