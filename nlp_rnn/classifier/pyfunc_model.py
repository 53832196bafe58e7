"""MLflow model of a classifier folder: the code file that MLflow runs when it loads the model.

MLflow calls this "models from code". The classifier folder is the artifact `classifier`.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc import PythonModel, PythonModelContext

from nlp_rnn.classifier.label_choice import indices_at_least
from nlp_rnn.classifier.predictor import TextClassifier
from nlp_rnn.errors import ClassifierError

__all__ = ["ClassifierModel"]


class ClassifierModel(PythonModel):  # type: ignore[misc]
    """MLflow model that returns a table with one row per text: `label` and `score`.

    `score` is the probability of the label. The parameter `top_k` adds `labels` and `scores`,
    lists of the most probable labels; `probabilities` adds a column of that name with the
    probability of every label. A multi-label classifier returns `labels` and `scores` only: the
    labels that reach their thresholds, or the `top_k` most probable.
    """

    def load_context(self, context: PythonModelContext) -> None:
        """Load the classifier folder."""
        self.classifier = TextClassifier.load(context.artifacts["classifier"])

    def predict(
        self,
        context: PythonModelContext,
        # also a list, an array, a series or a dict; with another type hint MLflow would check it
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Predict the labels of the texts in `model_input`.

        Raises
        ------
        MlflowException
            The input or a parameter is invalid; an MLflow server responds with status 400.
        """
        try:
            return self._predict(model_input, params or {})
        except ClassifierError as error:
            raise MlflowException(str(error), error_code=INVALID_PARAMETER_VALUE) from error

    def _predict(self, model_input: Any, params: dict[str, Any]) -> pd.DataFrame:
        texts, index = _texts(model_input)
        labels = self.classifier.labels
        top_k = _top_k(params.get("top_k", 0), len(labels))
        probabilities = self.classifier.predict_proba(texts)
        order = np.argsort(-probabilities, axis=1, kind="stable")
        thresholds = self.classifier.thresholds
        columns: dict[str, Any] = {}
        if thresholds is None:
            columns["label"] = [labels[row[0]] for row in order]
            columns["score"] = probabilities.max(axis=1)
        elif not top_k:
            chosen = [indices_at_least(row, thresholds) for row in probabilities]
            columns["labels"] = [[labels[index] for index in row] for row in chosen]
            columns["scores"] = [
                row[indices].tolist() for row, indices in zip(probabilities, chosen, strict=True)
            ]
        if top_k:
            most = order[:, :top_k]
            columns["labels"] = [[labels[index] for index in row] for row in most]
            columns["scores"] = np.take_along_axis(probabilities, most, axis=1).tolist()
        if params.get("probabilities", False):
            columns["probabilities"] = [
                dict(zip(labels, row, strict=True)) for row in probabilities.tolist()
            ]
        # the index of a table is retained, so that the predictions can be joined to it
        return pd.DataFrame(columns, index=index)


def _top_k(value: Any, num_labels: int) -> int:
    if not isinstance(value, int | np.integer) or not 0 <= value <= num_labels:
        raise ClassifierError(
            f"top_k is {value!r}; this classifier has {num_labels} labels, so set a whole number "
            f"from 1 to {num_labels}, or 0 for no list."
        )
    return int(value)


def _texts(data: Any) -> tuple[Any, Any]:
    """Return the texts in the input, unchecked, and their index if it is a series or a table."""
    if isinstance(data, pd.Series):
        return data.tolist(), data.index
    if isinstance(data, np.ndarray):
        # a column of a table arrives as a matrix with one column
        return (data[:, 0] if data.ndim == 2 and data.shape[1] == 1 else data).tolist(), None
    if not isinstance(data, pd.DataFrame | Mapping):
        return data, None
    columns = [str(column) for column in data]
    index = data.index if isinstance(data, pd.DataFrame) else None
    name: Any = "text"
    if list(data) == [0]:  # a list that MLflow converted to a table
        name = 0
    elif columns.count("text") != 1:
        raise ClassifierError(
            f'There is no column "text"; found {", ".join(columns[:20]) or "none"}.\n'
            'Pass a list of str, or a table with the column "text".'
        )
    texts = data[name]
    return (texts.tolist() if hasattr(texts, "tolist") else texts), index


set_model(ClassifierModel())
