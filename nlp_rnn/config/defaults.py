"""Values of the options that are left open (null or auto), from the training data and the model.

The rules and their constants stand here and nowhere else; fixed values of other options stand
next to their fields. docs/research/recipe.md has what each was chosen from.
"""

from dataclasses import dataclass, replace

from nlp_rnn.config.checks import has_dropout, language_model_obstacle
from nlp_rnn.config.model import ModelConfig
from nlp_rnn.config.run import RunConfig
from nlp_rnn.config.training import (
    PATIENCE,
    PLATEAU_FACTOR,
    PLATEAU_PATIENCE,
    Monitor,
    OptimizerConfig,
    Schedule,
    TrainerConfig,
)

__all__ = [
    "LEARNING_RATE",
    "NGRAM_BUCKETS",
    "TrainingFacts",
    "default_embedding_dropout",
    "resolve_defaults",
]

MANY_LABELS = 50
"""Labels from which on training is longer and drops less of the embeddings."""
SMALL_DATA = 2_000_000
"""Tokens of a training split up to which the auxiliary losses are worth their time."""

LEARNING_RATE, LARGE_DATA_LEARNING_RATE = 4e-3, 8e-3
LANGUAGE_MODEL_WEIGHT, R_DROP_WEIGHT = 0.5, 1.0
AVERAGE_DECAY = 0.99
LABEL_SMOOTHING = 0.1
EMBEDDING_DROPOUT, MANY_LABELS_EMBEDDING_DROPOUT = 0.5, 0.3
PERTURBATION = 5.0  # Miyato et al. 2017, arXiv:1605.07725
NGRAM_BUCKETS = 2**18

# As many epochs as read this many texts or tokens, whichever comes first, within these bounds.
TEXTS_TO_READ, EPOCHS = 200_000, (4, 15)
TOKENS_TO_READ = 25_000_000
MANY_LABELS_TEXTS_TO_READ, MANY_LABELS_EPOCHS = 400_000, (4, 25)


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
    multi_label : bool
        Whether a text can have any number of labels.
    """

    rows: int
    tokens: int
    labels: int
    multi_label: bool = False


def resolve_defaults(config: RunConfig, facts: TrainingFacts) -> RunConfig:
    """Return `config` with a value for every option that depends on the training data.

    An option that is set stays as it is. A null that means "no limit" or "not used" stays null.
    """
    return replace(
        config,
        model=_resolve_model(config.model, facts),
        optimizer=_resolve_optimizer(config.optimizer, facts),
        trainer=_resolve_trainer(config, facts),
    )


def default_embedding_dropout(labels: int) -> float:
    """Return the embedding dropout for a data set with this many labels."""
    return MANY_LABELS_EMBEDDING_DROPOUT if labels >= MANY_LABELS else EMBEDDING_DROPOUT


def _resolve_model(model: ModelConfig, facts: TrainingFacts) -> ModelConfig:
    if model.embedding_dropout is None:
        model = replace(model, embedding_dropout=default_embedding_dropout(facts.labels))
    if model.ngrams > 1 and model.ngram_buckets is None:
        model = replace(model, ngram_buckets=NGRAM_BUCKETS)
    return model


def _resolve_optimizer(optimizer: OptimizerConfig, facts: TrainingFacts) -> OptimizerConfig:
    if optimizer.learning_rate is None:
        small = facts.tokens <= SMALL_DATA
        rate = LEARNING_RATE if small else LARGE_DATA_LEARNING_RATE
        optimizer = replace(optimizer, learning_rate=rate)
    if optimizer.schedule is Schedule.plateau:
        optimizer = replace(
            optimizer,
            plateau_factor=optimizer.plateau_factor or PLATEAU_FACTOR,
            plateau_patience=optimizer.plateau_patience or PLATEAU_PATIENCE,
        )
    return optimizer


def _resolve_trainer(config: RunConfig, facts: TrainingFacts) -> TrainerConfig:
    trainer, pretrained = config.trainer, config.model.pretrained is not None
    small, many_labels = facts.tokens <= SMALL_DATA, facts.labels >= MANY_LABELS
    if trainer.max_epochs is None:
        trainer = replace(trainer, max_epochs=_max_epochs(facts))
    if trainer.patience is None:
        # with many labels as long as the training, so that the learning rate falls to its end
        trainer = replace(trainer, patience=MANY_LABELS_EPOCHS[1] if many_labels else PATIENCE)
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


def _max_epochs(facts: TrainingFacts) -> int:
    texts, (low, high) = TEXTS_TO_READ, EPOCHS
    if facts.labels >= MANY_LABELS:
        texts, (low, high) = MANY_LABELS_TEXTS_TO_READ, MANY_LABELS_EPOCHS
    return max(low, min(high, texts // facts.rows, TOKENS_TO_READ // facts.tokens))
