"""Embedded texts become GRU states on a CPU, by a loop of steps with a gradient of its own.

torch computes a GRU step by step in a dozen operations each, differentiates every one of them,
and rounds the state itself to bfloat16 under autocast. Here a step is six operations forward and
three backward. Everything that needs no earlier step is done for `CHUNK` steps at once, while
they are in the cache: the input's share of the gates, the derivatives of the gates, and all
products that make gradients of weights. Results equal torch's within rounding.
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
"""Steps whose input products are made together; 8 and 32 were slower."""


def gru_states(
    steps: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias_ih: Tensor,
    bias_hh: Tensor,
    initial: Tensor | None = None,
) -> Tensor:
    """States float32 (T, B, H) of one direction over `steps` (T, B, E).

    From the state `initial` (B, H), to which no gradient goes, or from zero.
    Weights and biases are torch's (gates reset, update, new; the reset gate acts after the
    recurrent product). Under autocast the matrix products are in its dtype; states, gates and
    their derivatives stay in float32, so a state that hardly changes is not rounded away.
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
        # tanh(a) = 2 sigmoid(2a) - 1, and torch's sigmoid is five times faster than its tanh:
        # whatever leads to the new state is doubled
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
                (weight_hh * double).t().contiguous().to(dtype),
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
        d_weight_ih, d_weight_hh = torch.zeros_like(weight_ih), torch.zeros_like(weight_hh)
        d_bias = torch.zeros(4 * hidden)
        with torch.autocast("cpu", enabled=False):
            _loops()[1](
                gradient.contiguous(),
                low,
                weight_ih.to(low.dtype),
                weight_hh.to(low.dtype),
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
        d_bias_ih = torch.cat([d_bias[: 2 * hidden], d_bias[3 * hidden :]])
        return d_steps, d_weight_ih, d_weight_hh, d_bias_ih, d_bias[: 3 * hidden], None, None


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
    gate. `gates` (T, B, 3H): r, z and twice the recurrent share of the new state; `new` (T, B, H);
    `states` (T + 1, B, H); `low_states` (T, B, H) in the dtype of `steps`, or empty in float32.
    """
    time, batch, hidden = new.shape
    features = steps.size(2)
    low = low_states.numel() > 0
    minus_one = torch.full((batch, hidden), -1.0)
    # what a step adds to its recurrent products: r and z from the input, then the bias
    shares = torch.empty((chunk, batch, 3 * hidden), dtype=steps.dtype)
    shares[:, :, 2 * hidden :] = bias_new
    new_shares = torch.empty((chunk, batch, hidden))
    # views of all steps at once: making one costs as much as a small operation
    share, new_share = shares.unbind(0), new_shares.unbind(0)
    state, low_state = states.unbind(0), low_states.unbind(0)
    for start in range(0, time, chunk):
        count = min(chunk, time - start)
        part = steps[start : start + count].view(count * batch, features)
        if low:
            rz = torch.addmm(bias_ih[: 2 * hidden], part, weight_ih[:, : 2 * hidden])
            shares[:count, :, : 2 * hidden] = rz.view(count, batch, 2 * hidden)
            n = torch.addmm(bias_ih[2 * hidden :], part, weight_ih[:, 2 * hidden :])
            new_shares[:count] = n.view(count, batch, hidden)
        else:
            rz = shares[:count].view(count * batch, 3 * hidden)[:, : 2 * hidden]
            torch.addmm(bias_ih[: 2 * hidden], part, weight_ih[:, : 2 * hidden], out=rz)
            n = new_shares[:count].view(count * batch, hidden)
            torch.addmm(bias_ih[2 * hidden :], part, weight_ih[:, 2 * hidden :], out=n)
        own = gates[start : start + count]
        gate, rz_gate = own.unbind(0), own[:, :, : 2 * hidden].unbind(0)
        r_gate, z_gate = (
            own[:, :, :hidden].unbind(0),
            own[:, :, hidden : 2 * hidden].unbind(0),
        )
        recurrent, news = own[:, :, 2 * hidden :].unbind(0), new[start : start + count].unbind(0)
        for i in range(count):
            before = state[start + i]
            if low:
                low_state[start + i].copy_(before)
                gate[i].copy_(torch.addmm(share[i], low_state[start + i], weight_hh))
            else:
                torch.addmm(share[i], before, weight_hh, out=gate[i])
            rz_gate[i].sigmoid_()
            candidate = news[i]
            torch.addcmul(new_share[i], r_gate[i], recurrent[i], out=candidate)
            candidate.sigmoid_()
            torch.add(minus_one, candidate, alpha=2.0, out=candidate)
            torch.lerp(candidate, before, z_gate[i], out=state[start + i + 1])


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
    """Fill `d_steps` (T, B, E); add to `d_weight_ih`, `d_weight_hh` and `d_bias` (4H,).

    Of a step's state s the gates' inputs have the gradients dL/ds times a factor that the
    forward pass has fixed: for r, z, the recurrent and the input share of the new state in turn,
    the same four of `d_bias`. The factors are made for a chunk at once.
    """
    time, batch, hidden = new.shape
    features = steps.size(2)
    low = low_states.numel() > 0
    one = torch.ones(())
    factors = torch.empty((chunk, batch, 4, hidden))
    d_gates = torch.empty((chunk, batch, 4, hidden))
    flat = d_gates.view(chunk, batch, 4 * hidden)
    low_flat = torch.empty((chunk, batch, 4 * hidden), dtype=steps.dtype) if low else flat
    factor, d_gate, d_flat = factors.unbind(0), d_gates.unbind(0), flat.unbind(0)
    low_gate, to_state = low_flat.unbind(0), low_flat[:, :, : 3 * hidden].unbind(0)
    incoming = gradient.unbind(0)
    d_state = gradient[time - 1]
    end = time
    while end > 0:
        start = max(0, end - chunk)
        count = end - start
        own, n = gates[start:end], new[start:end]
        r, z = own[:, :, :hidden], own[:, :, hidden : 2 * hidden]
        own_factors = factors[:count]
        scratch = torch.addcmul(one, n, n, value=-1.0)
        factor_n = torch.addcmul(scratch, scratch, z, value=-1.0)  # (1 - n²)(1 - z)
        own_factors[:, :, 3] = factor_n
        factor_n = factor_n * r
        own_factors[:, :, 2] = factor_n
        factor_n.mul_(own[:, :, 2 * hidden :])
        factor_n.mul_(0.5)  # the recurrent share is stored doubled
        torch.addcmul(factor_n, factor_n, r, value=-1.0, out=own_factors[:, :, 0])
        scratch = torch.addcmul(z, z, z, value=-1.0)  # z (1 - z)
        torch.mul(scratch, states[start:end] - n, out=own_factors[:, :, 1])
        z_gate = z.unbind(0)
        for i in range(count - 1, -1, -1):
            torch.mul(d_state.unsqueeze(1), factor[i], out=d_gate[i])
            if low:
                low_gate[i].copy_(d_flat[i])
            if start + i > 0:
                d_state = torch.addcmul(incoming[start + i - 1], d_state, z_gate[i])
                if low:
                    d_state.add_(torch.mm(to_state[i], weight_hh))
                else:
                    d_state.addmm_(to_state[i], weight_hh)
        d = low_flat[:count].view(count * batch, 4 * hidden)
        before = (low_states if low else states)[start:end].reshape(count * batch, hidden)
        part = steps[start:end].view(count * batch, features)
        d_t = d.t()
        d_part = d_steps[start:end].view(count * batch, features)
        if low:
            d_weight_hh.add_(torch.mm(d_t[: 3 * hidden], before))
            d_weight_ih[: 2 * hidden].add_(torch.mm(d_t[: 2 * hidden], part))
            d_weight_ih[2 * hidden :].add_(torch.mm(d_t[3 * hidden :], part))
            rz = torch.mm(d[:, : 2 * hidden], weight_ih[: 2 * hidden])
            d_part.copy_(torch.addmm(rz, d[:, 3 * hidden :], weight_ih[2 * hidden :]))
        else:
            d_weight_hh.addmm_(d_t[: 3 * hidden], before)
            d_weight_ih[: 2 * hidden].addmm_(d_t[: 2 * hidden], part)
            d_weight_ih[2 * hidden :].addmm_(d_t[3 * hidden :], part)
            torch.mm(d[:, : 2 * hidden], weight_ih[: 2 * hidden], out=d_part)
            d_part.addmm_(d[:, 3 * hidden :], weight_ih[2 * hidden :])
        d_bias.add_(d_gates[:count].sum((0, 1)).view(4 * hidden))
        end = start


_LOOPS: list[Callable[..., None]] = []
_MAKING_LOOPS = threading.Lock()


def _loops() -> list[Callable[..., None]]:
    """The two loops outside Python, where torch can still do that, else in Python.

    TorchScript's interpreter holds no global lock, so two directions side by side do not wait
    for each other (on two cores 1.2 to 1.6 times faster than in Python). torch calls it
    deprecated and offers nothing in its place that needs no compiler; without it the same
    operations run in the same order, to the same bits.

    One thread makes them: in Python 3.11 `ast.parse` in two threads at once can fail
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
