"""Schemas of the model: the cell, its sizes, pooling and dropout."""

from dataclasses import dataclass
from enum import Enum

from nlp_rnn.config.option import MISSING

__all__ = [
    "AverageConfig",
    "GatedConfig",
    "ModelConfig",
    "RecurrentConfig",
    "RecurrentInit",
]

RecurrentInit = Enum("RecurrentInit", ["orthogonal", "uniform"])


@dataclass
class ModelConfig:
    """What every network has; `vectors` is a file of word vectors for the embedding.

    `ngrams=2` adds what the text's tokens and pairs of tokens say by themselves, `ngrams=3` triples
    too; those of two or more tokens are hashed into `ngram_buckets` rows (null: 262,144).
    `pretrained` is what `nlp-rnn pretrain` left, a folder or `runs:/ID`, to start from; `auto` is
    what it would leave for this data, made first if it is not there. `embedding_dropout=null` is
    0.5, or 0.3 from 50 labels on.
    """

    name: str = MISSING
    cell: str = MISSING
    embedding_size: int = 128
    vectors: str | None = None
    freeze_vectors: bool = False
    pretrained: str | None = None
    pooling: str = "max_mean"
    word_dropout: float = 0.0
    embedding_dropout: float | None = None
    head_dropout: float = 0.5
    ngrams: int = 0
    ngram_buckets: int | None = None


@dataclass
class AverageConfig(ModelConfig):
    """No recurrence: pooled embeddings, the control."""


@dataclass
class RecurrentConfig(ModelConfig):
    """A recurrent encoder without gates; `dropout` acts between layers.

    `variational_dropout` does too, on the same features at every step of a text. `output_dropout`
    zeroes features of the last layer's states for a whole text, `weight_drop` weights of the
    recurrent matrices for a whole batch. `match` names another cell, whose size `hidden_size`
    then is: the run replaces it by the size with as many recurrent parameters, or with
    `latency:CELL` by the one that answers as fast.
    """

    hidden_size: int = 128
    num_layers: int = 1
    bidirectional: bool = True
    dropout: float = 0.0
    variational_dropout: float = 0.0
    output_dropout: float = 0.0
    weight_drop: float = 0.0
    recurrent_init: RecurrentInit = RecurrentInit.orthogonal
    match: str | None = None


@dataclass
class GatedConfig(RecurrentConfig):
    """LSTM or GRU; `forget_bias` is the total of both bias vectors (GRU: the update gate's)."""

    forget_bias: float = 1.0
