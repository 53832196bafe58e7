"""Data sets of the Hugging Face hub, with a stand-in for `load_dataset`."""

import socket
import threading
import time

import datasets
import huggingface_hub
import pytest

from nlp_rnn.config.data import HubConfig
from nlp_rnn.errors import DataError
from nlp_rnn.sources.hub import offline, read_hub


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch, tmp_path_factory):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path_factory.mktemp("cache")))
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def hub(monkeypatch):
    """A hub that is reachable, and `load_dataset` replaced by the function it is given."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setattr(datasets.config, "HF_ENDPOINT", f"http://127.0.0.1:{port}")
        monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
        yield lambda load: monkeypatch.setattr(datasets, "load_dataset", load)


@pytest.fixture
def no_hub(monkeypatch):
    """An endpoint on loopback where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setattr(datasets.config, "HF_ENDPOINT", f"http://127.0.0.1:{port}")


def splits(*names: str) -> datasets.DatasetDict:
    rows = {name: {"text": [name], "label": [0]} for name in names}
    return datasets.DatasetDict({k: datasets.Dataset.from_dict(v) for k, v in rows.items()})


def config(**options: object) -> HubConfig:
    return HubConfig(**{"name": "hub", "path": "someone/set", **options})  # type: ignore[arg-type]


def first_texts(loaded: dict[str, datasets.Dataset]) -> dict[str, str]:
    return {split: rows["text"][0] for split, rows in loaded.items()}


def raising(error: Exception):
    def load(*_: object, **__: object):
        raise error

    return load


def test_name_subset_and_revision_reach_the_library(hub):
    calls = []

    def load(*arguments: object, **options: object):
        calls.append((arguments, options, datasets.config.HF_HUB_OFFLINE))
        return splits("train", "validation", "test", "unsupervised")

    hub(load)
    notes: list[str] = []
    loaded = read_hub(config(subset="plain", revision="abc"), notes)
    assert calls == [(("someone/set", "plain"), {"revision": "abc"}, False)]
    assert first_texts(loaded) == {"train": "train", "validation": "validation", "test": "test"}
    assert notes == []


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"test_split": "validation"}, {"train": "train", "test": "validation"}),
        ({"validation_split": "dev"}, {"train": "train", "validation": "dev", "test": "test"}),
        (
            {"train_split": "dev"},
            {"train": "dev", "validation": "validation", "test": "test"},
        ),
    ],
)
def test_splits_by_name(hub, options, expected):
    hub(lambda *_, **__: splits("train", "validation", "test", "dev"))
    assert first_texts(read_hub(config(**options), [])) == expected


def test_a_split_that_is_not_there_or_serves_twice(hub):
    hub(lambda *_, **__: splits("train", "dev"))
    with pytest.raises(DataError, match=r"no split 'test'; it has: train, dev\.\n.*test_split="):
        read_hub(config(), [])
    with pytest.raises(DataError, match="'dev' of someone/set is used twice"):
        read_hub(config(test_split="dev", validation_split="dev"), [])


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            datasets.exceptions.DatasetNotFoundError("Dataset 'someone/set' doesn't exist."),
            r"Dataset 'someone/set' doesn't exist\.\n.*`hf auth login`",
        ),
        (
            ValueError("Config name is missing.\nPlease pick one among: ['a', 'b']"),
            r"is missing\. Please pick one among: \['a', 'b'\]\nSet data\.subset=NAME",
        ),
        (RuntimeError("scripts are no longer supported"), "someone/set cannot be loaded.*scripts"),
        (ConnectionError("gone"), r"cannot be reached.*\n.*set data=files data.path=FOLDER"),
    ],
)
def test_what_the_hub_refuses_is_told_in_two_lines(hub, error, message):
    hub(raising(error))
    with pytest.raises(DataError, match=message) as caught:
        read_hub(config(), [])
    assert len(str(caught.value).splitlines()) <= 2


def test_no_hub_and_no_cache_fails_fast_and_says_what_to_type(no_hub):
    start = time.monotonic()
    message = (
        r"cannot be reached and the cache has no someone/set plain\.\n.*data=files data\.path="
    )
    with pytest.raises(DataError, match=message):
        read_hub(config(subset="plain"), [])
    assert time.monotonic() - start < 2
    assert not datasets.config.HF_HUB_OFFLINE
    assert not huggingface_hub.constants.HF_HUB_OFFLINE


def test_a_name_that_takes_forever_to_look_up_does_not_hold_us(monkeypatch):
    import nlp_rnn.sources.hub as module

    monkeypatch.setattr(datasets.config, "HF_ENDPOINT", "http://hub.invalid")
    monkeypatch.setattr(module, "_TIMEOUT", 0.05)
    enough = threading.Event()

    def look_up(*_: object, **__: object):
        enough.wait(10)
        raise OSError("no such name")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    start = time.monotonic()
    with pytest.raises(DataError, match="cannot be reached"):
        read_hub(config(), [])
    enough.set()
    assert time.monotonic() - start < 5


def test_no_hub_but_a_cache(no_hub, monkeypatch):
    def load(*_: object, **__: object):
        assert datasets.config.HF_HUB_OFFLINE
        assert huggingface_hub.constants.HF_HUB_OFFLINE
        return splits("train", "test")

    monkeypatch.setattr(datasets, "load_dataset", load)
    notes: list[str] = []
    assert first_texts(read_hub(config(), notes)) == {"train": "train", "test": "test"}
    assert notes == ["the hub cannot be reached: someone/set was read from the cache"]
    # the library takes the latest of the cache, whatever revision was asked for
    with pytest.raises(DataError, match=r"another revision than abc\.\nSet data.revision=null"):
        read_hub(config(revision="abc"), [])


def test_a_folder_of_this_machine_is_not_the_hub(tmp_path):
    with pytest.raises(DataError, match=f"Set data=files data.path={tmp_path}"):
        read_hub(config(path=str(tmp_path)), [])


def test_offline_is_left_as_it_was_found(monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    with pytest.raises(KeyError), offline():
        raise KeyError
    assert datasets.config.HF_HUB_OFFLINE
    assert not huggingface_hub.constants.HF_HUB_OFFLINE


def test_a_set_without_a_test_split_says_so_itself(hub):
    hub(lambda *_, **__: splits("train"))
    assert first_texts(read_hub(config(test_split=None), [])) == {"train": "train"}


@pytest.mark.parametrize(
    ("name", "columns", "split_names"),
    [
        ("clinc_oos", {"text": "string", "intent": "int64"}, ("train", "validation", "test")),
        (
            "dbpedia_14",
            {"title": "string", "content": "string", "label": "int64"},
            ("train", "test"),
        ),
        ("yelp_polarity", {"text": "string", "label": "int64"}, ("train", "test")),
        ("sms_spam", {"sms": "string", "label": "int64"}, ("train",)),
        ("go_emotions", {"text": "string", "labels": "list"}, ("train", "validation", "test")),
    ],
)
def test_presets_fit_the_columns_and_splits_of_their_sets(hub, name, columns, split_names):
    from nlp_rnn.sources.source import read_source
    from tests.composing import compose

    values = {"string": ["a", "b"], "int64": [0, 1], "list": [[0, 1], [2]]}
    rows = datasets.Dataset.from_dict({name: values[kind] for name, kind in columns.items()})
    calls = []

    def load(*arguments: object, **_: object):
        calls.append(arguments)
        return datasets.DatasetDict(dict.fromkeys(split_names, rows))

    hub(load)
    source = read_source(compose([f"data={name}"]).data)
    assert tuple(source.splits) == split_names
    assert str(calls[0][0]).count("/") == 1
