"""A classifier folder is complete, unchanged and of one training, or it is rejected."""

import hashlib
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from tokenizers import Tokenizer

from nlp_rnn.classifier import classifier_saving
from nlp_rnn.classifier.classifier_folder import (
    read_classifier,
    read_config,
    read_state,
)
from nlp_rnn.classifier.classifier_saving import save_classifier
from nlp_rnn.classifier.manifest import FORMAT_VERSION, checksum
from nlp_rnn.errors import ClassifierError
from tests.tiny_classifier import save_tiny, tiny_architecture, tiny_parts, tiny_tokenizer_json

FILES = [
    "config.json",
    "model.onnx",
    "model.safetensors",
    "requirements.txt",
    "tokenizer.json",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_tiny(tmp_path / "classifier")


def rewrite(folder: Path, **changes: Any) -> None:
    """Change config.json together with its checksum."""
    config = json.loads((folder / "config.json").read_text())
    config |= changes
    config["checksum"] = checksum(config)
    (folder / "config.json").write_text(json.dumps(config))


def replace(folder: Path, name: str, data: bytes) -> None:
    """Replace a file, and its size and hash in the config."""
    (folder / name).write_bytes(data)
    files = json.loads((folder / "config.json").read_text())["files"]
    files[name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    rewrite(folder, files=files)


def error_message(folder: Path, read: Callable[[Path], Any] = read_classifier) -> str:
    with pytest.raises(ClassifierError) as caught:
        read(folder)
    message = str(caught.value)
    assert 1 <= len(message.splitlines()) <= 2
    return message


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn", "average"])
@pytest.mark.parametrize("pooling", ["max", "attention"])
def test_what_is_saved_is_read_back(tmp_path: Path, cell: str, pooling: str) -> None:
    parts = tiny_parts(cell=cell, pooling=pooling)
    save_classifier(tmp_path / "deep" / "er", **parts)
    saved = read_classifier(tmp_path / "deep" / "er")
    assert saved.required_network().architecture == parts["architecture"]
    assert saved.labels == parts["labels"]
    network = saved.required_network()
    assert network.tokenizer.to_str() == Tokenizer.from_str(parts["tokenizer_json"]).to_str()
    assert saved.config["provenance"] == parts["provenance"]
    assert onnx.load_from_string(network.graph).graph.output[0].name == "logits"
    state = read_state(tmp_path / "deep" / "er")
    assert state.keys() == parts["state"].keys()
    for name, value in parts["state"].items():
        np.testing.assert_array_equal(state[name], value, strict=True)


def test_config_has_the_keys_of_the_format(folder: Path) -> None:
    assert sorted(os.listdir(folder)) == FILES
    config = json.loads((folder / "config.json").read_text())
    assert (config["format"], config["format_version"]) == ("nlp_rnn.classifier", 1)
    assert config["task"] == "single_label"
    assert config["id2label"] == {"0": "bad", "1": "fair", "2": "good"}
    assert config["max_length"] == 40
    assert config["architecture"]["cell"] == "gru"
    assert {"nlp_rnn", "tokenizers", "onnx", "numpy", "safetensors", "python"} == set(
        config["versions"]
    )
    for name in set(FILES) - {"config.json", "requirements.txt"}:
        data = (folder / name).read_bytes()
        assert config["files"][name]["bytes"] == len(data)
        assert config["files"][name]["sha256"] == hashlib.sha256(data).hexdigest()
    assert read_config(folder) == config


def test_same_parts_make_the_same_bytes(tmp_path: Path, folder: Path) -> None:
    again = save_tiny(tmp_path / "again")
    for name in [name for name in FILES if name != "requirements.txt"]:
        assert (folder / name).read_bytes() == (again / name).read_bytes()


def test_labels_of_any_script_survive(tmp_path: Path) -> None:
    labels = ["", "schön\n", "悪い\x00\ud800"]
    save_classifier(tmp_path / "c", **(tiny_parts() | {"labels": labels}))
    assert read_classifier(tmp_path / "c").labels == labels


def test_weights_in_another_memory_order_are_saved_in_order(tmp_path: Path) -> None:
    parts = tiny_parts()
    parts["state"] = {name: np.asfortranarray(value) for name, value in parts["state"].items()}
    save_classifier(tmp_path / "c", **parts)
    for name, value in read_state(tmp_path / "c").items():
        np.testing.assert_array_equal(value, parts["state"][name])


def test_parameter_shapes_are_those_of_the_network() -> None:
    from nlp_rnn.model.network import TextNetwork

    for cell in ("lstm", "gru", "rnn"):
        for pooling in ("last", "mean", "max_mean", "attention"):
            for both in (False, True):
                architecture = tiny_architecture(cell, pooling, num_layers=2, bidirectional=both)
                state = TextNetwork(architecture).state_dict()
                saved = {name: tuple(value.shape) for name, value in state.items()}
                assert saved == architecture.parameter_shapes()
    architecture = tiny_architecture("average", "attention")
    assert set(TextNetwork(architecture).state_dict()) == set(architecture.parameter_shapes())


# Saving


def test_a_classifier_or_an_empty_folder_is_replaced(tmp_path: Path, folder: Path) -> None:
    save_tiny(folder, seed=1)
    np.testing.assert_array_equal(
        read_state(folder)["head.bias"], tiny_parts(seed=1)["state"]["head.bias"]
    )
    (tmp_path / "empty").mkdir()
    save_tiny(tmp_path / "empty")
    assert sorted(os.listdir(tmp_path)) == ["classifier", "empty"]


def test_what_is_no_classifier_is_never_replaced(tmp_path: Path, folder: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text('{"model_type": "bert"}')
    (folder / "notes.txt").write_text("mine")
    for path, word in [(file, "is a file"), (other, "config.json"), (folder, "notes.txt")]:
        before = error_message(path, save_tiny)
        assert word in before
        assert "folder of its own" in before
    assert file.read_text() == "mine"
    assert os.listdir(other) == ["config.json"]
    assert (folder / "notes.txt").read_text() == "mine"
    assert sorted(os.listdir(tmp_path)) == ["classifier", "file", "other"]


def test_a_diverged_network_is_rejected(tmp_path: Path) -> None:
    parts = tiny_parts()
    parts["state"]["head.bias"][1] = np.nan
    assert "diverged" in error_message(tmp_path / "c", lambda path: save_classifier(path, **parts))
    assert os.listdir(tmp_path) == []


def test_parts_that_do_not_belong_together_are_rejected(tmp_path: Path) -> None:
    path = tmp_path / "c"
    save = {"labels": ["a", "b"]}, {"labels": ["a", "b", "b"]}
    for wrong in (*save, {"tokenizer_json": tiny_tokenizer_json(29)}):
        parts = tiny_parts() | wrong
        error_message(path, lambda path, parts=parts: save_classifier(path, **parts))
    with pytest.raises(ValueError, match="do not belong"):
        save_classifier(path, **(tiny_parts() | {"architecture": tiny_architecture("lstm")}))
    assert os.listdir(tmp_path) == []


def test_a_failed_save_leaves_the_old_classifier_and_nothing_else(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {name: (folder / name).read_bytes() for name in FILES}
    rename = os.rename

    def full_disk(source: Path, target: Path) -> None:
        if Path(source).suffix == ".part":
            raise OSError(28, "No space left on device")
        rename(source, target)

    monkeypatch.setattr(classifier_saving.os, "rename", full_disk)
    with pytest.raises(OSError, match="No space"):
        save_tiny(folder, seed=1)
    monkeypatch.undo()
    assert {name: (folder / name).read_bytes() for name in FILES} == before
    assert os.listdir(tmp_path) == ["classifier"]


# Folders that are no classifier


def test_no_classifier_folder(tmp_path: Path, folder: Path) -> None:
    assert "does not exist" in error_message(tmp_path / "nowhere")
    assert "is a file" in error_message(folder / "model.onnx")
    (tmp_path / "empty").mkdir()
    assert "found nothing" in error_message(tmp_path / "empty")
    (tmp_path / "empty" / "a.txt").touch()
    assert "found a.txt" in error_message(tmp_path / "empty")
    assert f"Pass {folder}" in error_message(tmp_path)  # the run folder around a classifier
    (folder / "config.json").write_text('{"model_type": "bert"}')
    assert "not the config of an nlp_rnn classifier" in error_message(folder)


def test_newer_format_says_what_to_install(folder: Path) -> None:
    rewrite(folder, format_version=FORMAT_VERSION + 1, versions={"nlp_rnn": "3.1.0"}, surprise=[1])
    assert "Install nlp_rnn 3.1.0 or newer" in error_message(folder)
    rewrite(folder, versions=None)
    assert "Install nlp_rnn" in error_message(folder)


# Files that are missing, changed or foreign


@pytest.mark.parametrize("name", [name for name in FILES[1:] if name != "requirements.txt"])
def test_missing_truncated_or_changed_file(folder: Path, name: str) -> None:
    path = folder / name
    data = path.read_bytes()
    path.unlink()
    assert f"has no {name}" in error_message(folder)
    path.write_bytes(data[:-1])
    assert f"{len(data) - 1} bytes instead of {len(data)}" in error_message(folder)
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 1
    path.write_bytes(flipped)
    assert "changed after it was saved" in error_message(folder)
    path.unlink()
    path.mkdir()
    assert "not a regular file" in error_message(folder)


def test_a_pipe_is_not_waited_for(folder: Path) -> None:
    (folder / "model.onnx").unlink()
    os.mkfifo(folder / "model.onnx")
    assert "not a regular file" in error_message(folder)


@pytest.mark.parametrize("name", [name for name in FILES if name != "requirements.txt"])
def test_link_out_of_the_folder(tmp_path: Path, folder: Path, name: str) -> None:
    outside = tmp_path / "outside"
    (folder / name).rename(outside)
    (folder / name).symlink_to(outside)
    assert "outside the folder" in error_message(folder)
    (folder / name).unlink()
    (folder / name).symlink_to(name)  # to itself
    assert name in error_message(folder)


def test_link_within_the_folder_and_to_the_folder(tmp_path: Path, folder: Path) -> None:
    (folder / "model.onnx").rename(folder / "real")
    (folder / "model.onnx").symlink_to("real")
    (tmp_path / "link").symlink_to(folder)
    assert read_classifier(tmp_path / "link").labels == ["bad", "fair", "good"]


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace('"good"', '"evil"'),
        lambda text: text.replace('"max_length": 40', '"max_length": 41'),
        lambda text: text.replace('"accuracy": 0.5', '"accuracy": 0.9'),
    ],
)
def test_changed_config(folder: Path, change: Callable[[str], str]) -> None:
    text = (folder / "config.json").read_text()
    assert change(text) != text
    (folder / "config.json").write_text(change(text))
    assert "changed after it was saved" in error_message(folder)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe\x00",
        b"null",
        b"[1]",
        b'{"format": "nlp_rnn.classifier"',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"a": ' + b"9" * 10_000 + b"}",
    ],
)
def test_config_that_is_no_json_object(folder: Path, data: bytes) -> None:
    (folder / "config.json").write_bytes(data)
    assert "not a JSON object" in error_message(folder)


def test_deep_json_in_a_config_is_no_crash(folder: Path) -> None:
    for depth in range(900, 1100):
        nested = "[" * depth + "]" * depth
        text = f'{{"format": "nlp_rnn.classifier", "format_version": 1, "x": {nested}}}'
        (folder / "config.json").write_text(text)
        error_message(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"architecture": {"cell": "gru"}},
        {"architecture": None},
        {"architecture": vars(tiny_architecture()) | {"cell": "transformer"}},
        {"architecture": vars(tiny_architecture()) | {"vocab_size": "30"}},
        {"architecture": vars(tiny_architecture()) | {"vocab_size": True}},
        {"architecture": vars(tiny_architecture()) | {"surprise": 1}},
        {"architecture": vars(tiny_architecture()) | {"hidden_size": -5}},
        {"architecture": vars(tiny_architecture()) | {"num_labels": 0}, "id2label": {}},
        {"architecture": vars(tiny_architecture()) | {"num_layers": 10**9}},
        {"architecture": vars(tiny_architecture()) | {"pooling": "min"}},
        {"architecture": vars(tiny_architecture()) | {"cell": "average"}},
        {"architecture": vars(tiny_architecture("average")) | {"pooling": "last"}},
        {"architecture": vars(tiny_architecture()) | {"num_labels": 10**15}},
        {"architecture": vars(tiny_architecture(ngrams=2, ngram_buckets=9))},  # in format 1
        *(
            {"format_version": 3, "architecture": vars(tiny_architecture()) | wide}
            for wide in (
                {"ngrams": 2, "ngram_buckets": 0},
                {"ngrams": 2, "ngram_buckets": 10**15},
                {"ngrams": 1, "ngram_buckets": 5},
                {"ngrams": 4, "ngram_buckets": 5},
                {"ngrams": -1, "ngram_buckets": 0},
                {"ngrams": 2.0, "ngram_buckets": 5},
                {"ngrams": 2, "ngram_buckets": 5},  # the parameters are of a network without
            )
        ),
        {"id2label": {"0": "bad", "1": "good"}},
        {"id2label": {"0": "bad", "1": "bad", "2": "good"}},
        {"id2label": {"0": "bad", "1": "fair", "2": 3}},
        {"id2label": {"0": "a", "1": "b", "2": "c", "3": "d"}},
        {"id2label": ["bad", "fair", "good"]},
        {"task": "regression"},
        {"files": {}},
        {"files": None},
        {"format_version": 0},
        {"format_version": "1"},
        {"max_length": 12},
    ],
)
def test_config_that_describes_no_classifier(folder: Path, changes: dict[str, Any]) -> None:
    rewrite(folder, **changes)
    error_message(folder)


def test_tokenizer_of_another_training(tmp_path: Path, folder: Path) -> None:
    replace(folder, "tokenizer.json", tiny_tokenizer_json(29).encode())
    assert "has 29 tokens" in error_message(folder)
    replace(folder, "tokenizer.json", b'{"version": "1.0"}')
    assert "not a tokenizer" in error_message(folder)
    replace(folder, "tokenizer.json", b"[" * 100_000)
    assert "not a tokenizer" in error_message(folder)


def test_parameters_of_another_training(tmp_path: Path, folder: Path) -> None:
    other = save_tiny(tmp_path / "other", hidden_size=4)
    replace(folder, "model.safetensors", (other / "model.safetensors").read_bytes())
    assert "are not those of the network" in error_message(folder)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"1234567",
        (2**63).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"[]",
        (20).to_bytes(8, "little") + b'{"head.bias": "here"}'[:20],
        (18).to_bytes(8, "little") + b'{"head.bias": {}  }',
    ],
)
def test_file_that_is_no_safetensors(folder: Path, data: bytes) -> None:
    replace(folder, "model.safetensors", data)
    assert "not a safetensors file" in error_message(folder)


def test_pickle_renamed_to_safetensors_is_rejected_and_not_run(
    tmp_path: Path, folder: Path
) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "trapped"),)

    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        replace(folder, "model.safetensors", pickle.dumps(Trap(), protocol))
        assert "not a safetensors file" in error_message(folder)
    assert not (tmp_path / "trapped").exists()


def test_graph_with_external_data_is_rejected(tmp_path: Path, folder: Path) -> None:
    model = onnx.load(folder / "model.onnx")
    onnx.save(
        model,
        folder / "model.onnx",
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
    )
    replace(folder, "model.onnx", (folder / "model.onnx").read_bytes())
    assert "refers to other files" in error_message(folder)


def test_file_larger_than_any_is_not_read(folder: Path) -> None:
    with (folder / "model.onnx").open("wb") as file:
        file.truncate(1 << 40)  # takes no space on the disk, and would not fit into memory
    assert "more than a classifier can have" in error_message(folder)
