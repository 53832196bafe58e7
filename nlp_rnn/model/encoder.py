"""Embedded texts become one state a step, left to right and right to left."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from nlp_rnn.model.architecture import Architecture
from nlp_rnn.model.dropout import drop_features
from nlp_rnn.layers.gru_loop import gru_states
from nlp_rnn.model.parallel import run_in_lanes
from nlp_rnn.layers.pooling_modules import Pooling
from nlp_rnn.model.reversal import reversal_index, reverse_texts

__all__ = ["RecurrentEncoder", "State", "initialize_recurrent"]

State = tuple[Tensor, ...]
"""Where a reading stands: h (B, H), of an LSTM (h, c)."""

_LAYERS: dict[str, tuple[Callable[..., nn.RNNBase], Callable[..., tuple[Tensor, ...]]]] = {
    "lstm": (nn.LSTM, torch.lstm),
    "gru": (nn.GRU, torch.gru),
    "rnn": (nn.RNN, torch.rnn_tanh),
}


class RecurrentEncoder(nn.Module):
    """Read each text left to right and, if bidirectional, right to left.

    LSTM: Hochreiter & Schmidhuber 1997 with a forget gate (Gers et al. 2000).
    GRU: Cho et al. 2014, arXiv:1406.1078; as in torch, the reset gate acts after the
    recurrent product, so published Cho weights do not carry over. RNN: Elman 1990, tanh.

    Promise: what lies beyond a text's length never changes its result, nor does the company
    it keeps in a batch.

    Texts are never packed: on a CPU torch computes a packed batch step by step in Python-sized
    pieces, 2 to 7 times slower, and on a GPU cuDNN has kernels that read all steps at once, but
    not of packed texts. Left to right, padding comes after a text and cannot reach it.
    Right to left, each text is first reversed within its own length, so again the padding
    comes last. Parameters carry torch's own names, `rnn.weight_ih_l0` … `_reverse`.
    """

    def __init__(
        self, architecture: Architecture, dropout: float = 0.0, variational: float = 0.0
    ) -> None:
        super().__init__()
        layer, self._run = _LAYERS[architecture.cell]
        self._gated_cell = architecture.cell == "lstm"
        self.dropout = dropout
        self.variational = variational
        # A container of parameters; `forward` calls each direction by itself.
        self.rnn = layer(
            architecture.embedding_size,
            architecture.hidden_size,
            num_layers=architecture.num_layers,
            bidirectional=architecture.bidirectional,
        )

    def forward(self, embedded: Tensor, lengths: Tensor, pooling: Pooling | None = None) -> Tensor:
        """States (T, B, D) of embedded texts (T, B, E) with `lengths` int64 (B,).

        States beyond a text's length are not meaningful; pooling leaves them out. With `pooling`
        what it makes of them (B, P): each direction is pooled where it was read, in the order in
        which it was read, so that no state is turned round or copied beside another.
        """
        steps = embedded  # (T, B, E)
        index = reversal_index(lengths, steps.shape[0]) if self.rnn.bidirectional else None
        for layer in range(self.rnn.num_layers):
            if layer > 0 and self.dropout > 0:
                steps = nn.functional.dropout(steps, self.dropout, self.training)
            if layer > 0 and self.variational > 0 and self.training:
                steps = drop_features(steps, self.variational)
            inputs, suffixes = [steps], [f"l{layer}"]
            if index is not None:
                inputs.append(reverse_texts(steps, index))
                suffixes.append(f"l{layer}_reverse")
            if pooling is not None and layer == self.rnn.num_layers - 1:
                finish = partial(pooling.direction, lengths=lengths)
                return pooling.join(self._directions(inputs, suffixes, finish))
            states = self._directions(inputs, suffixes)  # (T, B, H) each
            if index is not None:
                states[1] = reverse_texts(states[1], index)
            steps = torch.cat(states, dim=2) if index is not None else states[0]  # (T, B, D)
        return steps

    def weights(self, suffix: str) -> list[Tensor]:
        """The parameters of one direction of a layer, named `l0`, `l0_reverse`, `l1` …"""
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        return [getattr(self.rnn, f"{name}_{suffix}") for name in names]

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Any:
        """Move, as `to` does; on a GPU each direction's weights then lie as cuDNN wants them."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if self.rnn.weight_ih_l0.device.type == "cuda":
            sides = ("", "_reverse") if self.rnn.bidirectional else ("",)
            for layer in range(self.rnn.num_layers):
                for side in sides:
                    _flatten(self.rnn, self.weights(f"l{layer}{side}"))
        return self

    def _directions(
        self,
        inputs: list[Tensor],
        suffixes: list[str],
        finish: Callable[[Tensor], Tensor] | None = None,
    ) -> list[Tensor]:
        """One layer, each direction over its own input (T, B, features): (T, B, H) each.

        Or what `finish` makes of that, which may use no other tensor that needs a gradient.
        """

        def direction(steps: Tensor, *weights: Tensor) -> Tensor:
            states, _ = self.read(steps, weights)
            return states if finish is None else finish(states)

        return run_in_lanes(
            [direction] * len(inputs),
            [
                [steps, *self.weights(suffix)]
                for steps, suffix in zip(inputs, suffixes, strict=True)
            ],
        )

    def read(
        self, steps: Tensor, weights: Sequence[Tensor], before: State | None = None
    ) -> tuple[Tensor, State]:
        """One direction of a layer over `steps` (T, B, features): (T, B, H), and where it ends.

        Starts at the state `before`, with which an earlier reading ended, or at zero; no gradient
        goes into the past.
        """
        if self.rnn.mode == "GRU" and steps.device.type == "cpu":
            states = gru_states(
                steps, weights[0], weights[1], weights[2], weights[3], before[0] if before else None
            )
            return states, (states[-1].detach(),)
        # Cast here, once, and not by autocast: its store of casts is shared by all threads, and a
        # lane that leaves autocast would empty it in the middle of the other lane's steps. On a GPU
        # it knows how cuDNN wants float16, but makes float16 of what should be bfloat16 too.
        kind = steps.device.type
        low = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None
        by_autocast = kind == "cuda" and low is torch.float16
        if low is not None and not by_autocast:
            steps, weights = steps.to(low), _cast(weights, low)
        zero = steps.new_zeros(1, steps.shape[1], self.rnn.hidden_size)
        begin = [zero] * (2 if self._gated_cell else 1)
        if before is not None:
            begin = [part.to(steps.dtype).unsqueeze(0) for part in before]
        state = tuple(begin) if self._gated_cell else begin[0]
        with nullcontext() if by_autocast else torch.autocast(kind, enabled=False):
            # has_biases, num_layers, dropout, train, bidirectional, batch_first
            states, *ends = self._run(
                steps, state, weights, True, 1, 0.0, self.training, False, False
            )
        return states, tuple(end.detach().squeeze(0) for end in ends)


def _cast(weights: Sequence[Tensor], dtype: torch.dtype) -> list[Tensor]:
    """The weights of one direction in `dtype`, on a GPU side by side, as cuDNN wants them."""
    if weights[0].device.type == "cpu":
        return [weight.to(dtype) for weight in weights]
    block = torch.cat([weight.flatten() for weight in weights]).to(dtype)
    parts = torch.split(block, [weight.numel() for weight in weights])
    return [part.view_as(weight) for part, weight in zip(parts, weights, strict=True)]


def _flatten(rnn: nn.RNNBase, weights: list[Tensor]) -> None:
    """Make the weights of one direction of `rnn` views of one block of a GPU's memory."""
    from torch.backends.cudnn.rnn import get_cudnn_mode

    with torch.cuda.device(weights[0].device), torch.no_grad():
        torch._cudnn_rnn_flatten_weight(
            weights,
            len(weights),
            weights[0].shape[1],
            get_cudnn_mode(rnn.mode),  # type: ignore[no-untyped-call]
            rnn.hidden_size,
            0,  # no projections
            1,  # layer
            False,
            False,
        )


@contextmanager
def _one_thread() -> Iterator[None]:
    """For what several threads would round otherwise."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def initialize_recurrent(rnn: nn.RNNBase, *, orthogonal: bool, forget_bias: float | None) -> None:
    """Set the parameters of `rnn` in place from torch's default generator, whatever the threads.

    `orthogonal`: each gate's recurrent matrix orthogonal (Saxe et al. 2014, arXiv:1312.6120),
    its input matrix Glorot uniform (Glorot & Bengio 2010); otherwise all uniform in
    ±1/sqrt(hidden_size), torch's own. Biases are 0 but `forget_bias`: the LSTM's forget gate
    (Jozefowicz et al. 2015), the GRU's update gate, which in torch keeps the old state. torch
    adds two bias vectors; the first carries the whole value and the second is 0.
    """
    hidden = rnn.hidden_size
    # rows of the gate that keeps the old state: LSTM i, f, g, o; GRU r, z, n
    keeps = slice(hidden, 2 * hidden)
    with torch.no_grad(), _one_thread():
        for name, parameter in rnn.named_parameters():
            if name.startswith("bias"):
                parameter.zero_()
                if forget_bias is not None and name.startswith("bias_ih"):
                    parameter[keeps] = forget_bias
            elif not orthogonal:
                nn.init.uniform_(parameter, -(hidden**-0.5), hidden**-0.5)
            else:
                fill = (
                    nn.init.orthogonal_ if name.startswith("weight_hh") else nn.init.xavier_uniform_
                )
                for gate in torch.split(parameter, hidden):
                    fill(gate)
