"""The parts of the loss: each against its formula, and what they do to a training."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset, Features, List, Value
from mlflow import MlflowClient
from safetensors import safe_open

from nlp_rnn.classifier.predictor import TextClassifier
from nlp_rnn.cli import main
from nlp_rnn.config.model import AverageConfig
from nlp_rnn.config.training import ClassWeight, Precision
from nlp_rnn.model.network import make_network
from nlp_rnn.model.normalized_embedding import NormalizedEmbedding
from nlp_rnn.scoring.metrics import score_logits
from nlp_rnn.tokens.batches import TokenizedTexts
from nlp_rnn.training.events import EpochEnd
from nlp_rnn.training.inference import TrainingBatch
from nlp_rnn.training.perturbation import (
    PerturbedBatch,
    divergence,
    scale_to_norm,
    symmetric_divergence,
    virtual_adversarial_direction,
)
from nlp_rnn.training.prefetch import Update
from nlp_rnn.training.range_test import try_learning_rates
from nlp_rnn.training.trainer import Trainer
from tests.test_trainer import MODEL, OPTIMIZER, TRAIN, TRAINER, VALIDATION, needs_bf16

FP32 = torch.float32
PARTS = ["r_drop", "adversarial", "virtual_adversarial"]
GENERATOR = np.random.default_rng(1)
ONE, OTHER = (torch.from_numpy(GENERATOR.normal(0, 2, (5, 3))).float() for _ in range(2))


def trainer(model: object = MODEL, **options: object) -> Trainer:
    listeners = {k: options.pop(k) for k in ("on_epoch",) if k in options}
    config = dataclasses.replace(TRAINER, **({"precision": Precision.fp32} | options))
    return Trainer(make_network(model, 12, 2, 1), config, OPTIMIZER, seed=1, **listeners)


def several_labels(texts: TokenizedTexts) -> TokenizedTexts:
    """The same texts with two labels of their own: which came first, and whether it is long."""
    rows = [texts.batch(np.array([row])) for row in range(len(texts))]
    ids = [batch.input_ids[0].tolist() for batch in rows]
    labels = [
        [bool(batch.labels[0]), len(tokens) > 8] for batch, tokens in zip(rows, ids, strict=True)
    ]
    kinds = Features({"input_ids": List(Value("int32")), "label": List(Value("bool"), length=2)})
    return TokenizedTexts(Dataset.from_dict({"input_ids": ids, "label": labels}, features=kinds))


def test_divergences_are_those_written_out() -> None:
    p, q = (logits.double().softmax(1).numpy() for logits in (ONE, OTHER))
    there = np.mean([sum(a * np.log(a / b)) for a, b in zip(p, q, strict=True)])
    back = np.mean([sum(b * np.log(b / a)) for a, b in zip(p, q, strict=True)])
    assert float(divergence(ONE, OTHER, False)) == pytest.approx(there, rel=1e-5)
    assert float(symmetric_divergence(ONE, OTHER, False)) == pytest.approx(
        (there + back) / 2, rel=1e-5
    )
    p, q = (logits.double().sigmoid().numpy() for logits in (ONE, OTHER))
    both = (p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))).sum(axis=1)
    assert float(divergence(ONE, OTHER, True)) == pytest.approx(both.mean(), rel=1e-5)
    assert float(divergence(100 * ONE, 100 * OTHER, True)) < 1e4  # no infinity, no NaN
    for several in (True, False):
        assert float(divergence(ONE, ONE, several)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("prefixes", [False, True])
def test_r_drop_compares_two_predictions_for_each_text(several: bool, prefixes: bool) -> None:
    model = dataclasses.replace(MODEL, bidirectional=False)
    one = trainer(model, r_drop=2.0, prefixes=prefixes)
    texts = several_labels(TRAIN) if several else TRAIN
    one.prepare(texts)
    batch = texts.batch(np.arange(7))
    ids, labels = torch.from_numpy(batch.input_ids), torch.from_numpy(batch.labels)
    heard: list[torch.Tensor] = []
    one.network.head.register_forward_hook(lambda module, inputs, logits: heard.append(logits))
    one.network.train()
    texts_twice = TrainingBatch.of(
        Update.alone(batch).to(one.device).batches[0],
        multi_label=several,
        copies=2,
        prefixes=prefixes,
    )
    assert torch.equal(texts_twice.input_ids, ids.repeat(2, 1))
    parts = one.loss._parts(texts_twice, *texts_twice.forward(one.network, one.dtype))
    (logits,) = heard
    predictions = 4 if prefixes else 2
    assert logits.shape == (7 * predictions, 2)
    first, second = logits[:7], logits[7:14]
    assert not torch.equal(first, second)
    expected = symmetric_divergence(first, second, several)
    if prefixes:
        beginnings = symmetric_divergence(logits[14:21], logits[21:], several)
        expected = (expected + beginnings) / 2
    torch.testing.assert_close(parts["r_drop"], expected)
    of_each = [one.objective.loss(part, labels) for part in logits.split(7)]
    torch.testing.assert_close(parts["labels"], torch.stack(of_each).mean())
    parts["r_drop"].backward()
    assert all(p.grad is not None and p.grad.any() for p in one.network.encoder.parameters())


def test_without_dropout_both_predictions_are_equal() -> None:
    model = dataclasses.replace(MODEL, embedding_dropout=0.0, head_dropout=0.0)
    epochs: list[EpochEnd] = []
    trainer(model, r_drop=1.0, max_updates=2, on_epoch=epochs.append).fit(TRAIN, VALIDATION)
    assert epochs[0].metrics["train/r_drop_loss"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("part", PARTS)
def test_a_training_logs_each_part_and_it_matters(part: str) -> None:
    weights = []
    for options in ({}, {part: 0.1}, {part: 5.0}):
        epochs: list[EpochEnd] = []
        one = trainer(max_updates=3, on_epoch=epochs.append, **options)
        one.fit(TRAIN, VALIDATION)
        assert (f"train/{part}_loss" in epochs[0].metrics) == bool(options)
        weights.append(one.network.head.weight.detach())
    assert not torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[1], weights[2])


def test_what_is_read_twice_is_counted_twice() -> None:
    results = [trainer(r_drop=weight, max_epochs=1).fit(TRAIN, VALIDATION) for weight in (0, 1)]
    assert results[0].tokens == TRAIN.lengths.sum()
    assert results[1].tokens == 2 * results[0].tokens


def test_r_drop_makes_predictions_alike() -> None:
    losses = []
    for weight in (0.01, 5.0):
        epochs: list[EpochEnd] = []
        trainer(r_drop=weight, on_epoch=epochs.append).fit(TRAIN, VALIDATION)
        losses.append(epochs[-1].metrics["train/r_drop_loss"])
    assert losses[1] < 0.7 * losses[0]


@needs_bf16
@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS)
def test_bf16_learns_with_each_part(part: str) -> None:
    options = {"precision": Precision.bf16, "max_epochs": 8, "patience": 8}
    result = trainer(**options, **{part: 0.5}).fit(TRAIN, VALIDATION)
    assert result.best_metrics["accuracy"] > 0.85


@pytest.mark.parametrize("part", PARTS)
def test_every_part_works_with_every_other_option(part: str) -> None:
    model = dataclasses.replace(
        MODEL,
        **{"bidirectional": False, "num_layers": 2, "weight_drop": 0.2, "word_dropout": 0.1},
        **{"dropout": 0.1, "output_dropout": 0.1},
    )
    options = {"prefixes": True, "language_model": 0.5, "accumulation": 2, "average_decay": 0.9}
    result = trainer(model, max_updates=3, **options, **{part: 1.0}).fit(TRAIN, VALIDATION)
    assert result.updates == 3


def perturbed(rows: int = 9, epochs: int = 1, **options: object) -> tuple[Trainer, PerturbedBatch]:
    """A trained network with normalized embeddings and masks of dropout, and some texts."""
    one = trainer(adversarial=1.0, max_epochs=epochs, **options)
    one.fit(TRAIN, VALIDATION)
    one.prepare(TRAIN)
    one.network.train()
    batch = TRAIN.batch(np.arange(rows))
    return one, PerturbedBatch(
        one.network,
        TrainingBatch.of(
            Update.alone(batch).to(one.device).batches[0],
            multi_label=False,
            copies=1,
            prefixes=False,
        ),
        FP32,
    )


def lengths_of(one: PerturbedBatch, change: torch.Tensor) -> torch.Tensor:
    """How long each text's change is, in standard deviations of the embeddings."""
    return (change / one.deviation).square().sum((0, 2)).sqrt()


@pytest.mark.parametrize("norm", [0.3, 5.0, 1e6])
def test_changes_have_the_length_asked_for_and_end_with_the_text(norm: float) -> None:
    one, perturbed_batch = perturbed()
    expected = perturbed_batch.logits(one.network, perturbed_batch.zero).detach()
    padding = (
        torch.arange(perturbed_batch.zero.shape[0]).unsqueeze(1) >= perturbed_batch.batch.lengths
    )
    assert padding.any()
    random = scale_to_norm(
        torch.randn_like(perturbed_batch.zero),
        perturbed_batch.batch.lengths,
        norm,
        perturbed_batch.deviation,
    )
    adversarial_change = perturbed_batch.adversarial_perturbation(one.objective, norm, None)
    for change in (
        random,
        adversarial_change,
        perturbed_batch.virtual_adversarial_perturbation(expected, norm),
    ):
        torch.testing.assert_close(lengths_of(perturbed_batch, change), torch.full((9,), norm))
        assert not change[padding].any()


def test_a_direction_that_is_none_or_tiny_makes_no_nonsense() -> None:
    lengths, deviation = torch.tensor([3, 2]), torch.tensor([1.0, 2.0])
    direction = torch.zeros(3, 2, 2)
    direction[1, 1] = torch.tensor([1e-27, 1e-27])
    change = scale_to_norm(direction, lengths, 2.0, deviation)
    assert not change[:, 0].any()
    torch.testing.assert_close((change / deviation)[1, 1], 2 * torch.tensor([1.0, 2.0]) / 5**0.5)


def test_the_loss_rises_most_along_the_change_against_labels() -> None:
    one, perturbed_batch = perturbed(rows=40)

    def losses(change: torch.Tensor) -> torch.Tensor:
        logits = perturbed_batch.logits(one.network, change).detach()
        return torch.nn.functional.cross_entropy(
            logits, perturbed_batch.batch.labels, reduction="none"
        )

    change = perturbed_batch.adversarial_perturbation(one.objective, 0.5, None)
    random = scale_to_norm(
        torch.randn_like(change), perturbed_batch.batch.lengths, 0.5, perturbed_batch.deviation
    )
    plain = losses(perturbed_batch.zero)
    rise, random_rise, fall = (losses(x) - plain for x in (change, random, -change))
    assert rise.mean() > 4 * random_rise.abs().mean()
    assert (rise > 0).float().mean() > 0.95
    assert (fall < 0).float().mean() > 0.95
    # with the gradient that the update has anyway
    one.objective.loss(
        perturbed_batch.logits(one.network, perturbed_batch.zero), perturbed_batch.batch.labels
    ).backward()
    torch.testing.assert_close(
        change,
        perturbed_batch.adversarial_perturbation(one.objective, 0.5, perturbed_batch.zero.grad),
    )


@pytest.mark.parametrize("several", [False, True])
def test_the_virtual_direction_is_where_the_divergence_is_most_curved(several: bool) -> None:
    torch.manual_seed(3)
    hidden, out = torch.randn(6, 6).double(), torch.randn(6, 3).double()
    embedded, deviation = torch.randn(3, 1, 2).double(), torch.tensor([0.5, 2.0]).double()
    lengths = torch.tensor([3])

    def predict(change: torch.Tensor) -> torch.Tensor:
        return ((embedded + change).view(1, 6) @ hidden).tanh() @ out

    def curved(scaled: torch.Tensor) -> torch.Tensor:
        return divergence(predict(torch.zeros(3, 1, 2)), predict(scaled * deviation), several)

    hessian = torch.autograd.functional.hessian(curved, torch.zeros(3, 1, 2).double()).view(6, 6)
    values, vectors = torch.linalg.eigh(hessian)
    assert values[-1] > 1.1 * values[-2]
    actual = virtual_adversarial_direction(
        predict,
        predict(torch.zeros(3, 1, 2)),
        torch.randn(3, 1, 2).double(),
        lengths,
        deviation,
        multi_label=several,
        iterations=100,
        probe=1e-3,
    )
    scaled = (scale_to_norm(actual, lengths, 1.0, deviation) / deviation).flatten()
    assert abs(float(scaled @ vectors[:, -1])) == pytest.approx(1, abs=2e-3)


def test_one_iteration_changes_predictions_more_than_chance() -> None:
    one, perturbed_batch = perturbed(rows=40)
    expected = perturbed_batch.logits(one.network, perturbed_batch.zero).detach()
    change = perturbed_batch.virtual_adversarial_perturbation(expected, 1.0)
    random = scale_to_norm(
        torch.randn_like(change), perturbed_batch.batch.lengths, 1.0, perturbed_batch.deviation
    )
    actual, chance = (
        float(divergence(expected, perturbed_batch.logits(one.network, x).detach(), False))
        for x in (change, random)
    )
    assert actual > 5 * chance
    perturbed_batch.dtype = torch.bfloat16
    low = perturbed_batch.virtual_adversarial_perturbation(
        perturbed_batch.logits(one.network, perturbed_batch.zero).detach(), 1.0
    )
    turned = float(
        divergence(expected, perturbed_batch.logits(one.network, low, FP32).detach(), False)
    )
    assert turned > 5 * chance


def test_masks_are_the_same_again_and_what_comes_after_is_not_moved() -> None:
    one, perturbed_batch = perturbed()
    torch.set_rng_state(perturbed_batch._states[0])
    first = one.network(perturbed_batch.batch.input_ids, perturbed_batch.batch.lengths)
    stood = torch.get_rng_state()
    torch.testing.assert_close(
        perturbed_batch.logits(one.network, perturbed_batch.zero), first, rtol=0, atol=0
    )
    assert torch.equal(torch.get_rng_state(), stood)
    assert not torch.equal(
        one.network(perturbed_batch.batch.input_ids, perturbed_batch.batch.lengths), first
    )


def test_normalized_embeddings_begin_as_they_are_keep_their_spread_and_fold_to_the_bit() -> None:
    one = trainer(adversarial=1.0)
    plain = one.network.embedding.weight.detach().clone()
    one.prepare(TRAIN)
    embedding = one.network.embedding
    assert isinstance(embedding, NormalizedEmbedding)
    torch.testing.assert_close(embedding.vectors(), plain)
    with torch.no_grad():
        embedding.weight.mul_(3).add_(torch.linspace(-1, 1, 16))
        embedding.weight[5] += 2
    counts = torch.from_numpy(TRAIN.token_counts(12) / TRAIN.token_counts(12).sum()).unsqueeze(1)
    for weight in (plain, embedding.vectors().detach()):
        mean = (counts * weight).sum(0)
        deviation = (counts * (weight - mean) ** 2).sum(0).sqrt()
        torch.testing.assert_close(mean, embedding.mean.double(), rtol=0, atol=1e-5)
        torch.testing.assert_close(deviation, embedding.deviation.double(), rtol=1e-4, atol=0)
    before = one.logits(VALIDATION)
    one.network.embedding = embedding.folded()
    assert type(one.network.embedding) is torch.nn.Embedding
    assert np.array_equal(one.logits(VALIDATION), before)
    assert not one.network.embedding.weight[0].any()


def test_a_training_leaves_a_plain_network_that_predicts_as_it_was_measured() -> None:
    one = trainer(virtual_adversarial=1.0, max_epochs=2)
    result = one.fit(TRAIN, VALIDATION)
    one.network.finish_training()
    assert type(one.network.embedding) is torch.nn.Embedding
    assert set(one.network.state_dict()) == set(make_network(MODEL, 12, 2, 1).state_dict())
    actual = score_logits(VALIDATION.labels, one.logits(VALIDATION))[0]
    assert actual == pytest.approx(result.best_metrics)


def test_several_labels_and_balanced_classes() -> None:
    train, validation = several_labels(TRAIN), several_labels(VALIDATION)
    for part in PARTS:
        options = {"class_weight": ClassWeight.balanced, "max_updates": 3, part: 1.0}
        epochs: list[EpochEnd] = []
        trainer(on_epoch=epochs.append, **options).fit(train, validation)
        assert epochs[0].metrics[f"train/{part}_loss"] > 0


def test_a_network_without_recurrence_can_be_perturbed_too() -> None:
    model = AverageConfig(name="average", cell="average", embedding_size=16)
    one = trainer(model, adversarial=1.0, virtual_adversarial=1.0, max_updates=2)
    assert one.fit(TRAIN, VALIDATION).updates == 2


def test_a_test_of_rates_before_it_changes_no_training() -> None:
    weights = []
    for tested in (True, False):
        one = trainer(adversarial=1.0, virtual_adversarial=1.0, max_updates=3)
        if tested:
            try_learning_rates(one, TRAIN)
        one.fit(TRAIN, VALIDATION)
        weights.append(list(one.network.parameters()))
    assert all(map(torch.equal, *weights))


def test_a_run_shows_every_part_and_its_classifier_predicts_as_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store_uri: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NLP_RNN_CACHE", str(tmp_path / "cache"))
    arguments = [
        *("data.train_rows=60", "data.test_rows=20", "trainer.max_epochs=1", "tracking.speed=none"),
        *("model.hidden_size=4", "model.embedding_size=4", "trainer.threads=1"),
        *("tracking.system_metrics=false", "hydra.run.dir=one", "trainer.perturbation=1"),
        "model.ensemble=off",
        *(f"trainer.{part}=0.5" for part in PARTS),
    ]
    assert main(["train", *arguments]) == 0
    result = json.loads((tmp_path / "one" / "result.json").read_text())
    run = MlflowClient(tracking_uri=store_uri).get_run(result["run_id"])
    assert run.data.params["trainer.adversarial"] == "0.5"
    for part in PARTS:
        assert run.data.metrics[f"train/{part}_loss"] > 0
    with safe_open(Path(result["classifier"], "model.safetensors"), framework="pt") as file:
        assert run.data.metrics["parameters/total"] == sum(
            file.get_tensor(name).numel() for name in file.keys()
        )
        assert not file.get_tensor("embedding.weight")[0].any()
    texts = ["Anna has the letter", "nothing"]
    predictions = [
        TextClassifier.load(result["classifier"], runtime=runtime).predict_proba(texts)
        for runtime in ("onnx", "torch")
    ]
    torch.testing.assert_close(*map(torch.from_numpy, predictions), rtol=0, atol=1e-5)
