"""A batch and what was answered become the small change of its embedded texts that hurts most."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from nlp_rnn.model.network import TextNetwork
from nlp_rnn.model.normalized_embedding import NormalizedEmbedding
from nlp_rnn.training.inference import TrainingBatch
from nlp_rnn.training.objective import Objective

__all__ = [
    "PerturbedBatch",
    "divergence",
    "scale_to_norm",
    "symmetric_divergence",
    "virtual_adversarial_direction",
]

PROBE = 0.1
"""Norm of the change whose effect shows where the divergence is most curved (theirs too)."""

TINY = 1e-30


def divergence(expected: Tensor, found: Tensor, several: bool) -> Tensor:
    """Kullback-Leibler divergence of `found` from `expected`, logits (B, C), in nats; a scalar.

    The mean over texts of KL(softmax(expected) ‖ softmax(found)); with `several` labels a text
    the labels' divergences between two Bernoulli distributions are added up, as their losses are.
    """
    expected, found = expected.float(), found.float()
    if not several:
        log_expected = expected.log_softmax(1)
        difference = log_expected - found.log_softmax(1)
        return (log_expected.exp() * difference).sum(1).mean()
    log_sigmoid = nn.functional.logsigmoid
    there = expected.sigmoid() * (log_sigmoid(expected) - log_sigmoid(found))
    absent = (-expected).sigmoid() * (log_sigmoid(-expected) - log_sigmoid(-found))
    return (there + absent).sum(1).mean()


def symmetric_divergence(one: Tensor, other: Tensor, several: bool) -> Tensor:
    """The mean of both directions' divergences between logits (B, C); a scalar."""
    return (divergence(one, other, several) + divergence(other, one, several)) / 2


def scale_to_norm(direction: Tensor, lengths: Tensor, norm: float, deviation: Tensor) -> Tensor:
    """The change of embedded texts of length `norm` each that goes farthest along `direction`.

    All (T, B, E). The length is over all steps and features, measured in `deviation` (E,), which
    the embeddings' features have; 0 beyond a text's `lengths` int64 (B,), and for a text whose
    direction is 0.
    """
    step = torch.arange(direction.shape[0], device=direction.device).unsqueeze(1)
    within = (step < lengths).unsqueeze(2)  # (T, B, 1)
    own = torch.where(within, direction, 0.0) * deviation
    # divided by the largest first: the square of a small number may be none
    own = own / own.abs().amax((0, 2), keepdim=True).clamp(min=TINY)
    length = own.square().sum((0, 2), keepdim=True).sqrt().clamp(min=TINY)
    return own * (norm * deviation / length)


def virtual_adversarial_direction(
    answer: Callable[[Tensor], Tensor],
    expected: Tensor,
    start: Tensor,
    lengths: Tensor,
    deviation: Tensor,
    *,
    several: bool,
    iterations: int = 1,
    probe: float = PROBE,
) -> Tensor:
    """The direction (T, B, E) in which answers turn fastest from `expected`, whatever the label.

    Miyato et al. 2017: the power method on the Hessian of the divergence of `answer(change)`,
    logits (A, C), from `expected` at no change. The gradient is 0 there, so that at a change of
    norm `probe` it is about the Hessian times the change; the first one is along `start`.
    """
    direction = start
    for _ in range(iterations):
        change = scale_to_norm(direction, lengths, probe, deviation).requires_grad_()
        (direction,) = torch.autograd.grad(divergence(expected, answer(change), several), change)
    return direction


class PerturbedBatch:
    """One batch, read as it is and then with changes, by the same masks of dropout."""

    def __init__(self, network: TextNetwork, texts: TrainingBatch, dtype: torch.dtype) -> None:
        assert isinstance(network.embedding, NormalizedEmbedding)
        self.network = network
        self.texts = texts
        self.dtype = dtype
        self.deviation = network.embedding.deviation
        device = self.deviation.device
        # added to the embedded texts: its gradient is theirs
        size = (*texts.input_ids.t().shape, len(self.deviation))
        self.nothing = torch.zeros(size, device=device, requires_grad=True)
        self._gpu = [device] if device.type == "cuda" else []
        self._states = torch.get_rng_state(), [torch.cuda.get_rng_state(one) for one in self._gpu]

    def read(self, network: nn.Module, change: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """Logits (A, C) with `change`; by the masks that were drawn at first."""
        with torch.random.fork_rng(devices=self._gpu):
            torch.set_rng_state(self._states[0])
            for device, state in zip(self._gpu, self._states[1], strict=True):
                torch.cuda.set_rng_state(state, device)
            return self.texts.read(network, dtype or self.dtype, change=change)[0]

    def adversarial_change(
        self, objective: Objective, norm: float, gradient: Tensor | None
    ) -> Tensor:
        """The change (T, B, E) of length `norm` that raises the loss of the labels most.

        Goodfellow et al. 2015, arXiv:1412.6572: along the gradient, which may be known already.
        """
        if gradient is None:
            loss = objective.loss(self.read(self.network, self.nothing), self.texts.labels)
            (gradient,) = torch.autograd.grad(loss, self.nothing)
        return scale_to_norm(gradient, self.texts.lengths, norm, self.deviation)

    def virtual_adversarial_change(self, expected: Tensor, norm: float) -> Tensor:
        """The change (T, B, E) of length `norm` that turns the answers farthest from `expected`.

        Its direction is found in float32: what a small change does is lost in bfloat16.
        """
        if self.dtype is not torch.float32:
            with torch.no_grad():
                expected = self.read(self.network, self.nothing, torch.float32)
        direction = virtual_adversarial_direction(
            lambda change: self.read(self.network, change, torch.float32),
            expected,
            torch.randn_like(self.nothing),
            self.texts.lengths,
            self.deviation,
            several=self.texts.several,
        )
        return scale_to_norm(direction, self.texts.lengths, norm, self.deviation)
