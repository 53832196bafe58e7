"""Resolved trainer and optimizer options, for tests of the trainer alone."""

from typing import Any

from nlp_rnn.config.training import Monitor, OptimizerConfig, Schedule, TrainerConfig


def trainer_options(**options: Any) -> TrainerConfig:
    """Return resolved trainer options without auxiliary losses."""
    resolved = {
        "batch_size": 64,
        "max_epochs": 15,
        "patience": 6,
        "restore_best": True,
        "monitor": Monitor.macro_f1,
        "label_smoothing": 0.1,
        "language_model": 0.0,
        "r_drop": 0.0,
        "average_decay": 0.0,
        "perturbation": 5.0,
    }
    return TrainerConfig(**resolved | options)


def optimizer_options(**options: Any) -> OptimizerConfig:
    """Return resolved optimizer options."""
    resolved: dict[str, Any] = {"name": "adamw", "learning_rate": 4e-3}
    if options.get("schedule") is Schedule.plateau:
        resolved |= {"plateau_factor": 0.5, "plateau_patience": 2}
    return OptimizerConfig(**resolved | options)
