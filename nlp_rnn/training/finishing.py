"""Finish a trained network: remove what only training needs, and add n-gram models."""

import time
from dataclasses import replace

from nlp_rnn.config.training import ClassWeight
from nlp_rnn.model.normalized_embedding import NormalizedEmbedding
from nlp_rnn.scoring.metrics import score_logits
from nlp_rnn.tokens.batches import TokenizedTexts
from nlp_rnn.training.events import TrainingResult
from nlp_rnn.training.ngram_fitting import add_ngram_path
from nlp_rnn.training.trainer import Trainer

__all__ = ["finish"]


def finish(
    trainer: Trainer, result: TrainingResult, train: TokenizedTexts, validation: TokenizedTexts
) -> TrainingResult:
    """Remove what only training needs from the network, and add its n-gram models, if any.

    The language model is removed. The normalization of the embedding is folded into its weights,
    which changes no prediction. N-gram models are fitted next to the network when
    `model.ngrams` is set. Every process calls this function. The first process fits the n-gram
    models, because only its network is saved.

    Parameters
    ----------
    trainer : Trainer
        A trainer after `fit`. Its network is changed in place.
    result : TrainingResult
        The result of `fit`.
    train, validation : TokenizedTexts
        The splits that `fit` was called with.

    Returns
    -------
    TrainingResult
        Without n-gram models, `result` unchanged. With them, a copy whose time includes their
        fitting, with the validation metrics and thresholds of the ensemble.
    """
    network = trainer.network
    network.language_model = None
    if isinstance(network.embedding, NormalizedEmbedding):
        network.embedding = network.embedding.folded()
    if not network.architecture.ngrams:
        return result
    started = time.perf_counter()
    logits = trainer.logits(validation)
    if trainer.processes.first:
        balanced = trainer.config.class_weight is ClassWeight.balanced
        logits = add_ngram_path(network, train, validation, logits, balanced, trainer.seed)
        metrics, thresholds = score_logits(validation.labels, logits)
        result = replace(result, best_metrics=metrics, thresholds=thresholds)
    return replace(result, seconds=result.seconds + time.perf_counter() - started)
