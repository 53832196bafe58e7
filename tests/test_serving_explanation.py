"""Explanations for the page: of networks, of ensembles and of n-gram models alone."""

import asyncio
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nlp_rnn.ngrams.table import NgramTable
from nlp_rnn.serving.explanation import Explainer
from nlp_rnn.serving.served_classifier import ClassifierSource, load_served
from tests.service import require_service
from tests.test_ensemble_folder import save, save_alone, table
from tests.tiny_classifier import save_tiny

__all__ = ["table"]  # a fixture

TEXT = "w2 w3  w4 ☕"


def explained(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the explanation of a text, and the description of the classifier."""
    served = load_served(ClassifierSource("name", str(folder)), "onnx")
    explainer = Explainer(served)
    prepared = explainer.prepare(TEXT)
    probabilities = served.classifier.predict_proba(prepared.left_out.texts)
    return explainer.explain(prepared, probabilities), served.description()


def check_parts(explanation: dict[str, Any]) -> None:
    parts = explanation["parts"]
    assert "".join(part["text"] for part in parts) == TEXT
    assert [part["text"] for part in parts if part["values"]] == TEXT.split()
    assert all(len(part["values"] or explanation["labels"]) == 3 for part in parts)


def test_a_bidirectional_network_has_gates_in_both_directions(tmp_path: Path) -> None:
    explanation, description = explained(save_tiny(tmp_path / "c", cell="lstm"))
    check_parts(explanation)
    names = [layer["name"] for layer in explanation["layers"]]
    assert names == ["layer 1, left to right", "layer 1, right to left"]
    for layer in explanation["layers"]:
        assert list(layer["gates"]) == ["input", "forget", "output"]
        assert all(len(values) == 4 for values in layer["gates"].values())
    assert (explanation["prefixes"], description["streams"]) == (None, False)


def test_a_network_of_one_direction_has_predictions_for_prefixes(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "c", bidirectional=False, pooling="last")
    explanation, description = explained(folder)
    assert description["streams"]
    served = load_served(ClassifierSource("name", str(folder)), "onnx")
    whole = sorted(served.classifier.predict_proba([TEXT])[0].tolist(), reverse=True)
    assert explanation["prefixes"][-1] == pytest.approx(whole, abs=1e-4)
    assert len(explanation["prefixes"]) == 4


def test_an_ensemble_is_explained_as_a_whole(tmp_path: Path, table: NgramTable) -> None:
    explanation, _ = explained(save(tmp_path / "c", table, multi_label=False))
    check_parts(explanation)
    assert len(explanation["layers"]) == 2


def test_the_prefixes_of_an_ensemble_include_its_ngram_models(
    tmp_path: Path, table: NgramTable
) -> None:
    folder = save(tmp_path / "c", table, multi_label=False, bidirectional=False)
    explanation, _ = explained(folder)
    served = load_served(ClassifierSource("name", str(folder)), "onnx")
    rows = served.classifier.predict_proba(["w2", "w2 w3", "w2 w3  w4", TEXT])
    order = np.argsort(-rows[-1], kind="stable")
    assert np.array(explanation["prefixes"]) == pytest.approx(rows[:, order], abs=1e-4)


def test_ngram_models_alone_have_contributions_of_words(tmp_path: Path, table: NgramTable) -> None:
    explanation, description = explained(save_alone(tmp_path / "c", table, multi_label=True))
    check_parts(explanation)
    assert (explanation["layers"], explanation["prefixes"]) == ([], None)
    assert (description["architecture"], description["streams"]) == (None, False)


def test_concurrent_first_requests_load_only_once(monkeypatch: pytest.MonkeyPatch) -> None:
    require_service()
    from nlp_rnn.serving import service as module
    from nlp_rnn.serving.options import ServingOptions

    loads: list[str] = []

    class SlowExplainer:
        def __init__(self, served: Any) -> None:
            time.sleep(0.05)
            loads.append("explainer")

        def prepare(self, text: str) -> Any:
            return SimpleNamespace(left_out=SimpleNamespace(texts=[text]))

        def explain(self, prepared: Any, probabilities: Any) -> dict[str, Any]:
            return {"probabilities": probabilities.tolist()}

    monkeypatch.setattr(module, "Explainer", SlowExplainer)
    classifier = SimpleNamespace(
        predict_proba=lambda texts, windows: np.ones((len(texts), 1), np.float32)
    )
    served: Any = SimpleNamespace(
        name="name", classifier=classifier, source=SimpleNamespace(folder="")
    )
    metrics: Any = SimpleNamespace(step=None, serve=lambda served: None)

    async def scenario() -> list[Any]:
        service = module.Service(ServingOptions(), {"name": served}, metrics)
        results = await asyncio.gather(*(service.explain(served, "w2") for _ in range(12)))
        service.batcher.close()
        return results

    results = asyncio.run(scenario())
    assert results == [{"probabilities": [[1.0]]}] * 12
    assert loads == ["explainer"]
