"""One optimizer step, and the totals of an epoch's losses and gradient norms."""

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
    """One update of the parameters: compute the gradients, clip them, step the optimizer.

    Attributes
    ----------
    network, wrapped : nn.Module
        The network itself, and the module whose forward pass is run: the network in torch's
        `DistributedDataParallel` if there are several processes (`Processes.wrap`).
    loss : UpdateLoss
        The loss, with the gradient scaler of float16.
    optimizer : torch.optim.Optimizer
        The optimizer.
    max_gradient_norm : float
        Gradients with a larger norm are scaled down to this one.
    processes : Processes
        This process among all that train together.
    """

    network: TextNetwork
    wrapped: nn.Module
    loss: UpdateLoss
    optimizer: torch.optim.Optimizer
    max_gradient_norm: float
    processes: Processes

    def __call__(self, update: DeviceUpdate, weights: Weights) -> tuple[dict[str, Tensor], Tensor]:
        """Make one optimizer step on the weighted sum of the parts of the loss.

        Parameters
        ----------
        update : DeviceUpdate
            The batches of this process.
        weights : mapping
            Weight of each part of the loss, such as `labels` or `r_drop`. Parts without a weight
            are not computed.

        Returns
        -------
        losses : dict
            This process's summand of each part of the loss, a scalar on the device, before it is
            weighted. The sum over all processes is the part's mean over the update.
        norm : Tensor
            Norm of the gradients before clipping, a scalar on the device. It is 0 for an update
            that overflowed in float16 and was skipped.
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
    """Running totals of an epoch's losses and gradient norms, in float64 on the device.

    Adding an update never waits for the device. An epoch that was interrupted continues the
    totals in `state`. These are sums over all processes, so only the first process starts from
    their losses.
    """

    def __init__(self, state: TrainingState, device: torch.device, processes: Processes) -> None:
        self.processes = processes
        self._losses = {
            name: torch.tensor(
                total if processes.first else 0.0, dtype=torch.float64, device=device
            )
            for name, total in state.loss_sums.items()
        }
        self._norm = torch.tensor(state.norm_sum, dtype=torch.float64, device=device)
        self._largest = torch.tensor(state.norm_max, dtype=torch.float64, device=device)

    def add(self, losses: dict[str, Tensor], texts: int, norm: Tensor) -> None:
        """Add the result of an update.

        Parameters
        ----------
        losses : dict
            This process's summands of the mean losses, as `OptimizerStep` returns them.
        texts : int
            Number of texts of the update in all processes, by which the means are multiplied.
        norm : Tensor
            Norm of the gradients.
        """
        for name, loss in losses.items():
            total = loss.double() * texts
            self._losses[name] = self._losses[name] + total if name in self._losses else total
        self._norm += norm
        self._largest = torch.maximum(self._largest, norm.double())

    def store(self, state: TrainingState) -> None:
        """Store the sums over all processes in `state`; every process calls this method."""
        state.loss_sums = {
            name: float(self.processes.sum(loss.clone())) for name, loss in self._losses.items()
        }
        state.norm_sum, state.norm_max = float(self._norm), float(self._largest)

    @staticmethod
    def metrics(state: TrainingState, texts: int, config: TrainerConfig) -> dict[str, float]:
        """Return the training metrics of an epoch, from the totals in `state`.

        They are the mean of each part of the loss over the epoch's `texts` texts, the tokens per
        second and, with `trainer.log_gradient_norm`, the mean and largest norm of the gradients.
        """
        metrics = {
            "train/loss" if name == LABELS else f"train/{name}_loss": loss / texts
            for name, loss in state.loss_sums.items()
        }
        if config.log_gradient_norm:
            metrics["train/gradient_norm"] = state.norm_sum / state.position
            metrics["train/gradient_norm_max"] = state.norm_max
        return metrics | {"train/tokens_per_second": state.tokens / state.update_seconds}
