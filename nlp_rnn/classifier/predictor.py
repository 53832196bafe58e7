"""Text classifier that predicts labels and probabilities from a saved folder, without torch."""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, overload

from nlp_rnn.classifier.classifier_folder import read_classifier
from nlp_rnn.classifier.input_texts import checked_label_sets, checked_strings
from nlp_rnn.classifier.label_choice import Prediction, check_options, choose_labels
from nlp_rnn.classifier.risk_coverage import MIN_LABELS, RISK_COVERAGE, lowest_threshold
from nlp_rnn.classifier.runtime import RUNTIMES
from nlp_rnn.classifier.stream_predictor import StreamPredictor
from nlp_rnn.errors import ClassifierError

__all__ = ["TextClassifier"]


class TextClassifier(StreamPredictor):
    """Saved text classifier with the interface of a scikit-learn classifier.

    Texts are any iterable of `str` and are processed a few thousand at a time. Threads can share
    a classifier. It can be pickled for another process, which loads the same folder again and
    compares its checksum.

    Guarantee: the probabilities of a text do not depend on the other texts, on their order or on
    `threads`, beyond floating-point rounding.

    Parameters
    ----------
    saved : SavedClassifier
        Contents of a classifier folder, read by `read_classifier` for the same `runtime`.
    threads, runtime
        As in `load`.

    Attributes
    ----------
    labels : list of str
        Names of the C labels, in the order of the columns of `predict_proba`.
    classes_ : array of str, shape (C,)
        The same labels as an array, as in scikit-learn.
    task : {"single_label", "multi_label"}
        Whether a text has exactly one label or any number of them.
    thresholds : float64 array of shape (C,) or None
        Probability from which a text has each label; None for single-label classifiers.
    config : dict
        Contents of `config.json` in the classifier folder.
    location : str
        Folder or MLflow URI that the classifier was loaded from.
    num_parameters : int
        Number of parameters of the network.
    risk_coverage : dict or None
        For each threshold from 0 to 0.99, the coverage and the accuracy on the validation texts of
        the training: `rows` of threshold, coverage and accuracy, and the number of `texts`.

    Examples
    --------
    >>> import nlp_rnn
    >>> classifier = nlp_rnn.load("reviews/classifier")
    >>> classifier.labels
    ['negative', 'positive']
    >>> classifier.predict_proba(["Warm, quick and on time.", "Cold and late."]).round(2)
    array([[0.03, 0.97],
           [0.98, 0.02]], dtype=float32)
    """

    @classmethod
    def load(
        cls, folder: str | os.PathLike[str], threads: int | None = None, runtime: str = "onnx"
    ) -> "TextClassifier":
        """Load a classifier folder; `nlp_rnn.load` also loads from MLflow.

        Parameters
        ----------
        folder : str or path
            Folder with `config.json`, `tokenizer.json`, `model.safetensors` and `model.onnx`.
        threads : int, optional
            Number of batches that are computed at the same time; by default one per core. A
            single batch, and so a single text, always uses one thread, which is fastest.
        runtime : {"onnx", "int8", "torch"}, default "onnx"
            As in `nlp_rnn.load`.

        Returns
        -------
        TextClassifier
            The classifier, ready to predict.

        Raises
        ------
        ClassifierError
            The folder holds no classifier, a changed one or one of a newer format; or the
            runtime is unknown, not installed or not in the folder.
        """
        if runtime not in RUNTIMES:
            raise ClassifierError(f"runtime is {runtime!r}; set one of {', '.join(RUNTIMES)}.")
        return cls(read_classifier(Path(folder), runtime), threads, runtime)

    @overload
    def predict(self, texts: Iterable[str], *, windows: bool = ...) -> list[str]: ...
    @overload
    def predict(
        self, texts: Iterable[str], *, threshold: float, windows: bool = ...
    ) -> list[str | None]: ...
    @overload
    def predict(
        self,
        texts: Iterable[str],
        *,
        top_k: int,
        threshold: float | None = ...,
        windows: bool = ...,
    ) -> list[list[tuple[str, float]]]: ...

    def predict(
        self,
        texts: Iterable[str],
        *,
        top_k: int | None = None,
        threshold: float | None = None,
        windows: bool = False,
    ) -> list[Any]:
        """Predict the most probable label of each text, or all its labels if multi-label.

        Parameters
        ----------
        texts : iterable of str
            The texts.
        top_k : int, optional
            Return the `top_k` most probable labels of each text with their probabilities.
        threshold : float in (0, 1], optional
            Smallest probability of a predicted label. Single-label: the prediction is None if no
            label reaches it. Multi-label: it replaces `thresholds`. With `top_k`: labels below it
            are omitted.
        windows : bool, default False
            As in `predict_proba`.

        Returns
        -------
        list
            One prediction per text: a label or None; a list of labels if the classifier is
            multi-label; with `top_k` a list of (label, probability). The most probable is first.

        Raises
        ------
        ClassifierError
            `texts` is a single text or contains something else than `str`; or `top_k`,
            `threshold` or `windows` is invalid or has no effect.

        Examples
        --------
        >>> import nlp_rnn
        >>> classifier = nlp_rnn.load("reviews/classifier")
        >>> classifier.predict(["Warm, quick and on time.", "It is a table."], threshold=0.8)
        ['positive', None]
        >>> classifier.predict(["Cold and late."], top_k=2)
        [[('negative', 0.98...), ('positive', 0.01...)]]
        """
        return list(self.predict_iter(texts, top_k=top_k, threshold=threshold, windows=windows))

    def predict_iter(
        self,
        texts: Iterable[str],
        *,
        top_k: int | None = None,
        threshold: float | None = None,
        windows: bool = False,
    ) -> Iterator[Prediction]:
        """Yield the predictions of `predict` one by one, for texts that do not fit into memory.

        The options are those of `predict`.
        """
        check_options(top_k, threshold, len(self.labels))
        rows = self.predict_proba_iter(texts, windows=windows)
        return (choose_labels(row, self.labels, top_k, threshold, self.thresholds) for row in rows)

    def choose_threshold(self, accuracy: float) -> float:
        """Return the lowest threshold with which the predicted labels are this accurate.

        It is chosen on the validation texts of the training. With few of them it is uncertain:
        check it on the test texts, with `nlp-rnn evaluate`.

        Parameters
        ----------
        accuracy : float in (0, 1]
            Share of the predicted labels that are to be right. If the classifier is multi-label,
            the threshold is the same for all labels.

        Returns
        -------
        float
            The `threshold` for `predict`, a multiple of 0.01.

        Raises
        ------
        ClassifierError
            No threshold reaches the accuracy for at least 20 predicted labels, or the classifier
            has no risk–coverage table, because it was not trained by `nlp-rnn train`.

        Examples
        --------
        >>> import nlp_rnn
        >>> classifier = nlp_rnn.load("reviews/classifier")
        >>> threshold = classifier.choose_threshold(accuracy=0.95)
        >>> classifier.predict(["Warm, quick and on time.", "It is a table."], threshold=threshold)
        ['positive', None]
        """
        if not 0 < accuracy <= 1:
            raise ClassifierError(f"accuracy is {accuracy!r}; set a share above 0 and at most 1.")
        if self.risk_coverage is None:
            raise ClassifierError(
                f"{self.location} has no {RISK_COVERAGE}, from which a threshold is chosen.\n"
                "Train it again, or choose a threshold by its predictions for labelled texts."
            )
        threshold = lowest_threshold(self.risk_coverage, accuracy)
        if threshold is None:
            rows = zip(self.risk_coverage["rows"], self.risk_coverage["labels"], strict=True)
            reached = [row[2] for row, labels in rows if labels >= MIN_LABELS]
            best = f"the best accuracy is {max(reached):.3f}" if reached else "there are too few"
            raise ClassifierError(
                f"No threshold has the accuracy {accuracy} on the {self.risk_coverage['texts']:,} "
                f"validation texts: {best}.\nSet a lower accuracy."
            )
        return threshold

    def score(self, texts: Iterable[str], labels: Iterable[Any]) -> float:
        """Return the accuracy of `predict(texts)`, between 0 and 1.

        Parameters
        ----------
        texts : iterable of str
            At least one text.
        labels : iterable of str, or of lists of str
            True label of each text. If the classifier is multi-label, the list of its labels:
            the score is then the subset accuracy, as in scikit-learn.

        Returns
        -------
        float
            Share of the texts with a correct prediction.

        Raises
        ------
        ClassifierError
            As in `predict`; or there are no texts, or not as many labels.
        """
        multi_label = self.thresholds is not None
        truth: list[Any] = list(
            checked_label_sets(labels) if multi_label else checked_strings(labels, "labels")
        )
        predicted: list[Any] = self.predict(texts)
        if not predicted or len(predicted) != len(truth):
            raise ClassifierError(
                f"score needs at least one text and one label per text; found {len(predicted)} "
                f"texts and {len(truth)} labels."
            )
        if multi_label:
            predicted = [set(prediction) for prediction in predicted]
        correct = sum(a == b for a, b in zip(predicted, truth, strict=True))
        return float(correct / len(predicted))

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """Pickle the location and the checksum instead of the network."""
        arguments = (self.location, self.config["checksum"], self.threads, self.runtime)
        return _load_pickled, arguments

    def __repr__(self) -> str:
        parts = []
        if self._network is not None:
            sizes = self._network.architecture
            if sizes.cell == "average":
                network = "average of embeddings"
            else:
                size = f"{sizes.num_layers} × {sizes.hidden_size}"
                direction = "bidirectional " if sizes.bidirectional else ""
                network = f"{direction}{sizes.cell.upper()} {size}"
            parts = [f"{network}, {sizes.pooling} pooling", f"{sizes.vocab_size:,} tokens"]
        if self._ngrams is not None:
            parts.insert(1, "n-gram models")
        parts.insert(-1 if self._network else 1, f"{self.num_parameters:,} parameters")
        more = ", …" if len(self.labels) > 5 else ""
        any_of = "any of " if self.thresholds is not None else ""
        labels = f"{any_of}{len(self.labels)} labels ({', '.join(self.labels[:5])}{more})"
        return f"<TextClassifier: {', '.join([*parts, labels])}>"


def _load_pickled(
    location: str, checksum: str, threads: int | None, runtime: str
) -> TextClassifier:
    """Load the classifier that another process pickled."""
    import nlp_rnn

    classifier = nlp_rnn.load(location, threads, runtime)
    if classifier.config["checksum"] != checksum:
        raise ClassifierError(
            f"{location} holds a different classifier than the one that was pickled.\n"
            "Load it in the process that uses it: nlp_rnn.load(location)."
        )
    return classifier
