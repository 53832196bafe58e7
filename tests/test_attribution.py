"""Integrated gradients sum to what they explain, and occlusion is what it says."""

from pathlib import Path

import numpy as np
import pytest
import torch

import nlp_rnn
from nlp_rnn.inspection.attribution import attribute
from nlp_rnn.model.network import TextNetwork
from nlp_rnn.model.parallel import lanes, set_lanes
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
    """Log-odds of every class by the network as it answers, with other embeddings if given."""
    own = made.embedding.weight.clone()
    if weight is not None:
        made.embedding.weight.copy_(weight)
    p = made(torch.from_numpy(ids)[None], torch.tensor([len(ids)]))[0].double().softmax(0).numpy()
    made.embedding.weight.copy_(own)
    return np.log(p) - np.log1p(-p)


def test_a_training_before_it_in_the_same_process_changes_nothing() -> None:
    """A training leaves its lanes on, and what runs in those can be walked back through once."""
    alone = attribute(network(), IDS, [2, 0]).integrated
    set_lanes(2)
    try:
        after = attribute(network(), IDS, [2, 0]).integrated
        assert lanes() == 2
    finally:
        set_lanes(1)
    assert after == pytest.approx(alone, abs=1e-6)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("pooling", ["mean", "attention"])
def test_they_sum_to_the_log_odds_of_the_text_less_those_of_nothing(
    cell: str, pooling: str
) -> None:
    made = network(cell, pooling)
    found = attribute(made, IDS, [2, 0], steps=256)
    nothing = odds(made, IDS, torch.zeros_like(made.embedding.weight))
    difference = (odds(made, IDS) - nothing)[[2, 0]]
    assert np.abs(difference).max() > 0.05
    np.testing.assert_allclose(found.integrated.sum(1), difference, atol=5e-3)
    assert found.residual < 5e-3
    assert found.classes == (2, 0)
    assert found.integrated.shape == found.occluded.shape == found.gradient.shape == (2, len(IDS))


@pytest.mark.parametrize("cell", CELLS)
def test_occlusion_takes_one_token_out(cell: str) -> None:
    made = network(cell)
    found = attribute(made, IDS, [0, 1, 2], steps=2)
    assert found.span == 1
    whole = odds(made, IDS)
    for place in range(len(IDS)):
        ids = IDS.copy()
        ids[place] = 0  # a token whose embedding is made to be nothing
        weight = made.embedding.weight.clone()
        weight[0] = 0.0
        fall = whole - odds(made, ids, weight)
        np.testing.assert_allclose(found.occluded[:, place], fall, atol=1e-4)


def test_the_gradient_is_that_of_the_log_odds() -> None:
    made = network("lstm")
    found = attribute(made, IDS, [1], steps=2)
    place, small = 6, 1e-2  # token 20 stands there alone
    slopes = []
    for feature in range(6):
        sides = []
        for sign in (1, -1):
            weight = made.embedding.weight.clone()
            weight[20, feature] += sign * small
            sides.append(odds(made, IDS, weight)[1])
        slopes.append((sides[0] - sides[1]) / (2 * small))
    assert found.gradient[0, place] == pytest.approx(np.linalg.norm(slopes), rel=0.02)


def test_long_texts_are_occluded_in_spans() -> None:
    made = network("gru")
    ids = np.random.default_rng(0).integers(2, 30, 501)
    found = attribute(made, ids, [0], steps=2)
    assert found.span == 3
    assert found.occluded.shape == (1, 501)
    assert found.occluded[0, 0] == found.occluded[0, 2] != found.occluded[0, 3]
    assert found.occluded[0, 498] == found.occluded[0, 500]


def test_agreement_is_a_rank_correlation_or_nothing() -> None:
    from scipy.stats import spearmanr

    found = attribute(network("gru"), IDS, [0], steps=8)
    expected = spearmanr(found.integrated[0], found.occluded[0]).statistic
    assert found.agreement(0) == pytest.approx(expected)
    assert attribute(network("gru"), IDS[:1], [0]).agreement(0) is None


def test_a_sure_answer_keeps_its_log_odds(tmp_path: Path) -> None:
    """p rounds to 1 and 1 - p to 0, but the log-odds are finite."""
    made = network("gru")
    made.head.bias[1] = 200.0
    found = attribute(made, IDS, [1, 0])
    assert np.isfinite(found.integrated).all()
    assert np.isfinite(found.occluded).all()


def test_the_explained_class_is_the_one_that_is_answered(tmp_path: Path) -> None:
    from nlp_rnn.inspection.inspection import inspect_text, load_model

    folder = save_tiny(tmp_path / "classifier")
    text = "w3 w4 w9 unheard-of w12"
    seen = inspect_text(load_model(folder), text)
    classifier = nlp_rnn.load(folder)
    np.testing.assert_allclose(seen.probabilities, classifier.predict_proba([text])[0], atol=1e-6)
    assert [seen.label] == classifier.predict([text])
    assert seen.model.labels[seen.attribution.classes[0]] == seen.label
