"""A placed update becomes better parameters: gradients, clipping and the optimizer's step."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nlp_rnn.config.training import TrainerConfig
from nlp_rnn.model.network import TextNetwork
from nlp_rnn.training.loss import LABELS, UpdateLoss, Weights
from nlp_rnn.training.prefetch import DeviceUpdate
from nlp_rnn.training.processes import Processes
from nlp_rnn.training.training_state import TrainingState

__all__ = ["EpochTotals", "OptimizerStep"]


@dataclass
class OptimizerStep:
    """What every update does; `wrapped` is the `network`, wrapped for the `processes`."""

    network: TextNetwork
    wrapped: nn.Module
    loss: UpdateLoss
    optimizer: torch.optim.Optimizer
    max_gradient_norm: float
    processes: Processes

    def __call__(self, update: DeviceUpdate, weights: Weights) -> tuple[dict[str, Tensor], Tensor]:
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


class EpochTotals:
    """Sums in double precision on the device: adding to them never waits for the device."""

    def __init__(self, state: TrainingState, device: torch.device, processes: Processes) -> None:
        """Go on from `state`, which counts what all processes read."""
        self.processes = processes
        self._losses = {
            name: torch.tensor(
                so_far if processes.first else 0.0, dtype=torch.float64, device=device
            )
            for name, so_far in state.loss_sums.items()
        }
        self._norm = torch.tensor(state.norm_sum, dtype=torch.float64, device=device)
        self._largest = torch.tensor(state.norm_max, dtype=torch.float64, device=device)

    def add(self, losses: dict[str, Tensor], texts: int, norm: Tensor) -> None:
        """Count an update: this process's share of the mean losses over `texts`, and the norm."""
        for name, loss in losses.items():
            found = loss.double() * texts
            self._losses[name] = self._losses[name] + found if name in self._losses else found
        self._norm += norm
        self._largest = torch.maximum(self._largest, norm.double())

    def store(self, state: TrainingState) -> None:
        """Write the sums of all processes into `state`; called by every process."""
        state.loss_sums = {
            name: float(self.processes.sum(loss.clone())) for name, loss in self._losses.items()
        }
        state.norm_sum, state.norm_max = float(self._norm), float(self._largest)

    @staticmethod
    def metrics(state: TrainingState, texts: int, config: TrainerConfig) -> dict[str, float]:
        """What an epoch of `texts` texts measured, as `state` has it and `config` asks for."""
        metrics = {
            "train/loss" if name == LABELS else f"train/{name}_loss": loss / texts
            for name, loss in state.loss_sums.items()
        }
        if config.log_gradient_norm:
            metrics["train/gradient_norm"] = state.norm_sum / state.position
            metrics["train/gradient_norm_max"] = state.norm_max
        return metrics | {"train/tokens_per_second": state.tokens / state.update_seconds}
