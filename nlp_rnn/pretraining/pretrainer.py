"""Language models and token ids become better language models; knows nothing of text or MLflow."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
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
from nlp_rnn.training.events import EpochEnd, UpdateEnd
from nlp_rnn.training.optim import learning_rate_factor, make_optimizer
from nlp_rnn.training.processes import SINGLE_PROCESS

__all__ = ["Pretrainer", "PretrainingResult", "default_epochs"]

DIRECTIONS = ("forward", "backward")
MAX_GRADIENT_NORM = 1.0

VALIDATION_TOKENS = 200_000
"""So many tokens of the validation texts are foretold after each epoch, at most."""

# `max_epochs=null`: as many as read so many tokens, within these bounds.
TOKENS_TO_READ = 30_000_000
EPOCHS = (4, 20)


def default_epochs(tokens: int) -> int:
    """Epochs over so many tokens when the config names none."""
    low, high = EPOCHS
    return max(low, min(high, TOKENS_TO_READ // tokens))


@dataclass(frozen=True)
class PretrainingResult:
    """How a pretraining ended; the models hold the weights of `best_epoch` (1-based).

    `tokens` counts what was read, of two directions once. `stopped` says what ended it: `epochs`
    or `minutes`.
    """

    best_epoch: int
    epochs: int
    updates: int
    seconds: float
    tokens: int
    tokens_per_second: float
    stopped: str
    metrics: dict[str, float]


class Pretrainer:
    """Trains language models on one device; two trainings with one seed give equal weights."""

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
        """Prepare to train `models`; with `checkpoint`, go on from that file if it exists.

        Of `trainer` device, threads and precision count.

        Raises:
            ConfigError: the device is not here.
            TrainingError: the checkpoint is damaged.
        """
        self.device = choose_device(trainer.device)
        distribute_threads(threads_per_process(trainer.threads, SINGLE_PROCESS))
        self.dtype = choose_precision(trainer.precision, self.device)
        self.scaler = gradient_scaler(self.dtype, self.device)
        self.models = models.to(self.device)
        self.config = config
        self.rates = OptimizerConfig(
            learning_rate=config.learning_rate, weight_decay=config.weight_decay
        )
        self.optimizer = make_optimizer(self.models, self.rates)
        self.on_update, self.on_epoch = on_update, on_epoch
        self.checkpoint = checkpoint
        self.state = PretrainingState(losses=[0.0] * models.architecture.num_directions)
        self.best_weights: dict[str, Tensor] = {}
        self.states: States | None = None
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
            self.best_weights, self.states = groups["best"], nested_states(groups["states"])
        self.clock = TrainingClock(self.state)

    @property
    def precision(self) -> str:
        """`fp32`, `bf16` or `fp16`."""
        return precision_name(self.dtype)

    def fit(self, train: TokenTexts, validation: TokenTexts) -> PretrainingResult:
        """Train, measuring perplexity after each epoch; leaves the best weights in the models.

        Raises:
            TrainingError: the loss is no longer finite.
        """
        state, config = self.state, self.config
        length = train.stream_length
        lanes = parallel_sequences(length, config.batch_size, config.window)
        max_epochs = config.max_epochs or default_epochs(length)
        total = max_epochs * -(-(length // lanes) // config.window)
        counts = np.bincount(train.tokens, minlength=len(self.models.bias)) + 1.0
        counts[0] += len(train.lengths)
        self._shares = torch.from_numpy(counts / counts.sum()).to(self.device)
        if state.updates == 0:
            self.models.start_from(self._shares.float())
        self.clock.start()
        while not state.stopped:
            measured = self._train_epoch(train, max_epochs, total)
            self._validate(validation, measured, max_epochs)
            state.epoch, state.position, self.states = state.epoch + 1, 0, None
            state.losses, state.foretold = [0.0] * len(state.losses), 0
            self._save()
        self.models.load_state_dict(self.best_weights)
        return PretrainingResult(
            best_epoch=state.best_epoch,
            epochs=state.epoch - 1,
            updates=state.updates,
            seconds=state.seconds,
            tokens=state.tokens,
            tokens_per_second=state.tokens / state.update_seconds,
            stopped=state.stopped,
            metrics=state.best_metrics,
        )

    def _train_epoch(self, train: TokenTexts, max_epochs: int, total: int) -> dict[str, float]:
        """The rest of the epoch, or as much of it as the limits allow; what it measured."""
        self.models.train()
        state, config = self.state, self.config
        stream = train.stream(config.seed, state.epoch)
        sides = self._lanes(stream)
        losses = torch.tensor(state.losses, dtype=torch.float64, device=self.device)
        started = time.perf_counter()
        batches = zip(*(side.batches(state.position) for side in sides), strict=True)
        for windows in batches:
            self._set_rate(total)
            size = windows[0][0].size
            losses += self._update([tokens for window in windows for tokens in window])
            state.updates, state.position = state.updates + 1, state.position + 1
            state.tokens, state.foretold = state.tokens + size, state.foretold + size
            state.update_seconds += time.perf_counter() - started
            self.clock.tick()
            self.on_update(
                UpdateEnd(
                    state.updates,
                    total,
                    state.epoch,
                    max_epochs,
                    state.tokens / state.update_seconds,
                )
            )
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
                f"The loss is {metrics['train/loss']} in epoch {state.epoch}. Type a smaller "
                f"pretraining.learning_rate than {config.learning_rate:g}."
            )
        return metrics | {"train/tokens_per_second": state.tokens / state.update_seconds}

    def _lanes(
        self, stream: "np.ndarray[tuple[int, ...], np.dtype[np.int32]]"
    ) -> list[StreamWindows]:
        """The lanes of each direction: of the stream, and of the stream reversed."""
        config, count = self.config, self.models.architecture.num_directions
        return [
            StreamWindows(s, config.batch_size, config.window)
            for s in (stream, stream[::-1])[:count]
        ]

    def _set_rate(self, total: int) -> None:
        """Give the optimizer the learning rate of the next of `total` updates."""
        done: float = self.state.updates
        if self.config.max_minutes:
            done = max(done, total * self.state.seconds / (60 * self.config.max_minutes))
        factor = learning_rate_factor(int(done), total, self.rates)
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * factor

    def _update(self, sides: Sequence["np.ndarray[tuple[int, ...], np.dtype[np.int64]]"]) -> Tensor:
        """One optimizer step; the summed cross-entropy of each direction, on the device."""
        self.optimizer.zero_grad(set_to_none=True)
        tensors = [torch.from_numpy(side).to(self.device, non_blocking=True) for side in sides]
        read, foretold = tensors[::2], tensors[1::2]
        losses, self.states = self._losses(read, foretold, self.states, self._sampled(foretold))
        loss = losses.sum() / (foretold[0].numel() * len(foretold))
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self.scaler.unscale_(self.optimizer)
        nn.utils.clip_grad_norm_(self.models.parameters(), MAX_GRADIENT_NORM)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return losses.detach()

    def _losses(
        self,
        read: Sequence[Tensor],
        foretold: Sequence[Tensor],
        states: States | None,
        sampled: tuple[Tensor, Tensor] | None,
    ) -> tuple[Tensor, States]:
        with in_precision(self.dtype, self.device):
            found: tuple[Tensor, States] = self.models(read, foretold, states, sampled)
        return found

    def _sampled(self, foretold: Sequence[Tensor]) -> tuple[Tensor, Tensor] | None:
        """The tokens of an update's softmax, rising, and how probable each was to be among them.

        Those that are foretold, and `samples` others drawn from all alike.
        """
        size = len(self._shares)
        if self.config.samples >= size:
            return None
        drawn = torch.randperm(size, device=self.device)[: self.config.samples]
        everything = torch.cat([drawn, *(side.flatten() for side in foretold)])
        tokens: Tensor = torch.unique(everything)
        count = sum(side.numel() for side in foretold)
        missing = (1 - self._shares[tokens]) ** count * (1 - self.config.samples / size)
        return tokens, (1 - missing).float()

    def _validate(
        self, validation: TokenTexts, measured: dict[str, float], max_epochs: int
    ) -> None:
        """Measure, keep the weights if they are the best so far, and see whether to go on."""
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
        self.on_epoch(EpochEnd(state.epoch, max_epochs, state.updates, measured | metrics, best))

    def perplexities(self, texts: TokenTexts) -> dict[str, float]:
        """Perplexity of a token of `texts`, by a softmax over the whole vocabulary.

        Of each direction, and of both together; `validation/loss` is the mean in nats.
        """
        self.models.eval()
        lanes = self._lanes(texts.stream())
        losses = torch.zeros(len(lanes), dtype=torch.float64, device=self.device)
        states: States | None = None
        with torch.inference_mode():
            for windows in zip(*(side.batches() for side in lanes), strict=True):
                tensors = [
                    torch.from_numpy(t).to(self.device) for window in windows for t in window
                ]
                found, states = self._losses(tensors[::2], tensors[1::2], states, None)
                losses += found
        return _perplexities("validation", losses.tolist(), len(lanes[0]))

    def _save(self) -> None:
        """Write a checkpoint; a full disk leaves the last one as it was."""
        if self.checkpoint is not None:
            groups = {
                "models": self.models.state_dict(),
                "best": self.best_weights,
                "states": named_states(self.states),
            }
            save_checkpoint(
                self.checkpoint,
                CHECKPOINT_FORMAT,
                self.state,
                groups,
                self.optimizer,
                random_states(SINGLE_PROCESS),
            )
        self.clock.checkpoint_written()


def _perplexities(split: str, losses: Sequence[float], tokens: int) -> dict[str, float]:
    """Of summed cross-entropies, one a direction, over so many tokens each."""

    def perplexity(nats: float) -> float:
        return math.exp(min(nats, 700.0)) if not math.isnan(nats) else math.nan

    nats = [loss / max(tokens, 1) for loss in losses]
    mean = sum(nats) / len(nats)
    found = {f"{split}/loss": mean, f"{split}/perplexity": perplexity(mean)}
    return found | {
        f"{split}/perplexity_{name}": perplexity(value)
        for name, value in zip(DIRECTIONS, nats, strict=False)
    }
