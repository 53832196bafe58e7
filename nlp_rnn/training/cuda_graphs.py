"""CUDA graphs: the kernels of an update are captured once and replayed without Python."""

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
    """Return whether the training can use CUDA graphs: equal shapes always run equal kernels.

    Not supported are the CPU, several processes, gradient accumulation, adversarial losses, which
    use the same random numbers twice, and `one_cycle`, which changes more than the learning rate.
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
    """An `OptimizerStep` that is captured as one CUDA graph for each shape, and then replayed.

    An update of a small network runs some hundred kernels of a few microseconds each, which Python
    launches more slowly than a GPU runs them. A CUDA graph launches them all at once. Every replay
    reads from memory the values that change between updates: texts, learning rates, weights of the
    loss, random numbers, and the loss scale of float16.

    The first update of a shape is not captured. The next call overwrites the tensors that a call
    returned.
    """

    def __init__(self, step: OptimizerStep) -> None:
        self._step = step
        self._graphs: dict[tuple[object, ...], _CapturedGraph | None] = {}
        self._pool: Any = None  # memory that all graphs share, because they are replayed in turn

    def reset(self) -> None:
        """Discard all graphs. Needed when the trained parameters or their addresses change."""
        self._graphs.clear()
        self._pool = None  # freed with the last graph

    def __call__(self, update: DeviceUpdate, weights: Weights) -> tuple[dict[str, Tensor], Tensor]:
        """Make one step, as `OptimizerStep` does, on the current stream of the device."""
        key = (*(tensor.shape for tensor in update.tensors()), *weights)
        if key not in self._graphs:
            # work that happens only once, such as the optimizer's first step, must not be captured
            self._graphs[key] = None
            return self._step(update, weights)
        captured = self._graphs[key]
        if captured is None:
            captured = self._graphs[key] = self._capture(update, weights)
        for target, source in zip(captured.update.tensors(), update.tensors(), strict=True):
            target.copy_(source)
        for name, weight in weights.items():
            captured.weights[name].fill_(weight)
        for rate, group in zip(captured.rates, self._step.optimizer.param_groups, strict=True):
            rate.fill_(group["lr"])
        captured.graph.replay()
        return captured.result

    def _capture(self, update: DeviceUpdate, weights: Weights) -> _CapturedGraph:
        device = update.batches[0].lengths.device
        groups = self._step.optimizer.param_groups
        static_update = update.clone()
        static_weights = {name: torch.zeros((), device=device) for name in weights}
        rates = [torch.zeros((), device=device) for _ in groups]
        settings = [(group["lr"], group["capturable"]) for group in groups]
        graph = torch.cuda.CUDAGraph()
        for group, rate in zip(groups, rates, strict=True):
            group["lr"], group["capturable"] = rate, True
        try:
            with PINNING, torch.cuda.graph(graph, self._pool, capture_error_mode="thread_local"):
                result = self._step(static_update, static_weights)
        finally:
            for group, (rate, was_capturable) in zip(groups, settings, strict=True):
                group["lr"], group["capturable"] = rate, was_capturable
        self._pool = graph.pool()
        return _CapturedGraph(graph, static_update, static_weights, rates, result)
