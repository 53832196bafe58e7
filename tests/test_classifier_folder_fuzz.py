"""Any content of files and texts gives a prediction, or an error of one or two lines."""

import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import nlp_rnn
from nlp_rnn.classifier.predictor import TextClassifier
from nlp_rnn.errors import ClassifierError
from tests.test_classifier_folder import replace, rewrite
from tests.tiny_classifier import save_tiny

FILES = ["config.json", "tokenizer.json", "model.safetensors", "model.onnx"]
FUZZ = settings(
    deadline=None,
    max_examples=120,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("fuzz") / "sound", bidirectional=False)


@pytest.fixture(scope="module")
def classifier(sound: Path) -> TextClassifier:
    return TextClassifier.load(sound)


def damaged(sound: Path) -> Path:
    folder = sound.parent / "damaged"
    shutil.rmtree(folder, ignore_errors=True)
    return Path(shutil.copytree(sound, folder))


def loads_or_is_rejected(folder: Path) -> None:
    """Check that there is no other error than ours and no wrong shape."""
    try:
        classifier = TextClassifier.load(folder)
        rows = classifier.predict_proba(["w2 w3", ""])
    except ClassifierError as error:
        message = str(error)
    else:
        message = "no error"
        assert rows.shape == (2, len(classifier.labels))
    assert 1 <= len(message.splitlines()) <= 2


@pytest.mark.parametrize("name", FILES)
@FUZZ
@given(data=st.data())
def test_bytes_that_changed(sound: Path, name: str, data: st.DataObject) -> None:
    folder = damaged(sound)
    content = bytearray((folder / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content)))
        end = min(len(content), start + data.draw(st.integers(0, 30)))
        content[start:end] = data.draw(st.binary(max_size=30))
    (folder / name).write_bytes(content)
    loads_or_is_rejected(folder)
    # of config.json the checksum is that of its content, whatever the white space
    if name != "config.json" and bytes(content) != (sound / name).read_bytes():
        with pytest.raises(ClassifierError) as caught:
            TextClassifier.load(folder)
        assert 1 <= len(str(caught.value).splitlines()) <= 2
    # and as someone does who writes the checksums too
    if name != "config.json":
        replace(folder, name, bytes(content))
        loads_or_is_rejected(folder)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
KEYS = [
    *("format_version", "task", "id2label", "max_length", "architecture", "files", "versions"),
    *("provenance", "format", "checksum"),
]


@FUZZ
@given(key=st.sampled_from(KEYS), value=JSON)
def test_configs_of_any_content(sound: Path, key: str, value: Any) -> None:
    folder = damaged(sound)
    rewrite(folder, **{key: value})
    loads_or_is_rejected(folder)


@FUZZ
@given(value=JSON, key=st.sampled_from(["dtype", "shape", "data_offsets", None]))
def test_safetensors_headers_of_any_content(sound: Path, key: str | None, value: Any) -> None:
    folder = damaged(sound)
    data = (folder / "model.safetensors").read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    if key is None:
        header["head.bias"] = value
    else:
        header["head.bias"][key] = value
    text = json.dumps(header).encode()
    content = len(text).to_bytes(8, "little") + text + data[8 + length :]
    replace(folder, "model.safetensors", content)
    loads_or_is_rejected(folder)
    try:
        stream = TextClassifier.load(folder).stream()
    except ClassifierError:
        return
    assert stream.read("w2 w3 ").shape == (2, 3)


@settings(deadline=None, max_examples=300)
@given(st.lists(st.text(st.characters(exclude_categories=[]), max_size=60), max_size=5))
def test_texts_of_any_content(classifier: TextClassifier, texts: list[str]) -> None:
    rows = classifier.predict_proba(texts)
    assert rows.shape == (len(texts), 3)
    assert np.isfinite(rows).all()
    np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-5)
    for text, row in zip(texts, rows, strict=True):
        stream = classifier.stream()
        stream.read(text)
        stream.finish()
        if stream.num_tokens <= 40:  # where texts are cut
            np.testing.assert_allclose(stream.probabilities, row, rtol=0, atol=1e-5)


@pytest.mark.parametrize("text", ["w2 " * 3_500_000, "x" * 10_000_000, "\x00" * 10_000_000])
def test_a_text_of_ten_megabytes(classifier: TextClassifier, text: str) -> None:
    assert np.isfinite(classifier.predict_proba([text])).all()


# Folders that someone prepared


def test_files_of_two_trainings(tmp_path: Path, sound: Path) -> None:
    other = save_tiny(tmp_path / "other", seed=1, cell="lstm", bidirectional=False)
    for name in FILES:
        folder = damaged(sound)
        if (other / name).read_bytes() == (sound / name).read_bytes():
            assert name == "tokenizer.json"  # which both have
            continue
        shutil.copy(other / name, folder / name)
        with pytest.raises(ClassifierError):
            TextClassifier.load(folder)


@pytest.mark.parametrize("name", FILES)
def test_ten_gigabytes_of_nothing(sound: Path, name: str) -> None:
    folder = damaged(sound)
    with (folder / name).open("r+b") as file:
        file.truncate(10 << 30)  # sparse: it takes no space
    with pytest.raises(ClassifierError, match="more than a classifier can have"):
        TextClassifier.load(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_pickle_under_any_name_is_rejected_and_not_run(
    tmp_path: Path, sound: Path, name: str
) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "trapped"),)

    folder = damaged(sound)
    data = pickle.dumps(Trap())
    if name == "config.json":
        (folder / name).write_bytes(data)
    else:
        replace(folder, name, data)
    # torch does not read the graph
    for runtime in ("onnx",) if name == "model.onnx" else ("onnx", "torch"):
        with pytest.raises(ClassifierError):
            nlp_rnn.load(folder, runtime=runtime)
    assert not (tmp_path / "trapped").exists()


def test_an_int8_graph_is_checked_as_the_other(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "c", embedding_size=64, vocab_size=2000)
    name = "model.int8.onnx"
    data = (folder / name).read_bytes()
    assert nlp_rnn.load(folder, runtime="int8").runtime == "int8"
    for change, message in (
        (data[:-1], "bytes instead of"),
        (data[:-1] + bytes([data[-1] ^ 1]), "was changed after it was saved"),
    ):
        (folder / name).write_bytes(change)
        with pytest.raises(ClassifierError) as caught:
            nlp_rnn.load(folder, runtime="int8")
        assert message.split()[-1] in str(caught.value)
        nlp_rnn.load(folder)  # what is not used does no harm
    replace(folder, name, data + b"\x0a\x08location")
    with pytest.raises(ClassifierError, match="refers to other files"):
        nlp_rnn.load(folder, runtime="int8")
    outside = tmp_path / "outside"
    (folder / name).rename(outside)
    (folder / name).symlink_to(outside)
    with pytest.raises(ClassifierError, match="outside the folder"):
        nlp_rnn.load(folder, runtime="int8")


def test_a_config_that_lists_a_broken_int8_file_is_rejected(sound: Path) -> None:
    for entry in (None, {}, {"bytes": "1"}, {"bytes": True}):
        folder = damaged(sound)
        files = json.loads((folder / "config.json").read_text())["files"]
        rewrite(folder, files=files | {"model.int8.onnx": entry})
        with pytest.raises(ClassifierError, match="does not describe a classifier"):
            TextClassifier.load(folder)


def test_a_tokenizer_without_its_unknown_token_is_rejected(sound: Path) -> None:
    folder = damaged(sound)
    content = (sound / "tokenizer.json").read_bytes()
    assert content.count(b'"[UNK]":1') == 1
    replace(folder, "tokenizer.json", content.replace(b'"[UNK]":1', b'"[UNX]":1'))
    with pytest.raises(ClassifierError, match="is not a tokenizer"):
        TextClassifier.load(folder)
