"""A classifier folder becomes a model in MLflow that needs neither torch nor this package."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from nlp_rnn.classifier.manifest import read_config

__all__ = ["log_classifier"]

# What answering needs; pandas comes with mlflow.
_REQUIREMENTS = ("mlflow", "numpy", "onnxruntime", "tokenizers")


def log_classifier(
    folder: Path, *, run_id: str, name: str = "classifier", example: Sequence[str]
) -> str:
    """Log a classifier folder as a pyfunc model of a run of MLflow; return the model's URI.

    The model takes a list of str, an array, a series, `{"text": [...]}` or a table with the
    column `text`, and gives a table with the columns `label` and `score`, or, where a text
    may have several labels, `labels` and `scores`, which are lists; with the parameters
    `top_k` and `probabilities` more of them. It holds the folder,
    this package's source and no pickle. `runs:/RUN/NAME` finds it as well as the URI.

    Args:
        folder: as `save_classifier` leaves it.
        run_id: in the store that is MLflow's default at the moment.
        name: of the logged model.
        example: texts that a reader of the model page will see, at least one.
    """
    import mlflow
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import Array, DataType

    outputs = [ColSpec("string", "label"), ColSpec("float", "score")]
    if read_config(folder)["task"] == "multi_label":
        lists = {"labels": Array(DataType.string), "scores": Array(DataType.double)}
        outputs = [ColSpec(kind, name) for name, kind in lists.items()]

    # No inputs: MLflow then passes on what was sent as it is. With a named column it would refuse
    # a list; with a string column its server would turn null into the text "None"; with a column
    # of any type its server could not read csv. The model itself checks, and says what is wrong;
    # only a number in a JSON list of texts has become text before it can see it.
    signature = ModelSignature(
        outputs=Schema(outputs),
        params=ParamSchema(
            [ParamSpec("top_k", "long", 0), ParamSpec("probabilities", "boolean", False)]
        ),
    )
    here = Path(__file__).parent
    # What `pyfunc.log_model` does, which can only write to the active run of its own thread.
    client = mlflow.MlflowClient()
    run = client.get_run(run_id)
    made = client.create_logged_model(
        run.info.experiment_id, name, source_run_id=run_id, params=run.data.params
    )
    with _no_bytecode():
        model = Model.log(
            artifact_path=None,
            model_id=made.model_id,
            name=name,
            flavor=mlflow.pyfunc,
            flavor_name="pyfunc.ModelFromCode",
            run_id=run_id,
            python_model=str(here / "pyfunc_model.py"),
            artifacts={"classifier": str(folder)},
            code_paths=[str(here.parent)],
            signature=signature,
            input_example=list(example),
            pip_requirements=[f"{library}=={version(library)}" for library in _REQUIREMENTS],
        )
    uri: str = model.model_uri
    return uri


@contextmanager
def _no_bytecode() -> Iterator[None]:
    """Imports leave no `.pyc`: MLflow tries a model out in the folder that it then keeps."""
    before = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before
