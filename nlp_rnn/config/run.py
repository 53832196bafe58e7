"""The shape and limits of one run: what YAML and the command line may say, as typed schemas.

Hydra composes `conf/` onto these dataclasses, so a misspelt key, a wrong type and an unknown
cell are refused while the config is composed.
"""

from dataclasses import dataclass, field
from enum import Enum

from nlp_rnn.config.data import MISSING, DataConfig, TokenizerConfig
from nlp_rnn.config.pretraining import PretrainingConfig

__all__ = [
    "LEARNING_RATE",
    "MANY_LABELS",
    "PATIENCE",
    "PLATEAU_FACTOR",
    "PLATEAU_PATIENCE",
    "AverageConfig",
    "Cell",
    "ClassWeight",
    "GatedConfig",
    "ModelConfig",
    "Monitor",
    "OptimizerConfig",
    "Pooling",
    "Precision",
    "RecurrentConfig",
    "RecurrentInit",
    "RunConfig",
    "Schedule",
    "Speed",
    "TrackingConfig",
    "TrainerConfig",
]

Cell = Enum("Cell", ["lstm", "gru", "rnn", "average"])
Pooling = Enum("Pooling", ["last", "mean", "max", "max_mean", "attention"])
RecurrentInit = Enum("RecurrentInit", ["orthogonal", "uniform"])
Schedule = Enum("Schedule", ["constant", "linear", "cosine", "one_cycle", "plateau"])
PLATEAU_FACTOR, PLATEAU_PATIENCE = 0.5, 2
LEARNING_RATE = 4e-3
PATIENCE = 6
MANY_LABELS = 50
"""Labels from which on a text is read more often, and more of its embeddings (docs/recipe.md)."""
Precision = Enum("Precision", ["auto", "fp32", "bf16", "fp16"])
Speed = Enum("Speed", ["none", "quick", "full"])
Monitor = Enum("Monitor", ["auto", "macro_f1", "accuracy", "loss", "micro_f1", "subset_accuracy"])
ClassWeight = Enum("ClassWeight", ["none", "balanced"])


@dataclass
class ModelConfig:
    """What every network has; `vectors` is a file of word vectors for the embedding.

    `ngrams=2` adds what the text's tokens and pairs of tokens say by themselves, `ngrams=3` triples
    too; those of two or more tokens are hashed into `ngram_buckets` rows (null: 262,144).
    `pretrained` is what `nlp-rnn pretrain` left, a folder or `runs:/ID`, to start from; `auto` is
    what it would leave for this data, made first if it is not there. `embedding_dropout=null` is
    0.5, or 0.3 from 50 labels on.
    """

    name: str = MISSING
    cell: Cell = MISSING
    embedding_size: int = 128
    vectors: str | None = None
    freeze_vectors: bool = False
    pretrained: str | None = None
    pooling: Pooling = Pooling.max_mean
    word_dropout: float = 0.0
    embedding_dropout: float | None = None
    head_dropout: float = 0.5
    ngrams: int = 0
    ngram_buckets: int | None = None


@dataclass
class AverageConfig(ModelConfig):
    """No recurrence: pooled embeddings, the control."""


@dataclass
class RecurrentConfig(ModelConfig):
    """A recurrent encoder without gates; `dropout` acts between layers.

    `variational_dropout` does too, on the same features at every step of a text. `output_dropout`
    zeroes features of the last layer's states for a whole text, `weight_drop` weights of the
    recurrent matrices for a whole batch. `match` names another cell, whose size `hidden_size`
    then is: the run replaces it by the size with as many recurrent parameters, or with
    `latency:CELL` by the one that answers as fast.
    """

    hidden_size: int = 128
    num_layers: int = 1
    bidirectional: bool = True
    dropout: float = 0.0
    variational_dropout: float = 0.0
    output_dropout: float = 0.0
    weight_drop: float = 0.0
    recurrent_init: RecurrentInit = RecurrentInit.orthogonal
    match: str | None = None


@dataclass
class GatedConfig(RecurrentConfig):
    """LSTM or GRU; `forget_bias` is the total of both bias vectors (GRU: the update gate's)."""

    forget_bias: float = 1.0


@dataclass
class OptimizerConfig:
    """AdamW, its schedule, and the norm at which gradients are clipped.

    `learning_rate=null` is 4e-3, or 8e-3 where train has more than two million tokens.
    `encoder_rate` times this rate is the one of pretrained parameters (`model.pretrained`).
    `plateau_factor` (null: 0.5) and `plateau_patience` (null: 2 epochs) belong to the schedule
    `plateau`.
    """

    name: str = MISSING
    learning_rate: float | None = None
    encoder_rate: float = 1.0
    weight_decay: float = 0.01
    schedule: Schedule = Schedule.cosine
    warmup_fraction: float = 0.05
    plateau_factor: float | None = None
    plateau_patience: int | None = None
    max_gradient_norm: float = 1.0


@dataclass
class TrainerConfig:
    """How long and on what to train. `max_epochs=null` is chosen from rows, tokens and labels.

    `patience=null` is 6 epochs, or 25 from 50 labels on.
    `monitor=auto` is macro_f1, or micro_f1 where a text may have several labels;
    `label_smoothing=null` is 0.1, or there 0. `class_weight=balanced` lets all classes weigh alike.
    `language_model` is what the loss of an auxiliary language model counts for at the start (null:
    0.5), `r_drop` what the divergence of two answers with different dropout does (null: 1); null is
    0 where the model has no use for it, or train more than two million tokens. There
    `average_decay=null`, the decay of the weights' running average, is 0.99, elsewhere 0.
    `adversarial` and `virtual_adversarial` are what the losses of texts changed by `perturbation`
    (null: 5) do.
    Of a pretrained network the head alone is trained for `frozen_epochs`, then the encoder too for
    as many, then everything.
    """

    batch_size: int = 64
    accumulation: int = 1
    max_epochs: int | None = None
    max_updates: int | None = None
    max_minutes: float | None = None
    patience: int | None = None
    monitor: Monitor = Monitor.auto
    label_smoothing: float | None = None
    class_weight: ClassWeight = ClassWeight.none
    prefixes: bool = False
    language_model: float | None = None
    r_drop: float | None = None
    adversarial: float = 0.0
    virtual_adversarial: float = 0.0
    perturbation: float | None = None
    frozen_epochs: int = 0
    average_decay: float | None = None
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
    """Where the run is written in MLflow; null means the environment's, else the default.

    `speed` is how long the finished classifier is timed: `quick` (3 seconds) or `full` (minutes).
    """

    uri: str | None = None
    experiment: str | None = None
    run_name: str | None = None
    system_metrics: bool = True
    speed: Speed = Speed.quick


@dataclass
class RunConfig:
    """One run, whole."""

    data: DataConfig = MISSING
    tokenizer: TokenizerConfig = MISSING
    model: ModelConfig = MISSING
    optimizer: OptimizerConfig = MISSING
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    pretraining: PretrainingConfig = field(default_factory=PretrainingConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    seed: int = 1
