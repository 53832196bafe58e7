"""Classifier folders with n-gram models: in an ensemble with a network, and alone."""

import json
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nlp_rnn
from nlp_rnn.classifier.classifier_saving import save_classifier
from nlp_rnn.errors import ClassifierError
from nlp_rnn.ngrams.fitting import fit_parts, merge
from nlp_rnn.ngrams.table import NgramTable
from tests.tiny_classifier import save_tiny, tiny_parts, tiny_texts

WEIGHT = 0.6
THRESHOLDS = [0.4, 0.5, 0.6]
RUNTIMES = ("onnx", "int8", "torch")
TEXTS = [*tiny_texts(40, seed=3), "", "w2 W2 w999 ☕"]


@pytest.fixture(scope="module")
def table() -> NgramTable:
    texts, labels = tiny_texts(60), np.arange(60) % 3
    return merge(fit_parts(texts, labels, 3), [2.0, 1.0, 1.5, 0.5])


def save(folder: Path, table: NgramTable, multi_label: bool, **changes: Any) -> Path:
    changes = {
        "vocab_size": 3000,
        "embedding_size": 32,
    } | changes  # large enough for an 8-bit graph
    save_classifier(
        folder,
        **tiny_parts(**changes),
        thresholds=THRESHOLDS if multi_label else None,
        ngrams=table,
        network_weight=WEIGHT,
    )
    return folder


@pytest.fixture(scope="module", params=[False, True], ids=["single_label", "multi_label"])
def ensemble(request: Any, table: NgramTable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("ensemble") / "classifier", table, request.param)


def save_alone(folder: Path, table: NgramTable, multi_label: bool) -> Path:
    save_classifier(
        folder,
        architecture=None,
        state={},
        tokenizer_json=None,
        labels=["bad", "fair", "good"],
        provenance={},
        thresholds=THRESHOLDS if multi_label else None,
        ngrams=table,
    )
    return folder


@pytest.fixture(scope="module", params=[False, True], ids=["single_label", "multi_label"])
def alone(request: Any, table: NgramTable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_alone(tmp_path_factory.mktemp("alone") / "classifier", table, request.param)


def activation(logits: np.ndarray, multi_label: bool) -> np.ndarray:
    if multi_label:
        return 1 / (1 + np.exp(-logits))
    weights = np.exp(logits - logits.max(1, keepdims=True))
    return weights / weights.sum(1, keepdims=True)


@pytest.mark.parametrize("runtime", ["onnx", "torch"])
def test_the_probabilities_are_those_of_the_weighted_sum(
    ensemble: Path, table: NgramTable, runtime: str
) -> None:
    classifier = nlp_rnn.load(ensemble, runtime=runtime)
    multi_label = classifier.thresholds is not None
    network = nlp_rnn.load(ensemble).predict_proba_of_parts(TEXTS)["network"].astype(np.float64)
    logits = np.log(network) - (np.log1p(-network) if multi_label else 0)
    expected = activation(WEIGHT * logits + table.scores(TEXTS), multi_label)
    assert classifier.predict_proba(TEXTS) == pytest.approx(expected, abs=1e-5)


def test_every_runtime_and_way_of_calling_gives_the_same_probabilities(ensemble: Path) -> None:
    expected = nlp_rnn.load(ensemble).predict_proba(TEXTS)
    for runtime in RUNTIMES:
        classifier = nlp_rnn.load(ensemble, runtime=runtime)
        together = classifier.predict_proba(TEXTS)
        # the matrices of an int8 network are rounded; the n-gram table is the same
        assert together == pytest.approx(expected, abs=0.02 if runtime == "int8" else 1e-5)
        single = np.concatenate([classifier.predict_proba([text]) for text in TEXTS])
        assert single == pytest.approx(together, abs=1e-6)
        assert np.stack(list(classifier.predict_proba_iter(TEXTS))) == pytest.approx(together)
        parts = classifier.predict_proba_of_parts(TEXTS)
        assert parts["ensemble"] == pytest.approx(together, abs=1e-6)
        reversed_texts = classifier.predict_proba(TEXTS[::-1])[::-1]
        assert reversed_texts == pytest.approx(together, abs=1e-6)


def test_the_network_of_an_ensemble_predicts_what_it_predicts_alone(
    ensemble: Path, tmp_path: Path
) -> None:
    classifier = nlp_rnn.load(ensemble)
    multi_label = classifier.thresholds is not None
    save_classifier(
        tmp_path / "network",
        **tiny_parts(vocab_size=3000, embedding_size=32),
        thresholds=THRESHOLDS if multi_label else None,
    )
    network = nlp_rnn.load(tmp_path / "network")
    assert network.config["format_version"] < classifier.config["format_version"] == 4
    predicted = classifier.predict_proba_of_parts(TEXTS)["network"]
    assert network.predict_proba(TEXTS) == pytest.approx(predicted, abs=1e-6)
    with pytest.raises(ClassifierError, match="no ensemble"):
        network.predict_proba_of_parts(TEXTS)


def test_windows_are_those_of_the_network_and_ngrams_read_the_whole_text(
    ensemble: Path, table: NgramTable
) -> None:
    classifier = nlp_rnn.load(ensemble)
    short, long = ["w2 w3 w4"], [" ".join(["w2 w3 w4"] * 40) + " w5"]
    assert classifier.predict_proba(short, windows=True) == pytest.approx(
        classifier.predict_proba(short), abs=1e-4
    )
    end = [" ".join(["w2 w3 w4"] * 40) + " w6"]  # beyond max_length
    changed = table.scores(long) != table.scores(end)
    assert changed.any()
    assert not np.allclose(classifier.predict_proba(long), classifier.predict_proba(end), atol=1e-4)


def test_ngram_models_alone_are_a_classifier(alone: Path, table: NgramTable) -> None:
    classifier = nlp_rnn.load(alone)
    multi_label = classifier.thresholds is not None
    expected = activation(table.scores(TEXTS).astype(np.float64), multi_label)
    assert classifier.predict_proba(TEXTS) == pytest.approx(expected, abs=1e-5)
    files = ["config.json", "ngrams.safetensors", "requirements.txt"]
    assert sorted(path.name for path in alone.iterdir()) == files
    assert classifier.num_parameters == table.num_parameters
    assert "n-gram models" in repr(classifier)
    assert classifier.token_counts(["", "w2, w3"]).tolist() == [1, 3]
    assert classifier.vocabulary()[0] in {f"w{index}" for index in range(33)}
    with pytest.raises(ClassifierError, match="windows=True has no effect"):
        classifier.predict(TEXTS, windows=True)
    with pytest.raises(ClassifierError, match="n-gram models and no network"):
        nlp_rnn.load(alone, runtime="torch")


@pytest.mark.parametrize("saved", [save, save_alone])
def test_a_fresh_process_gives_the_same_probabilities_without_torch(
    saved: Callable[[Path, NgramTable, bool], Path], table: NgramTable, tmp_path: Path
) -> None:
    folder = saved(tmp_path / "classifier", table, False)
    program = f"""
import sys, numpy, nlp_rnn
numpy.save({str(tmp_path / "rows.npy")!r}, nlp_rnn.load({str(folder)!r}).predict_proba({TEXTS!r}))
heavy = ["torch", "sklearn", "scipy", "mlflow", "safetensors"]
print([name for name in heavy if name in sys.modules])
"""
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert printed.strip() == "[]"
    expected = nlp_rnn.load(folder).predict_proba(TEXTS)
    assert np.array_equal(np.load(tmp_path / "rows.npy"), expected)
    copied = pickle.loads(pickle.dumps(nlp_rnn.load(folder)))
    assert np.array_equal(copied.predict_proba(TEXTS), expected)


def test_threads_share_the_cache_of_words(ensemble: Path) -> None:
    expected = nlp_rnn.load(ensemble).predict_proba(TEXTS)
    classifier, wrong = nlp_rnn.load(ensemble), []

    def predict() -> None:
        for _ in range(5):
            for text, row in zip(TEXTS, expected, strict=True):
                if not np.allclose(classifier.predict_proba([text])[0], row, atol=1e-5):
                    wrong.append(text)

    threads = [threading.Thread(target=predict) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_saving_replaces_a_classifier_with_other_files(alone: Path, tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "classifier")
    (table,) = (saved for saved in [nlp_rnn.load(alone)._ngrams] if saved is not None)
    save(folder, table, multi_label=False)
    save_tiny(folder)
    assert not (folder / "ngrams.safetensors").exists()


def test_a_changed_table_or_weight_raises_an_error(table: NgramTable, tmp_path: Path) -> None:
    folder = save(tmp_path / "classifier", table, multi_label=False)
    path = folder / "ngrams.safetensors"
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(ClassifierError, match=r"ngrams.safetensors was changed"):
        nlp_rnn.load(folder)
    path.unlink()
    with pytest.raises(ClassifierError, match=r"has no ngrams.safetensors"):
        nlp_rnn.load(folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["network_weight"] = 1.0
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(ClassifierError, match="was changed after it was saved"):
        nlp_rnn.load(folder)


def test_the_cost_of_the_ngram_models_is_measured(table: NgramTable, tmp_path: Path) -> None:
    folder = save(tmp_path / "classifier", table, multi_label=False)
    script = Path(__file__).parent.parent / "scripts" / "bench_ngrams"
    done = subprocess.run([sys.executable, script, folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "n-grams   one text" in done.stdout
