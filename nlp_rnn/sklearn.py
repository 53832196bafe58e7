"""LSTM and GRU text classifiers as a scikit-learn estimator."""

import io
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_is_fitted

from nlp_rnn.errors import DataError

if TYPE_CHECKING:
    import os

    from nlp_rnn.api.arguments import Overrides
    from nlp_rnn.classifier.predictor import TextClassifier

__all__ = ["RecurrentClassifier"]


class RecurrentClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Recurrent text classifier that follows the rules of scikit-learn's estimators.

    `fit` calls `nlp_rnn.train`: it cuts a validation and a test split from the data it gets, and
    logs the run to MLflow. The weights are those that the command line gives for the same data and
    options.

    Parameters
    ----------
    model : str, default "gru"
        Choice of the group `model`, such as `lstm`, `gru` or `average`.
    hidden_size : int, optional
        Hidden units of one direction; None is the default of the model.
    max_epochs : int, optional
        Epochs at most; None chooses them from the size of the data.
    random_state : int, default 1
        Seed of the run.
    overrides : list of str, or mapping, optional
        Further options, as in `nlp_rnn.train`.
    output_dir : str or path, optional
        Run folder; by default a new folder below `outputs` for every fit. Another fit of the
        same estimator replaces the run in it.
    verbose : bool, default False
        Print what `nlp-rnn train` prints.

    Attributes
    ----------
    classes_ : array of shape (C,)
        The labels, sorted. For multi-label data, the columns of `y`.
    classifier_ : TextClassifier
        The trained classifier.
    run_ : Run or None
        The run of the last `fit`; None after unpickling.

    Examples
    --------
    >>> from nlp_rnn.sklearn import RecurrentClassifier
    >>> from sklearn.model_selection import cross_val_score
    >>> cross_val_score(RecurrentClassifier("lstm"), texts, labels, cv=5)  # doctest: +SKIP
    """

    def __init__(
        self,
        model: str = "gru",
        hidden_size: int | None = None,
        max_epochs: int | None = None,
        random_state: int = 1,
        overrides: "Overrides | None" = None,
        output_dir: "str | os.PathLike[str] | None" = None,
        verbose: bool = False,
    ) -> None:
        self.model = model
        self.hidden_size = hidden_size
        self.max_epochs = max_epochs
        self.random_state = random_state
        self.overrides = overrides
        self.output_dir = output_dir
        self.verbose = verbose

    def fit(self, X: Any, y: Any) -> "RecurrentClassifier":
        """Train on texts and labels.

        Parameters
        ----------
        X : sequence of n str
            The texts.
        y : array-like of shape (n,) or (n, C)
            The labels; for multi-label data an array of 0 and 1 with a column for each label.

        Returns
        -------
        RecurrentClassifier
            The estimator itself.

        Raises
        ------
        DataError
            The texts are not strings, or there are too few texts or classes.
        """
        from nlp_rnn.api.train import train

        texts = _texts(X)
        check_classification_targets(y)
        target = np.asarray(y)
        if len(target) != len(texts):
            raise DataError(f"X has {len(texts):,} texts, but y has {len(target):,} labels.")
        multi_label = type_of_target(target) == "multilabel-indicator"
        if multi_label:
            classes = np.arange(target.shape[1])
            labels: list[Any] = [[str(c) for c in np.flatnonzero(row)] for row in target]
        else:
            target = target.ravel()
            classes = np.unique(target)
            labels = [str(label) for label in target.tolist()]
        options: dict[str, Any] = {"model": self.model, "seed": self.random_state}
        if self.hidden_size is not None:
            options["model__hidden_size"] = self.hidden_size
        if self.max_epochs is not None:
            options["trainer__max_epochs"] = self.max_epochs
        with nullcontext() if self.verbose else redirect_stdout(io.StringIO()):
            self.run_ = train(
                (texts, labels),
                output_dir=self.output_dir,
                overwrite=self.output_dir is not None and hasattr(self, "run_"),
                overrides=self.overrides or (),
                **options,
            )
        self.classes_ = classes
        self.multi_label_ = multi_label
        self.classifier_: TextClassifier = self.run_.classifier
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """Predict the labels of texts.

        Parameters
        ----------
        X : sequence of n str

        Returns
        -------
        array of shape (n,) or (n, C)
            Labels in the form of `y`.
        """
        check_is_fitted(self)
        texts = _texts(X)
        predicted = self.classifier_.predict(texts)
        if self.multi_label_:
            indicators = np.zeros((len(texts), len(self.classes_)), dtype=int)
            for row, labels in zip(indicators, predicted, strict=True):
                row[[int(label) for label in labels]] = 1
            return indicators
        index_of = {str(label): index for index, label in enumerate(self.classes_.tolist())}
        return self.classes_[[index_of[str(label)] for label in predicted]]

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Predict the probability of every label.

        Parameters
        ----------
        X : sequence of n str

        Returns
        -------
        float64 array of shape (n, C)
            Probabilities, with columns in the order of `classes_`. Labels that no text of the
            training had have the probability 0.
        """
        check_is_fitted(self)
        texts = _texts(X)
        index_of = {str(label): index for index, label in enumerate(self.classes_.tolist())}
        columns = [index_of[label] for label in self.classifier_.labels]
        probabilities = np.zeros((len(texts), len(self.classes_)))
        probabilities[:, columns] = self.classifier_.predict_proba(texts)
        return probabilities

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for pickling, with the files of the classifier folder as bytes."""
        state: dict[str, Any] = dict(super().__getstate__())
        classifier = state.pop("classifier_", None)
        if classifier is not None:
            folder = Path(classifier.location)
            state["run_"] = None
            state["_files"] = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
        return state

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """Restore a pickled estimator, and load its classifier from the stored bytes."""
        from nlp_rnn.classifier.predictor import TextClassifier

        files = dict(state).get("_files")
        super().__setstate__({name: value for name, value in state.items() if name != "_files"})
        if files is None:
            return
        folder = Path(tempfile.mkdtemp(prefix="nlp_rnn_"))
        try:
            for name, content in files.items():
                (folder / name).write_bytes(content)
            self.classifier_ = TextClassifier.load(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def __sklearn_tags__(self) -> Any:
        """Return scikit-learn's tags: the input is text, and multi-label targets are supported."""
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.input_tags.one_d_array = True
        tags.classifier_tags.multi_label = True
        tags.non_deterministic = False
        return tags


def _texts(values: Any) -> list[str]:
    if isinstance(values, str):
        raise DataError("X is one string.\nPass a list of texts.")
    shape = getattr(values, "shape", None)
    if shape is not None and len(shape) == 2 and shape[1] == 1:  # a table with one column
        values = np.asarray(values).ravel()
    elif shape is not None and len(shape) != 1:
        raise DataError(
            f"X has the shape {tuple(shape)}, but should hold one text per row.\n"
            "Pass a single column, such as frame['text']."
        )
    texts = list(values)
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(
                f"X[{index}] is a {type(text).__name__}, not a string.\n"
                "Convert the texts, or drop rows without one."
            )
    return [str(text) for text in texts]
