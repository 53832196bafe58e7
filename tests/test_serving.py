"""The HTTP service predicts what `predict_proba` predicts, and rejects what is wrong."""

import json
import os
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nlp_rnn
from nlp_rnn.classifier.predictor import TextClassifier
from nlp_rnn.cli import main
from tests.service import Service, require_service, running_service, wait_until
from tests.tiny_classifier import save_tiny, tiny_texts

require_service()

TEXTS = ["w2 w3", "w5 w9 w7 w8", "", "unknown words only", "w4 " * 100]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("served") / "classifier")


@pytest.fixture(scope="module")
def classifier(folder: Path) -> TextClassifier:
    return nlp_rnn.load(folder)


@pytest.fixture(scope="module")
def service(folder: Path) -> Iterator[Service]:
    other = save_tiny(folder.parent / "other", seed=1)
    limits = ("--max-texts", "50", "--max-characters", "2000", "--max-body", "20000")
    with running_service(f"first={folder}", f"second={other}", *limits) as service:
        yield service


@pytest.fixture(scope="module")
def multi_label(folder: Path) -> Iterator[Service]:
    from nlp_rnn.classifier.classifier_saving import save_classifier
    from tests.tiny_classifier import tiny_parts

    save_classifier(folder.parent / "many", **tiny_parts(), thresholds=[0.2, 0.5, 0.9])
    with running_service(folder.parent / "many") as service:
        yield service


def test_probabilities_are_those_of_the_folder(
    service: Service, classifier: TextClassifier
) -> None:
    predictions = service.predict(TEXTS, probabilities=True)
    expected = classifier.predict_proba(TEXTS)
    rows = [list(prediction["probabilities"].values()) for prediction in predictions]
    np.testing.assert_allclose(rows, expected, rtol=0, atol=1e-6)
    assert [prediction["label"] for prediction in predictions] == classifier.predict(TEXTS)
    assert [prediction["score"] for prediction in predictions] == [max(row) for row in rows]
    assert list(predictions[0]["probabilities"]) == classifier.labels


def test_concurrent_requests_get_their_own_predictions(
    service: Service, classifier: TextClassifier
) -> None:
    texts = tiny_texts(400)
    expected = classifier.predict_proba(texts)

    def client(number: int) -> None:
        connection = service.connect()
        for index in range(number, len(texts), 16):
            body = json.dumps({"texts": [texts[index]], "probabilities": True})
            headers = {"Content-Type": "application/json"}
            connection.request("POST", "/predict", body, headers)
            (prediction,) = json.loads(connection.getresponse().read())["predictions"]
            row = list(prediction["probabilities"].values())
            np.testing.assert_allclose(row, expected[index], rtol=0, atol=1e-6)
        connection.close()

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(client, range(16)))


def test_options_have_the_effect_that_they_have_in_python(
    service: Service, classifier: TextClassifier
) -> None:
    for prediction, top in zip(
        service.predict(TEXTS, top_k=2), classifier.predict(TEXTS, top_k=2), strict=True
    ):
        pairs = list(zip(prediction["labels"], prediction["scores"], strict=True))
        assert pairs == [(label, pytest.approx(score, abs=1e-6)) for label, score in top]
    thresholded = service.predict(TEXTS, threshold=0.5)
    assert [p["label"] for p in thresholded] == classifier.predict(TEXTS, threshold=0.5)
    (whole,) = service.predict([TEXTS[-1]], windows=True, probabilities=True)
    expected = classifier.predict_proba([TEXTS[-1]], windows=True)[0]
    np.testing.assert_allclose(list(whole["probabilities"].values()), expected, rtol=0, atol=1e-6)


def test_pairs_are_joined_as_in_python(service: Service, classifier: TextClassifier) -> None:
    (pair,) = service.predict([["w2 w3", "w4"]])
    assert pair["score"] == service.predict([classifier.join_texts("w2 w3", "w4")])[0]["score"]


@pytest.mark.parametrize(
    ("columns", "separator", "accepted"),
    [("text", None, False), (None, None, False), (["a", "b"], None, True), ("text", "[SEP]", True)],
)
def test_a_pair_for_a_classifier_of_single_texts_is_an_error(
    tmp_path: Path, columns: Any, separator: str | None, accepted: bool
) -> None:
    from nlp_rnn.serving.bad_request import RequestError
    from nlp_rnn.serving.predict_request import parse_predict

    classifier = nlp_rnn.load(save_tiny(tmp_path / "classifier"))
    classifier.config["provenance"]["reading"] = {"options": {"text": columns}}
    classifier.config["separator"] = separator
    body = {"texts": ["w2", ["w2", "w3"]]}
    if accepted:
        assert len(parse_predict(body, classifier, 10, 100).texts) == 2
    else:
        message = r"texts\[1\] is a list of 2 texts, .* trained on single texts"
        with pytest.raises(RequestError, match=message):
            parse_predict(body, classifier, 10, 100)


def test_a_classifier_is_selected_by_its_name(service: Service, folder: Path) -> None:
    second = nlp_rnn.load(folder.parent / "other").predict_proba(TEXTS).max(axis=1)
    response = service.post("/predict?classifier=second", {"texts": TEXTS})
    scores = [prediction["score"] for prediction in response.json["predictions"]]
    np.testing.assert_allclose(scores, second, rtol=0, atol=1e-6)
    missing = service.post("/predict?classifier=third", {"texts": TEXTS})
    assert missing.status == 404
    assert missing.json["message"] == "There is no classifier 'third'; there are first, second."


def test_multi_label_predictions_have_the_labels_that_reach_their_thresholds(
    multi_label: Service, folder: Path
) -> None:
    classifier = nlp_rnn.load(folder.parent / "many")
    for options in ({}, {"threshold": 0.4}):
        predictions = multi_label.predict(TEXTS, **options)
        assert [p["labels"] for p in predictions] == classifier.predict(TEXTS, **options)
        assert all(len(p["labels"]) == len(p["scores"]) and "label" not in p for p in predictions)
    (best,) = multi_label.predict(["w2"], top_k=1)
    assert best["labels"] == [classifier.predict(["w2"], top_k=1)[0][0][0]]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"texts": ["w2"]', "The body is not JSON: Expecting ',' delimiter at character 16."),
        (b"[]", "The body is a list, not a JSON object."),
        (b"", "The body is not JSON: Expecting value at character 0."),
        (b"{}", 'The field "texts" is missing: {"texts": ["a text"]}.'),
        (b'{"texts": "w2"}', "texts is a string, not a list of strings."),
        (b'{"texts": ["w2", null]}', "texts[1] is null, not a string or a list of two strings"),
        (b'{"texts": [["w2"]]}', "texts[0] is a list, not a string or a list of two strings"),
        (b'{"texts": ["w2"], "topk": 1}', "There is no field 'topk'; there are texts, top_k,"),
        (b'{"texts": ["w2"], "classifier": "second"}', "in the address: ?classifier=NAME."),
        (b'{"texts": ["w2"], "threshold": 0}', "threshold is 0; set a probability"),
        (b'{"texts": ["w2"], "top_k": 9}', "top_k is 9; this classifier has 3 labels"),
        (b'{"texts": ["w2"], "top_k": true}', "top_k is True"),
        (b'{"texts": ["w2"], "threshold": 2}', "threshold is 2; set a probability"),
        (b'{"texts": ["w2"], "threshold": NaN}', "NaN is not a number of JSON"),
        (b'{"texts": ["w2"], "probabilities": 1}', "probabilities is a number, not true or false"),
        (b'{"texts": ["\xff"]}', "The body is not UTF-8: byte 12 is invalid."),
        (b"[" * 19_000, "The body is nested too deeply."),
        (b'{"texts": [' + b'"w2",' * 60 + b'"w2"]}', "The request has 61 texts; the limit is 50."),
        (b'{"texts": ["' + b"w" * 2001 + b'"]}', "texts[0] has 2001 characters; the limit is 2000"),
        (b'{"top_k": ' + b"9" * 5000 + b"}", "The body is not JSON: Exceeds the limit"),
    ],
)
def test_a_wrong_body_gets_status_400_and_the_reason(
    service: Service, body: bytes, message: str
) -> None:
    response = service.request("POST", "/predict", body, Content_Type="application/json")
    assert response.status == 400
    assert response.json["error_code"] == "BAD_REQUEST"
    assert message in response.json["message"]


def test_windows_that_have_no_effect_are_an_error(tmp_path: Path) -> None:
    from nlp_rnn.serving.bad_request import RequestError
    from nlp_rnn.serving.predict_request import parse_predict

    classifier = nlp_rnn.load(save_tiny(tmp_path / "classifier"))
    classifier.config["max_length"] = None
    with pytest.raises(RequestError, match="windows has no effect"):
        parse_predict({"texts": ["w2"], "windows": True}, classifier, 10, 100)


def test_lone_surrogates_are_predicted_as_in_python(
    service: Service, classifier: TextClassifier
) -> None:
    body = b'{"texts": ["w2 \\ud83d w3"]}'
    response = service.request("POST", "/predict", body, Content_Type="application/json")
    (prediction,) = response.json["predictions"]
    score = classifier.predict_proba(["w2 \ud83d w3"]).max()
    assert prediction["score"] == pytest.approx(score, abs=1e-6)


def test_other_wrong_requests_get_their_own_status(service: Service) -> None:
    texts = json.dumps({"texts": ["w2"]})
    assert service.request("POST", "/predict", texts).status == 415
    wrong_method, nowhere = service.get("/predict"), service.get("/nothing")
    assert wrong_method.status == 405
    assert wrong_method.json["message"] == "This address does not support GET. See /docs."
    assert nowhere.status == 404
    assert nowhere.json["message"] == "There is no such address. See /docs."
    assert service.get("/health?x=1").status == 400
    assert service.post("/predict?name=first", {"texts": []}).status == 400
    too_large = service.request("POST", "/predict", b" " * 20_001, Content_Type="application/json")
    assert (too_large.status, too_large.json["error_code"]) == (413, "REQUEST_ENTITY_TOO_LARGE")
    assert service.predict([]) == []


def test_a_chunked_body_has_the_same_limit(service: Service) -> None:
    connection = service.connect()
    parts = (b" " * 1000 for _ in range(30))
    connection.request(
        "POST", "/predict", parts, {"Content-Type": "application/json"}, encode_chunked=True
    )
    assert connection.getresponse().status == 413
    connection.close()


def test_responses_reveal_neither_version_nor_path(service: Service, folder: Path) -> None:
    for path in ("/health", "/ready", "/model", "/metrics", "/nothing"):
        response = service.get(path)
        content = response.body.decode() + str(response.headers)
        assert nlp_rnn.__version__ not in response.headers.values()
        assert "server" not in response.headers
        assert str(folder.parent) not in content
        assert response.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in response.headers["content-security-policy"]


def test_model_describes_the_classifier(service: Service, classifier: TextClassifier) -> None:
    model = service.get("/model").json
    assert model["labels"] == classifier.labels
    assert model["checksum"] == classifier.config["checksum"]
    assert model["classifiers"] == ["first", "second"]
    assert (model["task"], model["streams"], model["name"]) == ("single_label", False, "first")
    assert (model["max_texts"], model["max_body"]) == (50, 20_000)
    assert service.get("/model?classifier=second").json["name"] == "second"


def test_metrics_count_requests_and_labels(service: Service) -> None:
    service.predict(["w2"])
    service.predict(["w2"], threshold=1)
    text = service.get("/metrics").body.decode()
    assert 'nlp_rnn_predictions_total{classifier="first",label=""} ' in text
    assert 'nlp_rnn_requests_total{route="/predict",status="200"}' in text
    assert 'nlp_rnn_predictions_total{classifier="first",label=' in text
    assert 'nlp_rnn_classifier_info{checksum="' in text
    assert 'nlp_rnn_request_seconds_bucket{le="0.005",route="/predict"}' in text
    assert "nlp_rnn_batch_texts_count" in text
    assert "/nothing" not in text, "unknown paths would fill the memory of Prometheus"


def test_a_page_of_another_site_cannot_use_a_local_service(service: Service) -> None:
    response = service.get("/health", Host="evil.example")
    assert response.status == 421
    assert "--allowed-hosts" in response.json["message"]
    assert service.get("/health", Host=f"localhost:{service.port}").status == 200


def test_several_hosts_can_be_accepted(folder: Path) -> None:
    with running_service(folder, "--allowed-hosts", "One.example, two.example ,") as service:
        statuses = {
            host: service.get("/health", Host=host).status
            for host in ("one.example", "two.example:8000", "127.0.0.1", "")
        }
    expected = {"one.example": 200, "two.example:8000": 200, "127.0.0.1": 421, "": 421}
    assert statuses == expected


def test_ctrl_c_does_not_reach_the_process_that_follows_mlflow() -> None:
    import psutil

    from nlp_rnn.serving.registry_watch import RegistryWatch

    watch = RegistryWatch({"name": "models:/name@champion"}, 30)
    try:
        children = psutil.Process().children()
        (pid,) = [
            child.pid for child in children if "models:/name@champion" in str(child.cmdline())
        ]
        assert os.getpgid(pid) != os.getpgrp(), "a terminal sends Ctrl-C to a process group"
    finally:
        watch.close()


def test_a_token_with_a_space_is_an_error(tmp_path: Path) -> None:
    from nlp_rnn.commands.serve import _tokens
    from nlp_rnn.errors import ConfigError

    (tmp_path / "tokens").write_text("one two\n")
    with pytest.raises(ConfigError, match="has a token that contains a space"):
        _tokens(tmp_path / "tokens")


def test_texts_are_in_no_log_unless_requested(folder: Path) -> None:
    secret = "w2 my-secret-text"
    with running_service(folder, "--access-log") as service:
        service.predict([secret])
        service.post("/predict?classifier=my-secret-text", {"texts": [secret]})
        service.request(
            "POST", "/predict", f'{{"texts": ["{secret}"', Content_Type="application/json"
        )
        service.post("/predict", {"texts": [{"my-secret-text": 1}]})
        wait_until(lambda: service.log.count("/predict") >= 4)
        assert "secret" not in service.log
    with running_service(f"named={folder}", "--log-texts") as service:
        (prediction,) = service.predict([secret])
        logged = wait_until(lambda: service.log and service.log.splitlines()[0])
        entry = json.loads(logged[logged.index("{") :])
        assert entry == {"classifier": "named", "text": secret} | prediction


def test_a_token_is_required_where_one_is_set(folder: Path, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("first-token\nsecond-token\n")
    with running_service(folder, "--token-file", tokens) as service:
        assert service.get("/health").status == 200
        assert service.get("/ready").status == 200
        for header in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "first-token"}):
            response = service.post("/predict", {"texts": ["w2"]}, **header)
            assert (response.status, response.headers["www-authenticate"]) == (401, "Bearer")
            assert service.get("/metrics", **header).status == 401
        for token in ("first-token", "second-token"):
            authorized = {"Authorization": f"Bearer {token}"}
            assert service.post("/predict", {"texts": ["w2"]}, **authorized).status == 200
            assert service.get("/metrics", **authorized).status == 200


def error_of(received: bytes) -> Any:
    """Return the JSON in the bytes of a response."""
    head, _, body = received.partition(b"\r\n\r\n")
    assert b"\r\ncontent-type: application/json\r\n" in head
    assert b"\r\ncontent-length: %d\r\n" % len(body) in head
    return json.loads(body)


def test_a_slow_sender_is_disconnected(folder: Path) -> None:
    with running_service(folder, "--timeout", "0.5") as service:
        head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        for sent in (b"", head, head + b'Content-Length: 50\r\n\r\n{"texts"'):
            with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
                connection.sendall(sent)
                received = connection.recv(1000)
                assert received.startswith(b"HTTP/1.1 408"), received
                assert error_of(received) == {
                    "error_code": "REQUEST_TIMEOUT",
                    "message": "The request did not arrive within 0.5 s.",
                }
                assert connection.recv(1000) == b""
        assert service.predict(["w2"])


def test_headers_without_end_are_rejected(service: Service) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: ")
        received = b""
        try:
            for _ in range(100):
                connection.sendall(b"x" * 10_000)
        except OSError:
            pass  # the service has closed the connection
        try:
            received = connection.recv(1000)
        except ConnectionResetError:
            received = b"HTTP/1.1 431"  # the response was lost behind what was still being sent
    assert received.startswith(b"HTTP/1.1 431")


HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b'Transfer-Encoding: chunked\r\n\r\n11\r\n{"texts": ["w2"]}\r\n0\r\n'


@pytest.mark.parametrize("start", [HEAD, CHUNKED], ids=["headers", "trailers"])
def test_headers_and_trailers_have_a_limit(service: Service, start: bytes) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        for part in (start, b"X: " + b"x" * 65_000, b"x" * 1000):
            connection.sendall(part)
            time.sleep(0.1)  # so that the service has received it before it closes the connection
        received = connection.recv(1000)
        assert received.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
        assert error_of(received) == {
            "error_code": "REQUEST_HEADER_FIELDS_TOO_LARGE",
            "message": "The headers of the request are larger than 65536 bytes.",
        }
        assert connection.recv(1000) == b""


def test_a_request_with_trailers_is_served(service: Service) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        connection.sendall(CHUNKED + b"X: y\r\n\r\n")
        assert connection.recv(10_000).startswith(b"HTTP/1.1 200")


def test_what_is_not_http_gets_an_error_in_json(service: Service) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        connection.sendall(b"no HTTP\r\n\r\n")
        received = connection.recv(1000)
        assert received.startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert error_of(received)["error_code"] == "BAD_REQUEST"


def test_a_large_body_follows_small_headers_in_one_packet(service: Service) -> None:
    body = json.dumps({"texts": ["w2 " * 600] * 10}).encode()
    for _ in range(3):
        assert (
            service.request("POST", "/predict", body, Content_Type="application/json").status == 200
        )


def test_the_folder_of_an_mlflow_model_is_served(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "model" / "artifacts" / "classifier")
    (tmp_path / "model" / "MLmodel").write_text("")
    with running_service(f"logged={tmp_path / 'model'}") as service:
        assert service.predict(["w2"])
        assert service.post("/explain", {"text": "w2"}).json["parts"]


def test_limits_above_the_defaults_are_reached_by_one_request(folder: Path) -> None:
    limits = ("--max-body", 80 << 20, "--queue", "3", "--max-texts", "3")
    with running_service(folder, *limits) as service:
        body = b'{"texts": ["w2"]}'.ljust(70 << 20)
        large = service.request("POST", "/predict", body, Content_Type="application/json")
        assert large.status == 200
        # it predicts the text without each of its eight tokens
        explained = service.post("/explain", {"text": "w2 w3 w4 w5 w6 w7 w8 w9"})
        assert explained.status == 200
        assert sum(part["values"] is not None for part in explained.json["parts"]) == 8


def test_a_moved_folder_is_an_error_without_its_path(folder: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(folder, tmp_path / "to-be-moved" / "classifier")
    with running_service(moved) as service:
        moved.parent.rename(tmp_path / "elsewhere")
        response = service.post("/explain", {"text": "w2"})
        assert response.status == 500
        assert response.json == {
            "error_code": "INTERNAL_SERVER_ERROR",
            "message": "The service failed. See its log for details.",
        }
        assert str(moved) in service.log, "the log has the details"
        assert service.predict(["w2"])


def test_sigterm_finishes_what_was_accepted(folder: Path) -> None:
    with running_service(folder, "--max-texts", "4000", "--queue", "20000") as service:
        texts = tiny_texts(4000)
        idle = service.connect()
        idle.request("GET", "/health")
        assert idle.getresponse().read()
        with ThreadPoolExecutor(4) as pool:
            sent = [pool.submit(service.post, "/predict", {"texts": texts}) for _ in range(3)]
            busy = "nlp_rnn_queue_texts 0.0"
            wait_until(lambda: busy not in service.get("/metrics").body.decode(), 10)
            service.process.send_signal(signal.SIGTERM)
            time.sleep(0.2)
            # a connection that was open gets one more response
            idle.request("GET", "/ready")
            response = idle.getresponse()
            assert (response.status, response.getheader("Connection")) == (503, "close")
            for future in sent:
                assert future.result().status == 200
                assert len(future.result().json["predictions"]) == len(texts)
        assert service.process.wait(timeout=30) == 0
        assert "SIGTERM: accepted requests have 30 s to finish" in service.log
        assert "the service has stopped" in service.log


def test_sigterm_ends_a_slow_request_after_the_grace_period(folder: Path) -> None:
    limits = ("--grace", "1", "--max-texts", "1000000", "--queue", "1000000")
    with running_service(folder, *limits, "--max-body", 100 << 20) as service:
        # one request is predicted for long, and the other one does not arrive
        body = json.dumps({"texts": ["w2 " * 50] * 400_000})
        slow = service.connect()
        slow.request("POST", "/predict", body, {"Content-Type": "application/json"})
        partial = socket.create_connection(("127.0.0.1", service.port), timeout=30)
        partial.sendall(HEAD + b"Content-Length: 50\r\n\r\n{")
        idle = "nlp_rnn_queue_texts 0.0"
        wait_until(lambda: idle not in service.get("/metrics").body.decode())
        started = time.monotonic()
        assert service.stop() == 0
        seconds = time.monotonic() - started
        response = slow.getresponse()
        assert response.status == 503
        assert json.loads(response.read())["message"] == "The service is stopping."
        for connection in (slow, partial):
            connection.close()
        assert 1 <= seconds < 4, "the supervisor kills after six seconds"
        assert "the service has stopped" in service.log


def test_every_field_is_described(service: Service) -> None:
    description = service.get("/openapi.json").json
    assert "/stream" in description["info"]["description"]
    for path in ("/predict", "/invocations", "/explain"):
        body = description["paths"][path]["post"]["requestBody"]
        schema = body["content"]["application/json"]["schema"]
        for choice in schema.get("oneOf", [schema]):
            for name, field in choice["properties"].items():
                assert field.get("description"), (path, name)


def test_a_killed_process_is_replaced(folder: Path) -> None:
    with running_service(folder, "--workers", "2") as service:
        first = service.workers()
        assert len(first) == 2
        os.kill(first[0], signal.SIGKILL)
        wait_until(lambda: len(set(service.workers()) - set(first)) == 1)
        for _ in range(20):
            assert service.predict(["w2"])
        assert f"process {first[0]} was killed by signal 9; another one is started" in service.log


def test_processes_end_with_their_supervisor(folder: Path) -> None:
    with running_service(folder) as service:
        (worker,) = service.workers()
        service.process.kill()
        service.process.wait()
        wait_until(lambda: not Path(f"/proc/{worker}/stat").exists())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "serve needs a classifier."),
        (["nowhere"], "nowhere does not exist."),
        (["a=x", "a=y"], "Two classifiers have the name a.\nSet their names: first=x second=y"),
        (["x", "--port", "70000"], "--port must be a whole number from 0 to 65535"),
        (["x", "--queue", "5"], "--queue 5 is smaller than --max-texts 2000"),
        (["x", "--token-file", "missing"], "--token-file missing cannot be read"),
        (["x", "--allowed-hosts", " , "], "--allowed-hosts is ' , ', which has no name."),
        (["x", "--log"], "serve has no option --log"),
        (["x", "--runtime", "torch"], "--runtime is 'torch'; the choices are onnx, int8."),
    ],
)
def test_wrong_arguments_are_errors(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # `serve` sets variables of this process
    for name in ("OPENBLAS_NUM_THREADS", "TOKENIZERS_PARALLELISM", "PROMETHEUS_MULTIPROC_DIR"):
        monkeypatch.setenv(name, os.environ.get(name, "1"))
    assert main(["serve", *arguments]) in (1, 2)
    assert message in capsys.readouterr().err


def test_a_port_in_use_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from nlp_rnn.errors import ConfigError
    from nlp_rnn.serving.supervisor import listen

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(ConfigError, match=f"Set another port .--port {port + 1}."):
            listen("127.0.0.1", port)


def test_the_service_imports_neither_torch_nor_mlflow(folder: Path) -> None:
    with running_service(folder) as service:
        service.predict(["w2"])
        for pid in (service.process.pid, *service.workers()):
            mapped = Path(f"/proc/{pid}/maps").read_text()
            assert not [name for name in ("libtorch", "sklearn", "pyarrow") if name in mapped]


def test_the_how_to_lists_every_route_and_metric(service: Service) -> None:
    how_to = Path(__file__).parent.parent / "docs" / "how-to"
    page = "".join((how_to / f).read_text("utf-8") for f in ("serve.md", "run-a-service.md"))
    for path in service.get("/openapi.json").json["paths"]:
        assert f"{path}`" in page
    service.predict(["w2"])
    text = service.get("/metrics").body.decode()
    names = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE nlp_rnn")]
    assert len(names) == 7
    assert [name for name in names if f"`{name}`" not in page] == []
