"""Values of the options that are left open (null or auto), from the training data and the model.

The rules and their constants stand here and nowhere else; fixed values of other options stand
next to their fields. docs/research/recipe.md has what each was chosen from.
"""

import math
from dataclasses import dataclass, replace

from nlp_rnn.config.checks import has_dropout, language_model_obstacle
from nlp_rnn.config.data import ProbeConfig
from nlp_rnn.config.model import Ensemble, NetworkConfig, NgramsConfig
from nlp_rnn.config.run import RunConfig
from nlp_rnn.config.training import (
    BATCH_SIZE,
    PATIENCE,
    PLATEAU_FACTOR,
    PLATEAU_PATIENCE,
    SMALLEST_BATCH_SIZE,
    Monitor,
    OptimizerConfig,
    Schedule,
    TrainerConfig,
)
from nlp_rnn.errors import ConfigError

__all__ = [
    "LEARNING_RATE",
    "MAX_NGRAM_LABELS",
    "TrainingFacts",
    "check_ngram_labels",
    "default_embedding_dropout",
    "resolve_defaults",
]

MANY_LABELS = 50
"""Labels from which on training is longer and drops less of the embeddings."""
SMALL_DATA = 2_000_000
"""Tokens of a training split up to which the auxiliary losses are worth their time."""
LONG_TEXTS = 150
"""Tokens of a text, on average, up to which they are: long texts need the time for updates."""

LEARNING_RATE, LARGE_DATA_LEARNING_RATE = 4e-3, 8e-3
LANGUAGE_MODEL_WEIGHT, R_DROP_WEIGHT = 0.5, 1.0
AVERAGE_DECAY = 0.99
LABEL_SMOOTHING = 0.1
EMBEDDING_DROPOUT, MANY_LABELS_EMBEDDING_DROPOUT = 0.5, 0.3
PERTURBATION = 5.0  # Miyato et al. 2017, arXiv:1605.07725

MAX_NGRAM_LABELS = 1000
"""Labels up to which n-gram models are fitted: each label is a model and a column of the table."""

# As many epochs as read this many texts or tokens, whichever comes first, within these bounds.
TEXTS_TO_READ, EPOCHS = 200_000, (4, 15)
TOKENS_TO_READ = 25_000_000
MANY_LABELS_TEXTS_TO_READ, MANY_LABELS_EPOCHS = 400_000, (4, 25)

# Few rows: smaller batches until an epoch has this many updates, and at least as many epochs as
# read this many texts, times the root of the batch size relative to BATCH_SIZE, but not more
# epochs and tokens than these.
UPDATES_PER_EPOCH = 50
FEW_ROWS_TEXTS_TO_READ = 48_000
FEW_ROWS_TOKENS_TO_READ = 6_000_000
FEW_ROWS_EPOCHS = 40

FEW_VALIDATION_ROWS = 300
"""Validation rows up to which the best epoch is chance: the weights of the last one are saved."""


@dataclass(frozen=True)
class TrainingFacts:
    """Size and labels of a training split, on which the defaults depend.

    Attributes
    ----------
    rows : int
        Texts of the training split.
    tokens : int
        Tokens of all its texts.
    labels : int
        Number of labels.
    validation_rows : int
        Texts of the validation split.
    multi_label : bool
        Whether a text can have any number of labels.
    """

    rows: int
    tokens: int
    labels: int
    validation_rows: int
    multi_label: bool = False

    @property
    def is_small(self) -> bool:
        """Whether the texts are few and short enough for auxiliary losses."""
        return self.tokens <= min(SMALL_DATA, LONG_TEXTS * self.rows)


def resolve_defaults(config: RunConfig, facts: TrainingFacts) -> RunConfig:
    """Return `config` with a value for every option that depends on the training data.

    An option that is set stays as it is. A null that means "no limit" or "not used" stays null.
    """
    return replace(
        config,
        model=_resolve_model(config, facts),
        optimizer=_resolve_optimizer(config.optimizer, facts),
        trainer=_resolve_trainer(config, facts),
    )


def check_ngram_labels(config: RunConfig, labels: int) -> None:
    """Raise `ConfigError` if n-gram models are set that data with this many labels cannot have."""
    if labels <= MAX_NGRAM_LABELS:
        return
    alone = isinstance(config.model, NgramsConfig)
    if alone or config.network.ensemble is Ensemble.on:
        option, remedy = (
            ("model=ngrams", "model=gru") if alone else ("model.ensemble=on", "model.ensemble=off")
        )
        raise ConfigError(
            f"{option} fits n-gram models, which can have {MAX_NGRAM_LABELS:,} labels at most; the "
            f"data has {labels:,}.\nSet {remedy}"
        )


def default_embedding_dropout(labels: int) -> float:
    """Return the embedding dropout for a data set with this many labels."""
    return MANY_LABELS_EMBEDDING_DROPOUT if labels >= MANY_LABELS else EMBEDDING_DROPOUT


def _resolve_model(config: RunConfig, facts: TrainingFacts) -> NetworkConfig:
    model = config.network
    if model.ensemble is Ensemble.auto:
        # probes measure what a network remembers
        alone = isinstance(config.data, ProbeConfig) or facts.labels > MAX_NGRAM_LABELS
        model = replace(model, ensemble=Ensemble.off if alone else Ensemble.on)
    if model.embedding_dropout is None:
        model = replace(model, embedding_dropout=default_embedding_dropout(facts.labels))
    return model


def _resolve_optimizer(optimizer: OptimizerConfig, facts: TrainingFacts) -> OptimizerConfig:
    if optimizer.learning_rate is None:
        rate = LEARNING_RATE if facts.is_small else LARGE_DATA_LEARNING_RATE
        optimizer = replace(optimizer, learning_rate=rate)
    if optimizer.schedule is Schedule.plateau:
        optimizer = replace(
            optimizer,
            plateau_factor=optimizer.plateau_factor or PLATEAU_FACTOR,
            plateau_patience=optimizer.plateau_patience or PLATEAU_PATIENCE,
        )
    return optimizer


def _resolve_trainer(config: RunConfig, facts: TrainingFacts) -> TrainerConfig:
    trainer, pretrained = config.trainer, config.network.pretrained is not None
    small, many_labels = facts.is_small, facts.labels >= MANY_LABELS
    length_is_open = trainer.max_epochs is None
    if trainer.batch_size is None:
        size = _batch_size(facts, trainer.accumulation) if length_is_open else BATCH_SIZE
        trainer = replace(trainer, batch_size=size)
    if trainer.max_epochs is None:
        trainer = replace(trainer, max_epochs=_max_epochs(facts, trainer))
    if trainer.restore_best is None:
        chosen_by_user = trainer.patience is not None or trainer.monitor is not Monitor.auto
        few = length_is_open and facts.validation_rows <= FEW_VALIDATION_ROWS
        trainer = replace(trainer, restore_best=chosen_by_user or not few)
    if trainer.patience is None:
        assert trainer.max_epochs is not None
        # as long as the training, so that the learning rate falls to its end
        whole = many_labels or not trainer.restore_best
        trainer = replace(trainer, patience=trainer.max_epochs if whole else PATIENCE)
    if trainer.monitor is Monitor.auto:
        monitor = Monitor.micro_f1 if facts.multi_label else Monitor.macro_f1
        trainer = replace(trainer, monitor=monitor)
    if trainer.label_smoothing is None:
        trainer = replace(trainer, label_smoothing=0.0 if facts.multi_label else LABEL_SMOOTHING)
    if trainer.language_model is None:
        # a pretrained encoder has predicted the tokens of its texts already
        useful = small and not pretrained and language_model_obstacle(config) is None
        trainer = replace(trainer, language_model=LANGUAGE_MODEL_WEIGHT if useful else 0.0)
    if trainer.r_drop is None:
        useful = small and has_dropout(config)
        trainer = replace(trainer, r_drop=R_DROP_WEIGHT if useful else 0.0)
    if trainer.average_decay is None:
        # no average was tried with a pretrained encoder
        useful = not small and not pretrained
        trainer = replace(trainer, average_decay=AVERAGE_DECAY if useful else 0.0)
    if (trainer.adversarial or trainer.virtual_adversarial) and trainer.perturbation is None:
        trainer = replace(trainer, perturbation=PERTURBATION)
    return trainer


def _batch_size(facts: TrainingFacts, accumulation: int) -> int:
    size = BATCH_SIZE
    while size > SMALLEST_BATCH_SIZE and facts.rows < UPDATES_PER_EPOCH * size * accumulation:
        size //= 2
    return size


def _max_epochs(facts: TrainingFacts, trainer: TrainerConfig) -> int:
    assert trainer.batch_size is not None
    texts, (low, high) = TEXTS_TO_READ, EPOCHS
    if facts.labels >= MANY_LABELS:
        texts, (low, high) = MANY_LABELS_TEXTS_TO_READ, MANY_LABELS_EPOCHS
    epochs = max(low, min(high, texts // facts.rows, TOKENS_TO_READ // facts.tokens))
    # smaller batches need more updates, but fewer texts
    few_texts = FEW_ROWS_TEXTS_TO_READ * math.sqrt(trainer.batch_size / BATCH_SIZE)
    needed = math.ceil(few_texts * trainer.accumulation / facts.rows)
    return max(epochs, min(needed, FEW_ROWS_EPOCHS, FEW_ROWS_TOKENS_TO_READ // facts.tokens))
