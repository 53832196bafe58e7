"""Options of a classifier: top_k, threshold, windows, iterators, runtimes and pickling."""

import concurrent.futures
import itertools
import multiprocessing
import os
import pickle
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nlp_rnn
from nlp_rnn.classifier import input_texts
from nlp_rnn.classifier.predictor import TextClassifier
from nlp_rnn.errors import ClassifierError
from tests.tiny_classifier import save_tiny, tiny_parts, tiny_texts


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_tiny(tmp_path / "classifier")


@pytest.fixture
def classifier(folder: Path) -> TextClassifier:
    return TextClassifier.load(folder)


def test_top_k_gives_the_most_probable_labels_in_order(classifier: TextClassifier) -> None:
    texts = tiny_texts(40)
    probabilities = classifier.predict_proba(texts)
    for k in (1, 2, 3):
        for row, prediction in zip(probabilities, classifier.predict(texts, top_k=k), strict=True):
            order = sorted(range(3), key=lambda index, row=row: -row[index])[:k]
            assert [label for label, _ in prediction] == [classifier.labels[i] for i in order]
            assert [share for _, share in prediction] == [row[i] for i in order]
            assert all(type(share) is float for _, share in prediction)
    first = [prediction[0][0] for prediction in classifier.predict(texts, top_k=1)]
    assert first == classifier.predict(texts)


def test_threshold_omits_less_probable_labels(classifier: TextClassifier) -> None:
    texts = tiny_texts(60)
    best = classifier.predict_proba(texts).max(axis=1)
    threshold = float(np.median(best))
    labels = classifier.predict(texts)
    expected = [
        label if share >= threshold else None for label, share in zip(labels, best, strict=True)
    ]
    assert classifier.predict(texts, threshold=threshold) == expected
    assert None in expected
    assert set(expected) != {None}
    both = classifier.predict(texts, top_k=3, threshold=threshold)
    assert [prediction[0][0] if prediction else None for prediction in both] == expected
    assert all(share >= threshold for prediction in both for _, share in prediction)
    assert classifier.predict(texts, threshold=1e-9) == labels


@pytest.mark.parametrize(
    "options",
    [
        *({"top_k": wrong} for wrong in (0, 4, -1, True, 1.5, "2")),
        *({"threshold": wrong} for wrong in (0, -0.1, 1.1, float("nan"), "0.5", True)),
    ],
)
def test_an_option_without_effect_is_rejected(
    classifier: TextClassifier, options: dict[str, Any]
) -> None:
    for ask in (classifier.predict, classifier.predict_iter):
        with pytest.raises(ClassifierError) as caught:
            ask(["w2"], **options)  # the iterator too, before anything is asked of it
        (name,) = options
        assert str(caught.value).startswith(f"{name} is ")
        assert len(str(caught.value).splitlines()) == 1


# Texts without end


def test_an_iterator_is_read_a_chunk_at_a_time(
    classifier: TextClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(input_texts, "CHUNK_TEXTS", 10)
    taken = itertools.count()
    texts = tiny_texts(35)
    endless = (texts[next(taken) % 35] for _ in itertools.count())
    expected = classifier.predict(texts)
    predictions = classifier.predict_iter(endless)
    assert [next(predictions) for _ in range(35)] == expected
    assert next(taken) == 40
    rows = classifier.predict_proba_iter(iter(texts))
    np.testing.assert_array_equal(list(rows), classifier.predict_proba(texts))


def test_a_chunk_ends_before_it_is_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(input_texts, "CHUNK_CHARACTERS", 100)
    texts = ["x" * 60, "y" * 60, "", "z" * 500, "a"]
    result = list(input_texts.text_chunks(texts))
    assert result == [["x" * 60, "y" * 60], ["", "z" * 500], ["a"]]
    assert list(input_texts.text_chunks([])) == []


def test_memory_does_not_grow_with_the_number_of_texts(classifier: TextClassifier) -> None:
    texts = [f"w{2 + index % 20} " * 20 for index in range(100)]

    def peak(number: int) -> int:
        endless = itertools.islice(itertools.cycle(texts), number)
        tracemalloc.start()
        for _ in classifier.predict_iter(endless):
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(100)
    assert peak(30_000) < 1.3 * peak(10_000)


def test_a_wrong_text_far_down_an_iterator_is_named(classifier: TextClassifier) -> None:
    texts = [*["w2"] * 9000, None]
    with pytest.raises(ClassifierError, match=r"texts\[9000\] is NoneType"):
        classifier.predict(iter(texts))  # type: ignore[arg-type]


# Windows


def test_windows_read_a_long_text_to_its_end(classifier: TextClassifier) -> None:
    words = [f"w{2 + index % 25}" for index in range(100)]  # three windows of 33, 33 and 34
    pieces = [" ".join(words[a:b]) for a, b in ((0, 33), (33, 66), (66, 100))]
    parts = classifier.predict_proba(pieces)
    expected = (33 * parts[0] + 33 * parts[1] + 34 * parts[2]) / 100
    short = ["w2 w3", "", " ".join(words[:40])]
    result = classifier.predict_proba([" ".join(words), *short], windows=True)
    np.testing.assert_allclose(result[0], expected, rtol=0, atol=1e-6)
    np.testing.assert_allclose(result[1:], classifier.predict_proba(short), rtol=0, atol=1e-6)
    assert classifier.predict([" ".join(words)], windows=True) == [
        classifier.labels[int(expected.argmax())]
    ]
    # cutting is still what happens without
    (cut,) = classifier.predict_proba([" ".join(words)])
    (beginning,) = classifier.predict_proba([" ".join(words[:40])])
    np.testing.assert_array_equal(cut, beginning)


def test_windows_are_rejected_without_truncation(tmp_path: Path) -> None:
    from tokenizers import Tokenizer

    parts = tiny_parts()
    tokenizer = Tokenizer.from_str(parts["tokenizer_json"])
    tokenizer.no_truncation()
    from nlp_rnn.classifier.classifier_saving import save_classifier

    save_classifier(tmp_path / "c", **(parts | {"tokenizer_json": tokenizer.to_str()}))
    classifier = TextClassifier.load(tmp_path / "c")
    with pytest.raises(ClassifierError, match="has no effect"):
        classifier.predict(["w2"], windows=True)


# Runtimes


def test_torch_predicts_as_onnxruntime_does(folder: Path, classifier: TextClassifier) -> None:
    texts = tiny_texts(150)
    torch = nlp_rnn.load(folder, runtime="torch")
    assert (classifier.runtime, torch.runtime) == ("onnx", "torch")
    np.testing.assert_allclose(
        torch.predict_proba(texts), classifier.predict_proba(texts), rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn", "average"])
@pytest.mark.parametrize("pooling", ["max_mean", "attention"])
def test_int8_is_smaller_and_nearly_the_same(tmp_path: Path, cell: str, pooling: str) -> None:
    folder = save_tiny(
        tmp_path / "c", cell=cell, pooling=pooling, embedding_size=64, vocab_size=2000
    )
    small, whole = (folder / name for name in ("model.int8.onnx", "model.onnx"))
    assert small.stat().st_size < 0.4 * whole.stat().st_size
    texts = tiny_texts(100)
    result = nlp_rnn.load(folder, runtime="int8").predict_proba(texts)
    np.testing.assert_allclose(result, nlp_rnn.load(folder).predict_proba(texts), atol=0.05)


def test_int8_that_would_save_little_is_not_saved(folder: Path) -> None:
    assert not (folder / "model.int8.onnx").exists()
    with pytest.raises(ClassifierError, match=r"has no model\.int8\.onnx"):
        nlp_rnn.load(folder, runtime="int8")


def test_an_unknown_or_missing_runtime_is_rejected(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ClassifierError, match="set one of onnx, int8, torch"):
        nlp_rnn.load(folder, runtime="tensorflow")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ClassifierError, match="needs torch, which is not installed"):
        nlp_rnn.load(folder, runtime="torch")


# Other processes


def test_worker_processes_predict_with_the_same_classifier(classifier: TextClassifier) -> None:
    texts = tiny_texts(20)
    expected = classifier.predict_proba(texts)
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        result = pool.submit(classifier.predict_proba, texts).result()
    np.testing.assert_array_equal(result, expected)


def test_what_is_pickled_is_an_address_and_not_the_weights(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    relative = TextClassifier.load("classifier", threads=1)
    data = pickle.dumps(relative)
    assert len(data) < 400
    monkeypatch.chdir("/")
    again = pickle.loads(data)
    assert (again.config, again.threads) == (relative.config, 1)
    save_tiny(folder, seed=1)
    with pytest.raises(ClassifierError, match="holds a different classifier"):
        pickle.loads(data)
    os.rename(folder, folder.with_name("moved"))
    with pytest.raises(ClassifierError, match="does not exist"):
        pickle.loads(data)


def test_torch_is_imported_by_its_runtime_alone(folder: Path) -> None:
    program = (
        "import nlp_rnn, sys; c = nlp_rnn.load(sys.argv[1])\n"
        "c.predict(['w2 ' * 99], windows=True, top_k=1); print('torch' in sys.modules)\n"
        "nlp_rnn.load(sys.argv[1], runtime='torch'); print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "True"]
