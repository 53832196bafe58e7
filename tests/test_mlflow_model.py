"""A classifier in MLflow predicts as its folder does, without pickle, torch or this package."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

import nlp_rnn
from nlp_rnn.classifier.mlflow_model import log_classifier
from nlp_rnn.errors import ClassifierError
from nlp_rnn.tracking.run_lifecycle import tracked_run
from nlp_rnn.tracking.store import obtain_experiment
from tests.tiny_classifier import save_tiny, tiny_texts

# mlflow.pyfunc says this to itself when it is imported.
pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType")

TEXTS = ["w2 w3", "w5 w9 w7 w8", ""]


class Logged(NamedTuple):
    """A classifier folder, the store it was logged to, the model's URI and the run."""

    folder: Path
    store: str
    uri: str
    run_id: str


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory, prepared_store: Path) -> Logged:
    temporary = tmp_path_factory.mktemp("flavor")
    folder = save_tiny(temporary / "classifier")
    shutil.copy(prepared_store, temporary / "mlflow.db")
    store = f"sqlite:///{temporary}/mlflow.db"
    experiment = obtain_experiment(store, "test")
    with (
        pytest.MonkeyPatch.context() as patch,
        tracked_run(
            store, experiment, name="one", parameters={}, tags={}, system_metrics=False
        ) as run,
    ):
        patch.setattr(sys, "dont_write_bytecode", False)  # whatever the environment says
        uri = log_classifier(folder, run_id=run.run_id, example=TEXTS[:2])
        assert not sys.dont_write_bytecode
    return Logged(folder, store, uri, run.run_id)


@pytest.fixture(scope="module")
def model_folder(logged: Logged) -> Path:
    """What MLflow keeps, in its own folder on the disk."""
    (description,) = logged.folder.parent.rglob("MLmodel")
    return description.parent


@pytest.fixture(scope="module")
def model(model_folder: Path) -> Any:
    from mlflow import pyfunc

    return pyfunc.load_model(str(model_folder))


def predictions(table: pd.DataFrame) -> list[tuple[str, float]]:
    assert table.columns.tolist() == ["label", "score"]
    return [(row.label, pytest.approx(row.score, abs=1e-6)) for row in table.itertuples()]


def expected(logged: Logged, texts: list[str]) -> list[tuple[str, float]]:
    classifier = nlp_rnn.load(logged.folder)
    probabilities = classifier.predict_proba(texts).max(axis=1).tolist()
    return list(zip(classifier.predict(texts), probabilities, strict=True))


def test_logged_model_holds_the_folder_and_no_pickle(logged: Logged, model_folder: Path) -> None:
    artifacts = model_folder / "artifacts" / "classifier"
    for file in logged.folder.iterdir():
        assert (artifacts / file.name).read_bytes() == file.read_bytes()
    names = {path.name for path in model_folder.rglob("*")}
    assert not [name for name in names if name.endswith((".pkl", ".pickle", ".joblib", ".pyc"))]
    requirements = (model_folder / "requirements.txt").read_text().split()
    libraries = [item.split("==")[0] for item in requirements]
    assert libraries == ["mlflow", "numpy", "onnxruntime", "tokenizers"]
    assert all("==" in item for item in requirements)
    assert json.loads((model_folder / "input_example.json").read_text()) == TEXTS[:2]


def test_signature_names_columns_and_parameters(model: Any) -> None:
    signature = model.metadata.signature
    assert signature.outputs.input_names() == ["label", "score"]
    assert [(item.name, item.default) for item in signature.params] == [
        ("top_k", 0),
        ("threshold", 0.0),
        ("probabilities", False),
        ("predict_proba", False),
    ]
    assert signature.inputs is None  # with any, mlflow's server could not read csv


@pytest.mark.parametrize(
    "same",
    [
        list,
        np.array,
        pd.Series,
        lambda texts: np.array(texts, dtype=object),
        lambda texts: pd.DataFrame({"text": texts}),
        lambda texts: pd.DataFrame({"text": texts, "label": "bad"}),
        lambda texts: pd.DataFrame({"label": "bad", "text": texts}),
        lambda texts: np.array(texts)[:, None],
        tuple,
        lambda texts: {"text": texts},
        lambda texts: {"text": np.array(texts)},
    ],
)
def test_every_kind_of_input_gets_the_same_predictions(
    logged: Logged, model: Any, same: Any
) -> None:
    for texts in (TEXTS, TEXTS[:1], tiny_texts(70)):
        assert predictions(model.predict(same(texts))) == expected(logged, texts)


def test_predictions_have_the_index_of_the_table(model: Any) -> None:
    table = pd.DataFrame({"text": TEXTS}, index=[7, 3, 9])
    assert model.predict(table).index.tolist() == [7, 3, 9]
    assert model.predict({"text": TEXTS}).index.tolist() == [0, 1, 2]
    assert model.predict({"text": []}).shape == (0, 2)


@pytest.mark.parametrize(
    ("model_input", "message"),
    [
        (["w2", None], "texts[1] is"),
        (["w2", 3], "texts[1] is int 3"),
        ([1, 2], "texts[0] is int 1"),
        ([b"w2"], "texts[0] is bytes"),
        ({"text": ["w2", None]}, "texts[1] is"),
        ({"review": TEXTS}, 'There is no column "text"; found review'),
        ({}, 'There is no column "text"; found none'),
        (pd.DataFrame({"label": ["bad"], "review": ["w2"]}), "found label, review"),
        (pd.DataFrame([["w2", "w3"]], columns=["text", "text"]), "found text, text"),
        ("w2", "texts is one str"),
        ({"text": "w2"}, "texts is one str"),
        (np.array([["w2", "w3"]]), "texts[0] is list"),
        (3, "texts is int"),
    ],
)
def test_bad_input_is_rejected_as_the_callers_error(
    model: Any, model_input: Any, message: str
) -> None:
    from mlflow.exceptions import MlflowException

    with pytest.raises(MlflowException) as caught:
        model.predict(model_input)
    assert message in caught.value.message
    assert caught.value.get_http_status_code() == 400


def test_a_null_text_in_a_table_has_null_predictions(logged: Logged, model: Any) -> None:
    table = pd.DataFrame({"text": [TEXTS[0], None, TEXTS[1], float("nan")]}, index=[4, 3, 2, 1])
    result = model.predict(table)
    assert result.index.tolist() == [4, 3, 2, 1]
    assert result.label.isna().tolist() == [False, True, False, True]
    assert result.score.isna().tolist() == [False, True, False, True]
    assert predictions(result.dropna()) == expected(logged, TEXTS[:2])
    assert model.predict(pd.DataFrame({"text": [None]})).label.isna().all()


def test_probabilities_have_a_column_for_each_label(logged: Logged, model: Any) -> None:
    classifier = nlp_rnn.load(logged.folder)
    table = model.predict(pd.DataFrame({"0": TEXTS}), params={"predict_proba": True})
    assert table.columns.tolist() == classifier.labels
    np.testing.assert_allclose(table, classifier.predict_proba(TEXTS), rtol=0, atol=1e-6)


def test_a_model_has_few_files(model_folder: Path) -> None:
    assert sum(path.is_file() for path in model_folder.rglob("*")) < 20


def test_parameters_ask_for_more(logged: Logged, model: Any) -> None:
    classifier = nlp_rnn.load(logged.folder)
    table = model.predict(TEXTS, params={"top_k": 2, "probabilities": True})
    assert table.columns.tolist() == ["label", "score", "labels", "scores", "probabilities"]
    for (_, row), top in zip(table.iterrows(), classifier.predict(TEXTS, top_k=2), strict=True):
        assert list(zip(row.labels, row.scores, strict=True)) == [
            (label, pytest.approx(share, abs=1e-6)) for label, share in top
        ]
        assert row.label == row.labels[0]
    shares = [list(row.values()) for row in table.probabilities]
    np.testing.assert_allclose(shares, classifier.predict_proba(TEXTS), rtol=0, atol=1e-6)
    assert list(table.probabilities[0]) == classifier.labels
    assert model.predict(TEXTS, params={"top_k": 0}).columns.tolist() == ["label", "score"]


def test_a_threshold_leaves_out_less_probable_labels(logged: Logged, model: Any) -> None:
    classifier = nlp_rnn.load(logged.folder)
    texts = tiny_texts(40)
    scores = classifier.predict_proba(texts).max(axis=1)
    threshold = float(np.median(scores))
    table = model.predict(texts, params={"threshold": threshold, "top_k": 2})
    labels = [None if pd.isna(label) else label for label in table.label]
    assert labels == classifier.predict(texts, threshold=threshold)
    assert 0 < labels.count(None) < 40
    np.testing.assert_allclose(table.score, scores, atol=1e-6)
    expected = classifier.predict(texts, threshold=threshold, top_k=2)
    assert table.labels.tolist() == [[label for label, _ in row] for row in expected]
    assert model.predict(texts, params={"threshold": 0.0}).label.notna().all()


def test_a_wrong_threshold_is_the_callers_fault(model: Any) -> None:
    from mlflow.exceptions import MlflowException

    with pytest.raises(MlflowException, match="threshold is 1.5; set a probability"):
        model.predict(TEXTS, params={"threshold": 1.5})


@pytest.mark.parametrize("top_k", [-1, 4])
def test_a_wrong_top_k_is_the_callers_fault(model: Any, top_k: int) -> None:
    from mlflow.exceptions import MlflowException

    with pytest.raises(MlflowException, match=f"top_k is {top_k}; this classifier has 3") as caught:
        model.predict(TEXTS, params={"top_k": top_k})
    assert caught.value.get_http_status_code() == 400


BARE = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "datasets", "hydra", "omegaconf", "onnx", "safetensors"}:
            raise ImportError(name + " is blocked")
sys.meta_path.insert(0, Blocked())
sys.path = [entry for entry in sys.path if entry != REPOSITORY]
import mlflow.pyfunc
model = mlflow.pyfunc.load_model(FOLDER)
import nlp_rnn
assert nlp_rnn.__file__.startswith(FOLDER), nlp_rnn.__file__
print(model.predict(TEXTS).to_json(orient="values", double_precision=10))
"""


def test_loads_without_torch_and_from_its_own_copy_of_the_source(
    logged: Logged, model_folder: Path, tmp_path: Path
) -> None:
    repository = str(Path(nlp_rnn.__file__).parents[1])
    program = f"FOLDER = {str(model_folder)!r}\nTEXTS = {TEXTS!r}\nREPOSITORY = {repository!r}\n"
    done = subprocess.run(
        [sys.executable, "-c", program + BARE], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    result = [tuple(row) for row in json.loads(done.stdout)]
    assert [(label, pytest.approx(score, abs=1e-6)) for label, score in result] == expected(
        logged, TEXTS
    )


def test_a_classifier_that_the_loaded_version_cannot_read_is_an_error_that_says_so(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    def unknown(folder: str) -> None:
        raise AttributeError("no reader of format 99")

    monkeypatch.setattr("nlp_rnn.classifier.table_predictor.TablePredictor", unknown)
    message = r"with nlp_rnn .* from .*__init__\.py.* \(no reader of format 99\)\.\nLoad it in"
    with pytest.raises(mlflow.MlflowException, match=message):
        mlflow.pyfunc.load_model(str(model_folder))


# Loading by URI


def test_uris_and_model_folders_load_as_the_folder_does(
    logged: Logged, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", logged.store)
    classifier = nlp_rnn.load(logged.folder)
    for location in (f"runs:/{logged.run_id}/classifier", logged.uri, model_folder):
        result = nlp_rnn.load(location, threads=1)
        assert result.config == classifier.config
        np.testing.assert_array_equal(result.predict_proba(TEXTS), classifier.predict_proba(TEXTS))


def test_store_in_the_working_directory_is_found_without_output(logged: Logged) -> None:
    program = "import nlp_rnn, sys; print(nlp_rnn.load(sys.argv[1]).labels)"
    done = subprocess.run(
        [sys.executable, "-c", program, f"runs:/{logged.run_id}/classifier"],
        cwd=logged.folder.parent,
        env=os.environ | {"PYTHONPATH": str(Path(nlp_rnn.__file__).parents[1])},
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr) == ("['bad', 'fair', 'good']\n", "")


@pytest.mark.parametrize("uri", ["runs:/{run}/other", "runs:/0/classifier"])
def test_uri_of_nothing_is_rejected_and_leaves_nothing(
    logged: Logged, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, uri: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", logged.store)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(ClassifierError, match="has no classifier runs:/") as caught:
        nlp_rnn.load(uri.format(run=logged.run_id))
    assert len(str(caught.value).splitlines()) == 2
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("uri", ["runs:/0/classifier", "models:/champion/1", "models:/a@b"])
def test_uri_without_a_store_makes_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, uri: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ClassifierError, match="there is no MLflow store at") as caught:
        nlp_rnn.load(uri)
    assert f"{tmp_path}/mlflow.db" in str(caught.value)
    assert "MLFLOW_TRACKING_URI=" in str(caught.value)
    assert os.listdir(tmp_path) == []


# Serving


@pytest.fixture
def server(model_folder: Path, tmp_path: Path) -> Iterator[str]:
    """`mlflow models serve` on a free port of this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["models", "serve", "-m", str(model_folder), "--env-manager", "local"]
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *command, "-h", "127.0.0.1", "-p", str(port)],
            cwd=tmp_path,
            env=os.environ | {"PATH": programs},
            stdout=log,
            stderr=log,
            start_new_session=True,  # so that its children can be ended with it
        )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            assert process.poll() is None, (tmp_path / "log").read_text()
            try:
                urllib.request.urlopen(f"{address}/ping").close()
                break
            except urllib.error.URLError:
                time.sleep(0.25)
        yield f"{address}/invocations"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)


def ask(server: str, body: Any, kind: str = "application/json") -> tuple[int, Any]:
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    request = urllib.request.Request(server, data, {"Content-Type": kind})
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.load(refused)


def test_models_serve_predicts_json_and_csv(logged: Logged, server: str) -> None:
    for body in (
        {"inputs": TEXTS},
        {"instances": TEXTS},
        {"dataframe_split": {"columns": ["text"], "data": [[text] for text in TEXTS]}},
        {"dataframe_records": [{"text": text} for text in TEXTS]},
        {"inputs": [{"text": text} for text in TEXTS]},
        {"instances": [{"text": text} for text in TEXTS]},
        {"inputs": {"text": TEXTS}},
    ):
        status, result = ask(server, body)
        assert status == 200
        assert predictions(pd.DataFrame(result["predictions"])) == expected(logged, TEXTS)
    for body, message in (
        ({"inputs": ["w2", None]}, "texts[1] is"),
        ({"inputs": [2, 3]}, "texts[0] is int 2"),
        ({"inputs": [{"review": "w2"}]}, "found review"),
        ({"inputs": [{"text": 2}]}, "texts[0] is int 2"),
        ({"dataframe_split": {"columns": ["text"], "data": [["w2"], [3]]}}, "texts[1] is int 3"),
        ({"dataframe_records": [{"label": "bad", "review": "w2"}]}, "found label, review"),
        ({"inputs": TEXTS, "params": {"top_k": 9}}, "top_k is 9"),
        ({"inputs": TEXTS, "params": {"top_k": "many"}}, "top_k"),
        ({"texts": TEXTS}, "exactly one of the input fields"),
    ):
        status, result = ask(server, body)
        assert status == 400
        assert message in result["message"]
    # a number among texts is a text by the time that the server passes it on
    status, result = ask(server, {"inputs": ["w2", 3]})
    assert predictions(pd.DataFrame(result["predictions"])) == expected(logged, ["w2", "3"])
    status, result = ask(server, {"inputs": TEXTS, "params": {"top_k": 1}})
    assert status == 200
    assert result["predictions"][0]["labels"] == [result["predictions"][0]["label"]]
    # csv, with other columns and with white space that a text may hold
    table = pd.DataFrame({"id": [1, 2, 3], "text": ["w2 w3", 'w5, "w9"\nw7 w8', "w4"]})
    status, result = ask(server, table.to_csv(index=False), "text/csv")
    assert status == 200
    assert predictions(pd.DataFrame(result["predictions"])) == expected(logged, list(table["text"]))
    status, result = ask(server, "text\nw2\nNA\n", "text/csv")  # a null text for pandas
    assert status == 200
    assert pd.DataFrame(result["predictions"]).isna().to_numpy().tolist() == [
        [False] * 2,
        [True] * 2,
    ]
    for csv, message in (
        ("text\n1\n2\n", "texts[0] is int 1"),
        ("id,review\n1,w2\n", "found id, review"),
    ):
        status, result = ask(server, csv, "text/csv")
        assert status == 400
        assert message in result["message"]
