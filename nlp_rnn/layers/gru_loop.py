"""GRU for the CPU: a loop over the steps with a hand-written backward pass, faster than torch's.

torch computes a step in a dozen operations, differentiates each of them, and rounds the state to
bfloat16 under autocast. Here a step has six operations forward and eleven backward, on memory that
is still in the cache. Matrix products that do not depend on an earlier step are computed for
`CHUNK` steps at once. Results equal torch's within rounding.

Notation: h is the state before a step and x its input. r, z and n are the reset gate, the update
gate and the new (candidate) state. As in torch, n = tanh(W_n x + b_n + r m), where m = U_n h + c_n
is the recurrent part of n and W_n x + b_n its input part. The next state is (1 - z) n + z h.
"""

import threading
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["gru_states"]

CHUNK = 16
"""Number of steps for which input products and gradients of weights are computed together."""


def gru_states(
    steps: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias_ih: Tensor,
    bias_hh: Tensor,
    initial: Tensor | None = None,
) -> Tensor:
    """Return the states float32 (T, B, H) of one direction of a GRU layer.

    Under autocast the matrix products are in the dtype of autocast. States, gates and their
    derivatives stay in float32, because bfloat16 would round small changes of a state away.

    Parameters
    ----------
    steps : Tensor
        Inputs (T, B, E): T steps of B texts.
    weight_ih, weight_hh, bias_ih, bias_hh : Tensor
        Parameters as in `torch.nn.GRU`: (3H, E), (3H, H), (3H,) and (3H,), with rows r, z, n.
    initial : Tensor, optional
        State before the first step (B, H), by default 0. It receives no gradient.
    """
    dtype = steps.dtype
    if torch.is_autocast_enabled("cpu"):
        dtype = torch.get_autocast_dtype("cpu")
    states: Tensor = _GRU.apply(  # type: ignore[no-untyped-call]
        steps, weight_ih, weight_hh, bias_ih, bias_hh, initial, dtype
    )
    return states


class _GRU(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        steps: Tensor,
        weight_ih: Tensor,
        weight_hh: Tensor,
        bias_ih: Tensor,
        bias_hh: Tensor,
        initial: Tensor | None,
        dtype: torch.dtype,
    ) -> Tensor:
        time, batch, _ = steps.shape
        hidden = weight_hh.shape[1]
        # tanh(a) = 2 sigmoid(2a) - 1, and torch's sigmoid is five times faster than its tanh.
        # So the weights and biases of n are doubled.
        double = torch.ones(3 * hidden, 1)
        double[2 * hidden :] = 2.0
        bias_input = bias_ih * double.squeeze(1)
        bias_input[: 2 * hidden] += bias_hh[: 2 * hidden]
        low = steps.to(dtype)
        states = torch.empty(time + 1, batch, hidden)
        states[0] = 0.0 if initial is None else initial
        gates = torch.empty(time, batch, 3 * hidden)
        new = torch.empty(time, batch, hidden)
        low_states = torch.empty(time if dtype != torch.float32 else 0, batch, hidden, dtype=dtype)
        with torch.autocast("cpu", enabled=False):
            _loops()[0](
                low,
                (weight_ih * double).t().contiguous().to(dtype),
                bias_input.to(dtype),
                _new_first(weight_hh * double).t().contiguous().to(dtype),
                2.0 * bias_hh[2 * hidden :],
                gates,
                new,
                states,
                low_states,
                CHUNK,
            )
        ctx.save_for_backward(low, weight_ih, weight_hh, gates, new, states, low_states)
        return states[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        low, weight_ih, weight_hh, gates, new, states, low_states = ctx.saved_tensors
        hidden = weight_hh.shape[1]
        d_steps = torch.empty(low.shape)
        d_weight_ih = torch.zeros(low.shape[2], 3 * hidden)
        d_weight_hh = torch.zeros(hidden, 3 * hidden)
        d_bias = torch.empty(4, hidden)
        with torch.autocast("cpu", enabled=False):
            _loops()[1](
                gradient.contiguous(),
                low,
                weight_ih.to(low.dtype),
                _new_first(weight_hh).to(low.dtype),
                gates,
                new,
                states,
                low_states,
                d_steps,
                d_weight_ih,
                d_weight_hh,
                d_bias,
                CHUNK,
            )
        d_bias = d_bias.view(4 * hidden)
        return (
            d_steps,
            d_weight_ih.t(),
            _new_last(d_weight_hh.t()),
            d_bias[hidden:],
            _new_last(d_bias[: 3 * hidden]),
            None,
            None,
        )


def _new_first(rows: Tensor) -> Tensor:
    """Move the last third of the rows to the front: from torch's order r, z, n to n, r, z."""
    return rows.roll(rows.shape[0] // 3, 0)


def _new_last(rows: Tensor) -> Tensor:
    """Move the first third of the rows to the end: from n, r, z to torch's order r, z, n."""
    return rows.roll(-(rows.shape[0] // 3), 0)


def _forward(
    steps: Tensor,
    weight_ih: Tensor,
    bias_ih: Tensor,
    weight_hh: Tensor,
    bias_new: Tensor,
    gates: Tensor,
    new: Tensor,
    states: Tensor,
    low_states: Tensor,
    chunk: int,
) -> None:
    """Compute all steps; write `gates`, `new`, `states` and, in low precision, `low_states`.

    Weights and biases of n are doubled, because tanh(a) is computed as 2 sigmoid(2a) - 1. The first
    four tensors and `low_states` have the dtype of the matrix products, the others float32.

    - `steps` (T, B, E): inputs.
    - `weight_ih` (E, 3H) and `bias_ih` (3H,), columns r, z, n: input weights, transposed, and
      biases. The biases of r and z include the recurrent biases.
    - `weight_hh` (H, 3H), columns n, r, z: recurrent weights, transposed. `bias_new` (H,): 2 c_n.
    - `gates` (T, B, 3H), written: 2m, r and z. `new` (T, B, H), written: n.
    - `states` (T + 1, B, H), written except for `states[0]`, which is the initial state.
    - `low_states` (T, B, H), written: h of each step in the dtype of `steps`; empty in float32.
    """
    time, batch, hidden = new.shape
    features = steps.size(2)
    low = low_states.numel() > 0
    minus_one = torch.full((batch, hidden), -1.0)
    # added to a step's recurrent products (n, r, z): 2 c_n, and the input parts of r and z
    shares = torch.empty((chunk, batch, 3 * hidden))
    shares[:, :, :hidden] = bias_new
    inputs = torch.empty((chunk * batch, 3 * hidden), dtype=steps.dtype)
    new_shares = torch.empty((chunk, batch, hidden))
    product = torch.empty((batch, 3 * hidden))
    # views of all steps at once: making one costs as much as a small operation
    share, new_share = shares.unbind(0), new_shares.unbind(0)
    state, low_state = states.unbind(0), low_states.unbind(0)
    gate, news = gates.unbind(0), new.unbind(0)
    recurrent, rz = gates[:, :, :hidden].unbind(0), gates[:, :, hidden:].unbind(0)
    r, z = gates[:, :, hidden : 2 * hidden].unbind(0), gates[:, :, 2 * hidden :].unbind(0)
    for start in range(0, time, chunk):
        count = min(chunk, time - start)
        rows = count * batch
        part = steps[start : start + count].view(rows, features)
        torch.addmm(bias_ih, part, weight_ih, out=inputs[:rows])
        by_step = inputs[:rows].view(count, batch, 3 * hidden)
        shares[:count, :, hidden:] = by_step[:, :, : 2 * hidden]
        new_shares[:count] = by_step[:, :, 2 * hidden :]
        for i in range(count):
            t = start + i
            if low:
                low_state[t].copy_(state[t])
                product.copy_(torch.mm(low_state[t], weight_hh))
                torch.add(share[i], product, out=gate[t])
            else:
                torch.addmm(share[i], state[t], weight_hh, out=gate[t])
            rz[t].sigmoid_()
            candidate = news[t]
            torch.addcmul(new_share[i], r[t], recurrent[t], out=candidate)
            candidate.sigmoid_()
            torch.add(minus_one, candidate, alpha=2.0, out=candidate)
            torch.lerp(candidate, state[t], z[t], out=state[t + 1])


def _backward(
    gradient: Tensor,
    steps: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    gates: Tensor,
    new: Tensor,
    states: Tensor,
    low_states: Tensor,
    d_steps: Tensor,
    d_weight_ih: Tensor,
    d_weight_hh: Tensor,
    d_bias: Tensor,
    chunk: int,
) -> None:
    """Compute all gradients from the last step to the first, given the results of `_forward`.

    A step has four pre-activations, in this order: m, those of r and z, and the input part of n.
    Each one's gradient is that of the step's next state times a factor, which depends only on the
    forward pass. The first three contain U h, the last three W x. No weight is doubled.

    - `gradient` (T, B, H): gradient of the loss with respect to the returned states.
    - `weight_ih` (3H, E), rows r, z, n, and `weight_hh` (3H, H), rows n, r, z.
    - `d_steps` (T, B, E) and `d_bias` (4, H), written: gradients of the inputs and of the biases
      of the four pre-activations.
    - `d_weight_ih` (E, 3H) and `d_weight_hh` (H, 3H): the gradients, transposed, are added to them.
    """
    time, batch, hidden = new.shape
    features = steps.size(2)
    low = low_states.numel() > 0
    one, zero = torch.ones(()), torch.zeros(())
    scratch = torch.empty((batch, hidden))
    factors = torch.empty((batch, 4, hidden))
    to_recurrent, to_r, to_z, to_new = factors.unbind(1)
    exact = torch.empty((batch, 4, hidden))
    exact_flat = exact.view(batch, 4 * hidden)
    from_gates = torch.empty((batch, hidden))
    d_gates = torch.empty((chunk, batch, 4 * hidden), dtype=steps.dtype)
    d_gate, to_state = d_gates.unbind(0), d_gates[:, :, : 3 * hidden].unbind(0)
    by_factor = d_gates.view(chunk, batch, 4, hidden).unbind(0)
    incoming, news, state = gradient.unbind(0), new.unbind(0), states.unbind(0)
    recurrent, r = gates[:, :, :hidden].unbind(0), gates[:, :, hidden : 2 * hidden].unbind(0)
    z = gates[:, :, 2 * hidden :].unbind(0)
    d_biases = torch.zeros((batch, 4, hidden))
    d_state = incoming[time - 1]
    end = time
    while end > 0:
        start = max(0, end - chunk)
        count = end - start
        for i in range(count - 1, -1, -1):
            t = start + i
            n = news[t]
            torch.addcmul(one, n, n, value=-1.0, out=scratch)
            torch.addcmul(scratch, scratch, z[t], value=-1.0, out=to_new)  # (1 - n²)(1 - z)
            torch.mul(to_new, r[t], out=to_recurrent)
            # `recurrent` is 2m
            torch.addcmul(zero, to_recurrent, recurrent[t], value=0.5, out=scratch)
            torch.addcmul(scratch, scratch, r[t], value=-1.0, out=to_r)
            torch.sub(state[t + 1], n, out=scratch)  # z (h - n)
            torch.addcmul(scratch, scratch, z[t], value=-1.0, out=to_z)
            if low:
                torch.mul(d_state.unsqueeze(1), factors, out=exact)
                d_gate[i].copy_(exact_flat)
                d_biases.add_(exact)
            else:
                torch.mul(d_state.unsqueeze(1), factors, out=by_factor[i])
                d_biases.add_(by_factor[i])
            if t > 0:
                d_state = torch.addcmul(incoming[t - 1], d_state, z[t])
                if low:
                    from_gates.copy_(torch.mm(to_state[i], weight_hh))
                    d_state.add_(from_gates)
                else:
                    d_state.addmm_(to_state[i], weight_hh)
        rows = count * batch
        d = d_gates[:count].view(rows, 4 * hidden)
        before = (low_states if low else states)[start:end].view(rows, hidden)
        part = steps[start:end].view(rows, features)
        d_part = d_steps[start:end].view(rows, features)
        d_recurrent, d_input = d[:, : 3 * hidden], d[:, hidden:]
        if low:
            d_weight_hh.add_(torch.mm(before.t(), d_recurrent))
            d_weight_ih.add_(torch.mm(part.t(), d_input))
            d_part.copy_(torch.mm(d_input, weight_ih))
        else:
            d_weight_hh.addmm_(before.t(), d_recurrent)
            d_weight_ih.addmm_(part.t(), d_input)
            torch.mm(d_input, weight_ih, out=d_part)
        end = start
    torch.sum(d_biases, 0, out=d_bias)


_LOOPS: list[Callable[..., None]] = []
_COMPILING = threading.Lock()


def _loops() -> list[Callable[..., None]]:
    """Return `_forward` and `_backward`, compiled with TorchScript if torch supports it.

    TorchScript runs without Python's global interpreter lock, so two directions in two threads do
    not wait for each other. On two cores this is 1.2 to 1.6 times faster than Python. torch has
    deprecated TorchScript, and its successor needs a C++ compiler. Without TorchScript the Python
    functions run the same operations in the same order, with bit-identical results.

    A lock lets only one thread compile: in Python 3.11 `ast.parse` can fail in two threads at once
    (python/cpython#106905).
    """
    with _COMPILING:
        if not _LOOPS:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                loops: list[Callable[..., None]]
                try:
                    loops = [torch.jit.script(_forward), torch.jit.script(_backward)]
                except (AttributeError, RuntimeError):
                    loops = [_forward, _backward]
            _LOOPS[:] = loops
    return _LOOPS
