"""The sizes of a network become its parameter counts.

Imports no torch, so that a saved classifier can be checked without it.
"""

from dataclasses import dataclass

from nlp_rnn.errors import ConfigError

__all__ = ["GATES", "Architecture", "check_size"]

GATES = {"lstm": 4, "gru": 3, "rnn": 1}
"""Matrix products per step and direction of each cell."""

MOST_BYTES = 2**31 - 2**24
"""An ONNX graph ends at 2 GiB, and holds a little more than the parameters."""


@dataclass(frozen=True)
class Architecture:
    """Everything that fixes the shapes of a network's parameters.

    `cell` is `lstm`, `gru`, `rnn` or `average` (no recurrence: the pooled embeddings are
    classified directly, and `hidden_size`, `num_layers` and `bidirectional` are 0, 0, False).
    With `ngrams` there is a wide path beside the encoder, over n-grams of up to so many tokens;
    those of two or more share `ngram_buckets` rows of its table, and each token has one besides.
    """

    cell: str
    vocab_size: int
    num_labels: int
    embedding_size: int
    hidden_size: int
    num_layers: int
    bidirectional: bool
    pooling: str
    ngrams: int = 0
    ngram_buckets: int = 0

    @property
    def num_directions(self) -> int:
        """2 when bidirectional, else 1."""
        return 2 if self.bidirectional else 1

    @property
    def output_size(self) -> int:
        """Features of one step after the encoder (D)."""
        if self.cell == "average":
            return self.embedding_size
        return self.hidden_size * self.num_directions

    @property
    def pooled_size(self) -> int:
        """Features of one text after pooling."""
        return self.output_size * (2 if self.pooling == "max_mean" else 1)

    @property
    def wide_rows(self) -> int:
        """Rows of the wide path's table; 0 without one."""
        return self.vocab_size + self.ngram_buckets if self.ngrams else 0

    def parameter_counts(self) -> dict[str, int]:
        """Parameters by part: `embedding`, `recurrent`, `head` (pooling included) and `total`.

        And `wide` where there is such a path.
        """
        embedding = self.vocab_size * self.embedding_size
        recurrent = 0
        input_size = self.embedding_size
        for _ in range(self.num_layers):
            # two bias vectors per gate, as in torch
            one_direction = (
                GATES[self.cell] * self.hidden_size * (input_size + self.hidden_size + 2)
            )
            recurrent += one_direction * self.num_directions
            input_size = self.output_size
        head = (self.pooled_size + 1) * self.num_labels
        if self.pooling == "attention":
            head += self.output_size * (self.output_size + 2)
        wide = self.wide_rows * self.num_labels
        return {
            "embedding": embedding,
            "recurrent": recurrent,
            **({"wide": wide} if wide else {}),
            "head": head,
            "total": embedding + recurrent + wide + head,
        }


def check_size(architecture: Architecture) -> None:
    """Refuse a wide path that no classifier could hold.

    Raises:
        ConfigError: its table makes the network too large.
    """
    total, labels = architecture.parameter_counts()["total"], architecture.num_labels
    if architecture.ngrams and 4 * total > MOST_BYTES:
        rest = MOST_BYTES // 4 - total + architecture.ngram_buckets * labels
        raise ConfigError(
            f"model.ngram_buckets={architecture.ngram_buckets} for {labels} labels make "
            f"{4 * total / 2**30:.1f} GiB, and a classifier has at most 2.\n"
            f"Type model.ngram_buckets={max(1, rest // labels)} or fewer."
        )
