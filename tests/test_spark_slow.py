"""A classifier in local Spark and Ray Data: every program of docs/how-to/spark-and-ray.md, nulls.

Spark needs Java; the program for Ray Data is left out where Ray is not installed.
"""

import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import nlp_rnn
from nlp_rnn.classifier.mlflow_model import log_classifier
from tests.test_mlflow_model import TEXTS
from tests.test_text_pairs import SEPARATOR, saved
from tests.tiny_classifier import save_tiny

PAGE = Path(__file__).parent.parent / "docs" / "how-to" / "spark-and-ray.md"

pyspark = pytest.importorskip("pyspark", reason="pip install pyspark, which needs Java")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning", "ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def spark() -> Any:
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    session = (
        SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
    )
    yield session
    session.stop()


@pytest.fixture
def logged(tmp_path: Path, store_uri: str) -> Iterator[tuple[str, Path]]:
    import mlflow

    folder = save_tiny(tmp_path / "classifier")
    mlflow.set_tracking_uri(store_uri)
    with mlflow.start_run() as run:
        uri = log_classifier(folder, run_id=run.info.run_id, example=TEXTS[:2])
    yield uri, folder
    mlflow.set_tracking_uri(None)


def test_the_obvious_call_works_with_nulls_and_arrays(spark: Any, logged: tuple[str, Path]) -> None:
    from mlflow.pyfunc import spark_udf

    uri, folder = logged
    classifier = nlp_rnn.load(folder)
    texts = [*TEXTS, None, *TEXTS]
    frame = spark.createDataFrame(pd.DataFrame({"text": texts}))
    predict = spark_udf(spark, uri, env_manager="local")
    rows = frame.select(predict("text").alias("p")).collect()
    labels = [row.p.label for row in rows if row.p.score is not None]
    assert labels == [*classifier.predict(TEXTS), *classifier.predict(TEXTS)]
    assert [row.p.score is None for row in rows] == [text is None for text in texts]

    probabilities = spark_udf(
        spark, uri, "array<double>", env_manager="local", params={"predict_proba": True}
    )
    rows = frame.where("text is not null").select(probabilities("text").alias("p")).collect()
    found = np.array([row.p for row in rows])
    np.testing.assert_allclose(found, classifier.predict_proba([*TEXTS, *TEXTS]), atol=1e-6)


def test_the_programs_of_the_page(
    spark: Any, logged: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    _, folder = logged
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    classifier = nlp_rnn.load(folder)
    texts = TEXTS * 20
    pd.DataFrame({"text": texts}).to_parquet(folder.parent / "texts.parquet")
    (run,) = mlflow.MlflowClient().search_runs(["0"])
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {"spark": spark, "__name__": "__main__"}
    for block in blocks:
        if "import ray" in block:
            if importlib.util.find_spec("ray") is None:
                continue
            importlib.import_module("ray").init(num_cpus=3, include_dashboard=False)
        block = block.replace("RUN_ID", run.info.run_id)
        # relative paths are relative to the folder of the Java process
        block = re.sub(r'"(\w+\.parquet|classifier)"', rf'"{folder.parent}/\1"', block)
        exec(compile(block, str(PAGE), "exec"), names)
    expected, table = classifier.predict(texts), classifier.predict_proba(texts)

    written = pd.read_parquet(folder.parent / "predictions.parquet")
    assert dict(zip(written.text, written.label, strict=True)) == dict(
        zip(texts, expected, strict=True)
    )
    assert len(written) == len(texts)
    arrays = np.array([row.probabilities for row in names["arrays"].collect()])
    np.testing.assert_allclose(arrays, table, atol=1e-6)
    rows = names["labelled"].select("text", "p.label", "p.score").collect()
    assert [row.label for row in rows] == list(expected)
    np.testing.assert_allclose([row.score for row in rows], table.max(axis=1), atol=1e-6)
    if "ray" in names:
        found = names["labelled_texts"].to_pandas()
        assert sorted(found.label) == sorted(expected)
        names["ray"].shutdown()


def test_text_pairs_are_two_columns(
    spark: Any, tmp_path: Path, store_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow
    from mlflow.pyfunc import spark_udf

    monkeypatch.chdir(tmp_path)
    folder = saved(tmp_path / "pairs")
    first, second = ["w2 w3", "w4", "w9 w9"], ["w5", "w6 w7", "w2"]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store_uri)
    with mlflow.start_run() as run:
        uri = log_classifier(folder, run_id=run.info.run_id, example=TEXTS[:2])
    frame = spark.createDataFrame(pd.DataFrame({"premise": first, "hypothesis": second}))
    predict = spark_udf(spark, uri, env_manager="local")
    rows = frame.select(predict("premise", "hypothesis").alias("p")).collect()
    joined = [f" {SEPARATOR} ".join(pair) for pair in zip(first, second, strict=True)]
    table = nlp_rnn.load(folder).predict_proba(joined)
    np.testing.assert_allclose([row.p.score for row in rows], table.max(axis=1), atol=1e-6)
