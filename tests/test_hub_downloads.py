"""Sets of a hub on loopback are really downloaded: subset, revision, splits, cache, refusals."""

import io
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from tests.hub_stand_in import Files, StandIn, hub_stand_in

CARD = b"""---
configs:
- config_name: plain
  data_files:
  - split: train
    path: plain/train-*
  - split: test
    path: plain/test-*
- config_name: fine
  data_files:
  - split: train
    path: fine/train-*
---
"""
# One process reads all that the tests ask for: the libraries take a second to import, and take
# the address of the hub from the environment then.
READER = """
import json, sys
from nlp_rnn.data.corpus import quiet_datasets
from nlp_rnn.sources.hub import read_hub
from nlp_rnn.config.data import (HubConfig)
from nlp_rnn.errors import DataError
for line in sys.stdin:
    notes = []
    try:
        with quiet_datasets():
            splits = read_hub(HubConfig(name="hub", **json.loads(line)), notes)
            reply = {split: rows["text"][:] for split, rows in splits.items()}
    except DataError as error:
        reply = str(error)
    print(json.dumps(reply), flush=True)
"""


def table(*texts: str) -> bytes:
    file = io.BytesIO()
    rows = {"text": texts, "label": [number % 2 for number in range(len(texts))]}
    parquet.write_table(pyarrow.table(rows), file)
    return file.getvalue()


def files(word: str) -> Files:
    return {
        "README.md": CARD,
        "plain/train-00000-of-00001.parquet": table(f"{word} one", f"{word} two"),
        "plain/test-00000-of-00001.parquet": table(f"{word} three"),
        "fine/train-00000-of-00001.parquet": table(f"{word} fine"),
    }


def environment(hub: StandIn, home: Path) -> dict[str, str]:
    variables = {k: v for k, v in os.environ.items() if "proxy" not in k.lower() and k[:3] != "HF_"}
    return variables | {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(home)}


@pytest.fixture(scope="module")
def hub() -> Iterator[StandIn]:
    with hub_stand_in() as hub:
        hub.sets["someone/set"] = {"v1": files("old"), "v2": files("new")}
        hub.gated.add("someone/gated")
        yield hub


@pytest.fixture(scope="module")
def _reader(hub: StandIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    home = tmp_path_factory.mktemp("hub")
    with subprocess.Popen(
        [sys.executable, "-c", READER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(hub, home),
    ) as process:
        yield process
        process.stdin.close()


@pytest.fixture
def read(hub: StandIn, _reader: Any):
    """Let the process read a data set; return its splits, or the error message."""
    hub.requests.clear()

    def ask(**options: Any) -> Any:
        _reader.stdin.write(json.dumps({"path": "someone/set", **options}) + "\n")
        _reader.stdin.flush()
        return json.loads(_reader.stdout.readline())

    return ask


def test_subset_and_splits_are_those_that_were_asked_for(hub, read):
    assert read(subset="plain") == {"train": ["new one", "new two"], "test": ["new three"]}
    assert len(hub.downloads()) == 2
    assert read(subset="fine", test_split=None) == {"train": ["new fine"]}
    assert "no split 'test'; it has: train" in read(subset="fine")


def test_a_revision_is_pinned_by_its_name_or_its_commit(hub, read):
    assert read(subset="plain", revision="v1")["train"] == ["old one", "old two"]
    sha = hub.commit("someone/set", "v1")[0]
    assert all(f"/resolve/{sha}/" in path for path in hub.downloads())
    assert read(subset="plain", revision=sha)["test"] == ["old three"]
    assert read(subset="plain")["train"] == ["new one", "new two"]


def test_what_was_downloaded_once_is_not_downloaded_again(hub, read):
    first = read(subset="plain", revision="v2")
    hub.requests.clear()
    assert read(subset="plain", revision="v2") == first
    assert hub.requests
    assert hub.downloads() == []


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"path": "someone/missing"}, ["doesn't exist", "OWNER/NAME"]),
        ({"path": "someone/gated"}, ["gated dataset", "hf auth login"]),
        (
            {"subset": "plain", "revision": "v9"},
            ["Revision 'v9' doesn't exist", "Set data.revision"],
        ),
        ({}, ["['plain', 'fine']", "Set data.subset=NAME"]),
        ({"subset": "coarse"}, ["'coarse' not found", "Set data.subset=NAME"]),
    ],
)
def test_what_is_missing_gated_or_ambiguous_is_said_in_two_lines(read, options, parts):
    message = read(**options)
    assert isinstance(message, str)
    assert all(part in message for part in parts), message
    assert len(message.splitlines()) <= 2


SMALL = [
    *("data=hub", "data.path=someone/reviews", "trainer.max_epochs=1", "model.hidden_size=4"),
    *("model.embedding_size=4", "tracking.system_metrics=false", "tokenizer.min_frequency=1"),
]


@pytest.mark.slow
def test_a_run_from_the_hub_again_from_its_cache_and_without_either(tmp_path, store_uri):
    texts = [f"{word} {number}" for number in range(30) for word in ("warm", "cold")]
    with hub_stand_in() as hub:
        hub.sets["someone/reviews"] = {
            "v1": {"train-0.parquet": table(*texts), "test-0.parquet": table(*texts[:10])}
        }
        variables = environment(hub, tmp_path / "home") | {"NLP_RNN_CACHE": str(tmp_path / "cache")}

        def train(folder: str) -> subprocess.CompletedProcess[str]:
            command = [sys.executable, "-m", "nlp_rnn", "train", *SMALL, f"hydra.run.dir={folder}"]
            return subprocess.run(
                command, capture_output=True, text=True, cwd=tmp_path, env=variables
            )

        assert train("one").returncode == 0
        assert len(hub.downloads()) == 2
        hub.requests.clear()
        assert train("two").returncode == 0
        assert hub.downloads() == []
    completed = train("three")
    assert completed.returncode == 0, completed.stderr
    assert "the hub cannot be reached: someone/reviews was read from the cache" in completed.stdout
    results = [json.loads((tmp_path / f / "result.json").read_text()) for f in ("one", "three")]
    assert results[0]["metrics"]["test/loss"] == results[1]["metrics"]["test/loss"]
    variables["HF_HOME"] = str(tmp_path / "elsewhere")
    completed = train("four")
    assert completed.returncode == 1
    assert "cannot be reached and the cache has no someone/reviews" in completed.stderr
    assert "data=files data.path=FOLDER" in completed.stderr
    assert not (tmp_path / "four").exists()


def test_a_hub_that_takes_and_never_answers_a_connection_is_given_up_soon(monkeypatch):
    """As behind a wall that drops packets: nobody accepts, and the queue is full."""
    import datasets

    from nlp_rnn.sources.hub import hub_is_reachable

    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        address = server.getsockname()
        waiting = []
        for _ in range(4):
            waiting.append(socket.socket())
            waiting[-1].setblocking(False)
            waiting[-1].connect_ex(address)
        monkeypatch.setattr(datasets.config, "HF_ENDPOINT", f"http://127.0.0.1:{address[1]}")
        monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
        start = time.monotonic()
        assert not hub_is_reachable()
        assert time.monotonic() - start < 2
        for client in waiting:
            client.close()
