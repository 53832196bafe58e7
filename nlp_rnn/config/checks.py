"""Checks of a configuration that types cannot express.

A value out of range raises an error, and so does an option that could not have an effect.
"""

from nlp_rnn.config.data_checks import check_data, check_probe, check_tokenizer
from nlp_rnn.config.model import (
    AverageConfig,
    GatedConfig,
    ModelConfig,
    RecurrentConfig,
)
from nlp_rnn.config.pretraining_checks import check_pretrained
from nlp_rnn.config.run import RunConfig
from nlp_rnn.config.signature import flatten
from nlp_rnn.config.training import PATIENCE, PLATEAU_PATIENCE, Schedule
from nlp_rnn.errors import ConfigError
from nlp_rnn.layers.cells import AVERAGE, CELLS, recurrent_cell
from nlp_rnn.layers.poolings import POOLINGS

__all__ = ["check", "has_dropout", "language_model_obstacle"]

# Minimum and maximum of each number, both inclusive; None: no bound.
LIMITS: dict[str, tuple[float | None, float | None]] = {
    "data.limit": (2, None),
    "data.seed": (0, 2**32 - 1),
    "data.train_rows": (20, None),
    "data.test_rows": (2, None),
    "data.train_sentences": (0, None),
    "data.test_sentences": (0, None),
    "data.length": (1, 100_000),
    "tokenizer.vocab_size": (8, 1_000_000),
    "tokenizer.min_frequency": (1, None),
    "tokenizer.max_length": (1, None),
    "model.embedding_size": (1, None),
    "model.hidden_size": (1, None),
    "model.num_layers": (1, 16),
    "model.ngrams": (0, 3),
    "model.ngram_buckets": (1, 2**26),
    "model.forget_bias": (-100, 100),
    "optimizer.weight_decay": (0, None),
    "optimizer.warmup_fraction": (0, 1),
    "optimizer.plateau_patience": (1, None),
    "trainer.batch_size": (1, None),
    "trainer.accumulation": (1, None),
    "trainer.max_epochs": (1, None),
    "trainer.max_updates": (1, None),
    "trainer.language_model": (0, 100),
    "trainer.r_drop": (0, 1000),
    "trainer.adversarial": (0, 1000),
    "trainer.virtual_adversarial": (0, 1000),
    "trainer.frozen_epochs": (0, None),
    "trainer.checkpoint_minutes": (0, None),
    "trainer.patience": (1, None),
    "trainer.threads": (1, None),
    "trainer.processes": (1, 1024),
    "pretraining.max_epochs": (1, None),
    "pretraining.batch_size": (1, None),
    "pretraining.window": (1, None),
    "pretraining.samples": (1, None),
    "pretraining.weight_decay": (0, None),
    "pretraining.checkpoint_minutes": (0, None),
    "pretraining.seed": (0, 2**32 - 1),
    "seed": (0, 2**32 - 1),
}
FRACTIONS = (
    "model.dropout",
    "model.variational_dropout",
    "model.output_dropout",
    "model.weight_drop",
    "model.word_dropout",
    "model.embedding_dropout",
    "model.head_dropout",
    "trainer.label_smoothing",
    "trainer.average_decay",
    "pretraining.dropout",
)
BETWEEN = ("data.validation_fraction", "optimizer.plateau_factor")
POSITIVE = (
    "optimizer.learning_rate",
    "optimizer.encoder_rate",
    "optimizer.max_gradient_norm",
    "trainer.max_minutes",
    "trainer.perturbation",
    "pretraining.learning_rate",
    "pretraining.max_minutes",
)


def check(config: RunConfig) -> None:
    """Raise `ConfigError` for a value out of range or an option that could not have an effect."""
    flat = flatten(config)
    for key, (low, high) in LIMITS.items():
        value = flat.get(key)
        if value is None:
            continue
        # `not (a <= b)` rather than `a > b`, so that NaN raises an error too
        if (low is not None and not low <= value) or (high is not None and not value <= high):
            bound = f"at least {low}" if high is None else f"between {low} and {high}"
            raise ConfigError(f"{key} must be {bound}, not {value}.")
    for key in FRACTIONS:
        if flat.get(key) is not None and not 0 <= flat[key] < 1:
            raise ConfigError(f"{key} must be at least 0 and below 1, not {flat[key]}.")
    for key in POSITIVE:
        if flat[key] is not None and not 0 < flat[key] < float("inf"):
            raise ConfigError(f"{key} must be above 0, not {flat[key]}.")
    for key in BETWEEN:
        if flat[key] is not None and not 0 < flat[key] < 1:
            raise ConfigError(f"{key} must lie between 0 and 1, not {flat[key]}.")
    _check_together(config)


def _check_together(config: RunConfig) -> None:
    model = config.model
    _check_cell_and_pooling(model)
    if isinstance(model, RecurrentConfig):
        _check_between_layers(model)
    if model.freeze_vectors and model.vectors is None:
        raise ConfigError(
            "model.freeze_vectors=true has no effect without model.vectors. "
            "Set model.vectors=FILE, or remove it."
        )
    if config.trainer.prefixes and isinstance(model, RecurrentConfig) and model.bidirectional:
        raise ConfigError(
            "trainer.prefixes=true is for networks that predict while they read, but "
            "model.bidirectional=true: it reads from the end too. Set model.bidirectional=false."
        )
    _check_ngrams(model)
    check_tokenizer(config.tokenizer)
    _check_language_model(config)
    _check_r_drop(config)
    _check_perturbation(config)
    check_pretrained(config)
    _check_schedule(config)
    _check_processes(config)
    check_data(config.data)
    check_probe(config.data, config.tokenizer)


def _check_cell_and_pooling(model: ModelConfig) -> None:
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


def _check_ngrams(model: ModelConfig) -> None:
    if model.ngrams < 2 and model.ngram_buckets is not None:
        raise ConfigError(
            f"model.ngram_buckets={model.ngram_buckets} is for n-grams of two or more tokens, and "
            f"model.ngrams={model.ngrams}. Set model.ngrams=2, or remove it."
        )


def language_model_obstacle(config: RunConfig) -> str | None:
    """Return why `trainer.language_model` cannot be used, as the end of a sentence; else None."""
    model = config.model
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


def _check_language_model(config: RunConfig) -> None:
    if config.trainer.language_model and (obstacle := language_model_obstacle(config)):
        raise ConfigError(f"trainer.language_model={config.trainer.language_model:g} {obstacle}")


def has_dropout(config: RunConfig) -> bool:
    """Return whether two predictions for a text differ in training.

    Weight drop does not count: its mask is the same for all texts of a batch.
    """
    flat = flatten(config)
    drops = [key for key in FRACTIONS if key.startswith("model.") and key != "model.weight_drop"]
    return config.model.embedding_dropout is None or any(flat.get(key) for key in drops)


def _check_r_drop(config: RunConfig) -> None:
    if config.trainer.r_drop and not has_dropout(config):
        raise ConfigError(
            f"trainer.r_drop={config.trainer.r_drop:g} compares predictions with different "
            "dropout, but every dropout of the model is 0 (weight drop is the same for both). "
            "Set model.head_dropout=0.5, or remove it."
        )


def _check_perturbation(config: RunConfig) -> None:
    trainer = config.trainer
    parts = [key for key in ("adversarial", "virtual_adversarial") if getattr(trainer, key) > 0]
    if not parts and trainer.perturbation is not None:
        raise ConfigError(
            f"trainer.perturbation={trainer.perturbation:g} has no effect by itself. "
            "Set trainer.adversarial=1 or trainer.virtual_adversarial=1 too, or remove it."
        )
    if parts and config.model.freeze_vectors:
        raise ConfigError(
            f"trainer.{parts[0]}={getattr(trainer, parts[0]):g} normalizes the embeddings, which "
            "model.freeze_vectors=true would leave as they are. Remove one of them."
        )


def _check_processes(config: RunConfig) -> None:
    trainer = config.trainer
    if trainer.processes > trainer.batch_size:
        raise ConfigError(
            f"trainer.processes={trainer.processes} share every batch of trainer.batch_size="
            f"{trainer.batch_size} texts: some would have no texts. Set fewer processes."
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
            "and must lie between 0 and 1. Set optimizer.warmup_fraction=0.3."
        )
    if schedule is not Schedule.plateau:
        for key in ("plateau_factor", "plateau_patience"):
            if getattr(optimizer, key) is not None:
                raise ConfigError(
                    f"optimizer.{key} has no effect with optimizer.schedule={schedule.name}. "
                    "Set optimizer.schedule=plateau."
                )
        return
    patience = optimizer.plateau_patience or PLATEAU_PATIENCE
    last = config.trainer.patience or PATIENCE
    if patience >= last:
        raise ConfigError(
            f"The learning rate falls after optimizer.plateau_patience={patience} epochs "
            f"without improvement, but trainer.patience={last} ends the "
            "training first. Set a larger trainer.patience."
        )
