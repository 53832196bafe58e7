"""Independent functions of tensors run side by side on threads, forward and backward.

The two directions of a layer do not need each other. On a CPU each runs on a core of its own
with one thread inside: unlike torch's threads within an operation, which meet at a barrier
several times a step, two lanes meet once a layer, so another busy process slows them down
but does not make them collapse.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

__all__ = ["graphs_kept", "lanes", "run_in_lanes", "set_lanes"]

Function = Callable[..., Tensor]


class _Pool:
    """The threads beside the calling one; made at first use, never in an importing process."""

    lanes = 1
    keep = False
    executor: ThreadPoolExecutor | None = None


def set_lanes(count: int) -> None:
    """Use `count` threads, the caller's among them; 1 runs everything in the caller's.

    Each lane's operations use as many threads as `torch.get_num_threads()` says at its first
    use after this call.
    """
    if _Pool.executor is not None:
        _Pool.executor.shutdown()
        _Pool.executor = None
    _Pool.lanes = count


def lanes() -> int:
    """How many functions run at the same time."""
    return _Pool.lanes


@contextmanager
def graphs_kept() -> Iterator[None]:
    """For gradients that are asked for more than once, of what is computed inside the block.

    Else what runs in lanes forgets its graph as soon as it has been walked back through.
    """
    before, _Pool.keep = _Pool.keep, True
    try:
        yield
    finally:
        _Pool.keep = before


def run_in_lanes(functions: Sequence[Function], inputs: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    """`[f(*i) for f, i in zip(functions, inputs)]`, side by side, gradients too.

    A gradient reaches only the given inputs: a function must not use another tensor that needs
    one, nor draw random numbers. On a GPU one after the other: its queue is what keeps it busy, and
    all gradients there are made by one thread, which would wait for itself.
    """
    if _Pool.lanes == 1 or len(functions) == 1 or inputs[0][0].device.type != "cpu":
        return [function(*given) for function, given in zip(functions, inputs, strict=True)]
    if not torch.is_grad_enabled():
        return _map(_called(functions), inputs)
    flat = [tensor for given in inputs for tensor in given]
    counts = [len(given) for given in inputs]
    return list(_Lanes.apply(functions, counts, *flat))  # type: ignore[no-untyped-call]


def _called(functions: Sequence[Function]) -> list[Callable[[Sequence[Tensor]], Tensor]]:
    def call(function: Function) -> Callable[[Sequence[Tensor]], Tensor]:
        return lambda given: function(*given)

    return [call(function) for function in functions]


def _map(functions: Sequence[Callable[[Any], Any]], arguments: Sequence[Any]) -> list[Any]:
    """Call each function on its argument, the first in this thread, in this thread's modes."""
    if _Pool.executor is None:
        # Said in the new thread itself: OpenMP, and so oneDNN's LSTM, keeps a count for each
        # thread, and would start as many threads within a lane as there are cores.
        _Pool.executor = ThreadPoolExecutor(
            _Pool.lanes - 1,
            thread_name_prefix="lane",
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
    """A number to walk back from, which hands `output` the gradient it is given.

    To be given the gradient itself torch would compare shapes by means of sympy, whose import
    takes half a second.
    """

    @staticmethod
    def forward(ctx: Any, output: Tensor, gradient: Tensor) -> Tensor:
        ctx.gradient = gradient
        return output.new_zeros(())

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> tuple[Tensor, None]:
        return ctx.gradient, None


class _Lanes(torch.autograd.Function):
    """Each function has a small graph of its own, walked backward by a thread of its own."""

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
        ctx.graphs, ctx.keep = list(zip(outputs, groups, strict=True)), _Pool.keep
        return tuple(output.detach() for output in outputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        def walk(job: tuple[Tensor, list[Tensor], Tensor]) -> list[Tensor | None]:
            output, group, gradient = job
            wanted = [tensor for tensor in group if tensor.requires_grad]
            with torch.enable_grad():
                root = _Root.apply(output, gradient)  # type: ignore[no-untyped-call]
            found = iter(torch.autograd.grad(root, wanted, retain_graph=ctx.keep))
            return [next(found) if tensor.requires_grad else None for tensor in group]

        jobs = [
            (output, group, gradient)
            for (output, group), gradient in zip(ctx.graphs, gradients, strict=True)
        ]
        if not ctx.keep:
            ctx.graphs = None
        results = _map([walk] * len(jobs), jobs)
        return (None, None, *(gradient for result in results for gradient in result))
