"""Scores and predictions of a classifier for labelled texts, as `nlp_rnn.evaluate` returns them."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from nlp_rnn.api.frames import predictions_frame, report_frame

if TYPE_CHECKING:
    import pandas as pd

    from nlp_rnn.scoring.predictions import Predictions

__all__ = ["Evaluation"]


@dataclass(frozen=True, repr=False)
class Evaluation:
    """Scores and predictions of a classifier for labelled texts.

    Attributes
    ----------
    data, digest : str
        Name of the data set, and hash of its content.
    checksum : str
        Checksum of the classifier.
    split : str
        The split that was evaluated, or `all` or `unseen`.
    metrics : mapping of str to float
        `accuracy`, `macro_f1` and `loss`; for multi-label data `micro_f1`, `macro_f1`,
        `subset_accuracy` and `loss`.
    interval : tuple of float or None
        95 % interval of the accuracy (Wilson's); None for multi-label data.
    training_texts : int
        Number of texts that the classifier was trained on.
    notes : tuple of str
        How the data was read, and which texts the classifier knows.
    saved : Predictions
        The predictions as arrays.

    Examples
    --------
    >>> import nlp_rnn
    >>> texts = ["Warm, quick and on time.", "Cold and late."] * 20
    >>> evaluation = nlp_rnn.evaluate("reviews", (texts, ["positive", "negative"] * 20))
    >>> evaluation
    data, all: 40 texts
    accuracy 1.0000 (95 % interval 0.9124 to 1.0000)  macro-F1 1.0000  loss 0.0...
    >>> evaluation.predictions[["label", "prediction"]].head(2)
          label prediction
    0  positive   positive
    1  negative   negative
    """

    data: str
    digest: str
    checksum: str
    split: str
    metrics: Mapping[str, float]
    interval: tuple[float, float] | None
    training_texts: int
    notes: tuple[str, ...]
    saved: "Predictions"
    _texts: Sequence[str] = field(repr=False)

    @cached_property
    def predictions(self) -> "pd.DataFrame":
        """One row per text, as in `Run.predictions`."""
        return predictions_frame(self.saved, self._texts)

    @cached_property
    def report(self) -> "pd.DataFrame":
        """Precision, recall, F1 and number of texts of each label."""
        return report_frame(self.saved)

    @property
    def title(self) -> str:
        """The data in one line."""
        return f"{self.data}, {self.split}: {len(self.saved.rows):,} texts"

    @property
    def headline(self) -> str:
        """The scores in one line."""
        scores = self.metrics
        if self.interval is None:
            main = (
                f"micro-F1 {scores['micro_f1']:.4f}  macro-F1 {scores['macro_f1']:.4f}  "
                f"all labels correct {scores['subset_accuracy']:.4f}"
            )
        else:
            low, high = self.interval
            main = (
                f"accuracy {scores['accuracy']:.4f} (95 % interval {low:.4f} to {high:.4f})  "
                f"macro-F1 {scores['macro_f1']:.4f}"
            )
        return f"{main}  loss {scores['loss']:.4f}"

    def __repr__(self) -> str:
        """Return the data, the scores and the notes."""
        return "\n".join([self.title, self.headline, *self.notes])

    def _repr_html_(self) -> str:
        """Return the same for notebooks."""
        return "<br>".join(html.escape(line) for line in repr(self).splitlines())
