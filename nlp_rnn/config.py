"""The shape and limits of one run: what YAML and the command line may say, as typed schemas.

Hydra composes `conf/` onto these dataclasses, so a misspelt key, a wrong type and an unknown
cell are refused while the config is composed; `check` refuses what only shows across fields.
"""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from omegaconf import MISSING

from nlp_rnn.errors import ConfigError

__all__ = [
    "AverageConfig",
    "Cell",
    "CountedTokenizerConfig",
    "DataConfig",
    "FilesConfig",
    "GatedConfig",
    "HubConfig",
    "ModelConfig",
    "Monitor",
    "OptimizerConfig",
    "Pooling",
    "Precision",
    "RecurrentConfig",
    "RecurrentInit",
    "RunConfig",
    "Schedule",
    "StoriesConfig",
    "TokenizerConfig",
    "TokenizerKind",
    "TrackingConfig",
    "TrainerConfig",
    "check",
    "conf_dir",
    "flatten",
    "plain",
    "register_schemas",
    "signature",
]

Cell = Enum("Cell", ["lstm", "gru", "rnn", "average"])
Pooling = Enum("Pooling", ["last", "mean", "max", "max_mean", "attention"])
RecurrentInit = Enum("RecurrentInit", ["orthogonal", "uniform"])
TokenizerKind = Enum("TokenizerKind", ["bpe", "wordpiece", "unigram", "word", "char"])
Schedule = Enum("Schedule", ["constant", "linear", "cosine"])
Precision = Enum("Precision", ["auto", "fp32", "bf16"])
Monitor = Enum("Monitor", ["macro_f1", "accuracy", "loss"])


@dataclass
class DataConfig:
    """What every source of data has. The run's own seed never changes a split."""

    name: str = MISSING
    limit: int | None = None
    validation_fraction: float = 0.1
    seed: int = 0


@dataclass
class StoriesConfig(DataConfig):
    """The built-in corpus; lengths are distracting sentences in a story, at most."""

    train_rows: int = 4000
    test_rows: int = 1000
    train_sentences: int = 8
    test_sentences: int = 8


@dataclass
class FilesConfig(DataConfig):
    """A file, a folder of splits, or a dataset saved with `save_to_disk`."""

    path: str = MISSING
    text: Any = "text"
    label: str = "label"


@dataclass
class HubConfig(FilesConfig):
    """A dataset of the Hugging Face hub; `path` is its name there."""

    subset: str | None = None
    revision: str | None = None
    train_split: str = "train"
    validation_split: str | None = None
    test_split: str = "test"


@dataclass
class TokenizerConfig:
    """How texts become tokens; trained on the training split only."""

    name: str = MISSING
    kind: TokenizerKind = TokenizerKind.bpe
    vocab_size: int = 16000
    max_length: int = 400
    lowercase: bool = True


@dataclass
class CountedTokenizerConfig(TokenizerConfig):
    """A tokenizer that keeps only what occurs often enough: all kinds but unigram."""

    min_frequency: int = 2


@dataclass
class ModelConfig:
    """What every network has."""

    name: str = MISSING
    cell: Cell = MISSING
    embedding_size: int = 128
    pooling: Pooling = Pooling.max_mean
    word_dropout: float = 0.0
    embedding_dropout: float = 0.3
    head_dropout: float = 0.3


@dataclass
class AverageConfig(ModelConfig):
    """No recurrence: pooled embeddings, the control."""


@dataclass
class RecurrentConfig(ModelConfig):
    """A recurrent encoder without gates; `dropout` acts between layers."""

    hidden_size: int = 128
    num_layers: int = 1
    bidirectional: bool = True
    dropout: float = 0.0
    recurrent_init: RecurrentInit = RecurrentInit.orthogonal


@dataclass
class GatedConfig(RecurrentConfig):
    """LSTM or GRU; `forget_bias` is the total of both bias vectors (GRU: the update gate's)."""

    forget_bias: float = 1.0


@dataclass
class OptimizerConfig:
    """AdamW, its schedule, and the norm at which gradients are clipped."""

    name: str = MISSING
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    schedule: Schedule = Schedule.cosine
    warmup_fraction: float = 0.05
    max_gradient_norm: float = 1.0


@dataclass
class TrainerConfig:
    """How long and on what to train. `max_epochs=null` is chosen from the number of rows."""

    batch_size: int = 64
    max_epochs: int | None = None
    patience: int = 3
    monitor: Monitor = Monitor.macro_f1
    label_smoothing: float = 0.0
    precision: Precision = Precision.auto
    device: str = "auto"
    threads: int | None = None


@dataclass
class TrackingConfig:
    """Where the run is written in MLflow; null means the environment's, else the default."""

    uri: str | None = None
    experiment: str | None = None
    run_name: str | None = None
    system_metrics: bool = True


@dataclass
class RunConfig:
    """One run, whole."""

    data: DataConfig = MISSING
    tokenizer: TokenizerConfig = MISSING
    model: ModelConfig = MISSING
    optimizer: OptimizerConfig = MISSING
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    seed: int = 1


def register_schemas() -> None:
    """Put the schemas into Hydra's ConfigStore; `conf/*/*.yaml` name them in their defaults."""
    from hydra.core.config_store import ConfigStore

    store = ConfigStore.instance()
    store.store(name="run_schema", node=RunConfig)
    for group, schemas in {
        "data": {"stories": StoriesConfig, "files": FilesConfig, "hub": HubConfig},
        "tokenizer": {"counted": CountedTokenizerConfig, "unigram": TokenizerConfig},
        "model": {"gated": GatedConfig, "plain": RecurrentConfig, "average": AverageConfig},
        "optimizer": {"adamw": OptimizerConfig},
        "trainer": {"trainer": TrainerConfig},
        "tracking": {"mlflow": TrackingConfig},
    }.items():
        for name, node in schemas.items():
            store.store(group=f"schema/{group}", name=name, node=node)


def conf_dir() -> Path:
    """The folder of YAML values: inside an installed wheel, else beside the checkout's package."""
    package = Path(__file__).resolve().parent
    for folder in (package / "conf", package.parent / "conf"):
        if (folder / "train.yaml").is_file():
            return folder
    raise ConfigError(f"No conf/train.yaml beside {package}; reinstall nlp_rnn.")


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
        if isinstance(value, dict):
            for key, inner in value.items():
                visit(f"{prefix}.{key}" if prefix else key, inner)
        else:
            flat[prefix] = value

    visit("", plain(config))
    return flat


NOT_IN_SIGNATURE = ("seed", "tracking", "trainer.device", "trainer.threads")


def signature(config: RunConfig) -> str:
    """Eight characters that two runs share exactly when only seed, device or tracking differ."""
    shaping = {
        key: value
        for key, value in sorted(flatten(config).items())
        if not any(key == name or key.startswith(name + ".") for name in NOT_IN_SIGNATURE)
    }
    return hashlib.sha256(json.dumps(shaping).encode()).hexdigest()[:8]


# Smallest and largest value of each number, both allowed; None is no bound.
LIMITS: dict[str, tuple[float | None, float | None]] = {
    "data.limit": (2, None),
    "data.seed": (0, 2**32 - 1),
    "data.train_rows": (20, None),
    "data.test_rows": (2, None),
    "data.train_sentences": (0, None),
    "data.test_sentences": (0, None),
    "tokenizer.vocab_size": (8, 1_000_000),
    "tokenizer.min_frequency": (1, None),
    "tokenizer.max_length": (1, None),
    "model.embedding_size": (1, None),
    "model.hidden_size": (1, None),
    "model.num_layers": (1, 16),
    "model.forget_bias": (-100, 100),
    "optimizer.weight_decay": (0, None),
    "optimizer.warmup_fraction": (0, 1),
    "trainer.batch_size": (1, None),
    "trainer.max_epochs": (1, None),
    "trainer.patience": (1, None),
    "trainer.threads": (1, None),
    "seed": (0, 2**32 - 1),
}
FRACTIONS = (
    "model.dropout",
    "model.word_dropout",
    "model.embedding_dropout",
    "model.head_dropout",
    "trainer.label_smoothing",
)
POSITIVE = ("optimizer.learning_rate", "optimizer.max_gradient_norm")


def check(config: RunConfig) -> None:
    """Raise `ConfigError` for a value out of range and for an option that could have no effect."""
    flat = flatten(config)
    for key, (low, high) in LIMITS.items():
        value = flat.get(key)
        if value is None:
            continue
        # `not (a <= b)` rather than `a > b`, so that NaN is refused too
        if (low is not None and not low <= value) or (high is not None and not value <= high):
            bound = f"at least {low}" if high is None else f"between {low} and {high}"
            raise ConfigError(f"{key} must be {bound}, not {value}.")
    for key in FRACTIONS:
        if key in flat and not 0 <= flat[key] < 1:
            raise ConfigError(f"{key} must be at least 0 and below 1, not {flat[key]}.")
    for key in POSITIVE:
        if not 0 < flat[key] < float("inf"):
            raise ConfigError(f"{key} must be above 0, not {flat[key]}.")
    if not 0 < config.data.validation_fraction < 1:
        raise ConfigError(
            "data.validation_fraction must lie between 0 and 1, "
            f"not {config.data.validation_fraction}."
        )
    _check_together(config)


def _check_together(config: RunConfig) -> None:
    model = config.model
    if isinstance(model, RecurrentConfig) and model.dropout > 0 and model.num_layers == 1:
        raise ConfigError(
            f"model.dropout={model.dropout} acts between layers, but model.num_layers=1: it would "
            "do nothing. Type model.num_layers=2, or model.head_dropout=… to drop elsewhere."
        )
    if isinstance(model, AverageConfig) and model.pooling is Pooling.last:
        raise ConfigError(
            "model.pooling=last reads one embedding only when there is no recurrence. "
            "Type model.pooling=mean, max, max_mean or attention."
        )
    if isinstance(model, AverageConfig) != (model.cell is Cell.average) or (
        isinstance(model, GatedConfig) != (model.cell in (Cell.lstm, Cell.gru))
    ):
        raise ConfigError(
            f"model.cell={model.cell.name} does not fit model={model.name}: "
            f"type model={model.cell.name} instead of model.cell."
        )
    counted = isinstance(config.tokenizer, CountedTokenizerConfig)
    if counted == (config.tokenizer.kind is TokenizerKind.unigram):
        raise ConfigError(
            f"tokenizer.kind={config.tokenizer.kind.name} does not fit tokenizer="
            f"{config.tokenizer.name}: type tokenizer={config.tokenizer.kind.name} instead."
        )
    if config.optimizer.schedule is Schedule.constant and config.optimizer.warmup_fraction == 1:
        raise ConfigError("optimizer.warmup_fraction=1 never reaches optimizer.learning_rate.")
    if isinstance(config.data, FilesConfig):
        text = config.data.text
        if not (isinstance(text, str) and text) and not (
            isinstance(text, list) and text and all(isinstance(t, str) and t for t in text)
        ):
            raise ConfigError(
                f"data.text must be a column or a list of columns, not {text!r}. "
                "Type data.text=title or 'data.text=[title,body]'."
            )
