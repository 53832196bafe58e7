"""The whole network: invariance, parameter counts, gradients, and every model config."""

import pytest
import torch

from nlp_rnn.config.model import (
    AverageConfig,
    GatedConfig,
    NetworkConfig,
    RecurrentConfig,
)
from nlp_rnn.config.schemas import conf_dir
from nlp_rnn.layers.poolings import POOLINGS
from nlp_rnn.model.network import Dropouts, TextNetwork, architecture_of, make_network
from nlp_rnn.training.optim import make_optimizer
from tests.composing import compose

VOCABULARY, LABELS = 50, 3
SMALL = {"embedding_size": 6, "word_dropout": 0.0, "embedding_dropout": 0.0, "head_dropout": 0.0}


def every_model() -> list[NetworkConfig]:
    models: list[NetworkConfig] = []
    for pooling in POOLINGS:
        if pooling != "last":
            models.append(AverageConfig(name="average", cell="average", pooling=pooling, **SMALL))
        for cell in ("lstm", "gru", "rnn"):
            kind = RecurrentConfig if cell == "rnn" else GatedConfig
            for num_layers in (1, 2):
                for bidirectional in (True, False):
                    models.append(
                        kind(
                            name=cell,
                            cell=cell,
                            pooling=pooling,
                            hidden_size=5,
                            num_layers=num_layers,
                            bidirectional=bidirectional,
                            **SMALL,
                        )
                    )
    return models


def name_of(model: NetworkConfig) -> str:
    return "-".join(
        str(getattr(model, key, "")) for key in ("name", "pooling", "num_layers", "bidirectional")
    )


@pytest.mark.parametrize("model", every_model(), ids=name_of)
def test_padding_mates_order_and_batch_size_change_nothing(model: NetworkConfig) -> None:
    network = make_network(model, VOCABULARY, LABELS, seed=3).eval()
    lengths = torch.tensor([1, 9, 4, 2])
    input_ids = torch.randint(2, VOCABULARY, (4, 9))
    for row, length in enumerate(lengths):
        input_ids[row, length:] = 0
    with torch.inference_mode():
        together = network(input_ids, lengths)
        padded = network(torch.nn.functional.pad(input_ids, (0, 30), value=7), lengths)
        order = torch.tensor([2, 0, 3, 1])
        shuffled = network(input_ids[order], lengths[order])
        alone = torch.cat(
            [network(input_ids[i : i + 1, :n], n[None]) for i, n in enumerate(lengths)]
        )
    torch.testing.assert_close(padded, together, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(shuffled, together[order], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(alone, together, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("model", every_model(), ids=name_of)
def test_parameter_counts_are_those_of_the_network(model: NetworkConfig) -> None:
    network = make_network(model, VOCABULARY, LABELS, seed=3)
    counts = network.architecture.parameter_counts()
    actual = {"embedding": 0, "recurrent": 0, "head": 0, "total": 0}
    for name, parameter in network.named_parameters():
        part = {"embedding": "embedding", "encoder": "recurrent"}.get(name.split(".")[0], "head")
        actual[part] += parameter.numel()
        actual["total"] += parameter.numel()
    assert counts == actual


@pytest.mark.parametrize(
    "name",
    sorted(path.stem for path in (conf_dir() / "model").glob("*.yaml") if path.stem != "ngrams"),
)
def test_every_model_config_gets_gradients_and_overfits_eight_texts(name) -> None:
    model = compose([f"model={name}"]).model
    network = make_network(model, VOCABULARY, LABELS, seed=1)
    torch.manual_seed(0)
    lengths = torch.tensor([3, 8, 5, 2, 7, 8, 1, 6])
    input_ids = torch.randint(2, VOCABULARY, (8, 8))
    labels = torch.arange(8) % LABELS
    optimizer = make_optimizer(network, compose(["optimizer.learning_rate=0.004"]).optimizer)
    losses = []
    for _ in range(60):
        loss = torch.nn.functional.cross_entropy(network(input_ids, lengths), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
    network.eval()
    assert (network(input_ids, lengths).argmax(1) == labels).all()
    assert losses[-1] < losses[0] / 3


def test_the_seed_fixes_the_parameters_and_leaves_torchs_generator_alone() -> None:
    model = every_model()[3]
    state = torch.get_rng_state()
    one, two, other = (make_network(model, VOCABULARY, LABELS, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(map(torch.equal, one.parameters(), two.parameters()))
    assert not torch.equal(one.embedding.weight, other.embedding.weight)


def test_the_number_of_threads_changes_no_parameter() -> None:
    # orthogonal matrices this large are made by several threads, which round otherwise
    model = GatedConfig(name="gru", cell="gru")
    before, made = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            made.append(make_network(model, VOCABULARY, LABELS, seed=1))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert all(map(torch.equal, made[0].parameters(), made[1].parameters()))


@pytest.mark.parametrize(
    "kind", ["word", "embedding", "layer", "variational", "output", "recurrent", "head"]
)
def test_each_dropout_acts_in_training_and_not_in_answering(kind: str) -> None:
    model = GatedConfig(name="gru", cell="gru", hidden_size=5, num_layers=2, embedding_size=6)
    network = TextNetwork(architecture_of(model, VOCABULARY, LABELS), Dropouts(**{kind: 0.5}))
    input_ids, lengths = torch.randint(2, VOCABULARY, (4, 9)), torch.full((4,), 9)
    assert not torch.equal(network(input_ids, lengths), network(input_ids, lengths))
    network.eval()
    assert torch.equal(network(input_ids, lengths), network(input_ids, lengths))


def test_embedding_dropout_drops_the_same_features_at_every_step() -> None:
    model = every_model()[0]
    network = TextNetwork(architecture_of(model, VOCABULARY, LABELS), Dropouts(embedding=0.5))
    steps = network.embed(torch.randint(2, VOCABULARY, (7, 3)))
    dropped = steps == 0
    assert (dropped == dropped[:1]).all()
    assert dropped.any()
    assert not dropped.all()


@pytest.mark.parametrize(
    ("configured", "labels", "used"),
    [(None, 49, 0.5), (None, 50, 0.3), (0.1, 50, 0.1), (0.0, 50, 0.0)],
)
def test_many_labels_drop_less_of_the_embedding(
    configured: float | None, labels: int, used: float
) -> None:
    model = GatedConfig(name="gru", cell="gru", hidden_size=5, embedding_dropout=configured)
    assert make_network(model, VOCABULARY, labels, seed=1).dropouts.embedding == used


def test_output_dropout_drops_the_same_features_at_every_step() -> None:
    model = GatedConfig(name="lstm", cell="lstm", hidden_size=5, embedding_size=6)
    network = TextNetwork(architecture_of(model, VOCABULARY, LABELS), Dropouts(output=0.5))
    assert network.encoder is not None
    dropped = network.encode(network.encoder, torch.randn(7, 3, 6), torch.full((3,), 7)) == 0
    assert dropped.shape == (7, 3, 10)
    assert (dropped == dropped[:1]).all()
    assert dropped.any()
    assert not dropped.all()


@pytest.mark.parametrize("bidirectional", [True, False])
def test_variational_dropout_drops_the_same_features_between_layers_at_every_step(
    monkeypatch: pytest.MonkeyPatch, bidirectional: bool
) -> None:
    model = GatedConfig(
        name="lstm",
        cell="lstm",
        num_layers=3,
        bidirectional=bidirectional,
        variational_dropout=0.5,
        hidden_size=5,
        **SMALL,
    )
    network = make_network(model, VOCABULARY, LABELS, seed=1)
    assert network.encoder is not None
    read: list[torch.Tensor] = []
    directions = network.encoder._directions

    def listening(inputs: list[torch.Tensor], suffixes: list[str]) -> list[torch.Tensor]:
        read.append(inputs[0])
        return directions(inputs, suffixes)

    monkeypatch.setattr(network.encoder, "_directions", listening)
    network.encoder(torch.randn(7, 3, 6), torch.full((3,), 7))
    assert not (read[0] == 0).any()
    for steps in read[1:]:
        dropped = steps == 0
        assert (dropped == dropped[:1]).all()
        assert dropped.any()
        assert not dropped.all()
    assert not torch.equal(read[1] == 0, read[2] == 0)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_weight_drop_zeroes_recurrent_weights_and_trains_the_others(cell: str) -> None:
    model = GatedConfig(
        name=cell,
        cell=cell,
        hidden_size=5,
        num_layers=2,
        weight_drop=0.5,
        **SMALL,
    )
    network = make_network(model, VOCABULARY, LABELS, seed=1)
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    input_ids, lengths = torch.randint(2, VOCABULARY, (4, 9)), torch.full((4,), 9)
    network(input_ids, lengths).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert torch.equal(parameter, before[name])
        assert parameter.grad is not None, name
        share = float((parameter.grad == 0).float().mean())
        if "weight_hh" in name:
            assert 0.3 < share < 0.7, name
        elif "weight_ih" in name:
            assert share < 0.1, name
