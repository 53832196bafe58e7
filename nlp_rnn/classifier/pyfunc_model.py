"""MLflow model of a classifier folder: the code file that MLflow runs when it loads the model.

MLflow calls this "models from code". The classifier folder is the artifact `classifier`; the source
of this package is the artifact `code`, one zip file that Python imports from.
"""

import sys
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc import PythonModel, PythonModelContext

__all__ = ["ClassifierModel"]


class ClassifierModel(PythonModel):  # type: ignore[misc]
    """MLflow model that returns a table with one row per text: `label` and `score`.

    `score` is the probability of the label. With the parameter `threshold` a label that is less
    probable is null; 0 means no threshold. `top_k` adds `labels` and `scores`,
    lists of the most probable labels; `probabilities` adds a column of that name with the
    probability of every label. With `predict_proba` the table has one column for each label
    instead, in the order of the classifier's labels. A multi-label classifier returns `labels` and
    `scores` only: the labels that reach their thresholds, or the `top_k` most probable. `threshold`
    replaces the thresholds of its labels.
    """

    def load_context(self, context: PythonModelContext) -> None:
        """Load the classifier folder, with the source that it was logged with.

        A process has one version of a package. If another version is loaded already, it is used.

        Raises
        ------
        MlflowException
            The version that is loaded already cannot read this classifier.
        """
        archive = context.artifacts["code"]
        if archive not in sys.path:
            sys.path.insert(0, archive)
        import nlp_rnn

        try:
            from nlp_rnn.classifier.table_predictor import TablePredictor

            self.predictor = TablePredictor(context.artifacts["classifier"])
        except Exception as error:
            if str(nlp_rnn.__file__).startswith(archive):
                raise
            raise MlflowException(
                f"This classifier cannot be loaded with nlp_rnn {nlp_rnn.__version__} from "
                f"{nlp_rnn.__file__}, which this process has loaded already ({error}).\n"
                "Load it in a process of its own, which uses the version that it was logged with.",
                error_code=INVALID_PARAMETER_VALUE,
            ) from error

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
        from nlp_rnn.errors import ClassifierError

        try:
            return self.predictor.predict(model_input, params or {})
        except ClassifierError as error:
            raise MlflowException(str(error), error_code=INVALID_PARAMETER_VALUE) from error


set_model(ClassifierModel())
