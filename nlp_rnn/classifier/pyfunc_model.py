"""Calls of an MLflow model become answers of a saved classifier.

This is the code file of the logged model (MLflow's "models from code"): MLflow runs it when the
model is loaded, with the classifier folder as the artifact `classifier`.
"""

from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc import PythonModel, PythonModelContext

from nlp_rnn.classifier.predictor import TextClassifier
from nlp_rnn.errors import ClassifierError

__all__ = ["ClassifierModel"]


class ClassifierModel(PythonModel):  # type: ignore[misc]
    """Answers with one row a text: `label` and `score`, the probability of that label."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the classifier folder."""
        self.classifier = TextClassifier.load(context.artifacts["classifier"])

    def predict(
        self,
        context: PythonModelContext,
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Answer the texts in the one column that the signature lets through.

        Raises:
            MlflowException: of the kind that a server answers with status 400.
        """
        try:
            texts = _texts(model_input)
            probabilities = self.classifier.predict_proba(texts)
        except ClassifierError as error:
            raise MlflowException(str(error), error_code=INVALID_PARAMETER_VALUE) from error
        best = probabilities.argmax(axis=1)
        return pd.DataFrame(
            {
                "label": [self.classifier.labels[index] for index in best],
                "score": probabilities.max(axis=1),
            },
            # a table's rows keep their names, so that the answers can be joined to it
            index=model_input.index if len(model_input) == len(texts) else None,
        )


def _texts(model_input: pd.DataFrame) -> list[Any]:
    """The texts in a table that MLflow made of a list, a dict, an array, a series or a table."""
    column = model_input.columns[0]
    # MLflow keeps the first column of a table, whatever it is; a list has the column 0.
    if isinstance(column, str) and column != "text":
        raise ClassifierError(
            f'The first column is {column!r}, not "text".\n'
            'Give a list of str, or a table whose first column is "text".'
        )
    texts: list[Any] = model_input[column].tolist()
    if len(texts) == 1 and isinstance(texts[0], list):  # {"text": [...]}, as MLflow passes it on
        return texts[0]
    return texts


set_model(ClassifierModel())
