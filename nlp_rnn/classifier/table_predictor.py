"""Predictions of an MLflow model: texts in any form of MLflow's, predictions as a table."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nlp_rnn.classifier.label_choice import check_options, indices_at_least
from nlp_rnn.classifier.predictor import TextClassifier
from nlp_rnn.errors import ClassifierError

__all__ = ["TablePredictor"]

logger = logging.getLogger(__name__)


class TablePredictor:
    """Classifier whose predictions are tables with one row per text.

    A null text in a table or a series has null predictions, as in a database. In a list it is an
    error.
    """

    def __init__(self, folder: Path | str) -> None:
        """Load a classifier folder."""
        self.classifier = TextClassifier.load(folder)

    def predict(self, model_input: Any, params: Mapping[str, Any]) -> pd.DataFrame:
        """Return the predictions for the texts in `model_input`.

        Parameters
        ----------
        model_input : list of str, list of mappings, array, series, mapping or DataFrame
            Texts. A table has the column `text`, or no named columns, as in Spark: then the first
            one, or for a classifier of text pairs the first two.
        params : mapping
            `top_k`, `threshold` (0 for none), `probabilities` and `predict_proba`.

        Raises
        ------
        ClassifierError
            The input or a parameter is invalid.
        """
        values, index = _texts(model_input, self.classifier)
        if index is None:
            return self._table(values, params)
        present = pd.notna(pd.Series(values, dtype=object)).to_numpy()
        if not present.all():
            logger.warning(
                "%d of %d texts are null, and so are their predictions.",
                len(present) - present.sum(),
                len(present),
            )
        texts = [value for value, is_text in zip(values, present, strict=True) if is_text]
        predictions = self._table(texts, params)
        predictions.index = pd.Index(np.flatnonzero(present))
        # rows without text have null everywhere
        predictions = predictions.reindex(range(len(values)))
        predictions.index = index
        return predictions

    def _table(self, texts: Any, params: Mapping[str, Any]) -> pd.DataFrame:
        labels = self.classifier.labels
        top_k = _top_k(params.get("top_k", 0), len(labels))
        threshold = params.get("threshold", 0.0) or None
        check_options(None, threshold, len(labels))
        probabilities = self.classifier.predict_proba(texts)
        if params.get("predict_proba", False):
            return pd.DataFrame(probabilities, columns=labels)
        order = np.argsort(-probabilities, axis=1, kind="stable")
        thresholds = self.classifier.thresholds
        columns: dict[str, Any] = {}
        if thresholds is None:
            scores = probabilities.max(axis=1)
            columns["label"] = [
                labels[row[0]] if threshold is None or score >= threshold else None
                for row, score in zip(order, scores, strict=True)
            ]
            columns["score"] = scores
        elif not top_k:
            limits = thresholds if threshold is None else threshold
            chosen = [indices_at_least(row, limits) for row in probabilities]
            columns["labels"] = [[labels[index] for index in row] for row in chosen]
            columns["scores"] = [
                row[indices].tolist() for row, indices in zip(probabilities, chosen, strict=True)
            ]
        if top_k:
            most = [
                indices if threshold is None else indices[row[indices] >= threshold]
                for row, indices in zip(probabilities, order[:, :top_k], strict=True)
            ]
            columns["labels"] = [[labels[index] for index in row] for row in most]
            columns["scores"] = [
                row[indices].tolist() for row, indices in zip(probabilities, most, strict=True)
            ]
        if params.get("probabilities", False):
            columns["probabilities"] = [
                dict(zip(labels, row, strict=True)) for row in probabilities.tolist()
            ]
        return pd.DataFrame(columns)


def _top_k(value: Any, num_labels: int) -> int:
    if not isinstance(value, int | np.integer) or not 0 <= value <= num_labels:
        raise ClassifierError(
            f"top_k is {value!r}; this classifier has {num_labels} labels, so set a whole number "
            f"from 1 to {num_labels}, or 0 for no list."
        )
    return int(value)


def _texts(data: Any, classifier: TextClassifier) -> tuple[Any, Any]:
    """Return the texts in the input, unchecked, and their index if it is a series or a table."""
    if isinstance(data, pd.Series):
        return data.tolist(), data.index
    if isinstance(data, np.ndarray):
        # a column of a table arrives as a matrix with one column
        data = (data[:, 0] if data.ndim == 2 and data.shape[1] == 1 else data).tolist()
    if isinstance(data, list) and data and all(isinstance(row, Mapping) for row in data):
        # a server that gets {"inputs": [{"text": "a text"}]} converts each value to an array
        rows = [{name: _scalar(value) for name, value in row.items()} for row in data]
        return _texts(pd.DataFrame(rows), classifier)[0], None
    if not isinstance(data, pd.DataFrame | Mapping):
        return data, None
    columns = [str(column) for column in data]
    index = data.index if isinstance(data, pd.DataFrame) else None
    name: Any = "text"
    if list(data) in ([0], ["0"]):  # a list that MLflow converted to a table, or Spark's column
        name = next(iter(data))
    elif classifier.config.get("separator") is not None and list(data) == [
        "0",
        "1",
    ]:  # Spark's columns of a pair
        pairs = zip(data["0"], data["1"], strict=True)
        joined = [
            None if pd.isna(first) or pd.isna(second) else classifier.join_texts(first, second)
            for first, second in pairs
        ]
        return joined, index
    elif columns.count("text") != 1:
        raise ClassifierError(
            f'There is no column "text"; found {", ".join(columns[:20]) or "none"}.\n'
            'Pass a list of str, or a table with the column "text".'
        )
    texts = data[name]
    return (texts.tolist() if hasattr(texts, "tolist") else texts), index


def _scalar(value: Any) -> Any:
    return value.item() if isinstance(value, np.ndarray) and value.ndim == 0 else value
