"""The weights of many updates become their running average, which often answers better."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

__all__ = ["AveragedWeights"]


class AveragedWeights:
    """An exponential moving average of a network's parameters.

    Polyak & Juditsky 1992; for recurrent text classifiers Adhikari et al. 2019. What differs:
    the decay starts low, min(decay, (1 + n) / (10 + n)) after n updates, so that the random
    start is soon forgotten.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = network
        self.decay = decay
        self.weights = {name: p.detach().clone() for name, p in network.named_parameters()}

    def update(self, updates: int) -> None:
        """Take the parameters after the `updates`-th update (from 1) into the average."""
        decay = min(self.decay, (1 + updates) / (10 + updates))
        current = [parameter.detach() for parameter in self.network.parameters()]
        torch._foreach_lerp_(list(self.weights.values()), current, 1.0 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Inside the block the network has the averaged weights; afterwards its own again."""
        own = {name: p.detach().clone() for name, p in self.network.named_parameters()}
        self.load(self.network, self.weights)
        try:
            yield
        finally:
            self.load(self.network, own)

    @staticmethod
    def load(network: nn.Module, weights: dict[str, Tensor]) -> None:
        """Copy `weights` into the network's parameters."""
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                parameter.copy_(weights[name])
