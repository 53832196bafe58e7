"""Losses and gradient norms of an epoch's updates become a few numbers, fetched once."""

import torch
from torch import Tensor

from nlp_rnn.config import TrainerConfig
from nlp_rnn.training.checkpoint import TrainingState
from nlp_rnn.training.processes import Processes

__all__ = ["Tally"]


class Tally:
    """Sums in double precision on the device: adding to them never waits for the device."""

    def __init__(self, state: TrainingState, device: torch.device, processes: Processes) -> None:
        """Go on from `state`, which counts what all processes read."""
        self.processes = processes
        so_far = state.loss_sum if processes.first else 0.0
        self._loss = torch.tensor(so_far, dtype=torch.float64, device=device)
        so_far = state.language_model_sum if processes.first else 0.0
        self._language_model = torch.tensor(so_far, dtype=torch.float64, device=device)
        self._norm = torch.tensor(state.norm_sum, dtype=torch.float64, device=device)
        self._largest = torch.tensor(state.norm_max, dtype=torch.float64, device=device)

    def add(self, loss: Tensor, language_model: Tensor, texts: int, norm: Tensor) -> None:
        """Count an update: this process's part of the mean losses over `texts`, and the norm."""
        self._loss += loss * texts
        self._language_model += language_model * texts
        self._norm += norm
        self._largest = torch.maximum(self._largest, norm.double())

    def store(self, state: TrainingState) -> None:
        """Write the sums of all processes into `state`; called by every process."""
        state.loss_sum = float(self.processes.total(self._loss.clone()))
        state.language_model_sum = float(self.processes.total(self._language_model.clone()))
        state.norm_sum, state.norm_max = float(self._norm), float(self._largest)

    @staticmethod
    def metrics(state: TrainingState, texts: int, config: TrainerConfig) -> dict[str, float]:
        """What an epoch of `texts` texts measured, as `state` has it and `config` asks for."""
        metrics = {"train/loss": state.loss_sum / texts}
        if config.language_model > 0:
            metrics["train/language_model_loss"] = state.language_model_sum / texts
        if config.log_gradient_norm:
            metrics["train/gradient_norm"] = state.norm_sum / state.position
            metrics["train/gradient_norm_max"] = state.norm_max
        return metrics | {"train/tokens_per_second": state.tokens / state.update_seconds}
