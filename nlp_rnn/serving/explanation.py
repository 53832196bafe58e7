"""Explanation of one prediction for the page: contributions of tokens, gates, prefixes.

All of it is computed without torch: the contributions from probabilities, the gates and the
predictions for prefixes from the weights in numpy.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.classifier.classifier_folder import SavedNetwork, read_classifier
from nlp_rnn.classifier.weights import unpack_weights
from nlp_rnn.inspection.gates import half_lives, trace_layers
from nlp_rnn.inspection.leave_out import LeftOut, contributions, leave_out
from nlp_rnn.inspection.text_tokens import TextTokens, split_text, tokenize_text
from nlp_rnn.serving.served_classifier import ServedClassifier

__all__ = ["EXPLAINED_LABELS", "Explainer", "PreparedText"]

EXPLAINED_LABELS = 5
"""Number of labels that are explained, the most probable first."""


@dataclass(frozen=True)
class PreparedText:
    """A text whose parts are left out; `left_out.texts` have to be predicted."""

    tokens: TextTokens
    left_out: LeftOut


class Explainer:
    """Weights and tokenizer of a classifier folder.

    Parameters
    ----------
    served : ServedClassifier
        The classifier, whose folder is read once more.

    Raises
    ------
    ClassifierError
        As in `read_classifier`.
    """

    def __init__(self, served: ServedClassifier) -> None:
        saved = read_classifier(Path(served.source.folder))
        self._classifier = served.classifier
        self._network: SavedNetwork | None = saved.network
        self._weights: Mapping[str, NDArray[np.float32]] = {}
        if saved.network is not None:
            self._weights = unpack_weights(saved.network.weights)

    def prepare(self, text: str) -> PreparedText:
        """Tokenize a text, and leave out its parts."""
        tokens = (
            split_text(text)
            if self._network is None
            else tokenize_text(self._network.tokenizer, text)
        )
        return PreparedText(tokens, leave_out(tokens))

    def explain(self, prepared: PreparedText, probabilities: NDArray[np.float32]) -> dict[str, Any]:
        """Return the explanation as plain values.

        Parameters
        ----------
        prepared : PreparedText
            The text.
        probabilities : float32 (1 + n, C)
            Probabilities of `prepared.left_out.texts`.

        Returns
        -------
        dict
            `labels`, those that are explained; `parts`, each with its `text` and the `values` of
            the labels; `layers` with the mean of each gate at each token; `tokens`, the tokens as
            text; `prefixes`, the probabilities of the labels after each token, or None; and
            `tokens_cut`, the number of tokens beyond the end that the classifier reads.
        """
        tokens, left_out = prepared.tokens, prepared.left_out
        order = np.argsort(-probabilities[0], kind="stable")[:EXPLAINED_LABELS]
        values = contributions(probabilities)[:, order].round(3).tolist()
        names = [self._classifier.labels[index] for index in order]
        parts = [
            {"text": part, "values": None if position is None else values[position - 1]}
            for part, position in zip(left_out.parts, left_out.positions, strict=True)
        ]
        return {
            "labels": names,
            "parts": parts,
            "tokens": [
                tokens.text[start:end]
                for start, end in zip(tokens.starts.tolist(), tokens.ends.tolist(), strict=True)
            ],
            "layers": self._layers(tokens),
            "prefixes": self._prefixes(tokens, order),
            "tokens_cut": tokens.num_untruncated - len(tokens),
        }

    def _layers(self, tokens: TextTokens) -> list[dict[str, Any]]:
        """Return the mean of each gate over the units at each token, by layer and direction."""
        layers: list[dict[str, Any]] = []
        if self._network is None:
            return layers
        for trace in trace_layers(self._network.architecture, self._weights, tokens.ids):
            lives = half_lives(trace)
            layers.append(
                {
                    "name": trace.name,
                    "gates": {
                        name: activations.mean(axis=1, dtype=np.float64).round(3).tolist()
                        for name, activations in trace.gates.items()
                    },
                    "half_life": None if lives is None else round(float(np.median(lives)), 1),
                }
            )
        return layers

    def _prefixes(self, tokens: TextTokens, order: NDArray[np.int64]) -> list[list[float]] | None:
        """Return the probabilities of some labels after each token, or None."""
        if not self._classifier.can_stream:
            return None
        stream = self._classifier.stream()
        if self._classifier.is_ensemble:  # n-gram models read text, to its end
            if tokens.num_untruncated > len(tokens):
                return None
            rows = np.concatenate([stream.read(tokens.text), stream.finish()])
        else:
            rows = stream.read_tokens(tokens.ids.tolist())
        prefixes: list[list[float]] = rows[:, order].astype(np.float64).round(4).tolist()
        return prefixes
