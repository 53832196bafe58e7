"""Calls of an MLflow model become answers of a saved classifier.

This is the code file of the logged model (MLflow's "models from code"): MLflow runs it when the
model is loaded, with the classifier folder as the artifact `classifier`.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc import PythonModel, PythonModelContext

from nlp_rnn.classifier.predictor import TextClassifier
from nlp_rnn.errors import ClassifierError

__all__ = ["ClassifierModel"]


class ClassifierModel(PythonModel):  # type: ignore[misc]
    """Answers with one row a text: `label` and `score`, the probability of that label.

    With the parameter `top_k` also `labels` and `scores`, lists of the most probable; with
    `probabilities` also a column of that name, the probability of every label. Where a text may
    have several labels, a row has `labels` and `scores` only: those that it has, or `top_k`.
    """

    def load_context(self, context: PythonModelContext) -> None:
        """Load the classifier folder."""
        self.classifier = TextClassifier.load(context.artifacts["classifier"])

    def predict(
        self,
        context: PythonModelContext,
        # a list, an array, a series or a dict too: with another hint MLflow would check it
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Answer the texts in whatever MLflow passes on.

        Raises:
            MlflowException: of the kind that a server answers with status 400.
        """
        try:
            return self._answer(model_input, params or {})
        except ClassifierError as error:
            raise MlflowException(str(error), error_code=INVALID_PARAMETER_VALUE) from error

    def _answer(self, model_input: Any, params: dict[str, Any]) -> pd.DataFrame:
        texts, index = _texts(model_input)
        labels = self.classifier.labels
        top_k = _top_k(params.get("top_k", 0), len(labels))
        probabilities = self.classifier.predict_proba(texts)
        order = np.argsort(-probabilities, axis=1, kind="stable")
        thresholds = self.classifier.thresholds
        answers: dict[str, Any] = {}
        if thresholds is None:
            answers["label"] = [labels[row[0]] for row in order]
            answers["score"] = probabilities.max(axis=1)
        elif not top_k:
            reached = probabilities >= thresholds
            own = [row[has[row]] for row, has in zip(order, reached, strict=True)]
            answers["labels"] = [[labels[place] for place in places] for places in own]
            answers["scores"] = [
                row[places].tolist() for row, places in zip(probabilities, own, strict=True)
            ]
        if top_k:
            most = order[:, :top_k]
            answers["labels"] = [[labels[place] for place in row] for row in most]
            answers["scores"] = np.take_along_axis(probabilities, most, axis=1).tolist()
        if params.get("probabilities", False):
            answers["probabilities"] = [
                dict(zip(labels, row, strict=True)) for row in probabilities.tolist()
            ]
        # a table's rows keep their names, so that the answers can be joined to it
        return pd.DataFrame(answers, index=index)


def _top_k(value: Any, num_labels: int) -> int:
    if not isinstance(value, int | np.integer) or not 0 <= value <= num_labels:
        raise ClassifierError(
            f"top_k is {value!r}; this classifier has {num_labels} labels, so send a whole number "
            f"from 1 to {num_labels}, or 0 for none."
        )
    return int(value)


def _texts(given: Any) -> tuple[Any, Any]:
    """The texts in what was sent, unchecked, and the names of their rows if they have some."""
    if isinstance(given, pd.Series):
        return given.tolist(), given.index
    if isinstance(given, np.ndarray):
        # a column of a table is a matrix that is one wide
        return (given[:, 0] if given.ndim == 2 and given.shape[1] == 1 else given).tolist(), None
    if not isinstance(given, pd.DataFrame | Mapping):
        return given, None
    columns = [str(column) for column in given]
    index = given.index if isinstance(given, pd.DataFrame) else None
    name: Any = "text"
    if list(given) == [0]:  # a list that MLflow made a table of
        name = 0
    elif columns.count("text") != 1:
        raise ClassifierError(
            f'There is no column "text"; found {", ".join(columns[:20]) or "none"}.\n'
            'Send a list of str, or a table with the column "text".'
        )
    texts = given[name]
    return (texts.tolist() if hasattr(texts, "tolist") else texts), index


set_model(ClassifierModel())
