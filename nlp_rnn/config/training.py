"""Schemas of the optimizer and of the trainer."""

from dataclasses import dataclass
from enum import Enum

from nlp_rnn.config.option import MISSING

__all__ = [
    "LEARNING_RATE",
    "MANY_LABELS",
    "PATIENCE",
    "PLATEAU_FACTOR",
    "PLATEAU_PATIENCE",
    "ClassWeight",
    "Monitor",
    "OptimizerConfig",
    "Precision",
    "Schedule",
    "TrainerConfig",
]

Schedule = Enum("Schedule", ["constant", "linear", "cosine", "one_cycle", "plateau"])
PLATEAU_FACTOR, PLATEAU_PATIENCE = 0.5, 2
LEARNING_RATE = 4e-3
PATIENCE = 6
MANY_LABELS = 50
"""Labels from which on a text is read more often, and more of its embeddings (docs/recipe.md)."""
Precision = Enum("Precision", ["auto", "fp32", "bf16", "fp16"])
Monitor = Enum("Monitor", ["auto", "macro_f1", "accuracy", "loss", "micro_f1", "subset_accuracy"])
ClassWeight = Enum("ClassWeight", ["none", "balanced"])


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
