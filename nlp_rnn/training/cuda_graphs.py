"""Updates on a GPU become recordings of their kernels, replayed without Python."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nlp_rnn.config.training import OptimizerConfig, Schedule, TrainerConfig
from nlp_rnn.training.loss import Weights, uses_perturbation
from nlp_rnn.training.prefetch import PINNING, DeviceUpdate
from nlp_rnn.training.processes import Processes
from nlp_rnn.training.step import OptimizerStep

__all__ = ["CudaGraphStep", "can_use_cuda_graphs"]


def can_use_cuda_graphs(
    config: TrainerConfig,
    optimizer: OptimizerConfig,
    device: torch.device,
    processes: Processes,
) -> bool:
    """Whether every update of one shape is the same kernels with other numbers.

    Not those of texts that are changed, which draw the same random numbers twice, of several
    batches or processes, or with `one_cycle`, which changes more than the learning rate.
    """
    return (
        device.type == "cuda"
        and processes.count == 1
        and config.accumulation == 1
        and not uses_perturbation(config)
        and optimizer.schedule is not Schedule.one_cycle
    )


@dataclass
class _CapturedGraph:
    graph: torch.cuda.CUDAGraph
    update: DeviceUpdate
    weights: dict[str, Tensor]
    rates: list[Tensor]
    result: tuple[dict[str, Tensor], Tensor]


class CudaGraphStep:
    """Calls `step` for the first update of a shape, and replays what it does for all others.

    An update of a small network is some hundred kernels of a few microseconds each, and Python
    starts them more slowly than a GPU runs them. A CUDA graph starts them all at once. Numbers that
    change from update to update (texts, learning rates, weights of the loss, random numbers, the
    scale of float16) are read from memory by every replay.

    What a call returns is overwritten by the next call.
    """

    def __init__(self, step: OptimizerStep) -> None:
        self._step = step
        self._recordings: dict[tuple[object, ...], _CapturedGraph | None] = {}
        self._pool: Any = None  # all replays use the same memory, in turn

    def reset(self) -> None:
        """Record anew: what is trained, or where it lies, is no longer the same."""
        self._recordings.clear()
        self._pool = None  # gone with the last recording

    def __call__(self, update: DeviceUpdate, weights: Weights) -> tuple[dict[str, Tensor], Tensor]:
        """As `step`, on the device's current stream."""
        key = (*(tensor.shape for tensor in update.tensors()), *weights)
        if key not in self._recordings:
            # what is done once for a shape, and the optimizer's first step, is not to be recorded
            self._recordings[key] = None
            return self._step(update, weights)
        recording = self._recordings[key]
        if recording is None:
            recording = self._recordings[key] = self._record(update, weights)
        for own, given in zip(recording.update.tensors(), update.tensors(), strict=True):
            own.copy_(given)
        for name, weight in weights.items():
            recording.weights[name].fill_(weight)
        for rate, group in zip(recording.rates, self._step.optimizer.param_groups, strict=True):
            rate.fill_(group["lr"])
        recording.graph.replay()
        return recording.result

    def _record(self, update: DeviceUpdate, weights: Weights) -> _CapturedGraph:
        device = update.batches[0].lengths.device
        groups = self._step.optimizer.param_groups
        own = update.clone()
        own_weights = {name: torch.zeros((), device=device) for name in weights}
        rates = [torch.zeros((), device=device) for _ in groups]
        usual = [(group["lr"], group["capturable"]) for group in groups]
        graph = torch.cuda.CUDAGraph()
        for group, rate in zip(groups, rates, strict=True):
            group["lr"], group["capturable"] = rate, True
        try:
            with PINNING, torch.cuda.graph(graph, self._pool, capture_error_mode="thread_local"):
                result = self._step(own, own_weights)
        finally:
            for group, (rate, was_capturable) in zip(groups, usual, strict=True):
                group["lr"], group["capturable"] = rate, was_capturable
        self._pool = graph.pool()
        return _CapturedGraph(graph, own, own_weights, rates, result)
