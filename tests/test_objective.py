"""The objective of both tasks: weights as scikit-learn's, losses as torch's, thresholds."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset, Features, List, Value
from sklearn.linear_model import LogisticRegression
from sklearn.utils.class_weight import compute_class_weight
from torch import nn

from nlp_rnn.config.model import GatedConfig
from nlp_rnn.config.training import ClassWeight, Monitor, Precision, TrainerConfig
from nlp_rnn.errors import ConfigError
from nlp_rnn.model.network import make_network
from nlp_rnn.scoring.metrics import (
    choose_thresholds,
    score_probabilities,
)
from nlp_rnn.tokens.batches import TokenizedTexts
from nlp_rnn.training.objective import (
    MAX_POSITIVE_WEIGHT,
    Objective,
    balanced_weights,
    check_task,
)
from nlp_rnn.training.trainer import EpochEnd, Trainer
from tests.resolved_options import optimizer_options, trainer_options

BALANCED = trainer_options(class_weight=ClassWeight.balanced)


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    labels = np.array([0] * 90 + [1] * 9 + [3])
    expected = compute_class_weight("balanced", classes=np.array([0, 1, 3]), y=labels)
    found = balanced_weights(labels, 4)
    np.testing.assert_allclose(found[[0, 1, 3]], expected, rtol=1e-6)
    assert found[2] == 0  # a class that only the test split has


def test_balanced_weights_where_a_text_may_have_several_labels() -> None:
    labels = np.zeros((1000, 4), bool)
    labels[:100, 0], labels[:1, 1], labels[:, 2] = True, True, True
    assert balanced_weights(labels, 4).tolist() == [9.0, MAX_POSITIVE_WEIGHT, 1.0, 1.0]


def test_the_loss_of_soft_targets_is_that_by_hand() -> None:
    logits = torch.tensor([[2.0, 0.0, -1.0], [0.0, 0.0, 0.0]])
    targets = np.array([[0.7, 0.2, 0.1], [0.5, 0.5, 0.0]], np.float32)
    log_p = logits - torch.logsumexp(logits, 1, keepdim=True)
    plain = Objective(trainer_options(label_smoothing=0.0), np.array([0, 0]), targets)
    expected = -(0.7 * log_p[0, 0] + 0.2 * log_p[0, 1] + 0.1 * log_p[0, 2] - np.log(3)) / 2
    torch.testing.assert_close(plain.loss(logits, torch.from_numpy(targets)), expected)
    members = np.array([[True, False, False], [True, True, False]])
    several = Objective(trainer_options(label_smoothing=0.0), members, targets)
    expected = 0.0
    for row in range(2):
        for column in range(3):
            p = torch.sigmoid(logits[row, column])
            t = float(targets[row, column])
            expected -= (t * torch.log(p) + (1 - t) * torch.log(1 - p)) / 2
    torch.testing.assert_close(several.loss(logits, torch.from_numpy(targets)), expected)


@pytest.mark.parametrize("class_weight", list(ClassWeight))
@pytest.mark.parametrize("multi_label", [False, True])
def test_targets_of_0_and_1_have_the_loss_of_the_labels(
    class_weight: ClassWeight, multi_label: bool
) -> None:
    generator = np.random.default_rng(0)
    logits = torch.from_numpy(generator.normal(size=(8, 3)).astype(np.float32))
    labels = np.array([0, 0, 0, 0, 0, 1, 1, 2])
    if multi_label:
        labels = generator.random((8, 3)) < 0.3
    targets = (labels if multi_label else labels[:, None] == np.arange(3)).astype(np.float32)
    options = trainer_options(label_smoothing=0.1, class_weight=class_weight)
    expected = Objective(options, labels).loss(logits, torch.from_numpy(labels))
    found = Objective(options, labels, targets).loss(logits, torch.from_numpy(targets))
    torch.testing.assert_close(found, expected)


def test_the_weighted_loss_is_that_of_torch() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 3, generator=generator)
    ids = np.array([0, 0, 0, 0, 1, 2])
    weights = torch.from_numpy(balanced_weights(ids, 3))
    each = nn.functional.cross_entropy(
        logits, torch.from_numpy(ids), weight=weights, reduction="none", label_smoothing=0.1
    )
    found = Objective(BALANCED, ids).loss(logits, torch.from_numpy(ids))
    torch.testing.assert_close(found, each.mean())
    flags = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 0], [0, 0, 1], [0, 0, 0]], bool)
    positive = torch.tensor([2.0, 2.0, 5.0])
    every = nn.BCEWithLogitsLoss(pos_weight=positive, reduction="sum")
    expected = every(logits, torch.from_numpy(flags).float()) / len(flags)
    torch.testing.assert_close(
        Objective(dataclasses.replace(BALANCED, label_smoothing=0.0), flags).loss(
            logits, torch.from_numpy(flags)
        ),
        expected,
    )


def test_smoothing_gives_half_to_the_other_answer() -> None:
    smoothed = Objective(trainer_options(label_smoothing=0.2), np.zeros((1, 2), bool))
    logits, flags = torch.tensor([[0.3, -2.0]]), torch.tensor([[True, False]])
    expected = nn.BCEWithLogitsLoss(reduction="sum")(logits, torch.tensor([[0.9, 0.1]]))
    torch.testing.assert_close(smoothed.loss(logits, flags), expected)


SINGLE, SEVERAL = np.array([0, 1, 1]), np.array([[1, 0], [1, 1], [0, 0]], bool)


@pytest.mark.parametrize(
    ("options", "labels", "words"),
    [
        ({"monitor": Monitor.accuracy}, SEVERAL, "not supported for a multi-label task"),
        ({"monitor": Monitor.micro_f1}, SINGLE, "not supported for a single-label task"),
        ({"monitor": Monitor.subset_accuracy}, SINGLE, "not supported for a single-label task"),
        ({"class_weight": ClassWeight.balanced}, SINGLE[:2], "the same number of training texts"),
        ({"class_weight": ClassWeight.balanced}, SEVERAL[1:], "half of the training texts"),
    ],
)
def test_what_could_have_no_effect(options: dict, labels: np.ndarray, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        check_task(TrainerConfig(**options), labels, 2)
    check_task(TrainerConfig(), labels, 2)


def test_balanced_is_heeded_where_classes_differ() -> None:
    check_task(BALANCED, SINGLE, 2)
    check_task(BALANCED, SEVERAL, 2)


FEATURES = Features({"input_ids": List(Value("int32")), "label": List(Value("bool"), length=3)})


def which_occur(rows: int, seed: int) -> TokenizedTexts:
    """Label c is there where token 2 + c is, among fillers; the third one is rare."""
    random = np.random.default_rng(seed)
    ids, labels = [], []
    for _ in range(rows):
        has = random.random(3) < (0.5, 0.3, 0.04)
        text = random.integers(5, 14, random.integers(5, 12))
        places = random.choice(len(text), 3, replace=False)
        text[places[has]] = 2 + np.flatnonzero(has)
        ids.append(text.tolist())
        labels.append(has.tolist())
    return TokenizedTexts(Dataset.from_dict({"input_ids": ids, "label": labels}, features=FEATURES))


MODEL = GatedConfig(name="gru", cell="gru", embedding_size=12, hidden_size=10)


def fitted(given: dict | None = None, **options: object) -> tuple:
    one = Trainer(
        make_network(MODEL, 14, 3, 1),
        dataclasses.replace(
            trainer_options(
                batch_size=32, max_epochs=6, threads=1, device="cpu", precision=Precision.fp32
            ),
            **options,
        ),
        optimizer_options(learning_rate=0.02),
        seed=1,
        **(given or {}),
    )
    return one, one.fit(which_occur(500, 0), which_occur(400, 1))


def probabilities_of(trained: Trainer, texts: TokenizedTexts) -> np.ndarray:
    batch = texts.batch(np.arange(len(texts)))
    with torch.no_grad():
        ids, lengths = torch.from_numpy(batch.input_ids), torch.from_numpy(batch.lengths)
        return torch.sigmoid(trained.network.eval()(ids, lengths)).numpy()


def test_a_network_learns_which_labels_a_text_has() -> None:
    """Always the first label would give a micro-F1 of 0.54; the figures are of the thresholds."""
    trained, result = fitted()
    assert result.best_metrics["micro_f1"] > 0.9
    assert result.best_metrics["subset_accuracy"] > 0.8
    validation = which_occur(400, 1)
    probabilities = probabilities_of(trained, validation)
    again = score_probabilities(validation.labels, probabilities, np.array(result.thresholds))
    assert again == pytest.approx(result.best_metrics, abs=1e-4)
    np.testing.assert_allclose(
        choose_thresholds(validation.labels, probabilities), result.thresholds, atol=1e-5
    )


def test_balanced_weights_make_rare_labels_more_probable() -> None:
    """Said in the docs: probabilities are no longer frequencies, they lean to what is rare."""
    texts = which_occur(400, 2)
    rare = {}
    for kind in (ClassWeight.none, ClassWeight.balanced):
        trained, _ = fitted(class_weight=kind, max_epochs=1)
        rare[kind] = float(probabilities_of(trained, texts)[:, 2].mean())
    assert rare[ClassWeight.balanced] > 2 * rare[ClassWeight.none]


def test_a_single_label_under_balanced_weights_reaches_the_balance_of_scikit_learn() -> None:
    """A linear layer on two features ends where scikit-learn's weighted regression does."""
    random = np.random.default_rng(3)
    labels = (random.random(400) < 0.1).astype(np.int64)
    features = (random.standard_normal((400, 2)) + labels[:, None]).astype(np.float32)
    theirs = LogisticRegression(C=np.inf, class_weight="balanced").fit(features, labels)
    layer = nn.Linear(2, 2)
    objective = Objective(dataclasses.replace(BALANCED, label_smoothing=0.0), labels)
    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=200, line_search_fn="strong_wolfe")
    given, wanted = torch.from_numpy(features), torch.from_numpy(labels)

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = objective.loss(layer(given), wanted)
        value.backward()
        return value

    optimizer.step(loss)
    ours = torch.softmax(layer(given), 1).detach().numpy()
    np.testing.assert_allclose(ours, theirs.predict_proba(features), atol=0.01)


def test_a_training_that_was_stopped_goes_on_with_its_thresholds(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"

    def stop(event: EpochEnd) -> None:
        if event.epoch == 2:
            raise KeyboardInterrupt

    short = {"max_epochs": 3, "checkpoint_minutes": 0.0}
    expected = fitted(**short)[1]
    with pytest.raises(KeyboardInterrupt):
        fitted({"checkpoint": path, "on_epoch": stop}, **short)
    ends: list[EpochEnd] = []
    _, result = fitted({"checkpoint": path, "on_epoch": ends.append}, **short)
    assert [end.epoch for end in ends] == [2, 3]
    assert result.thresholds == expected.thresholds
    assert result.best_metrics == expected.best_metrics
