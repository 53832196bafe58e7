"""Predictions of a split as pandas tables."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nlp_rnn.scoring.predictions import Predictions

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["predictions_frame", "report_frame"]


def predictions_frame(predictions: Predictions, texts: Sequence[str]) -> "pd.DataFrame":
    """Return one row per text: `row`, `text`, `label`, `prediction` and `probability`."""
    import pandas as pd

    names = predictions.label_names
    if predictions.multi_label:
        label = [_members(row, names) for row in predictions.labels]
        prediction = [_members(row, names) for row in predictions.predictions]
        probability: Any = [
            dict(zip(names, map(float, row), strict=True)) for row in predictions.probabilities
        ]
    else:
        label = [names[index] for index in predictions.labels]
        prediction = [names[index] for index in predictions.predictions]
        probability = predictions.probabilities.max(axis=1)
    return pd.DataFrame(
        {
            "row": predictions.rows,
            "text": list(texts),
            "label": label,
            "prediction": prediction,
            "probability": probability,
        }
    )


def report_frame(predictions: Predictions) -> "pd.DataFrame":
    """Return precision, recall, F1 and number of texts of each label."""
    import pandas as pd
    from sklearn.metrics import precision_recall_fscore_support

    labels = range(len(predictions.label_names))
    scores = precision_recall_fscore_support(
        predictions.labels, predictions.predictions, labels=labels, zero_division=0
    )
    columns = dict(zip(("precision", "recall", "f1", "texts"), scores, strict=True))
    return pd.DataFrame(columns, index=pd.Index(predictions.label_names, name="label"))


def _members(row: Any, names: tuple[str, ...]) -> list[str]:
    return [name for name, member in zip(names, row, strict=True) if member]
