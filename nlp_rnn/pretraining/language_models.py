"""An embedding and an encoder become language models: one left to right, one right to left."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from nlp_rnn.model.architecture import Architecture
from nlp_rnn.model.chunked_cross_entropy import token_losses
from nlp_rnn.model.dropout import drop_features
from nlp_rnn.model.encoder import RecurrentEncoder, State
from nlp_rnn.model.network import TextNetwork
from nlp_rnn.model.parallel import run_in_lanes

__all__ = ["LanguageModels", "States"]

States = list[list[State]]
"""Where each layer of each direction stands."""

PREFIXES = ("embedding.", "encoder.")
"""What of the parameters a classifier has too, by the same names."""


class LanguageModels(nn.Module):
    """Each direction of a classifier's encoder foretells the next token of its own stream.

    Dai & Le 2015, arXiv:1511.01432; Howard & Ruder 2018, arXiv:1801.06146. The right-to-left one
    reads the reversed stream. The output weights are the embeddings (Press & Wolf 2017,
    arXiv:1608.05859) behind a projection of the states to their size, one for each direction, where
    the sizes differ; both directions share a bias of each token.

    Promise: a stream read in windows costs what it costs read at once, but for rounding.
    """

    def __init__(self, network: TextNetwork, seed: int, dropout: float = 0.0) -> None:
        """Of the embedding and the encoder of `network`, which are changed in place.

        The same for the same seed.
        """
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
        """Let the first guess be how often each token occurs: `shares` (V,), above 0."""
        with torch.no_grad():
            self.bias.copy_(shares.log() - shares.log().mean())

    def forward(
        self,
        read: Sequence[Tensor],
        foretold: Sequence[Tensor],
        before: States | None = None,
        sampled: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, States]:
        """Summed cross-entropy in nats of each direction, float32 (directions,), and the states.

        Args:
            read: int64 (T, B) of each direction's own stream, and
            foretold: what comes one token later there.
            before: where the reading of the same lanes stood; None at their beginning.
            sampled: tokens int64 (S,), rising, among them all that are foretold, and float32 (S,)
                how probable it was that each is there; None for the whole vocabulary.
        """
        directions = range(self.architecture.num_directions)
        after: States = [[] for _ in directions]
        output: Tensor = self.embedding.weight
        bias: Tensor = self.bias
        corrections: Tensor | None = None
        answers = list(foretold)
        if sampled is not None:
            tokens, chances = sampled
            output, bias, corrections = output[tokens], bias[tokens], chances.log()
            answers = [torch.searchsorted(tokens, each) for each in foretold]
        functions, inputs = [], []
        for direction in directions:
            steps = self._dropped(self.embedding(read[direction]))
            # drawn here: what runs side by side must draw nothing
            masks = [self._mask(steps) for _ in range(self.architecture.num_layers)]
            states = before[direction] if before is not None else None
            functions.append(
                self._direction(direction, answers[direction], masks, states, after, corrections)
            )
            inputs.append([steps, output, bias, *self._weights(direction)])
        return torch.stack(run_in_lanes(functions, inputs)), after

    def _dropped(self, steps: Tensor) -> Tensor:
        return drop_features(steps, self.dropout) if self.training and self.dropout > 0 else steps

    def _mask(self, steps: Tensor) -> Tensor | None:
        """What to multiply states by (1, B, H), the same at every step of a window."""
        if not self.training or self.dropout == 0:
            return None
        return drop_features(
            steps.new_ones(1, steps.shape[1], self.architecture.hidden_size), self.dropout
        )

    def _weights(self, direction: int) -> list[Tensor]:
        """All that a direction learns but embedding and bias, layer by layer."""
        suffixes = [
            f"l{layer}{'_reverse' if direction else ''}"
            for layer in range(self.architecture.num_layers)
        ]
        recurrent = [weight for suffix in suffixes for weight in self.encoder.weights(suffix)]
        return [*recurrent, *self.projections[direction].parameters()]

    def _direction(
        self,
        direction: int,
        answers: Tensor,
        masks: Sequence[Tensor | None],
        before: Sequence[State] | None,
        after: States,
        corrections: Tensor | None,
    ) -> Callable[..., Tensor]:
        """A function of tensors alone, to run beside that of the other direction."""

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
            return token_losses(flat, output, bias, answers.flatten(), corrections)

        return loss

    def encoder_state(self) -> dict[str, Tensor]:
        """The parameters that a classifier has too."""
        return {
            name: tensor for name, tensor in self.state_dict().items() if name.startswith(PREFIXES)
        }
