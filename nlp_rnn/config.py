"""The shape and limits of one run: what YAML and the command line may say, as typed schemas.

Hydra composes `conf/` onto these dataclasses, so a misspelt key, a wrong type and an unknown
cell are refused while the config is composed.
"""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from omegaconf import MISSING

__all__ = [
    "PLATEAU_FACTOR",
    "PLATEAU_PATIENCE",
    "AverageConfig",
    "Cell",
    "CountedTokenizerConfig",
    "DataConfig",
    "FileFormat",
    "FilesConfig",
    "GatedConfig",
    "GivenTokenizerConfig",
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
    "TableConfig",
    "TokenizerConfig",
    "TokenizerKind",
    "TrackingConfig",
    "TrainedTokenizerConfig",
    "TrainerConfig",
    "Truncation",
    "UnicodeForm",
    "flatten",
    "plain",
    "signature",
]

FileFormat = Enum(
    "FileFormat", ["parquet", "csv", "tsv", "json", "jsonl", "arrow", "lines", "fasttext"]
)
Cell = Enum("Cell", ["lstm", "gru", "rnn", "average"])
Pooling = Enum("Pooling", ["last", "mean", "max", "max_mean", "attention"])
RecurrentInit = Enum("RecurrentInit", ["orthogonal", "uniform"])
TokenizerKind = Enum(
    "TokenizerKind", ["bpe", "byte_bpe", "wordpiece", "unigram", "word", "char", "given"]
)
Truncation = Enum("Truncation", ["head", "tail", "head_tail"])
UnicodeForm = Enum("UnicodeForm", ["none", "nfc", "nfd", "nfkc", "nfkd"])
Schedule = Enum("Schedule", ["constant", "linear", "cosine", "one_cycle", "plateau"])
PLATEAU_FACTOR, PLATEAU_PATIENCE = 0.5, 2
Precision = Enum("Precision", ["auto", "fp32", "bf16"])
Monitor = Enum("Monitor", ["macro_f1", "accuracy", "loss"])


@dataclass
class DataConfig:
    """What every source of data has. The run's own seed never changes a split."""

    name: str = MISSING
    limit: int | None = None
    fraction: float | None = None
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
class TableConfig(DataConfig):
    """Rows with named columns; `text` is one or a list, `label_names` a list or a mapping."""

    path: str = MISSING
    text: Any = "text"
    label: str = "label"
    label_names: Any = None
    drop_leaks: bool = False


@dataclass
class FilesConfig(TableConfig):
    """A file, a folder of splits, or a dataset saved with `save_to_disk`.

    `format=null` goes by the names of the files; the other options are about text files.
    """

    format: FileFormat | None = None
    header: bool = True
    columns: list[str] | None = None
    delimiter: str | None = None
    quoting: bool = True
    encoding: str = "utf-8"


@dataclass
class HubConfig(TableConfig):
    """A dataset of the Hugging Face hub; `path` is its name there."""

    subset: str | None = None
    revision: str | None = None
    train_split: str = "train"
    validation_split: str | None = None
    test_split: str | None = "test"


@dataclass
class TokenizerConfig:
    """What every tokenizer has: `max_length` tokens of a text are kept, and which."""

    name: str = MISSING
    kind: TokenizerKind = TokenizerKind.bpe
    max_length: int = 400
    truncation: Truncation = Truncation.head


@dataclass
class GivenTokenizerConfig(TokenizerConfig):
    """A tokenizer that is there: `path` is a tokenizer.json, or a name on the hub."""

    path: str = MISSING
    revision: str | None = None


@dataclass
class TrainedTokenizerConfig(TokenizerConfig):
    """How texts become tokens; trained on the training split only."""

    vocab_size: int = 8000
    lowercase: bool = True
    unicode: UnicodeForm = UnicodeForm.nfkc
    strip_accents: bool = False
    split_digits: bool = False


@dataclass
class CountedTokenizerConfig(TrainedTokenizerConfig):
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
    embedding_dropout: float = 0.5
    head_dropout: float = 0.5


@dataclass
class AverageConfig(ModelConfig):
    """No recurrence: pooled embeddings, the control."""


@dataclass
class RecurrentConfig(ModelConfig):
    """A recurrent encoder without gates; `dropout` acts between layers.

    `output_dropout` zeroes features of the last layer's states for a whole text, `weight_drop`
    weights of the recurrent matrices for a whole batch.
    """

    hidden_size: int = 128
    num_layers: int = 1
    bidirectional: bool = True
    dropout: float = 0.0
    output_dropout: float = 0.0
    weight_drop: float = 0.0
    recurrent_init: RecurrentInit = RecurrentInit.orthogonal


@dataclass
class GatedConfig(RecurrentConfig):
    """LSTM or GRU; `forget_bias` is the total of both bias vectors (GRU: the update gate's)."""

    forget_bias: float = 1.0


@dataclass
class OptimizerConfig:
    """AdamW, its schedule, and the norm at which gradients are clipped.

    `plateau_factor` (null: 0.5) and `plateau_patience` (null: 2 epochs) belong to the schedule
    `plateau`.
    """

    name: str = MISSING
    learning_rate: float = 4e-3
    weight_decay: float = 0.01
    schedule: Schedule = Schedule.cosine
    warmup_fraction: float = 0.05
    plateau_factor: float | None = None
    plateau_patience: int | None = None
    max_gradient_norm: float = 1.0


@dataclass
class TrainerConfig:
    """How long and on what to train. `max_epochs=null` is chosen from the number of rows."""

    batch_size: int = 64
    accumulation: int = 1
    max_epochs: int | None = None
    max_updates: int | None = None
    max_minutes: float | None = None
    patience: int = 6
    monitor: Monitor = Monitor.macro_f1
    label_smoothing: float = 0.1
    average_decay: float = 0.0
    log_gradient_norm: bool = False
    find_learning_rate: bool = False
    profile: bool = False
    precision: Precision = Precision.auto
    device: str = "auto"
    threads: int | None = None
    processes: int = 1
    checkpoint_minutes: float = 10.0


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


NOT_IN_SIGNATURE = (
    "seed",
    "tracking",
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
    return hashlib.sha256(json.dumps(shaping).encode()).hexdigest()[:8]
