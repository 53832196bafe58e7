"""Log a classifier folder as an MLflow model that needs neither torch nor this package."""

import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from nlp_rnn.classifier.manifest import read_config

__all__ = ["log_classifier"]

# What predictions need; pandas comes with mlflow.
_REQUIREMENTS = ("mlflow", "numpy", "onnxruntime", "tokenizers")


def log_classifier(
    folder: Path, *, run_id: str, name: str = "classifier", example: Sequence[str]
) -> str:
    """Log a classifier folder as a pyfunc model of an MLflow run.

    The model takes a list of str, an array, a series, `{"text": [...]}` or a table with the
    column `text`. It returns a table with the columns `label` and `score`; if it is multi-label,
    with the lists `labels` and `scores`. The parameters `top_k` and `probabilities` add columns;
    `threshold` leaves out less probable labels; `predict_proba` returns one column for each label.
    It holds the classifier folder and the
    source of this package as a zip file, and no pickle.

    Parameters
    ----------
    folder : Path
        Folder written by `save_classifier`.
    run_id : str
        Id of the run, in the current tracking store of MLflow.
    name : str, default "classifier"
        Name of the logged model.
    example : sequence of str
        Example texts for the model's page, at least one.

    Returns
    -------
    str
        URI of the model. `runs:/RUN_ID/NAME` finds it too.
    """
    import mlflow
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import Array, DataType

    outputs = [ColSpec("string", "label"), ColSpec("float", "score")]
    if read_config(folder)["task"] == "multi_label":
        lists = {"labels": Array(DataType.string), "scores": Array(DataType.double)}
        outputs = [ColSpec(kind, name) for name, kind in lists.items()]

    # The signature has no inputs, so that MLflow passes them on unchanged. With a named column it
    # would reject a list; with a string column its server would turn null into the text "None";
    # with a column of any type its server could not read csv. The model checks its input itself;
    # only a number in a JSON list of texts is converted to text before the model can reject it.
    signature = ModelSignature(
        outputs=Schema(outputs),
        params=ParamSchema(
            [
                ParamSpec("top_k", "long", 0),
                ParamSpec("threshold", "double", 0.0),
                ParamSpec("probabilities", "boolean", False),
                ParamSpec("predict_proba", "boolean", False),
            ]
        ),
    )
    package = Path(__file__).parent
    # as `pyfunc.log_model`, which can only log to the active run of the current thread
    client = mlflow.MlflowClient()
    run = client.get_run(run_id)
    logged = client.create_logged_model(
        run.info.experiment_id, name, source_run_id=run_id, params=run.data.params
    )
    with _no_bytecode(), tempfile.TemporaryDirectory() as temporary:
        archive = _zip_source(package.parent, Path(temporary) / "nlp_rnn.zip")
        model = Model.log(
            artifact_path=None,
            model_id=logged.model_id,
            name=name,
            flavor=mlflow.pyfunc,
            flavor_name="pyfunc.ModelFromCode",
            run_id=run_id,
            python_model=str(package / "pyfunc_model.py"),
            artifacts={"classifier": str(folder), "code": str(archive)},
            signature=signature,
            input_example=list(example),
            pip_requirements=[f"{library}=={version(library)}" for library in _REQUIREMENTS],
        )
    uri: str = model.model_uri
    return uri


def _zip_source(package: Path, archive: Path) -> Path:
    """Write the Python files of this package to a zip file, the same for the same files."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
        for path in sorted(package.rglob("*.py")):
            entry = zipfile.ZipInfo(str(path.relative_to(package.parent)))  # dated 1980
            target.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return archive


@contextmanager
def _no_bytecode() -> Iterator[None]:
    """Prevent `.pyc` files: MLflow runs the model in the folder that it then uploads."""
    before = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before
