"""The auxiliary language model: the loss written out, and nothing of it left in a classifier."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from mlflow import MlflowClient
from safetensors import safe_open

from nlp_rnn.classifier.predictor import TextClassifier
from nlp_rnn.cli import main
from nlp_rnn.config.checks import check
from nlp_rnn.config.model import GatedConfig
from nlp_rnn.config.training import OptimizerConfig, Precision
from nlp_rnn.model.language_model import LanguageModel
from nlp_rnn.model.network import TextNetwork, make_network
from nlp_rnn.training.events import EpochEnd
from nlp_rnn.training.loss import UpdateLoss
from nlp_rnn.training.range_test import try_learning_rates
from nlp_rnn.training.trainer import Trainer
from tests.composing import compose
from tests.resolved_options import trainer_options
from tests.test_trainer import MODEL, OPTIMIZER, TRAIN, TRAINER, VALIDATION, needs_bf16

SMALL = GatedConfig(name="gru", cell="gru", embedding_size=5, hidden_size=4)
LENGTHS = torch.tensor([6, 1, 3])
IDS = torch.tensor([[2, 5, 5, 9, 3, 2], [7, 0, 0, 0, 0, 0], [4, 9, 2, 0, 0, 0]])
VOCABULARY = torch.tensor([2, 3, 4, 5, 7, 9])
PAIRS = 5 + 0 + 2


def made(bidirectional: bool = True, **changes: object) -> TextNetwork:
    model = dataclasses.replace(SMALL, bidirectional=bidirectional, **changes)
    network = make_network(model, 12, 2, seed=1)
    network.add_language_model(seed=1)
    return network


def loss_of(network: TextNetwork, states: torch.Tensor, ids: torch.Tensor = IDS) -> torch.Tensor:
    model: LanguageModel = network.language_model
    return model(states, ids.t(), LENGTHS, VOCABULARY, network.embedding)


def written_out(network: TextNetwork, states: torch.Tensor) -> torch.Tensor:
    """Text by text and token by token."""
    model, hidden, losses = network.language_model, SMALL.hidden_size, []
    rows = network.embedding.weight[VOCABULARY]
    for text, length in enumerate(LENGTHS.tolist()):
        for step in range(length):
            guesses = []
            if step + 1 < length:
                guesses.append((model.next, states[step, text, :hidden], IDS[text, step + 1]))
            if step > 0 and model.previous is not None:
                guesses.append((model.previous, states[step, text, hidden:], IDS[text, step - 1]))
            for project, state, target in guesses:
                scores = rows @ (project.weight @ state + project.bias)
                losses.append(-scores.log_softmax(0)[VOCABULARY.tolist().index(int(target))])
    return torch.stack(losses).sum() / PAIRS


@pytest.mark.parametrize("bidirectional", [True, False])
def test_the_loss_is_the_one_written_out_and_so_are_its_gradients(bidirectional: bool) -> None:
    network = made(bidirectional).eval()
    gradients = []
    for function in (loss_of, written_out):
        states = network.encode(network.encoder, network.embed(IDS.t()), LENGTHS)
        network.zero_grad()
        loss = function(network, states)
        loss.backward()
        learnt = [p.grad for n, p in network.named_parameters() if not n.startswith("head.")]
        gradients.append([loss.detach(), *(gradient.clone() for gradient in learnt)])
    torch.testing.assert_close(*gradients)
    # tokens that are never a target have no gradient, above all padding
    embedding = network.embedding.weight.grad
    assert not embedding[[0, 1, 6, 8, 10, 11]].any()
    assert embedding[VOCABULARY].any(1).all()


def test_padding_never_counts() -> None:
    network = made().eval()
    states = torch.randn(6, 3, 8, requires_grad=True)
    loss = loss_of(network, states)
    loss.backward()
    padding = torch.arange(6).unsqueeze(1) >= LENGTHS
    assert not states.grad[padding].any()
    longer = torch.nn.functional.pad(states.detach(), (0, 0, 0, 0, 0, 9), value=3.0)
    padded = torch.nn.functional.pad(IDS, (0, 9), value=11)
    torch.testing.assert_close(loss_of(network, longer, padded), loss.detach())
    network.language_model.positions = PAIRS  # and when it could be drawn, of 42 places
    torch.testing.assert_close(loss_of(network, longer, padded), loss.detach())


def test_a_token_that_fills_up_the_vocabulary_is_no_target() -> None:
    network = made().eval()
    states = torch.randn(6, 3, 8)
    tokens, actual = IDS.t(), []
    for vocabulary in (VOCABULARY, torch.cat([VOCABULARY, VOCABULARY[-1:].repeat(5)])):
        network.zero_grad()
        loss = network.language_model(states, tokens, LENGTHS, vocabulary, network.embedding)
        loss.backward()
        actual.append([loss.detach(), network.embedding.weight.grad.clone()])
    torch.testing.assert_close(*actual)


def test_of_many_pairs_some_are_drawn_each_as_likely() -> None:
    network = made().eval()
    states = torch.randn(6, 3, 8, requires_grad=True)
    whole = float(loss_of(network, states).detach())
    network.language_model.positions = 3
    torch.manual_seed(1)
    drawn, used = [], torch.zeros(6, 3)
    for _ in range(600):
        loss = loss_of(network, states)
        (gradient,) = torch.autograd.grad(loss, states)
        left, right = gradient[:, :, :4].any(2), gradient[:, :, 4:].any(2)
        assert left.sum() == right.sum() == 3
        assert torch.equal(left[:-1], right[1:])
        used += left
        drawn.append(float(loss.detach()))
    assert sum(drawn) / 600 == pytest.approx(whole, abs=0.05)
    assert (used > 0).sum() == PAIRS
    assert used[used > 0].min() > 600 * 3 / PAIRS * 0.8


def test_texts_of_one_token_cost_nothing_but_every_parameter_has_a_gradient() -> None:
    """Several processes wait for the gradient of every parameter."""
    network = made()
    ones = torch.ones(3, dtype=torch.int64)
    logits, loss = network(IDS[:, :1], ones, None, torch.tensor([2, 4, 7]))
    assert loss == 0
    (logits.sum() + loss).backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert not any(parameter.grad.any() for parameter in network.language_model.parameters())


def test_the_network_gives_its_loss_beside_the_same_logits() -> None:
    network = made(embedding_dropout=0.0, head_dropout=0.0)
    logits, loss = network(IDS, LENGTHS, None, VOCABULARY)
    torch.testing.assert_close(logits, network(IDS, LENGTHS))
    loss.backward()
    assert network.embedding.weight.grad[VOCABULARY].any(1).all()
    assert all(parameter.grad.any() for parameter in network.encoder.parameters())
    assert network.head.weight.grad is None
    torch.manual_seed(1)
    first = network(IDS, LENGTHS, None, VOCABULARY)[1]
    assert first != network(IDS, LENGTHS, None, VOCABULARY)[1]  # it has dropouts of its own
    torch.manual_seed(1)
    assert first == network(IDS, LENGTHS, None, VOCABULARY)[1]


def test_it_counts_less_with_every_update_and_at_the_end_nothing() -> None:
    config = trainer_options(language_model=0.5)
    loss = UpdateLoss(config, torch.device("cpu"), torch.float32)
    weights = [loss.weights(update, 4)["language_model"] for update in range(4)]
    assert weights == [0.5, 0.375, 0.25, 0.125]
    assert "language_model" not in loss.weights(4, 4)


def trainer(model: GatedConfig = MODEL, **options: object) -> Trainer:
    listeners = {k: options.pop(k) for k in ("on_epoch",) if k in options}
    config = dataclasses.replace(TRAINER, **({"language_model": 0.5} | options))
    return Trainer(make_network(model, 12, 2, 1), config, OPTIMIZER, seed=1, **listeners)


def test_a_training_learns_the_neighbours_too_and_leaves_a_plain_network() -> None:
    epochs: dict[float, list[EpochEnd]] = {0.5: [], 0.0: []}
    weights = {}
    for weight, events in epochs.items():
        one = trainer(language_model=weight, on_epoch=events.append, precision=Precision.fp32)
        one.fit(TRAIN, VALIDATION)
        one.network.finish_training()
        weights[weight] = one.network.state_dict()
    losses = [event.metrics["train/language_model_loss"] for event in epochs[0.5]]
    assert losses[-1] < losses[0] - 0.1
    assert "train/language_model_loss" not in epochs[0.0][0].metrics
    assert set(weights[0.5]) == set(weights[0.0])
    assert not torch.equal(weights[0.5]["embedding.weight"], weights[0.0]["embedding.weight"])


def test_the_logged_loss_is_that_of_the_labels() -> None:
    losses = []
    for weight in (0.0, 0.5, 50.0):
        events: list[EpochEnd] = []
        one = trainer(language_model=weight, max_updates=1, on_epoch=events.append)
        one.fit(TRAIN, VALIDATION)
        losses.append(events[0].metrics["train/loss"])
    assert losses[0] == losses[1] == losses[2]


def test_two_trainings_are_equal_with_a_test_of_rates_before_one_of_them() -> None:
    weights = []
    for tested in (True, False):
        one = trainer(precision=Precision.fp32, max_epochs=1)
        if tested:
            try_learning_rates(one, TRAIN)
        one.fit(TRAIN, VALIDATION)
        weights.append(list(one.network.parameters()))
    assert all(map(torch.equal, *weights))


@needs_bf16
def test_bf16_trains() -> None:
    events: list[EpochEnd] = []
    one = trainer(precision=Precision.bf16, max_epochs=8, patience=8, on_epoch=events.append)
    assert one.fit(TRAIN, VALIDATION).best_metrics["accuracy"] > 0.85
    first, last = (events[i].metrics["train/language_model_loss"] for i in (0, -1))
    assert last < first - 0.1


def test_one_direction_learns_it_in_any_depth_and_on_beginnings() -> None:
    overrides = ["model.bidirectional=false", "model.num_layers=2", "model.pooling=last"]
    check(compose([*overrides, "trainer.language_model=0.5", "trainer.prefixes=true"]))
    model = dataclasses.replace(MODEL, bidirectional=False, num_layers=2)
    result = trainer(model, prefixes=True, max_updates=3).fit(TRAIN, VALIDATION)
    assert result.updates == 3


def test_a_saved_classifier_holds_nothing_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store_uri: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NLP_RNN_CACHE", str(tmp_path / "cache"))
    overrides = [
        *("data.train_rows=60", "data.test_rows=20", "trainer.max_epochs=1", "tracking.speed=none"),
        *("model.hidden_size=4", "model.embedding_size=4", "trainer.threads=1"),
        *("tracking.system_metrics=false", "trainer.language_model=0.5", "hydra.run.dir=one"),
        "model.ensemble=off",
    ]
    assert main(["train", *overrides]) == 0
    result = json.loads((tmp_path / "one" / "result.json").read_text())
    run = MlflowClient(tracking_uri=store_uri).get_run(result["run_id"])
    assert run.data.metrics["train/language_model_loss"] > 0
    with safe_open(Path(result["classifier"], "model.safetensors"), framework="pt") as file:
        names = set(file.keys())
        values = sum(file.get_tensor(name).numel() for name in names)
    assert names == set(make_network(SMALL, 12, 2, 1).state_dict())
    assert run.data.metrics["parameters/total"] == values
    texts = ["Anna has the letter", "nothing"]
    predictions = [
        TextClassifier.load(result["classifier"], runtime=runtime).predict_proba(texts)
        for runtime in ("onnx", "torch")
    ]
    torch.testing.assert_close(*map(torch.from_numpy, predictions), rtol=0, atol=1e-5)


def test_an_optimizer_decays_its_matrices_only() -> None:
    one = trainer()
    decayed, retained = one.optimizer.param_groups
    model = one.network.language_model
    assert OptimizerConfig().weight_decay == decayed["weight_decay"]
    assert any(parameter is model.next.weight for parameter in decayed["params"])
    assert any(parameter is model.next.bias for parameter in retained["params"])
