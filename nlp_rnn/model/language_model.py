"""Language-model loss on the states of a classifier, as an auxiliary training objective."""

import torch
from torch import Tensor, nn

from nlp_rnn.model.architecture import Architecture
from nlp_rnn.model.chunked_cross_entropy import IGNORED, token_losses

__all__ = ["POSITIONS", "LanguageModel"]

POSITIONS = 1024
"""Largest number of pairs of neighbouring tokens in a batch that are predicted."""

STATE_DROPOUT, TOKEN_DROPOUT = 0.3, 0.2


class LanguageModel(nn.Module):
    """Auxiliary loss for the encoder of a classifier, used in training only.

    Rei 2017, arXiv:1704.07156: the states from left to right predict the next token, those from
    right to left the previous one. Unlike there, each direction's states are projected to the
    embedding's size by one linear layer without tanh, and the output weights are the embeddings of
    the tokens (Press & Wolf 2017, arXiv:1608.05859). The softmax is over the tokens that occur in
    the batch, not over the whole vocabulary.

    The states must not depend on the predicted token, so a bidirectional encoder must have one
    layer only.

    Guarantee: padding never counts, neither as a target nor as a token that could be predicted.

    Parameters
    ----------
    architecture : Architecture
        Sizes of the classifier's network.
    positions : int
        Largest number of pairs of neighbouring tokens that are predicted; in a batch with more,
        that many are drawn at random.
    """

    def __init__(self, architecture: Architecture, positions: int = POSITIONS) -> None:
        super().__init__()
        sizes = architecture.hidden_size, architecture.embedding_size
        self.next = nn.Linear(*sizes)
        self.previous = nn.Linear(*sizes) if architecture.bidirectional else None
        self.positions = positions
        self.state_dropout, self.token_dropout = STATE_DROPOUT, TOKEN_DROPOUT

    def forward(
        self,
        states: Tensor,
        tokens: Tensor,
        lengths: Tensor,
        vocabulary: Tensor,
        embedding: nn.Embedding,
    ) -> Tensor:
        """Return the mean cross-entropy of a prediction in nats, summed over directions: a scalar.

        It is 0 if all texts have a single token.

        Parameters
        ----------
        states : Tensor
            (T, B, D).
        tokens, lengths : Tensor
            int64 (T, B) and int64 (B,).
        vocabulary : Tensor
            int64 (U,), all tokens that occur in the texts, in ascending order. Repetitions count
            once.
        embedding : nn.Embedding
            Embedding of the classifier.
        """
        pairs, real = self._pairs(tokens.shape[0], lengths)
        # positions of the left and the right token of each pair in the flattened texts
        left, right = pairs, pairs + len(lengths)
        ids = tokens.flatten()
        output = nn.functional.dropout(embedding(vocabulary), self.token_dropout, self.training)
        bias = output.new_zeros(len(output))
        bias[1:].masked_fill_(vocabulary[1:] == vocabulary[:-1], float("-inf"))
        flat, hidden = states.flatten(0, 1), self.next.in_features
        forward = flat.index_select(0, left)[:, :hidden]
        following = torch.searchsorted(vocabulary, ids[right])
        loss = self._cost(self.next, forward, output, bias, following, real)
        if self.previous is not None:
            backward = flat.index_select(0, right)[:, hidden:]
            preceding = torch.searchsorted(vocabulary, ids[left])
            loss = loss + self._cost(self.previous, backward, output, bias, preceding, real)
        return loss / real.sum().clamp(min=1)

    def _pairs(self, steps: int, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return the positions of the left tokens of at most `positions` pairs, and a mask.

        Both have the shape (K,). K depends only on the shape of the batch, so that no
        synchronization with a GPU is needed. If there are fewer pairs, the rest is padding, where
        the mask is false.
        """
        ends = torch.arange(1, steps, device=lengths.device).unsqueeze(1)
        real = (ends < lengths).flatten()
        if len(real) <= self.positions:
            return torch.arange(len(real), device=lengths.device), real
        draw = torch.rand(real.shape, device=lengths.device).masked_fill(~real, -1.0)
        chosen = draw.topk(self.positions, sorted=False).indices
        return chosen, real[chosen]

    def _cost(
        self,
        project: nn.Linear,
        states: Tensor,
        output: Tensor,
        bias: Tensor,
        targets: Tensor,
        real: Tensor,
    ) -> Tensor:
        """Return the sum of the losses of the `states` (K, H) where the mask `real` (K,) is true.

        `targets` (K,) are rows of the output weights `output` (U, E).
        """
        projected = project(nn.functional.dropout(states, self.state_dropout, self.training))
        return token_losses(projected, output, bias, targets.masked_fill(~real, IGNORED))
