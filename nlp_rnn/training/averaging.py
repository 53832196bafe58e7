"""Exponential moving average of a network's weights, which often generalizes better."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

__all__ = ["AveragedWeights"]


class AveragedWeights:
    """Exponential moving average of a network's parameters.

    Polyak & Juditsky 1992; for recurrent text classifiers Adhikari et al. 2019. Here the decay
    starts low: it is min(decay, (1 + n) / (10 + n)) after n updates, so that the random initial
    weights soon have no influence.

    Parameters
    ----------
    network : nn.Module
        The network; `update` follows its parameters.
    decay : float
        Weight of the previous average at each update, below 1.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = network
        self.decay = decay
        self.weights = {name: p.detach().clone() for name, p in network.named_parameters()}

    def update(self, updates: int) -> None:
        """Add the current parameters to the average, after `updates` updates (at least 1)."""
        decay = min(self.decay, (1 + updates) / (10 + updates))
        current = [parameter.detach() for parameter in self.network.parameters()]
        torch._foreach_lerp_(list(self.weights.values()), current, 1.0 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside the block the network has the averaged weights; afterwards its current ones."""
        current = {name: p.detach().clone() for name, p in self.network.named_parameters()}
        self.load(self.network, self.weights)
        try:
            yield
        finally:
            self.load(self.network, current)

    @staticmethod
    def load(network: nn.Module, weights: dict[str, Tensor]) -> None:
        """Copy `weights` into the network's parameters."""
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                parameter.copy_(weights[name])
