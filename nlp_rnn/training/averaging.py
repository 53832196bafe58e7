"""Exponential moving average (EMA) of a network's weights, which often generalizes better."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

__all__ = ["AveragedWeights"]


class AveragedWeights:
    """Exponential moving average of a network's parameters.

    Averaging was introduced by Polyak & Juditsky 1992, and used for recurrent text classifiers by
    Adhikari et al. 2019. Here the decay starts low: after n optimizer steps it is
    min(decay, (1 + n) / (10 + n)), so that the random initial weights soon have no influence.

    Parameters
    ----------
    network : nn.Module
        The network that is trained. Its parameters are the first value of the average.
    decay : float
        Weight of the previous average in the new one, below 1.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = network
        self.decay = decay
        self.weights = {name: p.detach().clone() for name, p in network.named_parameters()}

    def update(self, updates: int) -> None:
        """Include the network's current parameters in the average; call it after each step.

        Parameters
        ----------
        updates : int
            Number of optimizer steps so far, at least 1.
        """
        decay = min(self.decay, (1 + updates) / (10 + updates))
        current = [parameter.detach() for parameter in self.network.parameters()]
        torch._foreach_lerp_(list(self.weights.values()), current, 1.0 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Give the network the averaged weights in a `with` block; restore its weights after it."""
        current = {name: p.detach().clone() for name, p in self.network.named_parameters()}
        self.load(self.network, self.weights)
        try:
            yield
        finally:
            self.load(self.network, current)

    @staticmethod
    def load(network: nn.Module, weights: dict[str, Tensor]) -> None:
        """Copy `weights`, tensors by parameter name, into the network's parameters."""
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                parameter.copy_(weights[name])
