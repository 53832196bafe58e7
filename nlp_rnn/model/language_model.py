"""States of texts become a loss: how badly they foretell the token after and the one before."""

import torch
from torch import Tensor, nn

from nlp_rnn.model.architecture import Architecture
from nlp_rnn.model.chunked_cross_entropy import NOTHING, token_losses

__all__ = ["POSITIONS", "LanguageModel"]

POSITIONS = 1024
"""Pairs of neighbouring tokens of a batch that are predicted at most."""

STATE_DROPOUT, TOKEN_DROPOUT = 0.3, 0.2


class LanguageModel(nn.Module):
    """An auxiliary loss for the encoder of a classifier, in training only.

    Rei 2017, arXiv:1704.07156: what has been read left to right predicts the next token, what has
    been read right to left the previous one. What differs: each direction's states are projected
    to the embedding's size by one linear layer without tanh, and the output weights are the
    embeddings of the tokens (Press & Wolf 2017, arXiv:1608.05859); the softmax is over the tokens
    that occur in the batch, not over the whole vocabulary; of a batch with more than `positions`
    pairs of neighbours so many are drawn.

    The states must not know the answer: only one layer where there are two directions.

    Promise: padding never counts, neither as an answer nor as a token that could be one.
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
        """Mean cross-entropy in nats of a prediction, summed over the directions; a scalar.

        Of `states` (T, B, D) of `tokens` int64 (T, B) with `lengths` int64 (B,). `vocabulary`
        int64 (U,) holds every token of the texts, rising; one that repeats the one before it counts
        nothing. Texts of one token alone cost 0.
        """
        pairs, real = self._pairs(tokens.shape[0], lengths)
        # where the left token of each pair stands among all positions, and the right one
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
        """Left positions of at most `positions` pairs int64 (K,), and which are real bool (K,).

        K depends on the shape alone, so that a GPU is never waited for: padding fills it up.
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
        answers: Tensor,
        real: Tensor,
    ) -> Tensor:
        """The sum over the real ones of `states` (K, H); `answers` are rows of `output` (U, E)."""
        projected = project(nn.functional.dropout(states, self.state_dropout, self.training))
        return token_losses(projected, output, bias, answers.masked_fill(~real, NOTHING))
