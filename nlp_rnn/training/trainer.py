"""A network and tokenized texts become a better network; knows nothing of text or MLflow."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nlp_rnn.config.training import OptimizerConfig, TrainerConfig
from nlp_rnn.errors import TrainingError
from nlp_rnn.model.language_model import POSITIONS
from nlp_rnn.model.network import TextNetwork
from nlp_rnn.model.normalized_embedding import NormalizedEmbedding
from nlp_rnn.scoring.metrics import score_logits
from nlp_rnn.tokens.batches import TokenizedTexts, epoch_order
from nlp_rnn.training.averaging import AveragedWeights
from nlp_rnn.training.checkpoint import load_checkpoint, random_states, save_checkpoint
from nlp_rnn.training.clock import TrainingClock
from nlp_rnn.training.cuda_graphs import CudaGraphStep, can_use_cuda_graphs
from nlp_rnn.training.device import (
    choose_device,
    choose_precision,
    distribute_threads,
    limit_onednn_cache,
    precision_name,
    threads_per_process,
)
from nlp_rnn.training.events import EpochEnd, TrainingResult, UpdateEnd
from nlp_rnn.training.inference import all_logits
from nlp_rnn.training.loss import UpdateLoss, Weights, uses_perturbation
from nlp_rnn.training.objective import Objective
from nlp_rnn.training.optim import (
    make_optimizer,
    set_learning_rates,
    stop_reason,
    training_limits,
    unfreeze,
    update_plateau,
)
from nlp_rnn.training.prefetch import Update, prefetch_updates
from nlp_rnn.training.processes import SINGLE_PROCESS, Processes
from nlp_rnn.training.profiling import UpdateProfile
from nlp_rnn.training.step import EpochTotals, OptimizerStep
from nlp_rnn.training.training_state import CHECKPOINT_FORMAT, TrainingState

__all__ = ["EpochEnd", "Trainer", "TrainingResult", "UpdateEnd"]

# What the first process decides after an update.
CONTINUE, SAVE, STOP = 0, 1, 2


class Trainer:
    """Trains one network on one device; two trainings with one seed give equal weights.

    With several `processes` each has a trainer of its own, all with the same arguments; their
    updates are those of one process with the same batches, but for rounding and dropout.
    """

    def __init__(
        self,
        network: TextNetwork,
        config: TrainerConfig,
        optimizer: OptimizerConfig,
        *,
        seed: int,
        on_update: Callable[[UpdateEnd], None] = lambda event: None,
        on_epoch: Callable[[EpochEnd], None] = lambda event: None,
        checkpoint: Path | None = None,
        processes: Processes = SINGLE_PROCESS,
    ) -> None:
        """Prepare to train `network`; with `checkpoint`, go on from that file if it exists.

        Options that a configuration leaves open have been resolved (`config.defaults`).

        Raises:
            ConfigError: `config.device` is not here.
            TrainingError: the checkpoint is damaged, or not seen by every process.
        """
        self.device = choose_device(config.device, processes)
        distribute_threads(threads_per_process(config.threads, processes))
        self.dtype = choose_precision(config.precision, self.device)
        if self.device.index is not None:
            torch.cuda.set_device(self.device)
        if config.language_model:
            network.add_language_model(seed, max(1, POSITIONS // processes.count))
        self.network = network.to(self.device)
        self.config = config
        self.loss = UpdateLoss(config, self.device, self.dtype)
        self.optimizer_config = optimizer
        self.optimizer = make_optimizer(self.network, optimizer)
        self.seed = seed
        self.on_update = on_update
        self.on_epoch = on_epoch
        self.checkpoint = checkpoint
        self.processes = processes
        self.state = TrainingState()
        self.best_weights: dict[str, Tensor] = {}
        self.gradient_norm = torch.zeros((), device=self.device)  # of the last update
        self.profile: UpdateProfile | None = None
        self.step = OptimizerStep(
            self.network,
            processes.wrap(self.network),
            self.loss,
            self.optimizer,
            optimizer.max_gradient_norm,
            processes,
        )
        self.cuda_graph_step: CudaGraphStep | None = None
        if can_use_cuda_graphs(config, optimizer, self.device, processes):
            self.cuda_graph_step = CudaGraphStep(self.step)
        # a run's seed is below 2**32, so no process draws as the first one of another run
        torch.manual_seed(seed + processes.rank * 2**32)
        averaged: dict[str, Tensor] = {}
        if checkpoint is not None and checkpoint.is_file():
            self.state, groups = load_checkpoint(
                checkpoint,
                CHECKPOINT_FORMAT,
                TrainingState,
                "network",
                self.network,
                self.optimizer,
                processes,
            )
            self.best_weights, averaged = groups["best"], groups["average"]
            if self.state.scaler:
                self.loss.scaler.load_state_dict(self.state.scaler)
        if processes.broadcast(self.state.updates) != self.state.updates:
            raise TrainingError(f"{checkpoint} is not the same for every process.")
        self.average: AveragedWeights | None = None
        if config.average_decay:
            self.average = AveragedWeights(self.network, config.average_decay)
            self.average.weights |= averaged
        self.clock = TrainingClock(self.state)

    @property
    def precision(self) -> str:
        """`fp32`, `bf16` or `fp16`."""
        return precision_name(self.dtype)

    @property
    def objective(self) -> Objective:
        """What is minimized and monitored; without `prepare` as for one label a text."""
        return self.loss.objective

    def prepare(self, train: TokenizedTexts) -> None:
        """Take from the training split what loss and memory must know of it."""
        self.loss.objective = Objective(self.config, train.labels)
        limit_onednn_cache(train.lengths.mean())
        network, state = self.network, self.state
        if uses_perturbation(self.config) and not isinstance(
            network.embedding, NormalizedEmbedding
        ):
            counts = train.token_counts(network.architecture.vocab_size)
            network.embedding = NormalizedEmbedding(network.embedding, counts, state.spread)
            state.spread = network.embedding.spread

    def fit(self, train: TokenizedTexts, validation: TokenizedTexts) -> TrainingResult:
        """Train, validating after each epoch; leaves the best weights in the network.

        Raises:
            TrainingError: the loss is no longer finite.
        """
        state = self.state
        self.prepare(train)
        self.limits = training_limits(len(train), self.config)
        if self.config.profile and self.processes.first:
            self.profile = UpdateProfile(self.device, self.limits.total_updates - state.updates)
        self.clock.start()
        while not state.stopped:
            metrics = self._train_epoch(train)
            with self.average.in_place() if self.average else nullcontext():
                self._validate(validation, metrics)
            state.epoch, state.position = state.epoch + 1, 0
            state.loss_sums, state.norm_sum, state.norm_max = {}, 0.0, 0.0
            self._save()
        self.network.load_state_dict(self.best_weights)
        return TrainingResult.of(state, state.best_thresholds)

    def _train_epoch(self, train: TokenizedTexts) -> dict[str, float]:
        """The rest of the epoch, or as much of it as the limits allow; what it measured."""
        self.network.train()
        state, config = self.state, self.config
        if config.frozen_epochs:
            unfreeze(self.network, state.epoch, config.frozen_epochs)
            if self.cuda_graph_step is not None:
                self.cuda_graph_step.reset()
        order = epoch_order(train.lengths, config.batch_size, self.seed, state.epoch)
        size = config.accumulation
        updates = [order[start : start + size] for start in range(0, len(order), size)]
        read = sum(len(rows) for batches in updates[: state.position] for rows in batches)
        totals = EpochTotals(state, self.device, self.processes)
        coming = prefetch_updates(
            train,
            updates[state.position :],
            self.processes,
            for_gpu=self.device.type == "cuda",
            vocabulary=bool(config.language_model),
        )
        started = time.perf_counter()
        for update in coming:
            if self.profile is not None:
                self.profile.before_update()
            total = self.limits.total_updates
            set_learning_rates(self.optimizer, state, total, self.optimizer_config)
            losses = self._update(update, self.loss.weights(state.updates, total))
            totals.add(losses, update.texts, self.gradient_norm)
            state.updates += 1
            if self.average is not None:
                self.average.update(state.updates)
            state.position += 1
            state.tokens += update.tokens * self.loss.copies
            read += update.texts
            state.update_seconds += time.perf_counter() - started
            self.clock.tick()
            self.on_update(
                UpdateEnd(
                    state.updates,
                    total,
                    state.epoch,
                    self.limits.max_epochs,
                    state.tokens / state.update_seconds,
                )
            )
            decision = self.processes.broadcast(self._what_next())
            if state.updates == total and config.max_updates:
                state.stopped = "updates"
            elif decision == STOP:
                state.stopped = "minutes"
            if state.stopped:
                break
            if decision == SAVE:
                totals.store(state)
                self._save()
            started = time.perf_counter()
        if self.profile is not None:
            self.profile.end()
        started = time.perf_counter()
        totals.store(state)  # waits for a GPU, which is some updates behind
        state.update_seconds += time.perf_counter() - started
        metrics = totals.metrics(state, read, config)
        if not np.isfinite(metrics["train/loss"]):
            raise TrainingError(
                f"The training loss is {metrics['train/loss']} in epoch {state.epoch}. Type a "
                f"smaller optimizer.learning_rate than {self.optimizer_config.learning_rate}."
            )
        return metrics

    def _what_next(self) -> int:
        """What this process's clock says after an update; the first one's is obeyed."""
        if self.clock.is_over(self.config.max_minutes):
            return STOP
        due = self.clock.checkpoint_due(self.config.checkpoint_minutes)
        return SAVE if due and self.checkpoint is not None else CONTINUE

    def _validate(self, validation: TokenizedTexts, measured: dict[str, float]) -> None:
        """Measure, keep the weights if they are the best so far, and see whether to go on."""
        state = self.state
        metrics, thresholds = score_logits(validation.labels, self.logits(validation))
        value = metrics[self.objective.monitor]
        if self.objective.monitor == "loss":
            value = -value
        best = value > state.best_value or not self.best_weights
        if best:
            state.best_thresholds = thresholds
            state.best_value, state.best_epoch, state.best_metrics = value, state.epoch, metrics
            self.best_weights = {
                name: tensor.detach().clone() for name, tensor in self.network.state_dict().items()
            }
        update_plateau(state, best, self.optimizer_config)
        state.stopped = state.stopped or stop_reason(state, self.limits)
        self.clock.tick()
        named = measured | {f"validation/{name}": value for name, value in metrics.items()}
        self.on_epoch(EpochEnd(state.epoch, self.limits.max_epochs, state.updates, named, best))

    def _save(self) -> None:
        """Write a checkpoint; called by every process, written by the first."""
        if self.checkpoint is None:
            return
        self.state.scaler = self.loss.scaler.state_dict()
        random = random_states(self.processes)
        if self.processes.first:
            groups = {
                "network": self.network.state_dict(),
                "best": self.best_weights,
                "average": self.average.weights if self.average else {},
            }
            save_checkpoint(
                self.checkpoint, CHECKPOINT_FORMAT, self.state, groups, self.optimizer, random
            )
        self.clock.checkpoint_written()

    def _update(self, update: Update, weights: Weights | None = None) -> dict[str, Tensor]:
        """One optimizer step; this process's share of each part of the loss, on the device.

        What is minimized is the sum of the parts times `weights`, by default those at the start.
        """
        weights = weights or self.loss.weights(0, 1)
        losses, self.gradient_norm = (self.cuda_graph_step or self.step)(
            update.to(self.device), weights
        )
        return losses

    def logits(self, texts: TokenizedTexts) -> NDArray[np.float32]:
        """Logits (n, C) of every text, in the order of `texts`; each process answers a part."""
        return all_logits(
            self.network, texts, self.config.batch_size, self.device, self.dtype, self.processes
        )
