"""A network and tokenized texts become a better network; knows nothing of files or MLflow."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nlp_rnn.config import Monitor, OptimizerConfig, TrainerConfig
from nlp_rnn.data.batches import Batch, TokenizedTexts, epoch_order, length_order
from nlp_rnn.errors import TrainingError
from nlp_rnn.training.device import (
    available_cores,
    choose_device,
    choose_precision,
    share_cores,
)
from nlp_rnn.training.metrics import score
from nlp_rnn.training.optim import learning_rate_factor, make_optimizer

__all__ = ["EpochEnd", "Trainer", "TrainingResult", "UpdateEnd", "default_max_epochs"]


@dataclass(frozen=True)
class UpdateEnd:
    """Told after every update, for a progress bar."""

    update: int
    total_updates: int
    epoch: int
    max_epochs: int
    tokens_per_second: float


@dataclass(frozen=True)
class EpochEnd:
    """Told after every epoch. `metrics` are `split/metric`; `best` says whether this one is."""

    epoch: int
    max_epochs: int
    update: int
    metrics: dict[str, float]
    best: bool


@dataclass
class TrainingResult:
    """How a training ended; the network holds the weights of `best_epoch` (1-based).

    `seconds` is the wall time of training with validation, `update_seconds` that of the
    updates alone; `tokens` counts what the updates read, padding left out.
    """

    best_epoch: int = 0
    epochs: int = 0
    updates: int = 0
    seconds: float = 0.0
    update_seconds: float = 0.0
    tokens: int = 0
    stopped_early: bool = False
    best_metrics: dict[str, float] = field(default_factory=dict)

    @property
    def tokens_per_second(self) -> float:
        """Tokens without padding over the time of the updates."""
        return self.tokens / self.update_seconds


# `max_epochs=null`: as many as read this many texts, within these bounds.
TEXTS_TO_READ = 200_000
EPOCHS = (6, 30)


def default_max_epochs(rows: int) -> int:
    """Epochs for a training split of `rows` texts when the config names none."""
    low, high = EPOCHS
    return max(low, min(high, round(TEXTS_TO_READ / rows)))


class Trainer:
    """Trains one network on one device; two trainings with one seed give equal weights."""

    def __init__(
        self,
        network: nn.Module,
        config: TrainerConfig,
        optimizer: OptimizerConfig,
        *,
        seed: int,
        on_update: Callable[[UpdateEnd], None] = lambda event: None,
        on_epoch: Callable[[EpochEnd], None] = lambda event: None,
    ) -> None:
        self.device = choose_device(config.device)
        share_cores(config.threads or available_cores())
        self.dtype = choose_precision(config.precision, self.device)
        self.network = network.to(self.device)
        self.config = config
        self.optimizer_config = optimizer
        self.optimizer = make_optimizer(self.network, optimizer)
        self.seed = seed
        self.on_update = on_update
        self.on_epoch = on_epoch

    def fit(self, train: TokenizedTexts, validation: TokenizedTexts) -> TrainingResult:
        """Train, validating after each epoch; leaves the best weights in the network.

        Raises:
            TrainingError: the loss or a gradient is no longer finite.
        """
        config, result = self.config, TrainingResult()
        max_epochs = config.max_epochs or default_max_epochs(len(train))
        per_epoch = -(-len(train) // config.batch_size)
        best_weights: dict[str, Tensor] = {}
        best_value = -np.inf
        started = time.perf_counter()
        torch.manual_seed(self.seed)
        for epoch in range(1, max_epochs + 1):
            loss = self._train_epoch(train, epoch, max_epochs, per_epoch, result)
            metrics = score(validation.labels, self.logits(validation))
            value = (
                -metrics["loss"] if config.monitor is Monitor.loss else metrics[config.monitor.name]
            )
            best = value > best_value
            if best:
                best_value, result.best_epoch = value, epoch
                result.best_metrics = metrics
                best_weights = {
                    name: tensor.detach().clone()
                    for name, tensor in self.network.state_dict().items()
                }
            result.epochs = epoch
            named = {"train/loss": loss, "train/tokens_per_second": result.tokens_per_second}
            named |= {f"validation/{name}": value for name, value in metrics.items()}
            self.on_epoch(EpochEnd(epoch, max_epochs, result.updates, named, best))
            if epoch - result.best_epoch >= config.patience:
                result.stopped_early = epoch < max_epochs
                break
        self.network.load_state_dict(best_weights)
        result.seconds = time.perf_counter() - started
        return result

    def _train_epoch(
        self,
        train: TokenizedTexts,
        epoch: int,
        max_epochs: int,
        per_epoch: int,
        result: TrainingResult,
    ) -> float:
        """Every training text once; the mean loss of a text."""
        self.network.train()
        total = torch.zeros((), device=self.device)
        order = epoch_order(train.lengths, self.config.batch_size, self.seed, epoch)
        total_updates = per_epoch * max_epochs
        for batch in train.batches(order):
            started = time.perf_counter()
            factor = learning_rate_factor(result.updates, total_updates, self.optimizer_config)
            for group in self.optimizer.param_groups:
                group["lr"] = self.optimizer_config.learning_rate * factor
            total += self._update(batch) * len(batch.rows)
            result.updates += 1
            result.tokens += batch.num_tokens
            result.update_seconds += time.perf_counter() - started
            self.on_update(
                UpdateEnd(
                    result.updates, total_updates, epoch, max_epochs, result.tokens_per_second
                )
            )
        loss = float(total) / len(train)
        if not np.isfinite(loss):
            raise TrainingError(
                f"The training loss is {loss} in epoch {epoch}. Type a smaller "
                f"optimizer.learning_rate than {self.optimizer_config.learning_rate:g}."
            )
        return loss

    def _update(self, batch: Batch) -> Tensor:
        """One optimizer step; the batch's mean loss, still on the device."""
        labels = torch.from_numpy(batch.labels).to(self.device)
        loss = nn.functional.cross_entropy(
            self._logits(batch), labels, label_smoothing=self.config.label_smoothing
        )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), self.optimizer_config.max_gradient_norm)
        self.optimizer.step()
        return loss.detach()

    def _logits(self, batch: Batch) -> Tensor:
        input_ids = torch.from_numpy(batch.input_ids).to(self.device)
        lengths = torch.from_numpy(batch.lengths).to(self.device)
        with torch.autocast(
            self.device.type, dtype=torch.bfloat16, enabled=self.dtype is torch.bfloat16
        ):
            logits: Tensor = self.network(input_ids, lengths)
        return logits

    def logits(self, texts: TokenizedTexts) -> NDArray[np.float32]:
        """Logits (n, C) of every text, in the order of `texts`."""
        self.network.eval()
        rows, logits = [], []
        with torch.inference_mode():
            for batch in texts.batches(length_order(texts.lengths, self.config.batch_size)):
                rows.append(batch.rows)
                logits.append(self._logits(batch).cpu())
        answers = torch.cat(logits).numpy()
        ordered: NDArray[np.float32] = np.empty_like(answers)
        ordered[np.concatenate(rows)] = answers
        return ordered
