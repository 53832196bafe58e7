"""GRU on a CPU: a loop over the steps with a gradient of its own, faster than torch's.

torch computes a GRU step by step in a dozen operations, differentiates every one of them, and
rounds the state itself to bfloat16 under autocast. Here a step has six operations forward and
eleven backward, on memory that is still in the cache. Products that do not depend on an earlier
step are computed for `CHUNK` steps at once: the input's share of the gates, and the gradients of
weights and inputs. Results equal torch's within rounding.
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
"""Number of steps whose input products and gradients of weights are computed together."""


def gru_states(
    steps: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias_ih: Tensor,
    bias_hh: Tensor,
    initial: Tensor | None = None,
) -> Tensor:
    """Return the states float32 (T, B, H) of one direction over `steps` (T, B, E).

    `initial` (B, H) is the state before the first step, to which no gradient flows; None is zero.
    Weights and biases are laid out as in torch (gates reset, update, new; the reset gate acts after
    the recurrent product). Under autocast the matrix products are in its dtype. States, gates and
    their derivatives stay in float32, so that a state that hardly changes is not rounded away.
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
        # So the weights of the new state are doubled.
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
    """Rows of the gates reset, update, new as new, reset, update."""
    return rows.roll(rows.shape[0] // 3, 0)


def _new_last(rows: Tensor) -> Tensor:
    """Rows of the gates new, reset, update as reset, update, new."""
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
    """Fill `gates`, `new`, `states` (from `states[0]`) and, in low precision, `low_states`.

    `steps` (T, B, E), `weight_ih` (E, 3H), `bias_ih` (3H,) and `weight_hh` (H, 3H) are of one
    dtype, the part of the new state doubled; `bias_new` (H,) is twice the bias behind the reset
    gate. `weight_ih` and `bias_ih` have the gates r, z, new; `weight_hh` and `gates` (T, B, 3H)
    have twice the recurrent share of the new state, r, z; `new` (T, B, H); `states` (T + 1, B, H);
    `low_states` (T, B, H) in the dtype of `steps`, or empty in float32.
    """
    time, batch, hidden = new.shape
    features = steps.size(2)
    low = low_states.numel() > 0
    minus_one = torch.full((batch, hidden), -1.0)
    # what a step adds to its recurrent products: the bias, then r and z from the input
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
    """Fill `d_steps` (T, B, E) and `d_bias`; add to `d_weight_ih` and `d_weight_hh`.

    Of a step's state s the gates' inputs have the gradients dL/ds times a factor that the
    forward pass has fixed: for the recurrent share of the new state, r, z and the input's share of
    the new state in turn, the same four of `d_bias` (4, H); so the first three are the rows of
    `weight_hh` and the columns of `d_weight_hh` (H, 3H), the last three those of `weight_ih` and
    `d_weight_ih` (E, 3H).
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
            # the recurrent share is stored doubled
            torch.addcmul(zero, to_recurrent, recurrent[t], value=0.5, out=scratch)
            torch.addcmul(scratch, scratch, r[t], value=-1.0, out=to_r)
            torch.sub(state[t + 1], n, out=scratch)  # z times (the state before - n)
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
_MAKING_LOOPS = threading.Lock()


def _loops() -> list[Callable[..., None]]:
    """Compile the two loops with TorchScript, or return them in Python if torch cannot.

    TorchScript's interpreter holds no global lock, so two directions side by side do not wait
    for each other (on two cores 1.2 to 1.6 times faster than in Python). torch has deprecated it
    without a replacement that needs no compiler. Without it the same operations run in the same
    order, with bit-identical results.

    One thread compiles them: in Python 3.11 `ast.parse` in two threads at once can fail
    (python/cpython#106905).
    """
    with _MAKING_LOOPS:
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
