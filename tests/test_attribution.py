"""Integrated gradients sum to the log-odds, and occlusion follows its definition."""

from pathlib import Path

import numpy as np
import pytest
import torch

import nlp_rnn
from nlp_rnn.inspection.attribution import attribute
from nlp_rnn.model.network import TextNetwork
from nlp_rnn.model.parallel import set_thread_count, thread_count
from tests.tiny_classifier import random_state, save_tiny, tiny_architecture

CELLS = ["lstm", "gru", "rnn", "average"]


def network(cell: str = "gru", pooling: str = "mean", **changes: object) -> TextNetwork:
    architecture = tiny_architecture(cell, pooling, **changes)
    made = TextNetwork(architecture).eval()
    state = {name: torch.tensor(value) for name, value in random_state(architecture).items()}
    made.load_state_dict(state)
    return made.requires_grad_(False)


IDS = np.array([3, 4, 5, 6, 7, 8, 20, 1, 2, 29])


def odds(made: TextNetwork, ids: np.ndarray, weight: torch.Tensor | None = None) -> np.ndarray:
    """Log-odds of every class by a forward pass, with other embeddings if `weight` is set."""
    original = made.embedding.weight.clone()
    if weight is not None:
        made.embedding.weight.copy_(weight)
    p = made(torch.from_numpy(ids)[None], torch.tensor([len(ids)]))[0].double().softmax(0).numpy()
    made.embedding.weight.copy_(original)
    return np.log(p) - np.log1p(-p)


def test_a_training_before_it_in_the_same_process_changes_nothing() -> None:
    """A training leaves its threads on; a graph made in them can be differentiated only once."""
    alone = attribute(network(), IDS, [2, 0]).integrated
    set_thread_count(2)
    try:
        after = attribute(network(), IDS, [2, 0]).integrated
        assert thread_count() == 2
    finally:
        set_thread_count(1)
    assert after == pytest.approx(alone, abs=1e-6)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("pooling", ["mean", "attention"])
def test_they_sum_to_the_log_odds_of_the_text_minus_those_of_the_baseline(
    cell: str, pooling: str
) -> None:
    made = network(cell, pooling)
    attribution = attribute(made, IDS, [2, 0], steps=256)
    baseline = odds(made, IDS, torch.zeros_like(made.embedding.weight))
    difference = (odds(made, IDS) - baseline)[[2, 0]]
    assert np.abs(difference).max() > 0.05
    np.testing.assert_allclose(attribution.integrated.sum(1), difference, atol=5e-3)
    assert attribution.residual < 5e-3
    assert attribution.classes == (2, 0)
    assert (
        attribution.integrated.shape
        == attribution.occluded.shape
        == attribution.gradient.shape
        == (2, len(IDS))
    )


@pytest.mark.parametrize("cell", CELLS)
def test_occlusion_removes_one_token(cell: str) -> None:
    made = network(cell)
    attribution = attribute(made, IDS, [0, 1, 2], steps=2)
    assert attribution.span == 1
    whole = odds(made, IDS)
    for position in range(len(IDS)):
        ids = IDS.copy()
        ids[position] = 0  # a token whose embedding is set to zero
        weight = made.embedding.weight.clone()
        weight[0] = 0.0
        decrease = whole - odds(made, ids, weight)
        np.testing.assert_allclose(attribution.occluded[:, position], decrease, atol=1e-4)


def test_the_gradient_is_that_of_the_log_odds() -> None:
    made = network("lstm")
    attribution = attribute(made, IDS, [1], steps=2)
    position, small = 6, 1e-2  # the only position of token 20
    slopes = []
    for feature in range(6):
        sides = []
        for sign in (1, -1):
            weight = made.embedding.weight.clone()
            weight[20, feature] += sign * small
            sides.append(odds(made, IDS, weight)[1])
        slopes.append((sides[0] - sides[1]) / (2 * small))
    assert attribution.gradient[0, position] == pytest.approx(np.linalg.norm(slopes), rel=0.02)


def test_long_texts_are_occluded_in_spans() -> None:
    made = network("gru")
    ids = np.random.default_rng(0).integers(2, 30, 501)
    attribution = attribute(made, ids, [0], steps=2)
    assert attribution.span == 3
    assert attribution.occluded.shape == (1, 501)
    assert attribution.occluded[0, 0] == attribution.occluded[0, 2] != attribution.occluded[0, 3]
    assert attribution.occluded[0, 498] == attribution.occluded[0, 500]


def test_agreement_is_a_rank_correlation_or_none() -> None:
    from scipy.stats import spearmanr

    attribution = attribute(network("gru"), IDS, [0], steps=8)
    expected = spearmanr(attribution.integrated[0], attribution.occluded[0]).statistic
    assert attribution.agreement(0) == pytest.approx(expected)
    assert attribute(network("gru"), IDS[:1], [0]).agreement(0) is None


def test_log_odds_stay_finite_for_a_certain_prediction(tmp_path: Path) -> None:
    """p rounds to 1 and 1 - p to 0, but the log-odds are finite."""
    made = network("gru")
    made.head.bias[1] = 200.0
    attribution = attribute(made, IDS, [1, 0])
    assert np.isfinite(attribution.integrated).all()
    assert np.isfinite(attribution.occluded).all()


def test_the_explained_class_is_the_predicted_one(tmp_path: Path) -> None:
    from nlp_rnn.inspection.inspection import inspect_text, load_model

    folder = save_tiny(tmp_path / "classifier")
    text = "w3 w4 w9 unheard-of w12"
    inspection = inspect_text(load_model(folder), text)
    classifier = nlp_rnn.load(folder)
    np.testing.assert_allclose(
        inspection.probabilities, classifier.predict_proba([text])[0], atol=1e-6
    )
    assert [inspection.label] == classifier.predict([text])
    assert inspection.model.labels[inspection.attribution.classes[0]] == inspection.label
