"""Weights of ensembles: recovered where texts tell them, from the prior where they do not."""

import numpy as np
import pytest

from nlp_rnn.ngrams.ensemble import (
    NETWORK_WEIGHT,
    choose_ensemble,
    likeliest_weights,
    log_likelihoods,
    worse_by_chance,
)
from nlp_rnn.ngrams.weighting import fit_ngrams

WEIGHTS = np.array([0.5, 2.0])


def scores_and_labels(
    texts: int, multi_label: bool, weights: np.ndarray = WEIGHTS, labels: int = 3
) -> tuple[np.ndarray, np.ndarray]:
    """Return scores (k, texts, labels) and labels that are drawn from their weighted sum."""
    random = np.random.default_rng(0)
    scores = random.normal(size=(len(weights), texts, labels)) * 2
    logits = np.tensordot(weights, scores, 1)
    if multi_label:
        return scores, random.random(logits.shape) < 1 / (1 + np.exp(-logits))
    shares = np.exp(logits - logits.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    return scores, (shares.cumsum(1) < random.random((texts, 1))).sum(1)


@pytest.mark.parametrize("multi_label", [False, True])
def test_weights_that_labels_were_drawn_with_are_recovered(multi_label: bool) -> None:
    scores, labels = scores_and_labels(20_000, multi_label)
    assert likeliest_weights(list(scores), labels) == pytest.approx(WEIGHTS, rel=0.06)


@pytest.mark.parametrize("multi_label", [False, True])
def test_the_weights_are_at_the_maximum_of_likelihood_and_prior(multi_label: bool) -> None:
    scores, labels = scores_and_labels(50, multi_label)
    medians, precision = np.array([0.25, 1.0]), 3.0

    def objective(weights: np.ndarray) -> float:
        logits = np.tensordot(weights, scores, 1)
        offset = np.log(weights) - np.log(medians)
        return float(log_likelihoods(logits, labels).sum() - 0.5 * precision * offset @ offset)

    weights = likeliest_weights(list(scores), labels, medians=medians, precision=precision)
    best = objective(weights)
    for factor in (0.99, 1.01):
        for index in range(2):
            other = weights.copy()
            other[index] *= factor
            assert objective(other) < best


def test_the_prior_decides_where_there_are_few_texts() -> None:
    scores, labels = scores_and_labels(2, False)
    weights = likeliest_weights(list(scores), labels, medians=(0.25, 1.0), precision=100.0)
    assert weights == pytest.approx([0.25, 1.0], rel=0.1)


def test_weights_stay_finite_where_all_predictions_are_correct() -> None:
    labels = np.arange(300) % 3
    right = np.eye(3)[labels]
    assert likeliest_weights([right, right], labels).max() < 20


def test_log_likelihoods_are_those_of_probabilities() -> None:
    logits = np.array([[1.0, 2.0, 0.0]])
    shares = np.exp(logits[0]) / np.exp(logits[0]).sum()
    assert log_likelihoods(logits, np.array([1])) == pytest.approx(np.log(shares[1:2]))
    sigmoids = 1 / (1 + np.exp(-logits[0]))
    expected = np.log(sigmoids[0]) + np.log(1 - sigmoids[1]) + np.log(1 - sigmoids[2])
    assert log_likelihoods(logits, np.array([[True, False, False]])) == pytest.approx([expected])


def noisy(labels: np.ndarray, accuracy: float, seed: int) -> np.ndarray:
    """Return logits that are right for about this share of texts, and sure of it."""
    random = np.random.default_rng(seed)
    wrong = (labels + random.integers(1, 3, len(labels))) % 3
    return 4 * np.eye(3)[np.where(random.random(len(labels)) < accuracy, labels, wrong)]


def test_the_better_part_has_the_larger_weight() -> None:
    labels = np.arange(600) % 3
    good, bad = noisy(labels, 0.9, 1), noisy(labels, 0.5, 2)
    for network, ngrams in ((good, bad), (bad, good)):
        weights = choose_ensemble(network, ngrams, labels)
        assert (weights.network > weights.ngrams) == (network is good)
        assert not weights.reason
        ensemble = weights.logits(network, ngrams)
        assert (ensemble.argmax(1) == labels).mean() >= (good.argmax(1) == labels).mean()


def test_a_network_of_chance_gets_little_weight_from_few_texts() -> None:
    labels = np.arange(30) % 3
    weights = choose_ensemble(noisy(labels, 1 / 3, 1), noisy(labels, 0.9, 2), labels)
    assert weights.network < NETWORK_WEIGHT < weights.ngrams


@pytest.mark.parametrize("part", ["network", "n-gram models"])
def test_the_guard_leaves_out_what_makes_predictions_significantly_worse(
    part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = np.arange(300) % 3
    good, bad = noisy(labels, 0.95, 1), noisy(labels, 0.4, 2)
    network, ngrams = (good, bad) if part == "network" else (bad, good)
    wrong = np.array([0.1, 5.0]) if part == "network" else np.array([5.0, 0.1])
    monkeypatch.setattr("nlp_rnn.ngrams.ensemble.likeliest_weights", lambda *_, **__: wrong)
    guarded = choose_ensemble(network, ngrams, labels)
    assert (guarded.network, guarded.ngrams) == ((1, 0) if part == "network" else (0, 1))
    assert part in guarded.reason
    free = choose_ensemble(network, ngrams, labels, guarded=False)
    assert [free.network, free.ngrams] == wrong.tolist()
    assert not free.reason


@pytest.mark.parametrize("multi_label", [False, True])
def test_equal_predictions_are_not_worse(multi_label: bool) -> None:
    labels = np.arange(30) % 3
    logits = noisy(labels, 0.9, 1)
    truth = np.eye(3, dtype=bool)[labels] if multi_label else labels
    assert worse_by_chance(logits, logits, truth) == 1
    assert worse_by_chance(-logits, logits, truth) < 1e-3
    assert worse_by_chance(logits, -logits, truth) > 0.9


WORDS = ("tea", "coffee", "milk", "water", "juice", "wine")


def corpus(rows: int, seed: int) -> tuple[list[str], np.ndarray]:
    """Return texts of random words; the label says whether `good` or `bad` is among them."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, rows)
    return [
        f"{random.choice(WORDS)} {('bad', 'good')[label]} {random.choice(WORDS)} {row}"
        for row, label in enumerate(labels)
    ], labels


def test_scores_of_the_validation_texts_come_from_models_that_have_not_seen_them() -> None:
    texts, labels = corpus(40, 1)
    validation_texts, validation_labels = corpus(10, 2)
    wrong = 1 - validation_labels
    models = fit_ngrams(texts, labels, validation_texts, wrong, 2)
    assert models.refitted
    predicted = models.validation_scores.argmax(1)
    assert (predicted == validation_labels).all()  # models that saw `wrong` would repeat it
    unseen = models.table(unseen=True).scores(validation_texts)
    assert unseen == pytest.approx(models.validation_scores, abs=0.05)
    saved = models.table().scores(validation_texts)
    assert np.abs(saved - unseen).max() > 0.2


def test_the_factor_of_a_table_multiplies_its_scores() -> None:
    texts, labels = corpus(40, 1)
    models = fit_ngrams(texts, labels, texts[:5], labels[:5], 2)
    once, twice = (models.table(factor).scores(texts) for factor in (1.0, 2.0))
    assert twice == pytest.approx(2 * once, rel=0.02, abs=0.01)


def test_fitting_again_gives_the_same_bytes() -> None:
    texts, labels = corpus(60, 1)
    tables = [fit_ngrams(texts, labels, texts[:9], labels[:9], 2).table() for _ in range(2)]
    assert tables[0].to_bytes() == tables[1].to_bytes()


@pytest.mark.parametrize("texts", [["a", "b"], ["", ""], ["a"], ["x y", "z"]])
def test_texts_without_a_common_ngram_are_fitted(texts: list[str]) -> None:
    labels = np.arange(len(texts)) % 2
    models = fit_ngrams(texts, labels, ["a"], np.array([0]), 2)
    assert models.validation_scores.shape == (1, 2)
    for unseen in (False, True):
        scores = models.table(unseen=unseen).scores(["a", "x y", ""])
        assert scores.shape == (3, 2)
        assert np.isfinite(scores).all()
    multi_label = np.eye(2, dtype=bool)[labels]
    models = fit_ngrams(texts, multi_label, ["a"], multi_label[:1], 2)
    assert np.isfinite(models.table().scores(texts)).all()
