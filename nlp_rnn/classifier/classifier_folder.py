"""Classifier folder: reading the saved network and n-gram models, with all checks.

docs/reference/classifier-format.md describes the format. The folder holds no code: only JSON,
safetensors and an ONNX graph without external files. Each file is read once and checked against
the size and SHA-256 in `config.json`; what is used afterwards are the bytes that were checked.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.classifier.manifest import (
    CONFIG,
    COPY_AGAIN,
    GRAPH,
    INT8_GRAPH,
    NGRAM_TABLE,
    TOKENIZER,
    WEIGHTS,
    Description,
    read_checked_file,
    read_config,
    read_description,
)
from nlp_rnn.classifier.risk_coverage import Table, read_table
from nlp_rnn.classifier.weights import check_weights, unpack_weights
from nlp_rnn.errors import ClassifierError
from nlp_rnn.model.architecture import Architecture
from nlp_rnn.ngrams.table import NgramTable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

__all__ = [
    "SavedClassifier",
    "SavedNetwork",
    "read_classifier",
    "read_config",
    "read_state",
]

UNKNOWN_WORD = "w\U0010fffd"  # ends in a private-use character, which no vocabulary has


@dataclass(frozen=True)
class SavedNetwork:
    """Network in a classifier folder, read and checked.

    Attributes
    ----------
    architecture : Architecture
        Sizes of the network.
    tokenizer : tokenizers.Tokenizer
        The tokenizer, with its truncation.
    graph : bytes
        Serialized ONNX model, whose output is `logits`, or `probabilities` if multi-label.
    weights : bytes
        Parameters, as in `model.safetensors`.
    """

    architecture: Architecture
    tokenizer: "Tokenizer"
    graph: bytes
    weights: bytes

    def check_layers(self, folder: Path, purpose: str) -> None:
        """Check that the network can be computed without its graph.

        Raises
        ------
        ClassifierError
            It has n-grams of tokens, as in format 3, which only its graph computes.
        """
        if self.architecture.ngrams:
            raise ClassifierError(
                f"{folder} has classifier format 3, with n-grams of tokens in its network, which "
                f"{purpose} does not support.\nTrain the classifier again, or only predict with "
                'runtime="onnx".'
            )


@dataclass(frozen=True)
class SavedClassifier:
    """Contents of a classifier folder, read and checked.

    Attributes
    ----------
    folder : Path
        The folder.
    config : dict
        Contents of `config.json`.
    labels : list of str
        Names of the labels, in the order of the logits.
    network : SavedNetwork or None
        The network; None for n-gram models alone.
    thresholds : list of float, optional
        Multi-label only: the probability from which a text has each label.
    ngrams : NgramTable, optional
        N-gram models.
    network_weight : float
        Weight of the network's logits in the ensemble with n-gram models.
    risk_coverage : dict, optional
        Risk–coverage table on the validation texts.
    """

    folder: Path
    config: dict[str, Any]
    labels: list[str]
    network: SavedNetwork | None
    thresholds: list[float] | None = None
    ngrams: NgramTable | None = None
    network_weight: float = 1.0
    risk_coverage: Table | None = None

    def required_network(self) -> SavedNetwork:
        """Return the network.

        Raises
        ------
        ClassifierError
            The classifier has none.
        """
        if self.network is None:
            raise ClassifierError(
                f"{self.folder} has n-gram models and no network, which this needs.\n"
                "Train one with a network: nlp-rnn train model=gru"
            )
        return self.network


def read_classifier(folder: Path, runtime: str = "onnx") -> SavedClassifier:
    """Read a classifier folder and check everything that can be checked without predicting.

    Parameters
    ----------
    folder : Path
        The classifier folder.
    runtime : {"onnx", "int8", "torch"}, default "onnx"
        With `int8` the graph is that of `model.int8.onnx`.

    Raises
    ------
    ClassifierError
        As in `read_config`; or a file is missing or changed; or the tokenizer, the labels or the
        parameters do not fit the network.
    """
    folder = Path(folder)
    config = read_config(folder)
    described = read_description(folder, config)
    network = None
    if described.architecture is not None:
        network = _read_network(folder, config, described, described.architecture, runtime)
    elif runtime != "onnx":
        raise ClassifierError(
            f"{folder} has n-gram models and no network, so runtime={runtime!r} is not supported."
            '\nSet runtime="onnx", the default.'
        )
    table = None
    if described.has_ngram_table:
        data = read_checked_file(folder, NGRAM_TABLE, config)
        table = NgramTable.from_bytes(data, config.get("separator"))
        if table.bias.shape != (len(described.labels),):
            raise ClassifierError(
                f"{folder / NGRAM_TABLE} has {len(table.bias)} labels, and {CONFIG} has "
                f"{len(described.labels)}.\n{COPY_AGAIN}"
            )
    weight = 1.0 if described.network_weight is None else described.network_weight
    return SavedClassifier(
        folder,
        config,
        described.labels,
        network,
        described.thresholds,
        table,
        weight,
        read_table(folder),
    )


def _read_network(
    folder: Path,
    config: Mapping[str, Any],
    described: Description,
    architecture: Architecture,
    runtime: str,
) -> SavedNetwork:
    max_length = described.max_length
    weights = read_checked_file(folder, WEIGHTS, config)
    check_weights(weights, architecture)
    graph = _graph(folder, INT8_GRAPH if runtime == "int8" else GRAPH, config)
    tokenizer = _tokenizer(folder, read_checked_file(folder, TOKENIZER, config))
    truncation = tokenizer.truncation
    read = (
        max(tokenizer.get_vocab().values(), default=-1) + 1,
        truncation["max_length"] if truncation else None,
    )
    if read != (architecture.vocab_size, max_length):
        raise ClassifierError(
            f"{folder / TOKENIZER} has {read[0]} tokens and truncates at {read[1]}, but the "
            f"network was trained with {architecture.vocab_size} and {max_length}.\n"
            f"{COPY_AGAIN}"
        )
    return SavedNetwork(architecture, tokenizer, graph, weights)


def _graph(folder: Path, name: str, config: Mapping[str, Any]) -> bytes:
    if name not in config["files"]:
        raise ClassifierError(
            f'{folder} has no {name}: it would hardly be smaller than {GRAPH}.\nSet runtime="onnx".'
        )
    graph = read_checked_file(folder, name, config)
    # An ONNX graph can refer to other files; such an entry always contains this key.
    if b"location" in graph:
        raise ClassifierError(f"{folder / name} refers to other files.\n{COPY_AGAIN}")
    return graph


def _tokenizer(folder: Path, data: bytes) -> "Tokenizer":
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_str(data.decode())
        # a model without its unknown token fails only at the first unknown word
        tokenizer.encode(UNKNOWN_WORD, add_special_tokens=False)
        return tokenizer
    except Exception as error:  # the library raises plain Exception
        raise ClassifierError(f"{folder / TOKENIZER} is not a tokenizer.\n{COPY_AGAIN}") from error


def read_state(folder: Path) -> "dict[str, NDArray[np.float32]]":
    """Return the state dict of a classifier folder: float32 arrays by torch's names.

    Raises
    ------
    ClassifierError
        As in `read_classifier`; or the classifier has no network.
    """
    weights = unpack_weights(read_classifier(folder).required_network().weights)
    return {name: value.copy() for name, value in weights.items()}
