"""A placed update becomes better parameters: gradients, clipping and the optimizer's step."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nlp_rnn.model.network import TextNetwork
from nlp_rnn.training.loss import UpdateLoss, Weights
from nlp_rnn.training.prefetch import PlacedUpdate
from nlp_rnn.training.processes import Processes

__all__ = ["OptimizerStep"]


@dataclass
class OptimizerStep:
    """What every update does; `wrapped` is the `network`, wrapped for the `processes`."""

    network: TextNetwork
    wrapped: nn.Module
    loss: UpdateLoss
    optimizer: torch.optim.Optimizer
    max_gradient_norm: float
    processes: Processes

    def __call__(self, update: PlacedUpdate, weights: Weights) -> tuple[dict[str, Tensor], Tensor]:
        """This process's share of each part of the loss, and the norm of the gradients.

        Both stay on the device. What is minimized is the sum of the parts times `weights`. The norm
        is 0 of an update that overflowed in float16 and is left out.
        """
        self.optimizer.zero_grad(set_to_none=True)
        losses = self.loss.add_gradients(
            self.network, self.wrapped, update, weights, self.processes
        )
        scaler = self.loss.scaler
        scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.max_gradient_norm)
        scaler.step(self.optimizer)
        scaler.update()
        if scaler.is_enabled():
            norm = torch.where(norm.isfinite(), norm, 0.0)
        return losses, norm
