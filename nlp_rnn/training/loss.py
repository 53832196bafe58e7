"""Loss of an update: label loss, language model, R-Drop and adversarial losses, with gradients."""

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
"""Names of the parts of the loss; all but the first are also options of the trainer."""

Weights = Mapping[str, float | Tensor]
"""Weight of each part of the loss."""


def uses_perturbation(config: TrainerConfig) -> bool:
    """Return whether a part of the loss needs perturbed texts."""
    return config.adversarial > 0 or config.virtual_adversarial > 0


def zero_with_gradients(module: nn.Module | None) -> Tensor | float:
    """Return 0 as a function of all parameters of a module, so that they get the gradient 0.

    DistributedDataParallel needs a gradient of every parameter, even of a module that a forward
    pass does not use.
    """
    if module is None:
        return 0.0
    return torch.stack([parameter.sum() for parameter in module.parameters()]).sum() * 0.0


class UpdateLoss:
    """The loss that an update minimizes: a weighted sum of parts. `labels` is always used.

    `labels`
        The loss of the labels (`Objective`).
    `language_model`
        Cross-entropy of the auxiliary language model.
    `r_drop`
        R-Drop (Liang et al. 2021, arXiv:2106.14448): every text is in the batch twice, with
        different dropout masks, and the loss is the symmetric divergence of the two predictions.
        Weight drop has one mask for all texts. The weight is half of the paper's α, because the
        paper adds up the label losses of both copies.
    `adversarial`
        Adversarial training: the label loss of texts that are perturbed along its gradient (Miyato
        et al. 2017, arXiv:1605.07725). `trainer.perturbation` is the norm.
    `virtual_adversarial`
        Virtual adversarial training (same paper): the divergence between the predictions without
        and with a perturbation, in the direction in which the prediction changes fastest. As in the
        paper, perturbations are added after the dropout of embeddings, with the same mask in all
        passes. Here the other masks are the same too. The embedding must be a
        `NormalizedEmbedding`.
    """

    def __init__(self, config: TrainerConfig, device: torch.device, dtype: torch.dtype) -> None:
        self.config = config
        self.copies = 2 if config.r_drop else 1
        self.dtype = dtype
        self.scaler = gradient_scaler(dtype, device)
        self.objective = Objective(config)
        self.norm = config.perturbation or 0.0  # without adversarial losses there is none

    def weights(self, update: int, total: int) -> dict[str, float]:
        """Return the weights of the parts that are used at `update` (from 0) of `total`.

        The weight of the language model falls linearly to 0.
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
        """Compute the loss of an update and add its gradients to those of the parameters.

        Parameters
        ----------
        network : TextNetwork
            The network.
        wrapped : nn.Module
            The network, wrapped for several processes (`Processes.wrap`).
        update : DeviceUpdate
            The batches of this process.
        weights : mapping
            Weight of each part of the loss; parts without a weight are not computed.
        processes : Processes
            This process among all that train together.

        Returns
        -------
        dict
            This process's summand of each part of the loss, a scalar on the device, before it is
            weighted. The sum over all processes is the part's mean over the update. The gradients
            are those of the weighted sum; in float16 they are multiplied by the scale of `scaler`.
        """
        perturbed_parts = [name for name in (ADVERSARIAL, VIRTUAL) if name in weights]
        sums: dict[str, Tensor] = {}

        def backward(parts: dict[str, Tensor], share: float, pair_share: float) -> None:
            weighted = []
            for name, part in parts.items():
                loss = part * (pair_share if name == LANGUAGE_MODEL else share)
                sums[name] = sums[name] + loss.detach() if name in sums else loss.detach()
                weighted.append(loss * weights[name])
            # gradients are averaged over the processes, but their sum is needed
            total = torch.stack(weighted).sum() * processes.count
            self.scaler.scale(total).backward()  # type: ignore[no-untyped-call]

        batches = zip(update.batches, update.weights, update.pair_weights, strict=True)
        for number, (batch, *shares) in enumerate(batches, start=1):
            last = number == len(update.batches)
            texts = TrainingBatch.of(
                batch,
                multi_label=self.objective.is_multi_label(batch.labels),
                copies=self.copies,
                prefixes=self.config.prefixes,
            )
            perturbed = PerturbedBatch(network, texts, self.dtype) if perturbed_parts else None
            with processes.synchronized(wrapped, now=last and not perturbed_parts):
                zero = perturbed.zero if perturbed else None
                logits, token_loss = texts.forward(wrapped, self.dtype, update.vocabulary, zero)
                parts = self._parts(texts, logits, token_loss)
                backward(parts, *shares)
            if perturbed is None:
                continue
            expected = logits.detach()
            for name in perturbed_parts:
                if name == ADVERSARIAL:
                    gradient = perturbed.zero.grad if set(parts) == {LABELS} else None
                    perturbation = perturbed.adversarial_perturbation(
                        self.objective, self.norm, gradient
                    )
                else:
                    perturbation = perturbed.virtual_adversarial_perturbation(expected, self.norm)
                with processes.synchronized(wrapped, now=last and name == perturbed_parts[-1]):
                    predicted = perturbed.logits(wrapped, perturbation)
                    if name == ADVERSARIAL:
                        part = self.objective.loss(predicted, texts.labels)
                    else:
                        part = divergence(expected, predicted, texts.multi_label)
                    backward({name: part + zero_with_gradients(network.language_model)}, *shares)
        return sums

    def _parts(
        self, texts: TrainingBatch, logits: Tensor, token_loss: Tensor | None
    ) -> dict[str, Tensor]:
        """The parts of the loss that need no perturbation, as scalars."""
        parts = {LABELS: self.objective.loss(logits, texts.labels)}
        if token_loss is not None:
            parts[LANGUAGE_MODEL] = token_loss
        if self.copies == 2:
            # (1 or 2 with prefixes, 2 copies, texts, C)
            predictions = logits.view(-1, 2, len(texts.lengths) // 2, logits.shape[1])
            one, other = (copy.flatten(0, 1) for copy in predictions.unbind(1))
            parts[R_DROP] = symmetric_divergence(one, other, texts.multi_label)
        return parts
