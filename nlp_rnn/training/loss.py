"""The batches of an update become gradients of what is minimized, and the losses to be logged."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from nlp_rnn.config.training import TrainerConfig
from nlp_rnn.model.network import TextNetwork
from nlp_rnn.training.device import gradient_scaler
from nlp_rnn.training.inference import TrainingBatch
from nlp_rnn.training.objective import Objective
from nlp_rnn.training.perturbation import (
    PerturbedBatch,
    divergence,
    symmetric_divergence,
)
from nlp_rnn.training.prefetch import DeviceUpdate
from nlp_rnn.training.processes import Processes

__all__ = ["LABELS", "UpdateLoss", "Weights", "uses_perturbation"]

LABELS, LANGUAGE_MODEL, R_DROP = "labels", "language_model", "r_drop"
ADVERSARIAL, VIRTUAL = "adversarial", "virtual_adversarial"
"""Names of parts of the loss; all but the first are options of the trainer."""

Weights = Mapping[str, float | Tensor]
"""What each part counts for."""


def uses_perturbation(config: TrainerConfig) -> bool:
    """Whether a part of the loss is of texts that are changed."""
    return config.adversarial > 0 or config.virtual_adversarial > 0


def zero_with_gradients(unread: nn.Module | None) -> Tensor | float:
    """0, with a gradient of 0 for each of its parameters.

    Processes exchange gradients when every parameter has one, also of what was read before.
    """
    if unread is None:
        return 0.0
    return torch.stack([parameter.sum() for parameter in unread.parameters()]).sum() * 0.0


class UpdateLoss:
    """What an update minimizes: a sum of parts, all but the labels' an option of the trainer.

    `labels`: what the objective says. `language_model`: how badly tokens are foretold.

    `r_drop` (Liang et al. 2021, arXiv:2106.14448): each text is read twice in one batch, with
    dropout of its own each time (but for weight drop, whose mask is one for all texts); the
    divergence of the two answers is a part. Their α is twice this weight, because they add up
    the labels' losses of both.

    `adversarial` (Miyato et al. 2017, arXiv:1605.07725): the loss of the labels with every text's
    embeddings changed by `trainer.perturbation` along the gradient. `virtual_adversarial` (there
    too): the divergence of the answers with a change in the direction in which they turn fastest.
    As theirs, a change comes after dropout of embeddings, whose mask is the same with and without
    it; here the other masks are too. Embeddings must be normalized.
    """

    def __init__(self, config: TrainerConfig, device: torch.device, dtype: torch.dtype) -> None:
        self.config = config
        self.copies = 2 if config.r_drop else 1
        self.dtype = dtype
        self.scaler = gradient_scaler(dtype, device)
        self.objective = Objective(config)
        self.norm = config.perturbation or 0.0  # without adversarial losses there is none

    def weights(self, update: int, total: int) -> dict[str, float]:
        """What each part counts for at `update` (0-based) of `total`; without the unused.

        The language model's falls in a straight line to 0.
        """
        weights = {
            LABELS: 1.0,
            LANGUAGE_MODEL: (self.config.language_model or 0.0) * (1 - update / total),
            R_DROP: self.config.r_drop or 0.0,
            ADVERSARIAL: self.config.adversarial,
            VIRTUAL: self.config.virtual_adversarial,
        }
        return {name: weight for name, weight in weights.items() if weight > 0}

    def add_gradients(
        self,
        network: TextNetwork,
        wrapped: nn.Module,
        update: DeviceUpdate,
        weights: Weights,
        processes: Processes,
    ) -> dict[str, Tensor]:
        """Add to the parameters the gradients of the parts named in `weights`, times these.

        In float16 times the scale of `scaler` too. `wrapped` is the `network`, wrapped for the
        `processes`. Returns this process's share of each part of the loss, on the device.
        """
        changes = [name for name in (ADVERSARIAL, VIRTUAL) if name in weights]
        sums: dict[str, Tensor] = {}

        def backward(parts: dict[str, Tensor], share: float, pair_share: float) -> None:
            weighted = []
            for name, part in parts.items():
                own = part * (pair_share if name == LANGUAGE_MODEL else share)
                sums[name] = sums[name] + own.detach() if name in sums else own.detach()
                weighted.append(own * weights[name])
            # the processes' gradients are averaged, but what is wanted is their sum
            total = torch.stack(weighted).sum() * processes.count
            self.scaler.scale(total).backward()  # type: ignore[no-untyped-call]

        every = zip(update.batches, update.weights, update.pair_weights, strict=True)
        for number, (batch, *shares) in enumerate(every, start=1):
            last = number == len(update.batches)
            texts = TrainingBatch.of(batch, copies=self.copies, prefixes=self.config.prefixes)
            perturbed = PerturbedBatch(network, texts, self.dtype) if changes else None
            with processes.synchronized(wrapped, now=last and not changes):
                nothing = perturbed.nothing if perturbed else None
                logits, foretelling = texts.read(wrapped, self.dtype, update.vocabulary, nothing)
                parts = self._parts(texts, logits, foretelling)
                backward(parts, *shares)
            if perturbed is None:
                continue
            expected = logits.detach()
            for name in changes:
                if name == ADVERSARIAL:
                    known = perturbed.nothing.grad if set(parts) == {LABELS} else None
                    change = perturbed.adversarial_change(self.objective, self.norm, known)
                else:
                    change = perturbed.virtual_adversarial_change(expected, self.norm)
                with processes.synchronized(wrapped, now=last and name == changes[-1]):
                    found = perturbed.read(wrapped, change)
                    if name == ADVERSARIAL:
                        part = self.objective.loss(found, texts.labels)
                    else:
                        part = divergence(expected, found, texts.several)
                    backward({name: part + zero_with_gradients(network.language_model)}, *shares)
        return sums

    def _parts(
        self, texts: TrainingBatch, logits: Tensor, foretelling: Tensor | None
    ) -> dict[str, Tensor]:
        """The parts that are of texts as they are; scalars."""
        parts = {LABELS: self.objective.loss(logits, texts.labels)}
        if foretelling is not None:
            parts[LANGUAGE_MODEL] = foretelling
        if self.copies == 2:
            answers = logits.view(-1, 2, len(texts.lengths) // 2, logits.shape[1])
            one, other = (answer.flatten(0, 1) for answer in answers.unbind(1))
            parts[R_DROP] = symmetric_divergence(one, other, texts.several)
        return parts
