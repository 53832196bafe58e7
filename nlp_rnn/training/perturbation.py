"""Adversarial perturbations of embedded texts, and the divergence of two predictions.

Shapes: T tokens, B texts, E features of the embedding, C labels, and A rows of logits. A is B, or
2B with `trainer.prefixes`, where a random prefix of each text is classified too.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from nlp_rnn.model.network import TextNetwork
from nlp_rnn.model.normalized_embedding import NormalizedEmbedding
from nlp_rnn.training.inference import TrainingBatch
from nlp_rnn.training.objective import Objective

__all__ = [
    "PERTURBATION",
    "PerturbedBatch",
    "divergence",
    "scale_to_norm",
    "symmetric_divergence",
    "virtual_adversarial_direction",
]

PERTURBATION = 5.0
"""Default norm of a perturbation, used if `trainer.perturbation` is null (Miyato et al. 2017)."""

PROBE = 0.1
"""Default norm of the trial perturbation in `virtual_adversarial_direction`."""

TINY = 1e-30
"""Lower bound of divisors, so that a direction of 0 is scaled to 0."""


def divergence(expected: Tensor, predicted: Tensor, multi_label: bool) -> Tensor:
    """Return the Kullback-Leibler divergence between two predictions for a batch, a scalar in nats.

    Single-label: KL(softmax(expected) ‖ softmax(predicted)), averaged over the rows. Multi-label:
    each label is a Bernoulli distribution; their divergences are summed over the labels, as the
    label loss is, and averaged over the rows.

    Parameters
    ----------
    expected, predicted : Tensor
        Logits (A, C).
    multi_label : bool
        Whether the task is multi-label.
    """
    expected, predicted = expected.float(), predicted.float()
    if not multi_label:
        log_expected = expected.log_softmax(1)
        difference = log_expected - predicted.log_softmax(1)
        return (log_expected.exp() * difference).sum(1).mean()
    log_sigmoid = nn.functional.logsigmoid
    present = expected.sigmoid() * (log_sigmoid(expected) - log_sigmoid(predicted))
    absent = (-expected).sigmoid() * (log_sigmoid(-expected) - log_sigmoid(-predicted))
    return (present + absent).sum(1).mean()


def symmetric_divergence(one: Tensor, other: Tensor, multi_label: bool) -> Tensor:
    """Return the mean of `divergence` in both directions between logits (A, C), a scalar."""
    return (divergence(one, other, multi_label) + divergence(other, one, multi_label)) / 2


def scale_to_norm(direction: Tensor, lengths: Tensor, norm: float, deviation: Tensor) -> Tensor:
    """Return a perturbation with a fixed norm for each text, along a direction.

    Features are measured in units of `deviation`, in the norm and in the direction.

    Parameters
    ----------
    direction : Tensor
        Float (T, B, E), usually a gradient with respect to the embedded texts.
    lengths : Tensor
        Lengths of the texts, int64 (B,). The perturbation of the padding is 0.
    norm : float
        Norm over all steps and features of a text, in units of `deviation`.
    deviation : Tensor
        Standard deviation of each feature of the embedding, float (E,).

    Returns
    -------
    Tensor
        Float (T, B, E); 0 for a text whose direction is 0.
    """
    step = torch.arange(direction.shape[0], device=direction.device).unsqueeze(1)
    inside = (step < lengths).unsqueeze(2)  # (T, B, 1)
    scaled = torch.where(inside, direction, 0.0) * deviation
    # divided by the largest value first, because the square of a small number may underflow to 0
    scaled = scaled / scaled.abs().amax((0, 2), keepdim=True).clamp(min=TINY)
    length = scaled.square().sum((0, 2), keepdim=True).sqrt().clamp(min=TINY)
    return scaled * (norm * deviation / length)


def virtual_adversarial_direction(
    predict: Callable[[Tensor], Tensor],
    expected: Tensor,
    start: Tensor,
    lengths: Tensor,
    deviation: Tensor,
    *,
    multi_label: bool,
    iterations: int = 1,
    probe: float = PROBE,
) -> Tensor:
    """Return the direction in which the prediction changes fastest, without using the labels.

    Miyato et al. 2017, arXiv:1605.07725: the power method on the Hessian of the divergence between
    the predictions without and with a perturbation. Without a perturbation the gradient of the
    divergence is 0. So at a small perturbation the gradient is about the Hessian times it.

    Parameters
    ----------
    predict : callable
        Returns the logits (A, C) of the batch for a perturbation (T, B, E).
    expected : Tensor
        Logits (A, C) without a perturbation.
    start : Tensor
        The direction to start the power method from, usually random, (T, B, E).
    lengths, deviation : Tensor
        As for `scale_to_norm`.
    multi_label : bool
        Whether the task is multi-label.
    iterations : int
        Iterations of the power method.
    probe : float
        Norm of the small trial perturbation in each iteration, in units of `deviation`.

    Returns
    -------
    Tensor
        The direction, float (T, B, E), of any norm; see `scale_to_norm`.
    """
    direction = start
    for _ in range(iterations):
        trial = scale_to_norm(direction, lengths, probe, deviation).requires_grad_()
        (direction,) = torch.autograd.grad(divergence(expected, predict(trial), multi_label), trial)
    return direction


class PerturbedBatch:
    """A batch that is predicted several times, with perturbations and the same dropout masks.

    Create it before the first forward pass of the batch. It stores the states of torch's random
    generators at that time, and `logits` restores them for every later pass.

    Attributes
    ----------
    zero : Tensor
        A perturbation of zeros, float (T, B, E). If the forward pass adds it to the embedded texts,
        the backward pass stores in `zero.grad` the gradient with respect to them.
    """

    def __init__(self, network: TextNetwork, batch: TrainingBatch, dtype: torch.dtype) -> None:
        assert isinstance(network.embedding, NormalizedEmbedding)
        self.network = network
        self.batch = batch
        self.dtype = dtype
        self.deviation = network.embedding.deviation
        device = self.deviation.device
        size = (*batch.input_ids.t().shape, len(self.deviation))
        self.zero = torch.zeros(size, device=device, requires_grad=True)
        self._gpu = [device] if device.type == "cuda" else []
        self._states = torch.get_rng_state(), [torch.cuda.get_rng_state(gpu) for gpu in self._gpu]

    def logits(
        self, network: nn.Module, perturbation: Tensor, dtype: torch.dtype | None = None
    ) -> Tensor:
        """Return the logits (A, C) with a perturbation and the dropout masks of the first pass.

        Parameters
        ----------
        network : nn.Module
            The network, possibly wrapped for several processes.
        perturbation : Tensor
            Float (T, B, E), added to the embedded texts.
        dtype : torch.dtype, optional
            The dtype of matrix products, by default the one that the training uses.
        """
        with torch.random.fork_rng(devices=self._gpu):
            torch.set_rng_state(self._states[0])
            for device, state in zip(self._gpu, self._states[1], strict=True):
                torch.cuda.set_rng_state(state, device)
            return self.batch.forward(network, dtype or self.dtype, perturbation=perturbation)[0]

    def adversarial_perturbation(
        self, objective: Objective, norm: float, gradient: Tensor | None
    ) -> Tensor:
        """Return the perturbation (T, B, E) of norm `norm` that increases the label loss most.

        To first order this is the one along the gradient of the loss (Goodfellow et al. 2015,
        arXiv:1412.6572). `gradient` is that gradient with respect to the embedded texts; None if
        it is not known yet and must be computed.
        """
        if gradient is None:
            loss = objective.loss(self.logits(self.network, self.zero), self.batch.labels)
            (gradient,) = torch.autograd.grad(loss, self.zero)
        return scale_to_norm(gradient, self.batch.lengths, norm, self.deviation)

    def virtual_adversarial_perturbation(self, expected: Tensor, norm: float) -> Tensor:
        """Return the perturbation (T, B, E) of norm `norm` that changes the prediction most.

        `expected` are the logits (A, C) without a perturbation. The direction is computed in
        float32, because bfloat16 rounds the effect of a small perturbation away.
        """
        if self.dtype is not torch.float32:
            with torch.no_grad():
                expected = self.logits(self.network, self.zero, torch.float32)
        direction = virtual_adversarial_direction(
            lambda perturbation: self.logits(self.network, perturbation, torch.float32),
            expected,
            torch.randn_like(self.zero),
            self.batch.lengths,
            self.deviation,
            multi_label=self.batch.multi_label,
        )
        return scale_to_norm(direction, self.batch.lengths, norm, self.deviation)
