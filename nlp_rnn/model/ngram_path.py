"""Token ids become what their n-grams alone say of each label: a sparse linear path."""

import torch
from torch import Tensor, nn

from nlp_rnn.model.architecture import Architecture
from nlp_rnn.model.ngrams import extend, row

__all__ = ["WidePath", "ngram_rows"]


class WidePath(nn.Module):
    """Logits of a text's n-grams, to be added to those of the recurrent path.

    "Wide and deep": Cheng et al. 2016, arXiv:1606.07792. A row of weights for each n-gram that a
    text has, once however often it occurs there, over the root of how many they are: a linear
    model of what is in the text. N-grams of two or more tokens are hashed, so some share a row.

    Promise: padding, batch mates and batch size change no logit beyond rounding.
    """

    def __init__(self, architecture: Architecture) -> None:
        """All weights 0; no gradient reaches them."""
        super().__init__()
        self.architecture = architecture
        shape = architecture.wide_rows, architecture.num_labels
        # given, or torch would draw millions of random numbers
        self.table = nn.EmbeddingBag(*shape, mode="sum", _weight=torch.zeros(shape))
        self.table.requires_grad_(False)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Logits float32 (B, C) of texts of `lengths` int64 (B,), their `tokens` int64 (T, B)."""
        step = torch.arange(tokens.shape[0], device=tokens.device)[:, None]
        return self.read(tokens, step < lengths)

    def read(self, tokens: Tensor, there: Tensor) -> Tensor:
        """Logits float32 (B, C) of the n-grams of `tokens` int64 (T, B) that are all `there`."""
        rows, counted = ngram_rows(self.architecture, tokens, there)
        counts = counted.sum(1)
        values = counted / counts[:, None].sqrt()
        starts = counts.cumsum(0) - counts
        found: Tensor = self.table(rows[counted], starts, per_sample_weights=values[counted])
        return found


def ngram_rows(architecture: Architecture, tokens: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
    """The row of the n-gram that ends at each token, and whether it counts.

    Of `tokens` int64 (T, B), both (B, N · T): int64 and bool, first the single tokens. It counts
    if all its tokens are `there` bool (T, B), and no n-gram of the same row before it counts.
    """

    def later(values: Tensor) -> Tensor:
        """What stood at the token before; nothing at the first."""
        return nn.functional.pad(values, (0, 0, 1, 0))[:-1]

    hashed, whole = tokens, there
    found, within = [tokens], [there]
    for _ in range(2, architecture.ngrams + 1):
        hashed, whole = extend(later(hashed), tokens), there & later(whole)
        found.append(row(hashed, architecture.vocab_size, architecture.ngram_buckets))
        within.append(whole)
    rows = torch.cat(found).t()
    beyond = architecture.wide_rows
    ordered, order = rows.masked_fill(~torch.cat(within).t(), beyond).sort(dim=1, stable=True)
    first = ordered < beyond
    first[:, 1:] &= ordered[:, 1:] != ordered[:, :-1]
    return rows, torch.empty_like(first).scatter_(1, order, first)
