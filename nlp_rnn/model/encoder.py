"""Recurrent encoder: one state per step of each text, from left to right and from right to left."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from nlp_rnn.layers.cell_functions import State
from nlp_rnn.layers.cells import CELLS
from nlp_rnn.layers.pooling_modules import DirectionPooling
from nlp_rnn.model.architecture import ENCODER, Architecture
from nlp_rnn.model.dropout import drop_features
from nlp_rnn.model.parallel import run_in_threads

__all__ = ["RecurrentEncoder", "reversal_index", "reverse_texts"]


class RecurrentEncoder(nn.Module):
    """Bidirectional or one-directional LSTM, GRU or other cell over padded batches.

    The cells, their papers and their functions are in `nlp_rnn.layers.cells`.

    Guarantee: neither padding nor the other texts of a batch change the result.

    Texts are never packed: on a CPU torch processes a packed batch step by step, 2 to 7 times
    slower, and on a GPU cuDNN has kernels for all steps at once, but not for packed texts. From
    left to right, padding comes after a text and cannot reach it. From right to left, each text is
    first reversed within its own length, so again the padding comes last.

    Parameters
    ----------
    architecture : Architecture
        Cell and sizes of the network; the cell is not `average`.
    dropout : float
        Probability of dropout between layers, with a new mask at every step.
    variational : float
        Probability that a feature between layers is zeroed for a whole text.
    """

    def __init__(
        self, architecture: Architecture, dropout: float = 0.0, variational: float = 0.0
    ) -> None:
        super().__init__()
        self.cell = CELLS[architecture.cell]
        self._run = self.cell.function()
        self.num_layers = architecture.num_layers
        self.bidirectional = architecture.bidirectional
        self.hidden_size = architecture.hidden_size
        self.dropout = dropout
        self.variational = variational
        self._suffixes = architecture.direction_suffixes()
        self._names = list(self.cell.parameter_shapes(1, 1))
        # The parameters have the names, and the first values, of `torch.nn.LSTM`.
        self.rnn = nn.Module()
        bound = architecture.hidden_size**-0.5
        for name, shape in architecture.parameter_shapes().items():
            if name.startswith(ENCODER):
                values = nn.Parameter(torch.empty(shape).uniform_(-bound, bound))
                self.rnn.register_parameter(name.removeprefix(ENCODER), values)

    def initialize(self, *, orthogonal: bool, forget_bias: float | None) -> None:
        """Set all parameters from torch's default generator; see `Cell.initialize`."""
        for suffix in self._suffixes:
            parameters = dict(zip(self._names, self.weights(suffix), strict=True))
            self.cell.initialize(parameters, orthogonal, forget_bias)

    def forward(
        self, embedded: Tensor, lengths: Tensor, pooling: DirectionPooling | None = None
    ) -> Tensor:
        """Return the states (T, B, D) of embedded texts (T, B, E) with `lengths` int64 (B,).

        States beyond a text's length have no meaning; poolings ignore them. With `pooling` the
        result is the pooled (B, P): each direction is pooled in the order in which it was
        processed, so that no state is reversed or copied beside another.
        """
        steps = embedded  # (T, B, E)
        index = reversal_index(lengths, steps.shape[0]) if self.bidirectional else None
        for layer in range(self.num_layers):
            if layer > 0 and self.dropout > 0:
                steps = nn.functional.dropout(steps, self.dropout, self.training)
            if layer > 0 and self.variational > 0 and self.training:
                steps = drop_features(steps, self.variational)
            inputs, suffixes = [steps], [f"l{layer}"]
            if index is not None:
                inputs.append(reverse_texts(steps, index))
                suffixes.append(f"l{layer}_reverse")
            if pooling is not None and layer == self.num_layers - 1:
                finish = partial(pooling.direction, lengths=lengths)
                return pooling.join(self._directions(inputs, suffixes, finish))
            states = self._directions(inputs, suffixes)  # (T, B, H) each
            if index is not None:
                states[1] = reverse_texts(states[1], index)
            steps = torch.cat(states, dim=2) if index is not None else states[0]  # (T, B, D)
        return steps

    def weights(self, suffix: str) -> list[Tensor]:
        """Return the parameters of one direction of a layer: `l0`, `l0_reverse`, `l1` …"""
        return [getattr(self.rnn, f"{name}_{suffix}") for name in self._names]

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Any:
        """Move, as `to` does; on a GPU each direction's weights are then laid out for cuDNN."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if self.cell.cudnn_mode is not None:
            for suffix in self._suffixes:
                if (weights := self.weights(suffix))[0].device.type == "cuda":
                    _flatten(weights, self.cell.cudnn_mode, self.hidden_size)
        return self

    def _directions(
        self,
        inputs: list[Tensor],
        suffixes: list[str],
        finish: Callable[[Tensor], Tensor] | None = None,
    ) -> list[Tensor]:
        """Run one layer; return the states (T, B, H) of each direction.

        Each direction has its own input (T, B, features). With `finish`, the result of `finish` for
        the states is returned instead. It must use no other tensor that needs a gradient.
        """

        def direction(steps: Tensor, *weights: Tensor) -> Tensor:
            states, _ = self.read(steps, weights)
            return states if finish is None else finish(states)

        return run_in_threads(
            [direction] * len(inputs),
            [
                [steps, *self.weights(suffix)]
                for steps, suffix in zip(inputs, suffixes, strict=True)
            ],
        )

    def read(
        self, steps: Tensor, weights: Sequence[Tensor], before: State | None = None
    ) -> tuple[Tensor, State]:
        """Run one direction of a layer over `steps` (T, B, features).

        Parameters
        ----------
        steps : Tensor
            Input, float32 (T, B, features).
        weights : sequence of Tensor
            The result of `weights` for this direction.
        before : State or None
            States to start from, which an earlier call returned; None for 0. They receive no
            gradient.

        Returns
        -------
        tuple of Tensor and State
            The states (T, B, H), and those of the cell after the last step.
        """
        if before is None:
            zero = steps.new_zeros(steps.shape[1], self.hidden_size)
            before = (zero,) * len(self.cell.state_names)
        return self._run(steps, weights, before, self.training)


def _flatten(weights: list[Tensor], cudnn_mode: str, hidden_size: int) -> None:
    """Make the weights of one direction views of one block of a GPU's memory."""
    from torch.backends.cudnn.rnn import get_cudnn_mode

    with torch.cuda.device(weights[0].device), torch.no_grad():
        torch._cudnn_rnn_flatten_weight(
            weights,
            len(weights),
            weights[0].shape[1],
            get_cudnn_mode(cudnn_mode),  # type: ignore[no-untyped-call]
            hidden_size,
            0,  # no projections
            1,  # layer
            False,
            False,
        )


def reversal_index(lengths: Tensor, steps: int) -> Tensor:
    """Return the index int64 (T · B,) that reverses each text and leaves padding in place.

    The index is for texts (T, B, …) flattened to (T · B, …), with `lengths` int64 (B,) and
    T = `steps`.
    """
    step = torch.arange(steps, device=lengths.device).unsqueeze(1)  # (T, 1)
    mirrored = lengths.unsqueeze(0) - 1 - step  # (T, B)
    source = torch.where(mirrored >= 0, mirrored, step)
    column = torch.arange(lengths.shape[0], device=lengths.device)
    return (source * lengths.shape[0] + column).flatten()


class _Reverse(torch.autograd.Function):
    """A permutation that is its own inverse, so the gradient is permuted in the same way.

    torch's own gradient of `index_select` is a scattered addition, several times slower.
    """

    @staticmethod
    def forward(ctx: Any, steps: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        return steps.flatten(0, 1).index_select(0, index).view_as(steps)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (index,) = ctx.saved_tensors
        (gradient,) = gradients
        return gradient.flatten(0, 1).index_select(0, index).view_as(gradient), None


def reverse_texts(steps: Tensor, index: Tensor) -> Tensor:
    """Reverse each text of `steps` (T, B, features) by the `index` of `reversal_index`."""
    reversed_steps: Tensor = _Reverse.apply(steps, index)  # type: ignore[no-untyped-call]
    return reversed_steps
