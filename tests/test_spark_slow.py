"""A logged model in local Spark: `spark_udf` with one column, nulls, arrays and text pairs."""

import os
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
from tests.tiny_classifier import save_tiny

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
