"""N-gram path of a network in torch: logits of a linear model on the n-grams of a text."""

import torch
from torch import Tensor, nn

from nlp_rnn.model.architecture import Architecture
from nlp_rnn.model.ngrams import extend, row

__all__ = ["NgramPath", "ngram_rows"]


class NgramPath(nn.Module):
    """Linear model on the n-grams of a text, whose logits are added to those of the network.

    "Wide and deep": Cheng et al. 2016, arXiv:1606.07792. The logits are the sum of the table's
    rows for the n-grams of the text, divided by the root of their number. An n-gram counts once
    however often it occurs. N-grams of two or more tokens are hashed, so some share a row.

    Guarantee: padding, the other texts of a batch and the batch size change no logit beyond
    rounding.

    Parameters
    ----------
    architecture : Architecture
        Sizes of the network. All weights are 0 at first, and need no gradient.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        shape = architecture.ngram_table_rows, architecture.num_labels
        # passed as `_weight`, because torch would draw millions of random numbers
        self.table = nn.EmbeddingBag(*shape, mode="sum", _weight=torch.zeros(shape))
        self.table.requires_grad_(False)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Return logits float32 (B, C) for `tokens` int64 (T, B) with `lengths` int64 (B,)."""
        step = torch.arange(tokens.shape[0], device=tokens.device)[:, None]
        return self.read(tokens, step < lengths)

    def read(self, tokens: Tensor, present: Tensor) -> Tensor:
        """Return logits float32 (B, C) of the n-grams whose tokens are all `present`.

        `tokens` are int64 (T, B), `present` is bool (T, B).
        """
        rows, counted = ngram_rows(self.architecture, tokens, present)
        counts = counted.sum(1)
        values = counted / counts[:, None].sqrt()
        starts = counts.cumsum(0) - counts
        logits: Tensor = self.table(rows[counted], starts, per_sample_weights=values[counted])
        return logits


def ngram_rows(
    architecture: Architecture, tokens: Tensor, present: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the table's row for the n-gram that ends at each token, and whether it counts.

    An n-gram counts if all its tokens are `present`, bool (T, B), and no n-gram before it that
    counts has the same row. `tokens` are int64 (T, B); both results are (B, N · T), int64 and
    bool, with the single tokens first.
    """

    def previous(values: Tensor) -> Tensor:
        """The value at the token before; 0 at the first."""
        return nn.functional.pad(values, (0, 0, 1, 0))[:-1]

    hashes, complete = tokens, present
    all_rows, within = [tokens], [present]
    for _ in range(2, architecture.ngrams + 1):
        hashes, complete = extend(previous(hashes), tokens), present & previous(complete)
        all_rows.append(row(hashes, architecture.vocab_size, architecture.ngram_buckets))
        within.append(complete)
    rows = torch.cat(all_rows).t()
    beyond = architecture.ngram_table_rows
    ordered, order = rows.masked_fill(~torch.cat(within).t(), beyond).sort(dim=1, stable=True)
    first = ordered < beyond
    first[:, 1:] &= ordered[:, 1:] != ordered[:, :-1]
    return rows, torch.empty_like(first).scatter_(1, order, first)
