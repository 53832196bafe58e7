"""The door: a classifier folder or an MLflow URI becomes a classifier that answers.

Importing this package imports neither torch nor mlflow nor onnxruntime.
"""

from typing import TYPE_CHECKING, Any

from nlp_rnn.version import __version__

if TYPE_CHECKING:
    import os

    from nlp_rnn.classifier.predictor import TextClassifier

__all__ = ["TextClassifier", "__version__", "load"]


def load(
    location: "str | os.PathLike[str]", threads: int | None = None, runtime: str = "onnx"
) -> "TextClassifier":
    """Load a saved classifier.

    Args:
        location: a classifier folder, an MLflow model folder, or an MLflow URI such as
            `runs:/RUN/classifier`, `models:/NAME/3` or `models:/NAME@ALIAS`. URIs are looked
            up where MLFLOW_TRACKING_URI says, else in mlflow.db of the working directory.
        threads: batches that are answered at the same time; None means one a core.
        runtime: `onnx`; `int8`, with weights in 8 bits, where the classifier holds them;
            `torch`.

    Raises:
        ClassifierError: there is no classifier, or a changed or newer one.
    """
    from nlp_rnn.classifier.location import is_uri, local_folder
    from nlp_rnn.classifier.predictor import TextClassifier

    with local_folder(location) as folder:
        classifier = TextClassifier.load(folder, threads, runtime)
    if is_uri(location):
        classifier.location = str(location)  # what was fetched is gone
    return classifier


def __getattr__(name: str) -> Any:
    if name == "TextClassifier":
        from nlp_rnn.classifier.predictor import TextClassifier

        return TextClassifier
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
