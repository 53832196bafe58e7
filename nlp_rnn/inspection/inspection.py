"""Inspection of one text with one saved classifier: prediction, attributions, gates and memory.

inspection = inspect_text(load_model("run/classifier"), "Warm, quick and on time.")
inspection.attribution.integrated  # (classes, tokens)
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.classifier.classifier_folder import read_classifier
from nlp_rnn.classifier.location import local_folder
from nlp_rnn.classifier.recurrent_step import StepNetwork
from nlp_rnn.classifier.weights import unpack_weights
from nlp_rnn.errors import ClassifierError
from nlp_rnn.inspection.gates import LayerTrace, trace_layers
from nlp_rnn.inspection.ngram_shares import NgramShares, ngram_shares
from nlp_rnn.inspection.text_tokens import TextTokens, split_text, tokenize_text
from nlp_rnn.model.architecture import Architecture
from nlp_rnn.ngrams.probabilities import probabilities_of
from nlp_rnn.ngrams.table import NgramTable

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from nlp_rnn.inspection.attribution import Attribution
    from nlp_rnn.model.network import TextNetwork

__all__ = [
    "CLASSES",
    "InspectedModel",
    "Inspection",
    "inspect_text",
    "load_model",
    "probabilities_over_time",
]

CLASSES = 3
"""Number of classes that are explained, the most probable first."""


@dataclass(frozen=True)
class InspectedModel:
    """A saved classifier with its weights as numpy arrays and as a torch network.

    Attributes
    ----------
    name : str
        Short name for the page, from the path or URI.
    architecture : Architecture or None
        Architecture of the network; None for n-gram models alone.
    labels : list of str
        The C labels, in the order of the probabilities.
    tokenizer : tokenizers.Tokenizer or None
        The tokenizer, with its truncation; None without a network.
    weights : mapping of str to float32 array
        The weights in `model.safetensors`; empty without a network.
    network : TextNetwork or None
        The same weights in torch, in evaluation mode, without gradients.
    run_id : str or None
        MLflow run that trained the classifier, if it is known.
    ngrams : NgramTable, optional
        N-gram models, alone or of an ensemble.
    network_weight : float
        Weight of the network's logits in the ensemble.
    """

    name: str
    architecture: Architecture | None
    labels: list[str]
    tokenizer: "Tokenizer | None"
    weights: Mapping[str, NDArray[np.float32]]
    network: "TextNetwork | None"
    run_id: str | None
    ngrams: NgramTable | None = None
    network_weight: float = 1.0

    @property
    def title(self) -> str:
        """Cell and size, for example `GRU h128, bidirectional`."""
        sizes = self.architecture
        if sizes is None:
            return "n-gram models"
        ngrams = "" if self.ngrams is None else ", with n-gram models"
        if sizes.cell == "average":
            return f"average of embeddings{ngrams}"
        layers = f"{sizes.num_layers} layers, " if sizes.num_layers > 1 else ""
        directions = "bidirectional" if sizes.bidirectional else "one direction"
        return f"{sizes.cell.upper()} h{sizes.hidden_size}, {layers}{directions}{ngrams}"

    @property
    def sizes(self) -> str:
        """Pooling and vocabulary, or the number of features of n-gram models alone."""
        if self.architecture is None:
            assert self.ngrams is not None
            return f"{self.ngrams.num_parameters:,} weights"
        pooling = self.architecture.pooling.replace("_", " and ")
        return f"{pooling} pooling, vocabulary of {self.architecture.vocab_size} tokens"


@dataclass(frozen=True)
class Inspection:
    """Everything that the page shows about one text and one classifier.

    Attributes
    ----------
    model : InspectedModel
        The classifier.
    tokens : TextTokens
        The T tokens of the text.
    probabilities : float32 (C,)
        Predicted probabilities of the labels.
    attribution : Attribution
        Token attributions for the `CLASSES` most probable labels.
    layers : list of LayerTrace
        Gates and states of every layer and direction; empty without a recurrent layer.
    over_time : float32 (T, C) or None
        Probabilities of the network after each token; None for a bidirectional one.
    ngrams : NgramShares or None
        Shares of the n-gram models.
    network_logits : float32 (C,)
        Logits of the network, multiplied by its weight in an ensemble; zeros without one.
    """

    model: InspectedModel
    tokens: TextTokens
    probabilities: NDArray[np.float32]
    attribution: "Attribution"
    layers: list[LayerTrace]
    over_time: NDArray[np.float32] | None
    ngrams: NgramShares | None
    network_logits: NDArray[np.float32]

    @property
    def margins(self) -> list[tuple[str, float, float]]:
        """For each explained label, the margins by the network and by the n-gram models.

        A margin is the logit of the label minus the mean of all logits. Without n-gram models the
        list is empty.
        """
        if self.ngrams is None:
            return []
        scores = self.ngrams.bias + self.ngrams.tokens.sum(axis=0)
        network = self.network_logits - self.network_logits.mean()
        ngrams = scores - scores.mean()
        return [
            (self.model.labels[label], float(network[label]), float(ngrams[label]))
            for label in self.attribution.classes
        ]

    @property
    def strongest_ngrams(self) -> list[tuple[str, float]]:
        """The n-grams with the largest share in the margin of the predicted label."""
        return (
            [] if self.ngrams is None else self.ngrams.strongest(int(self.probabilities.argmax()))
        )

    @property
    def label(self) -> str:
        """The predicted label."""
        return self.model.labels[int(self.probabilities.argmax())]


def load_model(location: str | os.PathLike[str]) -> InspectedModel:
    """Load a classifier from a folder or an MLflow URI for inspection.

    Raises
    ------
    ClassifierError
        There is no classifier, its files have changed, or its format is newer.
    """
    import torch

    from nlp_rnn.model.network import TextNetwork

    with local_folder(location) as folder:
        saved = read_classifier(folder)
    run_id = saved.config.get("provenance", {}).get("mlflow_run_id")
    run_id = run_id if isinstance(run_id, str) and run_id else None
    name, saved_network = _short_name(location), saved.network
    if saved_network is None:
        return InspectedModel(name, None, saved.labels, None, {}, None, run_id, saved.ngrams)
    saved_network.check_layers(saved.folder, "inspect")
    weights = unpack_weights(saved_network.weights)
    network = TextNetwork(saved_network.architecture).eval()
    network.load_state_dict({name: torch.tensor(value) for name, value in weights.items()})
    network.requires_grad_(False)
    return InspectedModel(
        name,
        saved_network.architecture,
        saved.labels,
        saved_network.tokenizer,
        weights,
        network,
        run_id,
        saved.ngrams,
        saved.network_weight if saved.ngrams is not None else 1.0,
    )


def _short_name(location: str | os.PathLike[str]) -> str:
    """Return the URI, or the last two parts of a path without `classifier`."""
    name = os.fspath(location)
    if "://" in name or name.startswith(("runs:/", "models:/")):
        return name
    parts = [part for part in Path(name).parts if part not in ("classifier", "/", ".")]
    return "/".join(parts[-2:]) or name


def inspect_text(model: InspectedModel, text: str) -> Inspection:
    """Classify one text and compute its attributions, gates and probabilities over time."""
    import torch

    from nlp_rnn.inspection.attribution import attribute

    network_logits: NDArray[np.float32] = np.zeros(len(model.labels), np.float32)
    if model.network is None or model.tokenizer is None:
        tokens = split_text(text)
    else:
        tokens = tokenize_text(model.tokenizer, text)
        with torch.inference_mode():
            logits = model.network(
                torch.from_numpy(tokens.ids)[None], torch.tensor([len(tokens)], dtype=torch.int64)
            )
        network_logits = model.network_weight * logits[0].numpy()
    shares = None if model.ngrams is None else ngram_shares(model.ngrams, tokens)
    total = network_logits
    if shares is not None:
        total = network_logits + shares.bias + shares.tokens.sum(axis=0)
    probabilities = probabilities_of(total[None], multi_label=False)[0]
    classes = np.argsort(-probabilities, kind="stable")[:CLASSES].tolist()
    return Inspection(
        model,
        tokens,
        probabilities,
        attribute(
            model.network,
            tokens.ids,
            classes,
            ngrams=shares,
            network_weight=model.network_weight,
        ),
        []
        if model.architecture is None
        else trace_layers(model.architecture, model.weights, tokens.ids),
        None
        if model.architecture is None or model.architecture.bidirectional
        else probabilities_over_time(model, tokens.ids),
        shares,
        network_logits,
    )


def probabilities_over_time(model: InspectedModel, ids: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the probabilities float32 (T, C) after each of the token ids int64 (T,).

    Raises
    ------
    ClassifierError
        The classifier is bidirectional, or has no network.
    """
    if model.architecture is None:
        raise ClassifierError(
            f"{model.name} has n-gram models and no network, which has probabilities over time.\n"
            "Train a classifier with one direction: nlp-rnn train experiment=streaming"
        )
    if model.architecture.bidirectional:
        raise ClassifierError(
            f"{model.name} is bidirectional, so it has no prediction before the end of a text.\n"
            "Train a classifier with one direction: nlp-rnn train experiment=streaming"
        )
    network = StepNetwork(model.architecture, model.weights)
    logits = network.read_all(network.start(1), ids.tolist())
    return probabilities_of(logits, multi_label=False)
