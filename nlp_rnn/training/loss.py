"""The batches of an update become gradients of what is minimized, and the losses to be logged."""

import torch
from torch import Tensor, nn

from nlp_rnn.config import TrainerConfig
from nlp_rnn.model.network import TextNetwork
from nlp_rnn.training.divergence import symmetric_divergence
from nlp_rnn.training.feed import Update
from nlp_rnn.training.objective import Objective
from nlp_rnn.training.prefixes import random_prefixes
from nlp_rnn.training.processes import Processes

__all__ = ["LABELS", "BatchLoss", "add_gradients", "part_weights"]

LABELS, LANGUAGE_MODEL, R_DROP = "labels", "language_model", "r_drop"
"""Names of parts of the loss."""


def part_weights(update: int, total: int, config: TrainerConfig) -> dict[str, float]:
    """What each part of the loss counts for at `update` (0-based) of `total`; without the unused.

    The language model's falls in a straight line to 0.
    """
    weights = {LABELS: 1.0}
    if config.language_model > 0:
        weights[LANGUAGE_MODEL] = config.language_model * (1 - update / total)
    if config.r_drop > 0:
        weights[R_DROP] = config.r_drop
    return weights


class BatchLoss(nn.Module):
    """A network and what its answers to a batch cost, part by part, in training only.

    One module, so that the gradients of all parts are exchanged together by several processes.
    """

    def __init__(self, network: TextNetwork, config: TrainerConfig, dtype: torch.dtype) -> None:
        super().__init__()
        self.network = network
        self.config = config
        self.dtype = dtype
        self.objective = Objective(config)

    def forward(
        self, input_ids: Tensor, lengths: Tensor, labels: Tensor, vocabulary: Tensor | None
    ) -> dict[str, Tensor]:
        """Scalars by the name of the part, means over the texts; with `vocabulary` of pairs too.

        `input_ids` int64 (B, T), `lengths` int64 (B,), `labels` int64 (B,) or bool (B, C);
        `vocabulary` int64 (U,) are the tokens that occur, for the language model.

        With `r_drop` each text is read twice, in one batch, with dropout of its own each time
        (but for weight drop, whose mask is one for all texts); the first loss is of both answers.
        R-Drop: Liang et al. 2021, arXiv:2106.14448, whose α is twice this weight, because their
        first loss is the sum.
        """
        texts, several = len(lengths), labels.ndim == 2
        if self.config.r_drop > 0:
            input_ids, lengths, labels = (
                torch.cat([tensor, tensor]) for tensor in (input_ids, lengths, labels)
            )
        low = self.dtype is torch.bfloat16
        with torch.autocast(input_ids.device.type, dtype=torch.bfloat16, enabled=low):
            prefixes = None
            if self.config.prefixes:
                # of both readings of a text the same beginning
                own = random_prefixes(lengths[:texts])
                prefixes = own.repeat(len(lengths) // texts)
                labels = torch.cat([labels, labels])
            answer = self.network(input_ids, lengths, prefixes, vocabulary)
        logits, foretelling = answer if vocabulary is not None else (answer, None)
        parts = {LABELS: self.objective.loss(logits, labels)}
        if foretelling is not None:
            parts[LANGUAGE_MODEL] = foretelling
        if self.config.r_drop > 0:
            first, second = logits.unflatten(0, (-1, 2, texts)).unbind(1)
            parts[R_DROP] = symmetric_divergence(first.flatten(0, 1), second.flatten(0, 1), several)
        return parts


def add_gradients(
    module: nn.Module,
    update: Update,
    weights: dict[str, float],
    device: torch.device,
    processes: Processes,
) -> dict[str, Tensor]:
    """Add to the parameters the gradients of an update's loss: its parts times their `weights`.

    `module` is a `BatchLoss`, wrapped for the `processes`. Returns this process's share of each
    part, on the device.
    """
    vocabulary: Tensor | None = None
    if update.vocabulary is not None:
        vocabulary = torch.from_numpy(update.vocabulary).to(device, non_blocking=True)
    sums: dict[str, Tensor] = {}
    every = zip(update.batches, update.weights, update.pair_weights, strict=True)
    for number, (batch, weight, pair_weight) in enumerate(every, start=1):
        with processes.synchronized(module, now=number == len(update.batches)):
            ids, lengths, labels = (
                torch.from_numpy(array).to(device, non_blocking=True)
                for array in (batch.input_ids, batch.lengths, batch.labels)
            )
            loss: Tensor | None = None
            for name, part in module(ids, lengths, labels, vocabulary).items():
                share = part * (pair_weight if name == LANGUAGE_MODEL else weight)
                sums[name] = share.detach() + sums[name] if name in sums else share.detach()
                loss = share * weights[name] if loss is None else loss + share * weights[name]
            assert loss is not None
            # the processes' gradients are averaged, but what is wanted is their sum
            (loss * processes.count).backward()  # type: ignore[no-untyped-call]
    return sums
