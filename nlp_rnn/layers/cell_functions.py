"""Torch functions that run one direction of a recurrent layer, and their initialization."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn

from nlp_rnn.layers.gru_loop import gru_states

__all__ = ["CellFunction", "State", "initialize_gates", "run_gru", "run_lstm", "run_rnn"]

State = tuple[Tensor, ...]
"""The states of a cell at one step, each (B, H), in the order of `Cell.state_names`."""

CellFunction = Callable[[Tensor, Sequence[Tensor], State, bool], tuple[Tensor, State]]
"""Runs one direction of a layer, from its input to its states (T, B, H) and its last states.

Called with the input (T, B, features), the parameters in the order of `Cell.parameter_shapes`, the
states before the first step, and whether the network is in training. No gradient must flow into the
states before the first step or out of the last ones. It may run in a thread beside that of the
other direction, so it must use no other tensor that needs a gradient and draw no random numbers.
"""


def run_lstm(
    steps: Tensor, weights: Sequence[Tensor], before: State, training: bool
) -> tuple[Tensor, State]:
    """Run one direction of an LSTM layer with torch's kernel; see `CellFunction`."""
    return _run_kernel(torch.lstm, steps, weights, before, training)


def run_gru(
    steps: Tensor, weights: Sequence[Tensor], before: State, training: bool
) -> tuple[Tensor, State]:
    """Run one direction of a GRU layer, on a CPU with `gru_states`; see `CellFunction`."""
    if steps.device.type == "cpu":
        states = gru_states(steps, weights[0], weights[1], weights[2], weights[3], before[0])
        return states, (states[-1].detach(),)
    return _run_kernel(torch.gru, steps, weights, before, training)


def run_rnn(
    steps: Tensor, weights: Sequence[Tensor], before: State, training: bool
) -> tuple[Tensor, State]:
    """Run one direction of an Elman RNN layer with torch's kernel; see `CellFunction`."""
    return _run_kernel(torch.rnn_tanh, steps, weights, before, training)


def _run_kernel(
    kernel: Callable[..., tuple[Tensor, ...]],
    steps: Tensor,
    weights: Sequence[Tensor],
    before: State,
    training: bool,
) -> tuple[Tensor, State]:
    # Cast here, once, and not by autocast: its cache of casts is shared by all threads, and a
    # thread that leaves autocast would empty it in the middle of another's steps. On a GPU
    # it knows how cuDNN wants float16, but makes float16 of what should be bfloat16 too.
    kind = steps.device.type
    low = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None
    by_autocast = kind == "cuda" and low is torch.float16
    if low is not None and not by_autocast:
        steps, weights = steps.to(low), _cast(weights, low)
    begin = [state.to(steps.dtype).unsqueeze(0) for state in before]
    with nullcontext() if by_autocast else torch.autocast(kind, enabled=False):
        # has_biases, num_layers, dropout, train, bidirectional, batch_first
        states, *ends = kernel(
            steps,
            begin if len(begin) > 1 else begin[0],
            weights,
            True,
            1,
            0.0,
            training,
            False,
            False,
        )
    return states, tuple(end.detach().squeeze(0) for end in ends)


def _cast(weights: Sequence[Tensor], dtype: torch.dtype) -> list[Tensor]:
    """Cast the weights of one direction; on a GPU into one contiguous block, as cuDNN needs."""
    if weights[0].device.type == "cpu":
        return [weight.to(dtype) for weight in weights]
    block = torch.cat([weight.flatten() for weight in weights]).to(dtype)
    parts = torch.split(block, [weight.numel() for weight in weights])
    return [part.view_as(weight) for part, weight in zip(parts, weights, strict=True)]


@contextmanager
def _one_thread() -> Iterator[None]:
    """Use one torch thread in the block, so that no result depends on the number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def initialize_gates(
    parameters: Mapping[str, Tensor],
    gates: int,
    keep_gate: int | None,
    orthogonal: bool,
    forget_bias: float | None,
) -> None:
    """Set the parameters of one direction in place from torch's default generator.

    The result does not depend on the number of threads. Biases are 0 except for the gate that
    retains the old state (LSTM: forget gate, Jozefowicz et al. 2015; GRU: update gate). torch adds
    two bias vectors; the first, `bias_ih`, carries the whole value.

    Parameters
    ----------
    parameters : mapping of str to Tensor
        `weight_ih` (G·H, features), `weight_hh` (G·H, H), and vectors whose names start with
        `bias`.
    gates : int
        G, the number of blocks of H rows.
    keep_gate : int or None
        Which of the blocks of H rows is the gate that retains the old state.
    orthogonal : bool
        Each gate's recurrent matrix is orthogonal (Saxe et al. 2014, arXiv:1312.6120), its input
        matrix Glorot uniform (Glorot & Bengio 2010). Otherwise all are uniform in ±1/sqrt(H), as
        in torch.
    forget_bias : float or None
        Initial bias of the gate `keep_gate`; None for 0.
    """
    with torch.no_grad(), _one_thread():
        for name, parameter in parameters.items():
            hidden = len(parameter) // gates
            if name.startswith("bias"):
                parameter.zero_()
                if keep_gate is not None and forget_bias is not None and name == "bias_ih":
                    parameter[keep_gate * hidden : (keep_gate + 1) * hidden] = forget_bias
            elif not orthogonal:
                nn.init.uniform_(parameter, -(hidden**-0.5), hidden**-0.5)
            else:
                recurrent = name.startswith("weight_hh")
                fill = nn.init.orthogonal_ if recurrent else nn.init.xavier_uniform_
                for gate in torch.split(parameter, hidden):
                    fill(gate)
