"""Trainer of language models on streams of token ids; it needs neither the texts nor MLflow."""

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nlp_rnn.config.pretraining import PretrainingConfig
from nlp_rnn.config.training import OptimizerConfig, TrainerConfig
from nlp_rnn.errors import TrainingError
from nlp_rnn.pretraining.language_models import LanguageModels, States
from nlp_rnn.pretraining.pretraining_state import (
    CHECKPOINT_FORMAT,
    PretrainingState,
    named_states,
    nested_states,
)
from nlp_rnn.pretraining.token_stream import StreamWindows, TokenTexts, parallel_sequences
from nlp_rnn.training.checkpoint import load_checkpoint, random_states, save_checkpoint
from nlp_rnn.training.clock import TrainingClock
from nlp_rnn.training.device import (
    choose_device,
    choose_precision,
    distribute_threads,
    gradient_scaler,
    in_precision,
    precision_name,
    threads_per_process,
)
from nlp_rnn.training.events import EpochEnd, TrainingResult, UpdateEnd
from nlp_rnn.training.optim import learning_rate_factor, make_optimizer
from nlp_rnn.training.processes import SINGLE_PROCESS

__all__ = ["Pretrainer", "default_epochs"]

DIRECTIONS = ("forward", "backward")
MAX_GRADIENT_NORM = 1.0

VALIDATION_TOKENS = 200_000
"""Maximum number of validation tokens that are predicted after each epoch."""

# `max_epochs=null`: as many epochs as read this many tokens, within these bounds.
TOKENS_TO_READ = 30_000_000
EPOCHS = (4, 20)


def default_epochs(tokens: int) -> int:
    """Return the number of epochs over `tokens` tokens for `pretraining.max_epochs=null`."""
    low, high = EPOCHS
    return max(low, min(high, TOKENS_TO_READ // tokens))


class Pretrainer:
    """Trains language models on one device; the same seed gives bit-identical weights.

    Parameters
    ----------
    models : LanguageModels
        The models, which are moved to the device and trained in place.
    config : PretrainingConfig
        The options `pretraining.…`.
    trainer : TrainerConfig
        Its device, number of threads and precision are used.
    on_update, on_epoch : callable
        Called after every update and after every epoch.
    checkpoint : Path, optional
        File for checkpoints. The pretraining is resumed from it if it exists.

    Raises
    ------
    ConfigError
        If the device does not exist on this machine.
    TrainingError
        If the checkpoint is damaged.
    """

    def __init__(
        self,
        models: LanguageModels,
        config: PretrainingConfig,
        trainer: TrainerConfig,
        *,
        on_update: Callable[[UpdateEnd], None] = lambda event: None,
        on_epoch: Callable[[EpochEnd], None] = lambda event: None,
        checkpoint: Path | None = None,
    ) -> None:
        self.device = choose_device(trainer.device)
        distribute_threads(threads_per_process(trainer.threads, SINGLE_PROCESS))
        self.dtype = choose_precision(trainer.precision, self.device)
        self.scaler = gradient_scaler(self.dtype, self.device)
        self.models = models.to(self.device)
        self.config = config
        self.optimizer_config = OptimizerConfig(
            learning_rate=config.learning_rate, weight_decay=config.weight_decay
        )
        self.optimizer = make_optimizer(self.models, self.optimizer_config)
        self.on_update, self.on_epoch = on_update, on_epoch
        self.checkpoint = checkpoint
        self.state = PretrainingState(losses=[0.0] * models.architecture.num_directions)
        self.best_weights: dict[str, Tensor] = {}
        self.recurrent_states: States | None = None
        torch.manual_seed(config.seed)
        if checkpoint is not None and checkpoint.is_file():
            self.state, groups = load_checkpoint(
                checkpoint,
                CHECKPOINT_FORMAT,
                PretrainingState,
                "models",
                self.models,
                self.optimizer,
                SINGLE_PROCESS,
            )
            self.best_weights = groups["best"]
            self.recurrent_states = nested_states(groups["states"])
        self.clock = TrainingClock(self.state)

    @property
    def precision(self) -> str:
        """`fp32`, `bf16` or `fp16`."""
        return precision_name(self.dtype)

    def fit(self, train: TokenTexts, validation: TokenTexts) -> TrainingResult:
        """Train, measure the perplexity after each epoch, and load the best weights at the end.

        Raises
        ------
        TrainingError
            If the loss is no longer finite.
        """
        state, config = self.state, self.config
        length = train.stream_length
        sequences = parallel_sequences(length, config.batch_size, config.window)
        max_epochs = config.max_epochs or default_epochs(length)
        total = max_epochs * -(-(length // sequences) // config.window)
        counts = np.bincount(train.tokens, minlength=len(self.models.bias)) + 1.0
        counts[0] += len(train.lengths)
        self._frequencies = torch.from_numpy(counts / counts.sum()).to(self.device)
        if state.updates == 0:
            self.models.start_from(self._frequencies.float())
        self.clock.start()
        while not state.stopped:
            metrics = self._train_epoch(train, max_epochs, total)
            self._validate(validation, metrics, max_epochs)
            state.epoch, state.position, self.recurrent_states = state.epoch + 1, 0, None
            state.losses, state.foretold = [0.0] * len(state.losses), 0
            self._save()
        self.models.load_state_dict(self.best_weights)
        return TrainingResult.of(state)

    def _train_epoch(self, train: TokenTexts, max_epochs: int, total: int) -> dict[str, float]:
        """Train the rest of the epoch, or until a limit is reached; return its metrics."""
        self.models.train()
        state, config = self.state, self.config
        streams = self._windows(train.stream(config.seed, state.epoch))
        losses = torch.tensor(state.losses, dtype=torch.float64, device=self.device)
        started = time.perf_counter()
        for windows in zip(*(s.batches(state.position) for s in streams), strict=True):
            self._set_rate(total)
            size = windows[0][0].size
            losses += self._update(windows)
            state.updates, state.position = state.updates + 1, state.position + 1
            state.tokens, state.foretold = state.tokens + size, state.foretold + size
            state.update_seconds += time.perf_counter() - started
            self.clock.tick()
            speed = state.tokens / state.update_seconds
            self.on_update(UpdateEnd(state.updates, total, state.epoch, max_epochs, speed))
            if self.clock.is_over(config.max_minutes):
                state.stopped = "minutes"
                break
            if self.clock.checkpoint_due(config.checkpoint_minutes):
                state.losses = losses.tolist()
                self._save()
            started = time.perf_counter()
        state.losses = losses.tolist()
        metrics = _perplexities("train", state.losses, state.foretold)
        if not math.isfinite(metrics["train/loss"]):
            raise TrainingError(
                f"The pretraining loss is {metrics['train/loss']} in epoch {state.epoch}. "
                f"Set pretraining.learning_rate to less than {config.learning_rate:g}."
            )
        return metrics | {"train/tokens_per_second": state.tokens / state.update_seconds}

    def _windows(self, stream: NDArray[np.int32]) -> list[StreamWindows]:
        """The windows of each direction: of the stream, and of the reversed stream."""
        config, count = self.config, self.models.architecture.num_directions
        return [
            StreamWindows(tokens, config.batch_size, config.window)
            for tokens in (stream, stream[::-1])[:count]
        ]

    def _set_rate(self, total: int) -> None:
        """Set the learning rate of the next of `total` updates."""
        done: float = self.state.updates
        if self.config.max_minutes:
            done = max(done, total * self.state.seconds / (60 * self.config.max_minutes))
        factor = learning_rate_factor(int(done), total, self.optimizer_config)
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * factor

    def _update(self, windows: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]]) -> Tensor:
        """Make one optimizer step; return the summed cross-entropy of each direction."""
        self.optimizer.zero_grad(set_to_none=True)
        inputs, targets = self._on_device(windows)
        losses, self.recurrent_states = self._losses(
            inputs, targets, self.recurrent_states, self._sample(targets)
        )
        loss = losses.sum() / (targets[0].numel() * len(targets))
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self.scaler.unscale_(self.optimizer)
        nn.utils.clip_grad_norm_(self.models.parameters(), MAX_GRADIENT_NORM)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return losses.detach()

    def _on_device(
        self, windows: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Inputs and targets of each direction, copied to the device."""
        inputs, targets = (
            [torch.from_numpy(tokens).to(self.device, non_blocking=True) for tokens in side]
            for side in zip(*windows, strict=True)
        )
        return inputs, targets

    def _losses(
        self,
        inputs: Sequence[Tensor],
        targets: Sequence[Tensor],
        states: States | None,
        sampled: tuple[Tensor, Tensor] | None,
    ) -> tuple[Tensor, States]:
        """Summed cross-entropy of each direction, and the recurrent states after the window."""
        with in_precision(self.dtype, self.device):
            output: tuple[Tensor, States] = self.models(inputs, targets, states, sampled)
        return output

    def _sample(self, targets: Sequence[Tensor]) -> tuple[Tensor, Tensor] | None:
        """Tokens of an update's softmax, sorted, and the probability of each to be among them.

        They are the targets and `pretraining.samples` others, drawn uniformly.
        """
        size = len(self._frequencies)
        if self.config.samples >= size:
            return None
        drawn = torch.randperm(size, device=self.device)[: self.config.samples]
        tokens: Tensor = torch.unique(torch.cat([drawn, *(ids.flatten() for ids in targets)]))
        count = sum(ids.numel() for ids in targets)
        absent = (1 - self._frequencies[tokens]) ** count * (1 - self.config.samples / size)
        return tokens, (1 - absent).float()

    def _validate(
        self, validation: TokenTexts, train_metrics: dict[str, float], max_epochs: int
    ) -> None:
        """Measure the perplexity, store the weights if they are the best, and check the limit."""
        state = self.state
        metrics = self.perplexities(validation.first(VALIDATION_TOKENS))
        best = metrics["validation/loss"] < state.best_value or not self.best_weights
        if best:
            state.best_value, state.best_epoch = metrics["validation/loss"], state.epoch
            state.best_metrics = metrics
            self.best_weights = {
                name: tensor.detach().clone() for name, tensor in self.models.state_dict().items()
            }
        if not state.stopped and state.epoch >= max_epochs:
            state.stopped = "epochs"
        self.clock.tick()
        metrics = train_metrics | metrics
        self.on_epoch(EpochEnd(state.epoch, max_epochs, state.updates, metrics, best))

    def perplexities(self, texts: TokenTexts) -> dict[str, float]:
        """Return the perplexity of a token of `texts`, with a softmax over the whole vocabulary.

        One value for each direction and one for both; `validation/loss` is the mean in nats.
        """
        self.models.eval()
        streams = self._windows(texts.stream())
        losses = torch.zeros(len(streams), dtype=torch.float64, device=self.device)
        states: States | None = None
        with torch.inference_mode():
            for windows in zip(*(stream.batches() for stream in streams), strict=True):
                window_losses, states = self._losses(*self._on_device(windows), states, None)
                losses += window_losses
        return _perplexities("validation", losses.tolist(), len(streams[0]))

    def _save(self) -> None:
        """Write a checkpoint, if there is a path for it."""
        if self.checkpoint is not None:
            groups = {
                "models": self.models.state_dict(),
                "best": self.best_weights,
                "states": named_states(self.recurrent_states),
            }
            random = random_states(SINGLE_PROCESS)
            save_checkpoint(
                self.checkpoint, CHECKPOINT_FORMAT, self.state, groups, self.optimizer, random
            )
        self.clock.checkpoint_written()


def _perplexities(split: str, losses: Sequence[float], tokens: int) -> dict[str, float]:
    """Metrics of the summed cross-entropies of each direction over `tokens` tokens."""

    def perplexity(nats: float) -> float:
        return math.exp(min(nats, 700.0)) if not math.isnan(nats) else math.nan

    nats = [loss / max(tokens, 1) for loss in losses]
    mean = sum(nats) / len(nats)
    metrics = {f"{split}/loss": mean, f"{split}/perplexity": perplexity(mean)}
    return metrics | {
        f"{split}/perplexity_{name}": perplexity(value)
        for name, value in zip(DIRECTIONS, nats, strict=False)
    }
