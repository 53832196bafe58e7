"""A network and tokenized texts become a better network; knows nothing of text or MLflow."""

import time
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nlp_rnn.config import Monitor, OptimizerConfig, TrainerConfig
from nlp_rnn.data.batches import Batch, TokenizedTexts, epoch_order, length_order
from nlp_rnn.errors import TrainingError
from nlp_rnn.training.averaging import AveragedWeights
from nlp_rnn.training.checkpoint import TrainingState, load_checkpoint, save_checkpoint
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


@dataclass(frozen=True)
class TrainingResult:
    """How a training ended; the network holds the weights of `best_epoch` (1-based).

    `seconds` is the wall time of training with validation, `update_seconds` that of the
    updates alone, making their batches included; `tokens` counts what the updates read,
    padding left out. `stopped` says
    what ended it: `epochs`, `patience`, `updates` or `minutes`.
    """

    best_epoch: int
    epochs: int
    updates: int
    seconds: float
    update_seconds: float
    tokens: int
    stopped: str
    best_metrics: dict[str, float]

    @property
    def tokens_per_second(self) -> float:
        """Tokens without padding over the time of the updates."""
        return self.tokens / self.update_seconds


# `max_epochs=null`: as many as read this much, whichever comes first, within these bounds.
TEXTS_TO_READ = 200_000
TOKENS_TO_READ = 25_000_000
EPOCHS = (4, 15)


def default_max_epochs(rows: int, tokens: int) -> int:
    """Epochs for a training split of `rows` texts, `tokens` in all, when the config names none."""
    low, high = EPOCHS
    return max(low, min(high, TEXTS_TO_READ // rows, TOKENS_TO_READ // tokens))


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
        checkpoint: Path | None = None,
    ) -> None:
        """Prepare to train `network`; with `checkpoint`, go on from that file if it exists.

        Raises:
            ConfigError: `config.device` is not here.
            TrainingError: the checkpoint is damaged.
        """
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
        self.checkpoint = checkpoint
        self.state = TrainingState()
        self.best_weights: dict[str, Tensor] = {}
        torch.manual_seed(seed)
        averaged: dict[str, Tensor] = {}
        if checkpoint is not None and checkpoint.is_file():
            self.state, self.best_weights, averaged = load_checkpoint(
                checkpoint, self.network, self.optimizer
            )
        self.average: AveragedWeights | None = None
        if config.average_decay > 0:
            self.average = AveragedWeights(self.network, config.average_decay)
            self.average.weights |= averaged

    @property
    def precision(self) -> str:
        """`fp32` or `bf16`."""
        return "bf16" if self.dtype is torch.bfloat16 else "fp32"

    def fit(self, train: TokenizedTexts, validation: TokenizedTexts) -> TrainingResult:
        """Train, validating after each epoch; leaves the best weights in the network.

        Raises:
            TrainingError: the loss is no longer finite.
        """
        config, state = self.config, self.state
        self._max_epochs = config.max_epochs or default_max_epochs(
            len(train), int(train.lengths.sum())
        )
        per_epoch = -(-len(train) // config.batch_size)
        self._total_updates = min(
            per_epoch * self._max_epochs, config.max_updates or per_epoch * self._max_epochs
        )
        self._started = time.perf_counter() - state.seconds
        self._saved = time.monotonic()
        while not state.stopped:
            loss = self._train_epoch(train)
            with self.average.in_place() if self.average else nullcontext():
                self._validate(validation, loss)
            state.epoch, state.position, state.loss_sum = state.epoch + 1, 0, 0.0
            self._save()
        self.network.load_state_dict(self.best_weights)
        return TrainingResult(
            best_epoch=state.best_epoch,
            epochs=state.epoch - 1,
            updates=state.updates,
            seconds=state.seconds,
            update_seconds=state.update_seconds,
            tokens=state.tokens,
            stopped=state.stopped,
            best_metrics=state.best_metrics,
        )

    def _train_epoch(self, train: TokenizedTexts) -> float:
        """The rest of the epoch, or as much of it as the limits allow; the mean loss of a text."""
        self.network.train()
        state, config = self.state, self.config
        order = epoch_order(train.lengths, config.batch_size, self.seed, state.epoch)
        read = sum(len(rows) for rows in order[: state.position])
        total = torch.tensor(state.loss_sum, device=self.device)
        started = time.perf_counter()
        for batch in train.batches(order[state.position :]):
            factor = learning_rate_factor(state.updates, self._total_updates, self.optimizer_config)
            for group in self.optimizer.param_groups:
                group["lr"] = self.optimizer_config.learning_rate * factor
            total += self._update(batch) * len(batch.rows)
            state.updates += 1
            if self.average is not None:
                self.average.update(state.updates)
            state.position += 1
            state.tokens += batch.num_tokens
            read += len(batch.rows)
            now = time.perf_counter()
            state.update_seconds += now - started
            state.seconds = now - self._started
            self.on_update(
                UpdateEnd(
                    state.updates,
                    self._total_updates,
                    state.epoch,
                    self._max_epochs,
                    state.tokens / state.update_seconds,
                )
            )
            if state.updates == self._total_updates and config.max_updates:
                state.stopped = "updates"
            elif config.max_minutes and state.seconds >= 60 * config.max_minutes:
                state.stopped = "minutes"
            if state.stopped:
                break
            if time.monotonic() - self._saved >= 60 * config.checkpoint_minutes:
                state.loss_sum = float(total)
                self._save()
            started = time.perf_counter()
        loss = float(total) / read
        if not np.isfinite(loss):
            raise TrainingError(
                f"The training loss is {loss} in epoch {state.epoch}. Type a smaller "
                f"optimizer.learning_rate than {self.optimizer_config.learning_rate:g}."
            )
        return loss

    def _validate(self, validation: TokenizedTexts, loss: float) -> None:
        """Measure, keep the weights if they are the best so far, and see whether to go on."""
        state, monitor = self.state, self.config.monitor
        metrics = score(validation.labels, self.logits(validation))
        value = -metrics["loss"] if monitor is Monitor.loss else metrics[monitor.name]
        best = value > state.best_value or not self.best_weights
        if best:
            state.best_value, state.best_epoch, state.best_metrics = value, state.epoch, metrics
            self.best_weights = {
                name: tensor.detach().clone() for name, tensor in self.network.state_dict().items()
            }
        if not state.stopped:
            if state.epoch >= self._max_epochs:
                state.stopped = "epochs"
            elif state.epoch - state.best_epoch >= self.config.patience:
                state.stopped = "patience"
        state.seconds = time.perf_counter() - self._started
        rate = state.tokens / state.update_seconds
        named = {"train/loss": loss, "train/tokens_per_second": rate}
        named |= {f"validation/{name}": value for name, value in metrics.items()}
        self.on_epoch(EpochEnd(state.epoch, self._max_epochs, state.updates, named, best))

    def _save(self) -> None:
        if self.checkpoint is None:
            return
        try:
            save_checkpoint(
                self.checkpoint,
                self.state,
                self.network,
                self.best_weights,
                self.average.weights if self.average else {},
                self.optimizer,
            )
        except OSError as error:
            warnings.warn(
                f"No checkpoint was written ({error}); training goes on, and the last good one "
                "is kept.",
                stacklevel=2,
            )
        self._saved = time.monotonic()

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
