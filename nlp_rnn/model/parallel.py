"""Threads for independent functions of tensors, in the forward and in the backward pass.

The two directions of a layer do not depend on each other. On a CPU each can run on a core, with one
torch thread inside. torch's threads within an operation meet at a barrier several times in a step;
these threads meet once in a layer, so another busy process slows them down far less.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

__all__ = ["retain_graphs", "run_in_threads", "set_thread_count", "thread_count"]

Function = Callable[..., Tensor]


class _Pool:
    """The threads beside the calling one, started at first use and never by an import."""

    threads = 1
    retain_graphs = False
    executor: ThreadPoolExecutor | None = None


def set_thread_count(count: int) -> None:
    """Use `count` threads, including the calling one; with 1 everything runs in the calling one.

    Operations in each of them use as many torch threads as `torch.get_num_threads()` returns at
    the first use after this call.
    """
    if _Pool.executor is not None:
        _Pool.executor.shutdown()
        _Pool.executor = None
    _Pool.threads = count


def thread_count() -> int:
    """Return the number of functions that run at the same time."""
    return _Pool.threads


@contextmanager
def retain_graphs() -> Iterator[None]:
    """Retain the graphs of what is computed inside the block, to compute gradients repeatedly.

    By default `run_in_threads` frees a graph after its first backward pass.
    """
    before, _Pool.retain_graphs = _Pool.retain_graphs, True
    try:
        yield
    finally:
        _Pool.retain_graphs = before


def run_in_threads(
    functions: Sequence[Function], inputs: Sequence[Sequence[Tensor]]
) -> list[Tensor]:
    """Return `[f(*i) for f, i in zip(functions, inputs)]`, computed in parallel, gradients too.

    Gradients reach only the `inputs`: a function must neither use another tensor that needs a
    gradient nor draw random numbers. On a GPU the functions run one after the other. Its queue
    keeps it busy anyway, and torch computes all gradients of a GPU in one thread, which would wait
    for itself.
    """
    if _Pool.threads == 1 or len(functions) == 1 or inputs[0][0].device.type != "cpu":
        return [function(*tensors) for function, tensors in zip(functions, inputs, strict=True)]
    if not torch.is_grad_enabled():
        return _map(_called(functions), inputs)
    flat = [tensor for tensors in inputs for tensor in tensors]
    counts = [len(tensors) for tensors in inputs]
    return list(_Parallel.apply(functions, counts, *flat))  # type: ignore[no-untyped-call]


def _called(functions: Sequence[Function]) -> list[Callable[[Sequence[Tensor]], Tensor]]:
    """Return functions that take their arguments as one sequence."""

    def call(function: Function) -> Callable[[Sequence[Tensor]], Tensor]:
        return lambda tensors: function(*tensors)

    return [call(function) for function in functions]


def _map(functions: Sequence[Callable[[Any], Any]], arguments: Sequence[Any]) -> list[Any]:
    """Call each function with its argument: the first in this thread, the others in the pool.

    The threads of the pool use this thread's modes: gradients, inference mode and autocast.
    """
    if _Pool.executor is None:
        # Set in the new thread itself: OpenMP, and so oneDNN's LSTM, has a count for each
        # thread, and would otherwise start as many threads in each as there are cores.
        _Pool.executor = ThreadPoolExecutor(
            _Pool.threads - 1,
            thread_name_prefix="direction",
            initializer=torch.set_num_threads,
            initargs=(torch.get_num_threads(),),
        )
    grad, inference = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
    autocast, dtype = torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")

    def in_modes(function: Callable[[Any], Any], argument: Any) -> Any:
        with (
            torch.inference_mode(inference),
            torch.set_grad_enabled(grad),
            torch.autocast("cpu", dtype=dtype, enabled=autocast),
        ):
            return function(argument)

    futures = [
        _Pool.executor.submit(in_modes, function, argument)
        for function, argument in zip(functions[1:], arguments[1:], strict=True)
    ]
    return [functions[0](arguments[0]), *(future.result() for future in futures)]


class _Root(torch.autograd.Function):
    """Scalar from which a backward pass starts with the given `gradient` of `output`.

    If `gradient` were passed to `torch.autograd.grad`, torch would compare the shapes with sympy,
    whose import takes half a second.
    """

    @staticmethod
    def forward(ctx: Any, output: Tensor, gradient: Tensor) -> Tensor:
        ctx.gradient = gradient
        return output.new_zeros(())

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> tuple[Tensor, None]:
        return ctx.gradient, None


class _Parallel(torch.autograd.Function):
    """Call several functions in parallel, forward and backward.

    Each function has a separate autograd graph, so the backward passes are independent too.
    """

    @staticmethod
    def forward(
        ctx: Any, functions: Sequence[Function], counts: list[int], *flat: Tensor
    ) -> tuple[Tensor, ...]:
        leaves = [tensor.detach().requires_grad_(tensor.requires_grad) for tensor in flat]
        groups, start = [], 0
        for count in counts:
            groups.append(leaves[start : start + count])
            start += count
        with torch.enable_grad():
            outputs = _map(_called(functions), groups)
        ctx.graphs, ctx.retain = list(zip(outputs, groups, strict=True)), _Pool.retain_graphs
        return tuple(output.detach() for output in outputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        def differentiate(job: tuple[Tensor, list[Tensor], Tensor]) -> list[Tensor | None]:
            output, group, gradient = job
            inputs = [tensor for tensor in group if tensor.requires_grad]
            with torch.enable_grad():
                root = _Root.apply(output, gradient)  # type: ignore[no-untyped-call]
            results = iter(torch.autograd.grad(root, inputs, retain_graph=ctx.retain))
            return [next(results) if tensor.requires_grad else None for tensor in group]

        jobs = [
            (output, group, gradient)
            for (output, group), gradient in zip(ctx.graphs, gradients, strict=True)
        ]
        if not ctx.retain:
            ctx.graphs = None
        results = _map([differentiate] * len(jobs), jobs)
        return (None, None, *(gradient for result in results for gradient in result))
