"""The parts of the loss: each against its formula, and what they do to a training."""

import dataclasses

import numpy as np
import pytest
import torch
from datasets import Dataset, Features, List, Value

from nlp_rnn.config import Precision
from nlp_rnn.data.batches import TokenizedTexts
from nlp_rnn.model.network import make_network
from nlp_rnn.training.answers import Texts
from nlp_rnn.training.divergence import divergence, symmetric_divergence
from nlp_rnn.training.events import EpochEnd
from nlp_rnn.training.trainer import Trainer
from tests.test_trainer import MODEL, OPTIMIZER, TRAIN, TRAINER, VALIDATION, needs_bf16

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
    labels = [[bool(batch.labels[0]), len(some) > 8] for batch, some in zip(rows, ids, strict=True)]
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
    both = np.mean(p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q)))
    assert float(divergence(ONE, OTHER, True)) == pytest.approx(both, rel=1e-5)
    assert float(divergence(100 * ONE, 100 * OTHER, True)) < 1e4  # no infinity, no NaN
    for several in (True, False):
        assert float(divergence(ONE, ONE, several)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("prefixes", [False, True])
def test_r_drop_compares_two_answers_to_each_text(several: bool, prefixes: bool) -> None:
    model = dataclasses.replace(MODEL, bidirectional=False)
    one = trainer(model, r_drop=2.0, prefixes=prefixes)
    texts = several_labels(TRAIN) if several else TRAIN
    one.prepare(texts)
    batch = texts.batch(np.arange(7))
    ids, labels = torch.from_numpy(batch.input_ids), torch.from_numpy(batch.labels)
    heard: list[torch.Tensor] = []
    one.network.head.register_forward_hook(lambda module, given, logits: heard.append(logits))
    one.network.train()
    texts_twice = Texts.of(batch, one.device, copies=2, prefixes=prefixes)
    assert torch.equal(texts_twice.input_ids, ids.repeat(2, 1))
    parts = one.loss._parts(texts_twice, *texts_twice.read(one.network, one.dtype))
    (logits,) = heard
    answers = 4 if prefixes else 2
    assert logits.shape == (7 * answers, 2)
    first, second = logits[:7], logits[7:14]
    assert not torch.equal(first, second)
    expected = symmetric_divergence(first, second, several)
    if prefixes:
        beginnings = symmetric_divergence(logits[14:21], logits[21:], several)
        expected = (expected + beginnings) / 2
    torch.testing.assert_close(parts["r_drop"], expected)
    of_each = [one.objective.loss(some, labels) for some in logits.split(7)]
    torch.testing.assert_close(parts["labels"], torch.stack(of_each).mean())
    parts["r_drop"].backward()
    assert all(p.grad is not None and p.grad.any() for p in one.network.encoder.parameters())


def test_without_dropout_both_answers_are_one() -> None:
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


def test_r_drop_makes_answers_alike() -> None:
    losses = []
    for weight in (0.01, 5.0):
        epochs: list[EpochEnd] = []
        trainer(r_drop=weight, on_epoch=epochs.append).fit(TRAIN, VALIDATION)
        losses.append(epochs[-1].metrics["train/r_drop_loss"])
    assert losses[1] < 0.7 * losses[0]


@needs_bf16
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
