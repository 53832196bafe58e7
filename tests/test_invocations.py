"""`POST /invocations` accepts what MLflow's model server accepts, and responds as it does."""

import json
from pathlib import Path
from typing import Any

import pytest

import nlp_rnn
from nlp_rnn.classifier.predictor import TextClassifier
from nlp_rnn.serving.bad_request import RequestError
from nlp_rnn.serving.invocations import parse_invocation
from tests.service import require_service, running_service
from tests.tiny_classifier import save_tiny

TEXTS = ["w2 w3", "w5, w9", ""]


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> TextClassifier:
    return nlp_rnn.load(save_tiny(tmp_path_factory.mktemp("served") / "classifier"))


def parse(classifier: TextClassifier, value: Any, media_type: str = "application/json") -> Any:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return parse_invocation(body, media_type, classifier, 10, 100)


@pytest.mark.parametrize(
    "value",
    [
        {"inputs": TEXTS},
        {"inputs": [[text] for text in TEXTS]},
        {"inputs": {"text": TEXTS}},
        {"inputs": [{"text": text} for text in TEXTS]},
        {"instances": TEXTS},
        {"instances": [{"text": text} for text in TEXTS]},
        {"dataframe_split": {"columns": ["text"], "data": [[text] for text in TEXTS]}},
        {"dataframe_split": {"data": [[text] for text in TEXTS]}},
        {
            "dataframe_split": {
                "columns": ["id", "text"],
                "index": [3, 4, 5],
                "data": [[1, text] for text in TEXTS],
            }
        },
        {"dataframe_records": [{"text": text, "id": 3} for text in TEXTS]},
    ],
)
def test_every_json_format_has_the_same_texts(classifier: TextClassifier, value: Any) -> None:
    assert parse(classifier, value).texts == TEXTS


def test_parameters_reach_the_request(classifier: TextClassifier) -> None:
    request = parse(classifier, {"inputs": TEXTS, "params": {"threshold": 0.9, "top_k": 2}})
    assert (request.threshold, request.top_k) == (0.9, 2)
    assert parse(classifier, {"inputs": TEXTS, "params": {"threshold": 0}}).threshold is None


def test_csv_cells_are_texts(classifier: TextClassifier) -> None:
    body = '﻿text,id\r\nw2 w3,1\r\n"w5, w9",2\r\n"",3\r\nNA,4\r\n007,5\r\n"two\nlines",6\r\n'
    request = parse(classifier, body.encode(), "text/csv")
    assert request.texts == [*TEXTS, "NA", "007", "two\nlines"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, "The body has none of inputs, instances,"),
        ({"inputs": TEXTS, "instances": TEXTS}, "The body has inputs and instances of"),
        ({"inputs": TEXTS, "extra": 1}, "There is no field 'extra'"),
        ({"inputs": "w2"}, "inputs is not a list."),
        ({"inputs": {"text": "w2"}}, "inputs has no list of texts"),
        ({"dataframe_records": ["w2"]}, "dataframe_records is not a list of objects"),
        ({"inputs": ["w2", None]}, "texts[1] is NoneType, not a string."),
        ({"inputs": [["w2", "w3"]]}, "texts[0] is list, not a string."),
        ({"dataframe_records": [{"review": "w2"}]}, 'There is no column "text"; found review.'),
        ({"dataframe_split": {"columns": ["text"], "data": [[]]}}, "a row without a value for"),
        ({"dataframe_split": {"columns": ["text"]}}, "dataframe_split is not"),
        ({"dataframe_split": {"columns": {}, "data": []}}, "columns that are not a list of names"),
        ({"dataframe_split": {"data": ["w2"]}}, "a row without a value for each column"),
        ({"inputs": TEXTS, "params": {"top_k": 4}}, "top_k is not a whole number from 1 to 3"),
        ({"inputs": TEXTS, "params": {"threshold": 2}}, "threshold is 2; set a probability"),
        ({"inputs": TEXTS, "params": {"threshold": "x"}}, "threshold is 'x'; set a probability"),
        ({"inputs": TEXTS, "params": {"topk": 1}}, "There is no field 'topk'"),
        ({"inputs": TEXTS, "params": [1]}, "params is not a JSON object."),
        ({"inputs": TEXTS, "params": False}, "params is not a JSON object."),
        ({"inputs": ["w2"] * 11}, "The request has 11 texts; the limit is 10."),
    ],
)
def test_wrong_json_is_an_error(classifier: TextClassifier, value: Any, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse(classifier, value)
    assert caught.value.status == 400
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"review\nw2\n", 'There is no column "text"; found review.'),
        (b"", 'There is no column "text"; found none.'),
        (b"text,id\nw2\n", "Line 2 has 1 cells instead of 2."),
        (b'text\n"w2" w3\n', "The body is not CSV:"),
        (b"text\n\xff\n", "The body is not UTF-8: byte 5 is invalid."),
    ],
)
def test_wrong_csv_is_an_error(classifier: TextClassifier, body: bytes, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse(classifier, body, "text/csv")
    assert message in caught.value.message


def test_responses_have_the_format_of_mlflow(classifier: TextClassifier) -> None:
    require_service()
    params = {"top_k": 2, "probabilities": True}
    with running_service(Path(classifier.location)) as service:
        response = service.post("/invocations", {"inputs": TEXTS, "params": params})
        csv = service.request("POST", "/invocations", b"text\nw2 w3\n", Content_Type="text/csv")
        wrong = service.request("POST", "/invocations", b"text", Content_Type="text/plain")
        missing = service.post("/invocations", {})
    predictions = response.json["predictions"]
    assert [prediction["label"] for prediction in predictions] == classifier.predict(TEXTS)
    assert list(predictions[0]) == ["label", "score", "labels", "scores", "probabilities"]
    assert list(csv.json["predictions"][0]) == ["label", "score"]
    assert wrong.status == 415
    assert (missing.status, missing.json["error_code"]) == (400, "BAD_REQUEST")
