"""Inspection of ensembles: what the network and what the n-gram models give to a prediction."""

from pathlib import Path

import numpy as np
import pytest

import nlp_rnn
from nlp_rnn.errors import ClassifierError
from nlp_rnn.inspection.inspection import (
    Inspection,
    inspect_text,
    load_model,
    probabilities_over_time,
)
from nlp_rnn.inspection.page import write_page
from nlp_rnn.ngrams.table import NgramTable
from tests.test_ensemble_folder import save, save_alone, table

__all__ = ["table"]  # a fixture

TEXT = "w2 w3  w999 W4 w2 ☕ w7"


@pytest.fixture
def folder(tmp_path: Path, table: NgramTable) -> Path:
    return save(tmp_path / "classifier", table, multi_label=False)


@pytest.fixture
def inspection(folder: Path) -> Inspection:
    return inspect_text(load_model(folder), TEXT)


def test_the_probabilities_are_those_of_the_ensemble(inspection: Inspection, folder: Path) -> None:
    expected = nlp_rnn.load(folder).predict_proba([TEXT])[0]
    assert inspection.probabilities == pytest.approx(expected, abs=1e-5)


def test_the_shares_of_tokens_add_up_to_the_scores(
    inspection: Inspection, table: NgramTable
) -> None:
    shares = inspection.ngrams
    assert shares is not None
    assert len(shares.tokens) == len(inspection.tokens)
    total = shares.bias + shares.tokens.sum(axis=0)
    assert total == pytest.approx(table.scores([TEXT])[0], abs=1e-4)
    # both occurrences of a word have the same n-grams inside it
    words = [entry for entry in shares.contributions if entry.ngram == " w2 "]
    assert len(words[0].spans) == 2


def test_the_margins_of_both_parts_add_up_to_that_of_the_ensemble(inspection: Inspection) -> None:
    logits = np.log(inspection.probabilities)
    for label, network, ngrams in inspection.margins:
        margin = logits[inspection.model.labels.index(label)] - logits.mean()
        assert network + ngrams == pytest.approx(margin, abs=1e-4)
    shares = [share for _, share in inspection.strongest_ngrams]
    assert shares == sorted(shares, key=lambda share: -abs(share))


def test_integrated_gradients_of_an_ensemble_sum_to_its_log_odds(inspection: Inspection) -> None:
    assert inspection.attribution.residual < 0.05
    assert np.abs(inspection.attribution.occluded).max() > 0


def test_the_page_shows_network_and_ngram_models(inspection: Inspection, tmp_path: Path) -> None:
    page = write_page(tmp_path / "page", [[inspection]])[0].read_text(encoding="utf-8")
    assert "Network and n-gram models" in page
    assert inspection.strongest_ngrams[0][0].replace(" ", "␣") in page


def test_ngram_models_alone_are_inspected_without_a_network(
    tmp_path: Path, table: NgramTable, inspection: Inspection
) -> None:
    folder = save_alone(tmp_path / "classifier", table, multi_label=False)
    model = load_model(folder)
    alone = inspect_text(model, TEXT)
    expected = nlp_rnn.load(folder).predict_proba([TEXT])[0]
    assert alone.probabilities == pytest.approx(expected, abs=1e-5)
    assert alone.attribution.residual < 0.05
    spans = zip(alone.tokens.starts, alone.tokens.ends, strict=True)
    assert [alone.tokens.text[start:end] for start, end in spans] == TEXT.split()
    # without a token the log-odds are those of the other shares
    scores = alone.ngrams.bias + np.delete(alone.ngrams.tokens, 1, axis=0).sum(axis=0)
    best = alone.attribution.classes[0]
    without = scores[best] - np.logaddexp.reduce(np.delete(scores, best))
    odds = np.log(expected[best]) - np.log1p(-expected[best])
    assert alone.attribution.occluded[0, 1] == pytest.approx(odds - without, abs=1e-4)
    with pytest.raises(ClassifierError, match="probabilities over time"):
        probabilities_over_time(model, alone.tokens.ids)
    page = write_page(tmp_path / "page", [[alone]])[0].read_text(encoding="utf-8")
    assert "<h3>N-gram models</h3>" in page
    assert "unknown to the tokenizer" not in page
    assert "<h3>Memory</h3>" not in page
    both = write_page(tmp_path / "page", [[alone, inspection]])[0].read_text(encoding="utf-8")
    assert "<h3>Memory</h3>" in both
