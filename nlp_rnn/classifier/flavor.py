"""A classifier folder becomes a model in MLflow that needs neither torch nor this package."""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

__all__ = ["log_classifier"]

# What answering needs; pandas comes with mlflow.
_REQUIREMENTS = ("mlflow", "numpy", "onnxruntime", "tokenizers")


def log_classifier(folder: Path, *, name: str = "classifier", example: Sequence[str]) -> str:
    """Log a classifier folder as a pyfunc model of the active MLflow run; return the model's URI.

    The model takes a list of str, an array, a series, `{"text": [...]}` or a table with the
    column `text`, and gives a table with the columns `label` and `score`. It holds the folder,
    this package's source and no pickle. `runs:/RUN/NAME` finds it as well as the URI.

    Args:
        folder: as `save_classifier` leaves it.
        name: of the logged model.
        example: texts that a reader of the model page will see, at least one.
    """
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema
    from mlflow.types.schema import AnyType

    # One column without a name: with a name MLflow would refuse a plain list. Of any type: for a
    # string column its server turns null into the text "None"; the model itself refuses it.
    signature = ModelSignature(
        inputs=Schema([ColSpec(AnyType())]),
        outputs=Schema([ColSpec("string", "label"), ColSpec("float", "score")]),
    )
    here = Path(__file__).parent
    model = mlflow.pyfunc.log_model(
        name=name,
        python_model=str(here / "pyfunc_model.py"),
        artifacts={"classifier": str(folder)},
        code_paths=[str(here.parent)],
        signature=signature,
        input_example=list(example),
        pip_requirements=[f"{library}=={version(library)}" for library in _REQUIREMENTS],
    )
    uri: str = model.model_uri
    return uri
