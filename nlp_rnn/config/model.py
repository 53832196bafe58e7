"""Schemas of the model: the cell, its sizes, pooling and dropout."""

from dataclasses import dataclass
from enum import Enum

from nlp_rnn.config.option import FRACTION, MISSING, at_least, between, option
from nlp_rnn.layers.poolings import POOLINGS

__all__ = [
    "AverageConfig",
    "Ensemble",
    "GatedConfig",
    "ModelConfig",
    "NetworkConfig",
    "NgramsConfig",
    "RecurrentConfig",
    "RecurrentInit",
]

Ensemble = Enum("Ensemble", ["auto", "off", "on"])
RecurrentInit = Enum("RecurrentInit", ["orthogonal", "uniform"])


@dataclass
class ModelConfig:
    """Options that every model has."""

    name: str = option(MISSING, "Name of the model, for run names and tables.")
    cell: str = option(
        MISSING, "Recurrent cell; set it with model=lstm, gru, rnn, average or ngrams."
    )


@dataclass
class NgramsConfig(ModelConfig):
    """N-gram models alone, without a network."""

    vectors: str | None = option(
        None,
        "Folder or hub name of a static embedding model or a sentence encoder, for one more linear "
        "model (null: n-grams only).",
    )


@dataclass
class NetworkConfig(ModelConfig):
    """Options that every network has."""

    embedding_size: int = option(128, "Size of a token's embedding.", at_least(1))
    vectors: str | None = option(
        None,
        "Word vectors that the embedding starts from: a file, or the folder or hub name of a "
        "static embedding model or a sentence encoder, which an ensemble uses for one more linear "
        "model too (null: random values).",
    )
    freeze_vectors: bool = option(False, "Keep the word vectors as they are during training.")
    pretrained: str | None = option(
        None,
        "Language models to start from: a folder or runs:/ID of nlp-rnn pretrain, or auto, which "
        "pretrains on this data first unless that has been done (null: start from random weights).",
    )
    pooling: str = option(
        "max_mean", f"How the states of a text become one vector: {', '.join(POOLINGS)}."
    )
    word_dropout: float = option(0.0, "Probability that a token is read as unknown.", FRACTION)
    embedding_dropout: float | None = option(
        None,
        "Probability that a feature of the embedding is zeroed for a whole text "
        "(null: 0.5, or 0.3 from 50 labels on).",
        FRACTION,
    )
    head_dropout: float = option(0.5, "Dropout before the last linear layer.", FRACTION)
    ensemble: Ensemble = option(
        Ensemble.auto,
        "Combine the network with n-gram models: on, off, or auto, which leaves out one of them "
        "where the validation predictions of the other alone are significantly better.",
    )


@dataclass
class AverageConfig(NetworkConfig):
    """A baseline without recurrence: the pooled embeddings are classified directly."""


@dataclass
class RecurrentConfig(NetworkConfig):
    """Options of a recurrent encoder, with or without gates."""

    hidden_size: int = option(128, "Size of the hidden state of one direction.", at_least(1))
    num_layers: int = option(1, "Number of recurrent layers.", between(1, 16))
    bidirectional: bool = option(True, "Read texts from both ends; false allows streaming.")
    dropout: float = option(0.0, "Dropout between recurrent layers.", FRACTION)
    variational_dropout: float = option(
        0.0, "Dropout between recurrent layers with one mask for all steps of a text.", FRACTION
    )
    output_dropout: float = option(
        0.0,
        "Probability that a feature of the last layer's states is zeroed for a whole text.",
        FRACTION,
    )
    weight_drop: float = option(
        0.0,
        "Probability that a weight of a recurrent matrix is zeroed for a whole batch.",
        FRACTION,
    )
    recurrent_init: RecurrentInit = option(
        RecurrentInit.orthogonal, "Initial recurrent matrices: orthogonal, or uniform as in torch."
    )
    match: str | None = option(
        None,
        "Cell whose number of recurrent parameters at hidden_size is matched, such as lstm; with "
        "latency:lstm its measured latency (null: hidden_size is used as it is).",
    )


@dataclass
class GatedConfig(RecurrentConfig):
    """Options of an LSTM or GRU encoder."""

    forget_bias: float = option(
        1.0,
        "Initial bias of the forget gate (GRU: update gate), both bias vectors together.",
        between(-100, 100),
    )
