"""Language models that share a classifier's embedding and encoder: forward and backward."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from nlp_rnn.layers.cell_functions import State
from nlp_rnn.model.architecture import Architecture
from nlp_rnn.model.chunked_cross_entropy import token_losses
from nlp_rnn.model.dropout import drop_features
from nlp_rnn.model.encoder import RecurrentEncoder
from nlp_rnn.model.network import TextNetwork
from nlp_rnn.model.parallel import run_in_threads

__all__ = ["LanguageModels", "States"]

States = list[list[State]]
"""Recurrent state of each layer, for each direction."""

PREFIXES = ("embedding.", "encoder.")
"""Prefixes of the parameters that a classifier has too, under the same names."""


class LanguageModels(nn.Module):
    """One language model for each direction of a classifier's encoder.

    Each model predicts the next token of a stream of texts. Dai & Le 2015, arXiv:1511.01432;
    Howard & Ruder 2018, arXiv:1801.06146. The backward model reads the reversed stream. The output
    weights are the embeddings (Press & Wolf 2017, arXiv:1608.05859). Where the sizes differ, a
    linear projection for each direction maps the states to the embedding size. Both directions
    share one bias for each token.

    Parameters
    ----------
    network : TextNetwork
        The network whose embedding and encoder are trained in place.
    seed : int
        Seed of the projections: the same seed gives the same weights.
    dropout : float
        Dropout probability of the embedded tokens and of the outputs of each layer.

    Notes
    -----
    Guarantee: up to rounding, reading a stream in windows gives the loss of reading it at once.
    """

    def __init__(self, network: TextNetwork, seed: int, dropout: float = 0.0) -> None:
        super().__init__()
        architecture: Architecture = network.architecture
        assert isinstance(network.encoder, RecurrentEncoder)
        assert architecture.num_layers == 1 or not architecture.bidirectional
        self.architecture = architecture
        self.dropout = dropout
        self.embedding = network.embedding
        self.encoder = network.encoder
        sizes = architecture.hidden_size, architecture.embedding_size
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + 1)  # other draws than those of the embedding
            self.projections = nn.ModuleList(
                nn.Identity() if sizes[0] == sizes[1] else nn.Linear(*sizes)
                for _ in range(architecture.num_directions)
            )
        self.bias = nn.Parameter(torch.zeros(architecture.vocab_size))

    def start_from(self, shares: Tensor) -> None:
        """Initialize the bias so that the models predict given token frequencies at first.

        `shares` (V,) is the relative frequency of each token, above 0.
        """
        with torch.no_grad():
            self.bias.copy_(shares.log() - shares.log().mean())

    def forward(
        self,
        inputs: Sequence[Tensor],
        targets: Sequence[Tensor],
        states: States | None = None,
        sampled: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, States]:
        """Compute the loss of one window of each direction's stream.

        Parameters
        ----------
        inputs, targets : sequence of Tensor
            For each direction, the tokens int64 (T, B) and the tokens that follow them.
        states : States, optional
            The recurrent states after the previous window; None at the start of the stream.
        sampled : tuple of Tensor, optional
            For a sampled softmax: sorted token ids int64 (S,), which contain all targets, and the
            probability float32 (S,) of each to be among them. None for the whole vocabulary.

        Returns
        -------
        losses : Tensor
            Summed cross-entropy in nats of each direction, float32 (directions,).
        states : States
            The recurrent states after this window.
        """
        directions = range(self.architecture.num_directions)
        after: States = [[] for _ in directions]
        output: Tensor = self.embedding.weight
        bias: Tensor = self.bias
        corrections: Tensor | None = None
        if sampled is not None:
            tokens, probabilities = sampled
            output, bias, corrections = output[tokens], bias[tokens], probabilities.log()
            targets = [torch.searchsorted(tokens, ids) for ids in targets]
        functions, arguments = [], []
        for direction in directions:
            steps = self._dropped(self.embedding(inputs[direction]))
            # drawn here, because functions on parallel threads must not draw random numbers
            masks = [self._mask(steps) for _ in range(self.architecture.num_layers)]
            before = states[direction] if states is not None else None
            functions.append(
                self._loss_of(direction, targets[direction], masks, before, after, corrections)
            )
            arguments.append([steps, output, bias, *self._weights(direction)])
        return torch.stack(run_in_threads(functions, arguments)), after

    def _dropped(self, steps: Tensor) -> Tensor:
        return drop_features(steps, self.dropout) if self.training and self.dropout > 0 else steps

    def _mask(self, steps: Tensor) -> Tensor | None:
        """Dropout mask of the outputs of a layer (1, B, H), the same at every step of a window."""
        if not self.training or self.dropout == 0:
            return None
        return drop_features(
            steps.new_ones(1, steps.shape[1], self.architecture.hidden_size), self.dropout
        )

    def _weights(self, direction: int) -> list[Tensor]:
        """Parameters of one direction, layer by layer, without embedding and bias."""
        suffixes = [
            f"l{layer}{'_reverse' if direction else ''}"
            for layer in range(self.architecture.num_layers)
        ]
        recurrent = [weight for suffix in suffixes for weight in self.encoder.weights(suffix)]
        return [*recurrent, *self.projections[direction].parameters()]

    def _loss_of(
        self,
        direction: int,
        targets: Tensor,
        masks: Sequence[Tensor | None],
        before: Sequence[State] | None,
        after: States,
        corrections: Tensor | None,
    ) -> Callable[..., Tensor]:
        """Return a function of tensors that computes one direction's loss, for `run_in_threads`."""

        def loss(steps: Tensor, output: Tensor, bias: Tensor, *parameters: Tensor) -> Tensor:
            for layer, mask in enumerate(masks):
                weights = parameters[4 * layer : 4 * layer + 4]
                state = None if before is None else before[layer]
                steps, end = self.encoder.read(steps, weights, state)
                after[direction].append(end)
                if mask is not None:
                    steps = steps * mask
            flat = steps.flatten(0, 1)
            if projection := parameters[4 * len(masks) :]:
                flat = nn.functional.linear(flat, *projection)
            return token_losses(flat, output, bias, targets.flatten(), corrections)

        return loss

    def encoder_state(self) -> dict[str, Tensor]:
        """Return the parameters that a classifier has too: embedding and encoder, by name."""
        return {
            name: tensor for name, tensor in self.state_dict().items() if name.startswith(PREFIXES)
        }
