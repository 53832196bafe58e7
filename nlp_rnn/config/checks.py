"""Checks of a configuration that types cannot express.

A value out of range raises an error, and so does an option that could not have an effect.
"""

import dataclasses
from typing import Any

from nlp_rnn.config.data import TableConfig
from nlp_rnn.config.data_checks import check_data, check_probe, check_tokenizer
from nlp_rnn.config.model import (
    AverageConfig,
    GatedConfig,
    NetworkConfig,
    NgramsConfig,
    RecurrentConfig,
)
from nlp_rnn.config.ngrams_checks import check_ngrams
from nlp_rnn.config.pretraining import AUTO, PretrainingConfig
from nlp_rnn.config.run import RunConfig
from nlp_rnn.config.teacher import TeacherKind
from nlp_rnn.config.teacher_checks import check_teacher
from nlp_rnn.config.training import (
    PATIENCE,
    PLATEAU_PATIENCE,
    SMALLEST_BATCH_SIZE,
    OptimizerConfig,
    Schedule,
    TrainerConfig,
)
from nlp_rnn.errors import ConfigError
from nlp_rnn.layers.cells import AVERAGE, CELLS, recurrent_cell
from nlp_rnn.layers.poolings import POOLINGS

__all__ = ["check", "has_dropout", "language_model_obstacle"]


def check(config: RunConfig) -> None:
    """Raise `ConfigError` for a value out of range or an option that could not have an effect."""
    _check_ranges("", config)
    check_data(config.data)
    check_teacher(config)
    if isinstance(config.model, NgramsConfig):
        check_ngrams(config)
        return
    _check_model(config.network)
    _check_losses(config)
    _check_best_epoch(config.trainer)
    _check_schedule(config)
    _check_processes(config)
    _check_pretrained(config)
    check_tokenizer(config.tokenizer)
    check_probe(config.data, config.tokenizer)


def _check_ranges(prefix: str, schema: Any) -> None:
    """Raise `ConfigError` for the first number that its field does not allow."""
    for field in dataclasses.fields(schema):
        value, allowed = getattr(schema, field.name), field.metadata.get("allowed")
        if dataclasses.is_dataclass(value):
            _check_ranges(f"{prefix}{field.name}.", value)
        elif allowed is not None and value is not None and not allowed.contains(value):
            raise ConfigError(f"{prefix}{field.name} must be {allowed.text}, not {value}.")


def _check_model(model: NetworkConfig) -> None:
    _check_cell_and_pooling(model)
    if isinstance(model, RecurrentConfig):
        _check_between_layers(model)
    if model.freeze_vectors and model.vectors is None:
        raise ConfigError(
            "model.freeze_vectors=true has no effect without model.vectors. "
            "Set model.vectors=FILE, or remove it."
        )


def _check_cell_and_pooling(model: NetworkConfig) -> None:
    for key, value, names in (
        ("cell", model.cell, [*CELLS, AVERAGE]),
        ("pooling", model.pooling, list(POOLINGS)),
    ):
        if value not in names:
            raise ConfigError(f"model.{key}={value} does not exist. Set one of {', '.join(names)}.")
    cell, pooling = recurrent_cell(model.cell), POOLINGS[model.pooling]
    gated = cell is not None and cell.keep_gate is not None
    if (
        isinstance(model, AverageConfig) != (cell is None)
        or isinstance(model, GatedConfig) != gated
    ):
        raise ConfigError(
            f"model.cell={model.cell} does not fit model={model.name}: "
            f"set model={model.cell} instead of model.cell."
        )
    if cell is None and pooling.from_final_state:
        others = [name for name, other in POOLINGS.items() if not other.from_final_state]
        raise ConfigError(
            f"model.pooling={model.pooling} needs a recurrent network, and model.cell={model.cell} "
            "has no recurrence. "
            f"Set model.pooling={', '.join(others[:-1])} or {others[-1]}."
        )


def _check_between_layers(model: RecurrentConfig) -> None:
    between = [key for key in ("dropout", "variational_dropout") if getattr(model, key) > 0]
    if between and model.num_layers == 1:
        raise ConfigError(
            f"model.{between[0]}={getattr(model, between[0])} acts between layers, but "
            "model.num_layers=1: it would have no effect. Set model.num_layers=2, or "
            "model.head_dropout=… to drop elsewhere."
        )
    if len(between) == 2:
        raise ConfigError(
            "model.dropout and model.variational_dropout both act between layers: "
            "set only one of them."
        )


def language_model_obstacle(config: RunConfig) -> str | None:
    """Return why `trainer.language_model` cannot be used, as the end of a sentence; else None."""
    model = config.network
    if not isinstance(model, RecurrentConfig):
        return (
            f"trains states that read token by token, and model.cell={model.cell} "
            "has none. Set model=gru or model=lstm, or remove it."
        )
    if model.bidirectional and model.num_layers > 1:
        return (
            f"would predict what the states know: with model.num_layers={model.num_layers} "
            "in two directions they have read every token. Set model.num_layers=1 or "
            "model.bidirectional=false."
        )
    if config.tokenizer.max_length == 1:
        return "predicts neighbours, and tokenizer.max_length=1 leaves none."
    return None


def has_dropout(config: RunConfig) -> bool:
    """Return whether two predictions for a text differ in training.

    Weight drop does not count: its mask is the same for all texts of a batch.
    """
    model = config.network
    if model.embedding_dropout is None:
        return True
    drops = [model.word_dropout, model.embedding_dropout, model.head_dropout]
    if isinstance(model, RecurrentConfig):
        drops += [model.dropout, model.variational_dropout, model.output_dropout]
    return any(drops)


def _check_losses(config: RunConfig) -> None:
    model, trainer = config.network, config.trainer
    if trainer.prefixes and isinstance(model, RecurrentConfig) and model.bidirectional:
        raise ConfigError(
            "trainer.prefixes=true is for networks that predict while they read, but "
            "model.bidirectional=true: it reads from the end too. Set model.bidirectional=false."
        )
    if trainer.language_model and (obstacle := language_model_obstacle(config)):
        raise ConfigError(f"trainer.language_model={trainer.language_model:g} {obstacle}")
    if trainer.r_drop and not has_dropout(config):
        raise ConfigError(
            f"trainer.r_drop={trainer.r_drop:g} compares predictions with different "
            "dropout, but every dropout of the model is 0 (weight drop is the same for both). "
            "Set model.head_dropout=0.5, or remove it."
        )
    parts = [key for key in ("adversarial", "virtual_adversarial") if getattr(trainer, key) > 0]
    if not parts and trainer.perturbation is not None:
        raise ConfigError(
            f"trainer.perturbation={trainer.perturbation:g} has no effect by itself. "
            "Set trainer.adversarial=1 or trainer.virtual_adversarial=1 too, or remove it."
        )
    if parts and model.freeze_vectors:
        raise ConfigError(
            f"trainer.{parts[0]}={getattr(trainer, parts[0]):g} normalizes the embeddings, which "
            "model.freeze_vectors=true would leave as they are. Remove one of them."
        )


def _check_best_epoch(trainer: TrainerConfig) -> None:
    if trainer.restore_best is False and trainer.patience is not None:
        raise ConfigError(
            f"trainer.patience={trainer.patience} has no effect with trainer.restore_best=false, "
            "which trains to the last epoch. Remove trainer.patience, or set "
            "trainer.restore_best=true."
        )


def _check_processes(config: RunConfig) -> None:
    trainer = config.trainer
    batch_size = trainer.batch_size or SMALLEST_BATCH_SIZE
    if trainer.processes > batch_size:
        raise ConfigError(
            f"trainer.processes={trainer.processes} share every batch of "
            f"trainer.batch_size={batch_size} texts: some would have no texts. Set fewer "
            "processes, or a larger trainer.batch_size."
        )
    if trainer.threads is not None and trainer.threads < trainer.processes:
        raise ConfigError(
            f"trainer.threads={trainer.threads} are too few for trainer.processes="
            f"{trainer.processes}: they share them. Set trainer.threads={trainer.processes}."
        )


def _check_schedule(config: RunConfig) -> None:
    optimizer = config.optimizer
    schedule, warmup = optimizer.schedule, optimizer.warmup_fraction
    if warmup == 1 and schedule in (Schedule.constant, Schedule.plateau):
        raise ConfigError("optimizer.warmup_fraction=1 never reaches optimizer.learning_rate.")
    if schedule is Schedule.one_cycle and not 0 < warmup < 1:
        raise ConfigError(
            f"optimizer.schedule=one_cycle rises over optimizer.warmup_fraction, which is {warmup} "
            "and must be between 0 and 1. Set optimizer.warmup_fraction=0.3."
        )
    if schedule is not Schedule.plateau:
        for key in ("plateau_factor", "plateau_patience"):
            if getattr(optimizer, key) is not None:
                raise ConfigError(
                    f"optimizer.{key} has no effect with optimizer.schedule={schedule.name}. "
                    "Set optimizer.schedule=plateau."
                )
        return
    if config.trainer.restore_best is False:
        return  # nothing ends the training early
    patience = optimizer.plateau_patience or PLATEAU_PATIENCE
    last = config.trainer.patience or PATIENCE
    if patience >= last:
        raise ConfigError(
            f"The learning rate falls after optimizer.plateau_patience={patience} epochs "
            f"without improvement, but trainer.patience={last} ends the "
            "training first. Set a larger trainer.patience."
        )


def _check_pretrained(config: RunConfig) -> None:
    """Raise `ConfigError` for options that need a pretrained network, or do not allow one."""
    model, pretrained = config.network, config.network.pretrained
    if pretrained is None:
        _check_not_pretrained(config)
    else:
        _check_language_models(model)
        if model.vectors is not None:
            raise ConfigError(
                "model.vectors and model.pretrained both set the initial values of the embedding. "
                "Remove one of them."
            )
    if config.trainer.frozen_epochs and config.trainer.processes > 1:
        raise ConfigError(
            "trainer.frozen_epochs works with one process only: several wait for the gradient of "
            "every parameter. Set trainer.processes=1, or optimizer.encoder_rate=0.1 instead."
        )
    if pretrained == AUTO:
        return
    if config.pretraining != PretrainingConfig():
        start = "model.pretrained=null" if pretrained is None else "a pretrained encoder"
        raise ConfigError(
            f"pretraining.… has no effect with {start}. Set model.pretrained={AUTO}, which "
            "pretrains first, or run nlp-rnn pretrain."
        )
    unlabelled = isinstance(config.data, TableConfig) and config.data.unlabelled is not None
    if unlabelled and config.teacher.kind is TeacherKind.none:
        raise ConfigError(
            "data.unlabelled has no effect without a teacher that labels its texts, or a "
            f"pretraining on them. Set teacher=self, or model.pretrained={AUTO}."
        )


def _check_not_pretrained(config: RunConfig) -> None:
    options = {
        f"trainer.frozen_epochs={config.trainer.frozen_epochs}": config.trainer.frozen_epochs > 0,
        f"optimizer.encoder_rate={config.optimizer.encoder_rate:g}": (
            config.optimizer.encoder_rate != OptimizerConfig.encoder_rate
        ),
    }
    for option, is_set in options.items():
        if is_set:
            raise ConfigError(
                f"{option} has an effect on a pretrained network only. Set "
                f"model.pretrained=FOLDER, runs:/ID or {AUTO}, or remove it."
            )


def _check_language_models(model: NetworkConfig) -> None:
    if not isinstance(model, RecurrentConfig):
        raise ConfigError(
            f"A language model reads token by token, and model.cell={model.cell} does not. "
            "Set model=gru or model=lstm."
        )
    if model.bidirectional and model.num_layers > 1:
        raise ConfigError(
            f"With model.num_layers={model.num_layers} in two directions the second layer has read "
            "the token that it should predict.\nSet model.num_layers=1 or "
            "model.bidirectional=false."
        )
