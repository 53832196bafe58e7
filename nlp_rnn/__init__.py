"""Public API: train text classifiers, load saved ones, and predict labels and probabilities.

Importing this package imports neither torch nor mlflow nor onnxruntime.
"""

from typing import TYPE_CHECKING, Any

from nlp_rnn.version import __version__

if TYPE_CHECKING:
    import os

    from nlp_rnn.api.compare import compare
    from nlp_rnn.api.comparison import Comparison
    from nlp_rnn.api.evaluate import evaluate
    from nlp_rnn.api.evaluation import Evaluation
    from nlp_rnn.api.inspect import Inspections, inspect
    from nlp_rnn.api.run import Run
    from nlp_rnn.api.sweep import sweep
    from nlp_rnn.api.train import train
    from nlp_rnn.classifier.predictor import TextClassifier

__all__ = [
    "Comparison",
    "Evaluation",
    "Inspections",
    "Run",
    "TextClassifier",
    "__version__",
    "compare",
    "evaluate",
    "inspect",
    "load",
    "sweep",
    "train",
]

_LAZY = {
    "Comparison": "nlp_rnn.api.comparison",
    "Evaluation": "nlp_rnn.api.evaluation",
    "Inspections": "nlp_rnn.api.inspect",
    "Run": "nlp_rnn.api.run",
    "TextClassifier": "nlp_rnn.classifier.predictor",
    "compare": "nlp_rnn.api.compare",
    "evaluate": "nlp_rnn.api.evaluate",
    "inspect": "nlp_rnn.api.inspect",
    "sweep": "nlp_rnn.api.sweep",
    "train": "nlp_rnn.api.train",
}
"""Public names whose modules are imported at first use, with these modules."""


def load(
    location: "str | os.PathLike[str]", threads: int | None = None, runtime: str = "onnx"
) -> "TextClassifier":
    """Load a saved classifier from a folder or from MLflow.

    Parameters
    ----------
    location : str or path
        Classifier folder, run folder, or folder of an MLflow model; the id of a run in MLflow or
        its first eight characters; the id of a sweep, for the classifier that it recommends; or
        an MLflow URI such as `runs:/RUN_ID`, `models:/NAME/3` or `models:/NAME@ALIAS`. Ids and
        URIs are looked up in the store of the environment variable MLFLOW_TRACKING_URI; without
        it in `mlflow.db` of the working directory.
    threads : int, optional
        Number of batches that are computed at the same time; by default one per core.
    runtime : {"onnx", "int8", "torch"}, default "onnx"
        Library that computes the probabilities. `int8` is onnxruntime with weights in 8 bits,
        for classifiers that were saved with them; `torch` needs all dependencies of nlp_rnn.

    Returns
    -------
    TextClassifier
        The classifier, ready to predict.

    Raises
    ------
    ClassifierError
        There is no classifier at `location`, it was changed after it was saved, or a newer
        version of nlp_rnn wrote it.

    Examples
    --------
    >>> import nlp_rnn
    >>> classifier = nlp_rnn.load("reviews/classifier")
    >>> classifier.predict(["Warm, quick and on time.", "Cold and late."])
    ['positive', 'negative']
    """
    from nlp_rnn.classifier.location import find_classifier, is_uri, local_folder
    from nlp_rnn.classifier.predictor import TextClassifier

    path = find_classifier(location)
    with local_folder(path) as folder:
        classifier = TextClassifier.load(folder, threads, runtime)
    if is_uri(path):
        classifier.location = path  # the downloaded folder no longer exists
    return classifier


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from importlib import import_module

        from nlp_rnn.extras import missing_package

        try:
            value = getattr(import_module(_LAZY[name]), name)
        except ImportError as error:
            raise (missing_package(error, f"nlp_rnn.{name}") or error) from error
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
