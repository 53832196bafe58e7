"""Trainer of a text network on token ids; it needs neither the texts nor MLflow."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nlp_rnn.config.training import BATCH_SIZE, OptimizerConfig, TrainerConfig
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
from nlp_rnn.training.limits import ending_notes, stop_reason, training_limits
from nlp_rnn.training.loss import UpdateLoss, Weights, uses_perturbation
from nlp_rnn.training.objective import Objective
from nlp_rnn.training.optim import (
    make_optimizer,
    set_learning_rates,
    unfreeze,
    update_plateau,
)
from nlp_rnn.training.prefetch import Update, prefetch_updates
from nlp_rnn.training.processes import SINGLE_PROCESS, Processes
from nlp_rnn.training.profiling import UpdateProfile
from nlp_rnn.training.step import EpochTotals, OptimizerStep
from nlp_rnn.training.training_state import CHECKPOINT_FORMAT, TrainingState

__all__ = ["EpochEnd", "Trainer", "TrainingResult", "UpdateEnd"]

# Decisions of the first process after an update.
CONTINUE, SAVE, STOP = 0, 1, 2


class Trainer:
    """Trains one network on one device; the same seed gives bit-identical weights.

    With several processes, each process has a trainer with the same arguments. Up to rounding and
    dropout, its updates are those of a single process with the same batches.

    Parameters
    ----------
    network : TextNetwork
        The network, which is moved to the device and trained in place.
    config : TrainerConfig
        The resolved options `trainer.…` (`config.defaults`).
    optimizer : OptimizerConfig
        The resolved options `optimizer.…`.
    seed : int
        Seed of dropout, of the order of the texts, and of the auxiliary language model.
    on_update, on_epoch : callable
        Called after every update and after every epoch.
    checkpoint : Path, optional
        File for checkpoints. The training is resumed from it if it exists.
    processes : Processes
        This process among all processes of the training.

    Raises
    ------
    ConfigError
        If the device or the precision is not available on this machine.
    TrainingError
        If the checkpoint is damaged, or is not the same for all processes.
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
        assert config.batch_size is not None
        self.batch_size = config.batch_size
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
        # seeds are below 2**32, so no process has the random numbers of another run's first process
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
            raise TrainingError(
                f"{checkpoint} is not the same for all processes.\n"
                "Put the run folder on a file system that all machines share."
            )
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
        """Loss and monitored metric; those of a single-label task until `prepare` is called."""
        return self.loss.objective

    def prepare(self, train: TokenizedTexts) -> None:
        """Set up the objective, the memory and the embedding for the training split."""
        self.loss.objective = Objective(self.config, train.labels, train.targets)
        limit_onednn_cache(train.lengths.mean())
        network, state = self.network, self.state
        if uses_perturbation(self.config) and not isinstance(
            network.embedding, NormalizedEmbedding
        ):
            counts = train.token_counts(network.architecture.vocab_size)
            network.embedding = NormalizedEmbedding(network.embedding, counts, state.spread)
            state.spread = network.embedding.spread

    def fit(self, train: TokenizedTexts, validation: TokenizedTexts) -> TrainingResult:
        """Train, validate after each epoch, and load the best (or the last) weights at the end.

        `TextNetwork.finish_training` removes what only training needs afterwards.

        Raises
        ------
        TrainingError
            If the loss is no longer finite.
        """
        state = self.state
        self.prepare(train)
        self.limits = training_limits(len(train), self.config, self.optimizer_config)
        if self.config.profile and self.processes.first:
            self.profile = UpdateProfile(self.device, self.limits.total_updates - state.updates)
        self.clock.start()
        while not state.stopped:
            metrics = self._train_epoch(train)
            with self.average.applied() if self.average else nullcontext():
                self._validate(validation, metrics)
            state.epoch, state.position = state.epoch + 1, 0
            state.loss_sums, state.norm_sum, state.norm_max = {}, 0.0, 0.0
            self._save()
        self.network.load_state_dict(self.best_weights)
        notes = ending_notes(state, self.limits, self.config, len(validation))
        return TrainingResult.of(state, state.best_thresholds, notes)

    def _train_epoch(self, train: TokenizedTexts) -> dict[str, float]:
        """Train the rest of the epoch, or until a limit is reached; return its metrics."""
        self.network.train()
        state, config = self.state, self.config
        if config.frozen_epochs:
            unfreeze(self.network, state.epoch, config.frozen_epochs)
            if self.cuda_graph_step is not None:
                self.cuda_graph_step.reset()
        order = epoch_order(train.lengths, self.batch_size, self.seed, state.epoch)
        size = config.accumulation
        updates = [order[start : start + size] for start in range(0, len(order), size)]
        texts = sum(len(rows) for batches in updates[: state.position] for rows in batches)
        totals = EpochTotals(state, self.device, self.processes)
        prefetched = prefetch_updates(
            train,
            updates[state.position :],
            self.processes,
            for_gpu=self.device.type == "cuda",
            vocabulary=bool(config.language_model),
        )
        max_epochs, total = self.limits.max_epochs, self.limits.total_updates
        started = time.perf_counter()
        for update in prefetched:
            if self.profile is not None:
                self.profile.before_update()
            set_learning_rates(self.optimizer, state, total, self.optimizer_config)
            losses = self._update(update, self.loss.weights(state.updates, total))
            totals.add(losses, update.texts, self.gradient_norm)
            state.updates += 1
            if self.average is not None:
                self.average.update(state.updates)
            state.position += 1
            state.tokens += update.tokens * self.loss.copies
            texts += update.texts
            state.update_seconds += time.perf_counter() - started
            self.clock.tick()
            speed = state.tokens / state.update_seconds
            self.on_update(UpdateEnd(state.updates, total, state.epoch, max_epochs, speed))
            decision = self.processes.broadcast(self._decision())
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
        totals.store(state)  # waits for the GPU to finish its queued updates
        state.update_seconds += time.perf_counter() - started
        metrics = totals.metrics(state, texts, config)
        if not np.isfinite(metrics["train/loss"]):
            raise TrainingError(
                f"The training loss is {metrics['train/loss']} in epoch {state.epoch}. "
                f"Set optimizer.learning_rate to less than {self.optimizer_config.learning_rate}."
            )
        return metrics

    def _decision(self) -> int:
        """Return `CONTINUE`, `SAVE` or `STOP` by the clock; the first process decides for all."""
        if self.clock.is_over(self.config.max_minutes):
            return STOP
        due = self.clock.checkpoint_due(self.config.checkpoint_minutes)
        return SAVE if due and self.checkpoint is not None else CONTINUE

    def _validate(self, validation: TokenizedTexts, train_metrics: dict[str, float]) -> None:
        """Score the validation split, store the best or the last weights, check the limits."""
        state = self.state
        metrics, thresholds = score_logits(validation.labels, self.logits(validation))
        value = metrics[self.objective.monitor]
        if self.objective.monitor == "loss":
            value = -value
        state.values.append(value)
        best = value > state.best_value or not self.best_weights
        if best:
            state.best_value = value
        if best or self.config.restore_best is False:
            state.best_thresholds = thresholds
            state.best_epoch, state.best_metrics = state.epoch, metrics
            weights = self.network.state_dict()
            self.best_weights = {name: w.detach().clone() for name, w in weights.items()}
        update_plateau(state, best, self.optimizer_config)
        state.stopped = state.stopped or stop_reason(state, self.limits)
        self.clock.tick()
        named = train_metrics | {f"validation/{name}": value for name, value in metrics.items()}
        last, max_epochs = bool(state.stopped), self.limits.max_epochs
        self.on_epoch(EpochEnd(state.epoch, max_epochs, state.updates, named, best, last))

    def _save(self) -> None:
        """Write a checkpoint; every process calls this method, and the first one writes."""
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
        """Make one optimizer step; return this process's summand of each part of the loss.

        The loss is the sum of its parts, multiplied by `weights`: by default those of the first
        update. The shares stay on the device.
        """
        step, weights = self.cuda_graph_step or self.step, weights or self.loss.weights(0, 1)
        losses, self.gradient_norm = step(update.to(self.device), weights)
        return losses

    def logits(self, texts: TokenizedTexts) -> NDArray[np.float32]:
        """Return the logits (n, C) of all texts, in their order; the processes share the work."""
        size = max(BATCH_SIZE, self.batch_size)
        return all_logits(self.network, texts, size, self.device, self.dtype, self.processes)
