"""A saved classifier and a text become everything that is shown of how it was read."""

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
from nlp_rnn.inspection.gates import LayerTrace, trace
from nlp_rnn.inspection.text_tokens import TextTokens, read_tokens
from nlp_rnn.model.architecture import Architecture

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
"""The most probable classes are explained, so many of them."""


@dataclass(frozen=True)
class InspectedModel:
    """A classifier opened up: `name` is how it is called on a page, `run_id` its MLflow run."""

    name: str
    architecture: Architecture
    labels: list[str]
    tokenizer: "Tokenizer"
    weights: Mapping[str, NDArray[np.float32]]
    network: "TextNetwork"
    run_id: str | None

    @property
    def title(self) -> str:
        """The cell and its size: `GRU h128, bidirectional`."""
        sizes = self.architecture
        wide = f", beside it n-grams of 1 to {sizes.ngrams}" if sizes.ngrams else ""
        if sizes.cell == "average":
            return f"average of embeddings{wide}"
        layers = f"{sizes.num_layers} layers, " if sizes.num_layers > 1 else ""
        ways = "bidirectional" if sizes.bidirectional else "one direction"
        return f"{sizes.cell.upper()} h{sizes.hidden_size}, {layers}{ways}{wide}"


@dataclass(frozen=True)
class Inspection:
    """One text as one model read it.

    Attributes:
        probabilities: float32 (C,).
        attribution: what each token gave to the most probable classes.
        layers: gates and states of every layer and direction; empty without recurrence.
        over_time: float32 (T, C), probabilities after each token; None if it reads from both ends.
    """

    model: InspectedModel
    tokens: TextTokens
    probabilities: NDArray[np.float32]
    attribution: "Attribution"
    layers: list[LayerTrace]
    over_time: NDArray[np.float32] | None

    @property
    def label(self) -> str:
        """The most probable label."""
        return self.model.labels[int(self.probabilities.argmax())]


def load_model(location: str | os.PathLike[str]) -> InspectedModel:
    """Open a classifier folder or an MLflow URI.

    Raises:
        ClassifierError: there is no classifier, or a changed or newer one.
    """
    import torch

    from nlp_rnn.model.network import TextNetwork

    with local_folder(location) as folder:
        saved = read_classifier(folder)
    weights = unpack_weights(saved.weights)
    network = TextNetwork(saved.architecture).eval()
    network.load_state_dict({name: torch.tensor(value) for name, value in weights.items()})
    network.requires_grad_(False)
    run_id = saved.config.get("provenance", {}).get("mlflow_run_id")
    return InspectedModel(
        _short_name(location),
        saved.architecture,
        saved.labels,
        saved.tokenizer,
        weights,
        network,
        run_id if isinstance(run_id, str) and run_id else None,
    )


def _short_name(location: str | os.PathLike[str]) -> str:
    """The last two parts of a path without `classifier`, or the URI."""
    text = os.fspath(location)
    if "://" in text or text.startswith(("runs:/", "models:/")):
        return text
    parts = [part for part in Path(text).parts if part not in ("classifier", "/", ".")]
    return "/".join(parts[-2:]) or text


def inspect_text(model: InspectedModel, text: str) -> Inspection:
    """Read `text` and explain what came out."""
    import torch

    from nlp_rnn.inspection.attribution import attribute

    tokens = read_tokens(model.tokenizer, text)
    with torch.inference_mode():
        logits = model.network(
            torch.from_numpy(tokens.ids)[None], torch.tensor([len(tokens)], dtype=torch.int64)
        )
        probabilities: NDArray[np.float32] = logits[0].softmax(0).numpy()
    classes = np.argsort(-probabilities, kind="stable")[:CLASSES].tolist()
    one_way = not model.architecture.bidirectional
    return Inspection(
        model,
        tokens,
        probabilities,
        attribute(model.network, tokens.ids, classes),
        trace(model.architecture, model.weights, tokens.ids),
        probabilities_over_time(model, tokens.ids) if one_way else None,
    )


def probabilities_over_time(model: InspectedModel, ids: NDArray[np.int64]) -> NDArray[np.float32]:
    """Probabilities float32 (T, C) after each of the token ids int64 (T,).

    Raises:
        ClassifierError: the model reads from both ends.
    """
    if model.architecture.bidirectional:
        raise ClassifierError(
            f"{model.name} reads texts from both ends: before a text ends it has no answer that "
            "could change.\nTrain one that reads left to right: nlp-rnn train experiment=streaming"
        )
    network = StepNetwork(model.architecture, model.weights)
    return network.read_all(network.start(1), ids.tolist())
