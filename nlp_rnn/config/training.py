"""Schemas of the optimizer and of the trainer."""

from dataclasses import dataclass
from enum import Enum

from nlp_rnn.config.option import (
    FRACTION,
    INSIDE_UNIT,
    MISSING,
    POSITIVE,
    at_least,
    between,
    option,
)

__all__ = [
    "BATCH_SIZE",
    "PATIENCE",
    "PLATEAU_FACTOR",
    "PLATEAU_PATIENCE",
    "SMALLEST_BATCH_SIZE",
    "ClassWeight",
    "Monitor",
    "OptimizerConfig",
    "Precision",
    "Schedule",
    "TrainerConfig",
]

Schedule = Enum("Schedule", ["constant", "linear", "cosine", "one_cycle", "plateau"])
Precision = Enum("Precision", ["auto", "fp32", "bf16", "fp16"])
Monitor = Enum("Monitor", ["auto", "macro_f1", "accuracy", "loss", "micro_f1", "subset_accuracy"])
ClassWeight = Enum("ClassWeight", ["none", "balanced"])

BATCH_SIZE, SMALLEST_BATCH_SIZE = 64, 16
PATIENCE = 6
PLATEAU_FACTOR, PLATEAU_PATIENCE = 0.5, 2


@dataclass
class OptimizerConfig:
    """AdamW, its learning rate schedule and gradient clipping."""

    name: str = option(MISSING, "Name of the optimizer: adamw.")
    learning_rate: float | None = option(
        None,
        "Highest learning rate (null: 0.004, or 0.008 where the training split has more than two "
        "million tokens or 150 per text).",
        POSITIVE,
    )
    encoder_rate: float = option(
        1.0, "Factor of the learning rate for pretrained parameters (model.pretrained).", POSITIVE
    )
    weight_decay: float = option(0.01, "Decoupled weight decay of AdamW.", at_least(0))
    schedule: Schedule = option(Schedule.cosine, "Course of the learning rate after the warm-up.")
    warmup_fraction: float = option(
        0.05, "Fraction of all updates over which the learning rate rises linearly.", between(0, 1)
    )
    plateau_factor: float | None = option(
        None,
        "Factor of the learning rate at a plateau, for schedule=plateau (null: 0.5).",
        INSIDE_UNIT,
    )
    plateau_patience: int | None = option(
        None,
        "Epochs without improvement before a plateau, for schedule=plateau (null: 2).",
        at_least(1),
    )
    max_gradient_norm: float = option(1.0, "Norm at which gradients are clipped.", POSITIVE)


@dataclass
class TrainerConfig:
    """Length of the training, its loss, and the device that it runs on."""

    batch_size: int | None = option(
        None,
        "Texts per batch (null: 64; 32 or 16 where an epoch would have less than 50 updates and "
        "max_epochs is null).",
        at_least(1),
    )
    accumulation: int = option(
        1, "Batches whose gradients are added up for one update.", at_least(1)
    )
    max_epochs: int | None = option(
        None,
        "Epochs at most (null: chosen from the rows, tokens and labels of the training split, and "
        "the batch size).",
        at_least(1),
    )
    max_updates: int | None = option(None, "Updates at most (null: no limit).", at_least(1))
    max_minutes: float | None = option(
        None,
        "Minutes of training after which it stops at the next update (null: no limit).",
        POSITIVE,
    )
    patience: int | None = option(
        None,
        "Epochs without improvement on validation, after the warm-up, before training stops "
        "(null: 6; as long as the training from 50 labels on, or with restore_best=false).",
        at_least(1),
    )
    restore_best: bool | None = option(
        None,
        "Save the weights of the epoch that was best on validation, not of the last epoch (null: "
        "true, or false where validation has at most 300 rows and max_epochs, patience and monitor "
        "are not set).",
    )
    monitor: Monitor = option(
        Monitor.auto,
        "Validation metric that decides which epoch is best, and that a search optimizes (auto: "
        "macro_f1; multi-label: micro_f1).",
    )
    label_smoothing: float | None = option(
        None, "Probability taken from the true label (null: 0.1; multi-label: 0).", FRACTION
    )
    class_weight: ClassWeight = option(
        ClassWeight.none,
        "Weights of the classes in the loss; balanced: inverse to their frequency.",
    )
    prefixes: bool = option(
        False, "Also train on random beginnings of the texts (one-directional models only)."
    )
    language_model: float | None = option(
        None,
        "Initial weight of the auxiliary language model's loss (null: 0.5, or 0 where the training "
        "split has more than two million tokens or 150 per text, or the model cannot use it).",
        between(0, 100),
    )
    r_drop: float | None = option(
        None,
        "Weight of the R-Drop loss: KL divergence between two forward passes with different "
        "dropout masks (null: 1, or 0 where the training split has more than two million tokens or "
        "150 per text).",
        between(0, 1000),
    )
    adversarial: float = option(
        0.0, "Weight of the loss of adversarially perturbed embeddings.", between(0, 1000)
    )
    virtual_adversarial: float = option(
        0.0,
        "Weight of the virtual adversarial loss (KL divergence after a perturbation).",
        between(0, 1000),
    )
    perturbation: float | None = option(
        None, "Norm of the perturbation for both adversarial losses (null: 5).", POSITIVE
    )
    frozen_epochs: int = option(
        0,
        "Epochs in which only the head of a pretrained network is trained, then as many in which "
        "the embedding alone stays fixed.",
        at_least(0),
    )
    average_decay: float | None = option(
        None,
        "Decay of the running average of the weights (null: 0, or 0.99 where the training split "
        "has more than two million tokens or 150 per text, and no pretrained encoder is used).",
        FRACTION,
    )
    log_gradient_norm: bool = option(False, "Log the norm of the gradients of each epoch.")
    find_learning_rate: bool = option(
        False, "Run a learning rate range test first and log its curve and suggestion."
    )
    profile: bool = option(False, "Profile a few updates and log the table of operations.")
    precision: Precision = option(
        Precision.auto,
        "Precision of matrix products (auto: fp16 on a GPU with tensor cores, bf16 on a CPU that "
        "multiplies it natively, else fp32).",
    )
    device: str = option("auto", "auto, cpu, cuda or cuda:N (auto: a CUDA device if there is one).")
    threads: int | None = option(None, "CPU threads (null: all available cores).", at_least(1))
    processes: int = option(
        1, "Processes that share every batch (data parallel training).", between(1, 1024)
    )
    checkpoint_minutes: float = option(
        10.0, "Minutes between checkpoints within an epoch.", at_least(0)
    )
