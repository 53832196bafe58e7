"""The n-gram path: counted by hand, in torch, ONNX and numpy; fitted, saved, checked."""

import dataclasses
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from datasets import Dataset, Features, List, Value
from onnx import TensorProto, helper
from sklearn.svm import LinearSVC

import nlp_rnn
from nlp_rnn.classifier.onnx_export import OPSET, build_graph
from nlp_rnn.classifier.recurrent_step import StepNetwork
from nlp_rnn.config.defaults import NGRAM_BUCKETS
from nlp_rnn.config.model import AverageConfig, GatedConfig, NetworkConfig
from nlp_rnn.config.tokenizer import TrainedTokenizerConfig
from nlp_rnn.errors import ConfigError
from nlp_rnn.layers.onnx_graph import Graph
from nlp_rnn.model.architecture import Architecture, check_size
from nlp_rnn.model.network import TextNetwork, architecture_of, make_network
from nlp_rnn.model.ngram_path import ngram_rows
from nlp_rnn.model.ngrams import LARGEST_ORDER, MULTIPLIER, PRIME, add_row_nodes, extend, row
from nlp_rnn.scoring.metrics import cross_entropy, score_logits
from nlp_rnn.tokens.batches import TokenizedTexts
from nlp_rnn.training import ngram_fitting
from nlp_rnn.training.events import TrainingResult
from nlp_rnn.training.finishing import finish
from nlp_rnn.training.ngram_fitting import (
    _ensemble_factors,
    _fit,
    _sample_rows,
    add_ngram_path,
    ngram_matrix,
)
from nlp_rnn.training.trainer import Trainer
from tests.resolved_options import optimizer_options, trainer_options
from tests.test_attribution import IDS, odds
from tests.test_attribution import network as explained_network
from tests.tiny_classifier import VOCAB_SIZE, random_state, save_tiny, tiny_architecture, tiny_texts

ORDERS = [1, 2, 3]
CELLS = ["lstm", "gru", "rnn", "average"]
FEATURES = Features({"input_ids": List(Value("int32")), "label": Value("int64")})


def wide_architecture(ngrams: int = 2, cell: str = "gru", **changes: Any) -> Architecture:
    buckets = 50 if ngrams > 1 else 0
    return tiny_architecture(cell, "mean", ngrams=ngrams, ngram_buckets=buckets, **changes)


def loaded(architecture: Architecture) -> TextNetwork:
    network = TextNetwork(architecture).eval()
    network.load_state_dict(
        {name: torch.from_numpy(value) for name, value in random_state(architecture).items()}
    )
    return network


def session(model: onnx.ModelProto) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def hand_row(gram: tuple[int, ...], vocab_size: int, buckets: int) -> int:
    """In Python's own numbers, which never overflow."""
    hashed = gram[0]
    for token in gram[1:]:
        hashed = (hashed * MULTIPLIER + token + 1) % PRIME
    return gram[0] if len(gram) == 1 else vocab_size + hashed % buckets


def hand_rows(text: list[int], order: int, vocab_size: int, buckets: int) -> set[int]:
    return {
        hand_row(tuple(text[start : start + size]), vocab_size, buckets)
        for size in range(1, order + 1)
        for start in range(len(text) - size + 1)
    }


@pytest.mark.parametrize("largest", [30, 8_000, 1_000_000])
@pytest.mark.parametrize("buckets", [1, 7, 2**18, 2**26])
def test_the_hash_is_the_same_in_python_numpy_torch_and_onnx(largest: int, buckets: int) -> None:
    ids = np.random.default_rng(0).integers(0, largest, (40, 25))
    ids[:, 0] = largest - 1
    architecture = Architecture("average", largest, 2, 4, 0, 0, False, "mean", 3, buckets)
    expected = [
        [hand_row(tuple(ids[t - n + 1 : t + 1, b]), largest, buckets) for b in range(25)]
        for n in ORDERS
        for t in range(n - 1, 40)
    ]
    there = torch.ones(40, 25, dtype=torch.bool)
    rows, _ = ngram_rows(architecture, torch.from_numpy(ids), there)
    inside = np.concatenate([np.arange(40 * (n - 1) + n - 1, 40 * n) for n in ORDERS])
    np.testing.assert_array_equal(rows.t().numpy()[inside], expected)

    pairs = extend(ids[:-1], ids[1:])
    triples = extend(pairs[:-1], ids[2:])
    actual = [ids, row(pairs, largest, buckets), row(triples, largest, buckets)]
    np.testing.assert_array_equal(np.concatenate(actual), expected)

    graph = Graph(int8=False)
    names = add_row_nodes(graph, architecture)
    inputs = [
        helper.make_tensor_value_info("tokens", TensorProto.INT64, ["time", "batch"]),
        helper.make_tensor_value_info("lengths", TensorProto.INT64, ["batch"]),
    ]
    outputs = [
        helper.make_tensor_value_info(names[0], TensorProto.INT64, ["rows", "batch"]),
        helper.make_tensor_value_info(names[1], TensorProto.BOOL, ["rows", "batch"]),
    ]
    made = helper.make_graph(graph.nodes, "rows", inputs, outputs, graph.constants)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    lengths = np.full(25, 40)
    rows_onnx, within = session(model).run(None, {"tokens": ids, "lengths": lengths})
    np.testing.assert_array_equal(rows_onnx[inside], expected)
    np.testing.assert_array_equal(np.flatnonzero(within.all(1)), inside)
    assert min(map(min, expected)) >= 0
    assert max(map(max, expected)) < largest + buckets


@pytest.mark.parametrize("order", ORDERS)
@torch.no_grad()
def test_a_hand_written_count_gives_the_same_logits(order: int) -> None:
    architecture = wide_architecture(order, "average")
    made = loaded(architecture)
    assert made.wide is not None
    table = made.wide.table.weight.numpy()
    draw = random.Random(0)
    for length in (1, 2, 3, 4, 30, 200):
        text = [draw.randrange(VOCAB_SIZE) for _ in range(length)]
        text[-1] = text[0]  # something that occurs twice
        rows = hand_rows(text, order, VOCAB_SIZE, architecture.ngram_buckets)
        expected = table[sorted(rows)].sum(0) / np.sqrt(len(rows))
        ids, lengths = torch.tensor([text]), torch.tensor([length])
        np.testing.assert_allclose(made.wide(ids.t(), lengths)[0], expected, atol=1e-5)
        with_it = made(ids, lengths)[0].numpy()
        wide, made.wide = made.wide, None
        np.testing.assert_allclose(with_it - made(ids, lengths)[0].numpy(), expected, atol=1e-5)
        made.wide = wide


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("cell", CELLS)
@torch.no_grad()
def test_padding_mates_and_batch_size_change_nothing(cell: str, order: int) -> None:
    layers = 0 if cell == "average" else 1
    made = loaded(wide_architecture(order, cell, num_layers=layers))
    lengths = torch.tensor([1, 9, 4, 2])
    ids = torch.randint(0, VOCAB_SIZE, (4, 9))
    together = made(ids, lengths)
    for value in (0, 7, 29):
        padded = made(torch.nn.functional.pad(ids, (0, 30), value=value), lengths)
        torch.testing.assert_close(padded, together, rtol=1e-5, atol=1e-6)
    order_of_texts = torch.tensor([2, 0, 3, 1])
    shuffled = made(ids[order_of_texts], lengths[order_of_texts])
    torch.testing.assert_close(shuffled, together[order_of_texts], rtol=1e-5, atol=1e-6)
    alone = [made(ids[i : i + 1, :n], n[None]) for i, n in enumerate(lengths)]
    torch.testing.assert_close(torch.cat(alone), together, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("int8", [False, True])
@torch.no_grad()
def test_onnx_equals_torch_at_lengths_to_512(cell: str, order: int, int8: bool) -> None:
    layers = 0 if cell == "average" else 1
    architecture = wide_architecture(order, cell, num_layers=layers)
    made = loaded(architecture)
    state = {name: value.numpy() for name, value in made.state_dict().items()}
    model = build_graph(architecture, state, int8=int8)
    onnx.checker.check_model(model, full_check=True)
    running = session(model)
    draw = np.random.default_rng(1)
    for batch, longest in ((1, 1), (1, 2), (1, 512), (2, 3), (64, 40), (64, 512)):
        lengths = np.array([longest, *draw.integers(1, longest + 1, batch - 1)])
        ids = draw.integers(0, VOCAB_SIZE, (batch, longest))
        expected = made(torch.from_numpy(ids), torch.from_numpy(lengths)).numpy()
        (actual,) = running.run(["logits"], {"input_ids": ids, "lengths": lengths})
        # 8 bits round each number of a row to a 254th of its range
        np.testing.assert_allclose(actual, expected, rtol=0, atol=0.05 if int8 else 1e-5)
    if int8:
        table = next(t for t in model.graph.initializer if t.name == "wide_weight_int8")
        assert table.data_type == TensorProto.INT8


def test_no_constant_of_the_graph_is_in_vain(capfd: pytest.CaptureFixture[str]) -> None:
    for order in ORDERS:
        architecture = wide_architecture(order)
        session(build_graph(architecture, random_state(architecture)))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("cell", CELLS)
@torch.no_grad()
def test_a_stream_answers_as_the_whole_text(tmp_path: Path, cell: str, order: int) -> None:
    architecture = wide_architecture(order, cell, bidirectional=False)
    if cell == "average":
        architecture = dataclasses.replace(architecture, num_layers=0)
    step = StepNetwork(architecture, random_state(architecture))
    made = loaded(architecture)
    ids = np.random.default_rng(2).integers(0, VOCAB_SIZE, (5, 60))
    # several streams at once, one token each
    state = step.start(5)
    for time in range(60):
        actual = step.read(state, ids[:, time])
        lengths = torch.full((5,), time + 1)
        expected = made(torch.from_numpy(ids), lengths).numpy()
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5)


def test_the_saved_classifier_answers_streams_and_goes_on(tmp_path: Path) -> None:
    folder = save_tiny(
        tmp_path / "c", pooling="last", bidirectional=False, ngrams=2, ngram_buckets=20_000
    )
    config = json.loads((folder / "config.json").read_text())
    assert config["format_version"] == 3
    assert (config["architecture"]["ngrams"], config["architecture"]["ngram_buckets"]) == (
        2,
        20_000,
    )
    classifier = nlp_rnn.load(folder)
    assert classifier.num_parameters == sum(map(np.size, random_state(classifier_sizes()).values()))
    texts = tiny_texts(30)
    expected = classifier.predict_proba(texts)
    for other in ("torch", "int8"):
        close = nlp_rnn.load(folder, runtime=other).predict_proba(texts)
        np.testing.assert_allclose(close, expected, atol=1e-5 if other == "torch" else 0.02)
    text = "w3 w4 w3 w4 w5 w3 w4 "
    whole = classifier.predict_proba([text])[0]
    stream = classifier.stream()
    stream.read("w3 w4 w3 ")
    again = classifier.stream(state=stream.to_json())
    copied = stream.copy()
    for other in (again, copied, stream):
        other.read("w4 w5 w3 w4 ")
        np.testing.assert_allclose(other.probabilities, whole, atol=1e-5)
    pool = classifier.stream_pool()
    pool.read({"a": "w3 w4 w3 ", "b": "w9 "})
    pool.read({"b": "w3 "})
    pool.read({"a": "w4 w5 w3 w4 ", "b": "w4 "})
    np.testing.assert_allclose(pool.finish("a")["a"], whole, atol=1e-5)
    rest = classifier.predict_proba(["w9 w3 w4"])[0]
    np.testing.assert_allclose(pool.finish("b")["b"], rest, atol=1e-5)


def classifier_sizes() -> Architecture:
    return tiny_architecture("gru", "last", bidirectional=False, ngrams=2, ngram_buckets=20_000)


def test_a_network_without_is_written_as_before(tmp_path: Path) -> None:
    config = json.loads((save_tiny(tmp_path / "c") / "config.json").read_text())
    assert config["format_version"] == 1
    assert "ngrams" not in config["architecture"]
    assert "ngram_buckets" not in config["architecture"]


def test_parameters_are_counted_by_part() -> None:
    counts = wide_architecture(2).parameter_counts()
    assert list(counts) == ["embedding", "recurrent", "wide", "head", "total"]
    assert counts["wide"] == (VOCAB_SIZE + 50) * 3
    made = TextNetwork(wide_architecture(2))
    assert counts["total"] == sum(p.numel() for p in made.parameters())
    without = tiny_architecture("gru", "mean").parameter_counts()
    assert counts["recurrent"] == without["recurrent"]
    assert "wide" not in without


def pair_decides(rows: int, seed: int) -> TokenizedTexts:
    """The same words in both classes, each once: the label says whether 2 stands before 3."""
    draw = np.random.default_rng(seed)
    ids, labels = [], []
    for _ in range(rows):
        fillers = draw.permutation(np.arange(4, 14))[:6].tolist()
        label = int(draw.integers(2))
        position = int(draw.integers(7))
        ids.append(fillers[:position] + ([2, 3] if label else [3, 2]) + fillers[position:])
        labels.append(label)
    return TokenizedTexts(Dataset.from_dict({"input_ids": ids, "label": labels}, features=FEATURES))


TRAIN, VALIDATION = pair_decides(400, 0), pair_decides(200, 1)
AVERAGE = AverageConfig(name="average", cell="average", pooling="mean", embedding_size=8)


def trainer_of(model: Any, epochs: int = 8, seed: int = 1, **options: Any) -> Trainer:
    return Trainer(
        make_network(model, 14, 2, seed),
        trainer_options(batch_size=16, max_epochs=epochs, device="cpu", threads=1, **options),
        optimizer_options(),
        seed=seed,
    )


def accuracy(trainer: Trainer) -> float:
    finish(trainer, trainer.fit(TRAIN, VALIDATION), TRAIN, VALIDATION)
    actual = score_logits(VALIDATION.labels, trainer.logits(VALIDATION))[0]["accuracy"]
    return float(actual)


def test_what_only_a_pair_tells_is_learnt_by_pairs_and_not_without() -> None:
    assert accuracy(trainer_of(AVERAGE)) < 0.65
    assert accuracy(trainer_of(dataclasses.replace(AVERAGE, ngrams=1))) < 0.65
    assert accuracy(trainer_of(dataclasses.replace(AVERAGE, ngrams=2))) > 0.97


def test_the_network_beside_it_is_trained_as_it_would_be_alone() -> None:
    model = GatedConfig(
        name="gru", cell="gru", embedding_size=6, hidden_size=5, ngrams=2, ngram_buckets=100
    )
    without = dataclasses.replace(model, ngrams=0, ngram_buckets=None)
    options = {"average_decay": 0.9, "accumulation": 2, "log_gradient_norm": True}

    def fitted(model: GatedConfig) -> tuple[TrainingResult, Trainer]:
        made = trainer_of(model, 2, **options)
        return finish(made, made.fit(TRAIN, VALIDATION), TRAIN, VALIDATION), made

    (result, one), (again, two), (_, alone) = fitted(model), fitted(model), fitted(without)
    weights, other = one.network.state_dict(), alone.network.state_dict()
    assert result.best_metrics == again.best_metrics
    assert all(map(torch.equal, weights.values(), two.network.state_dict().values()))
    assert weights.keys() - other.keys() == {"wide.table.weight"}
    for name, value in other.items():
        if not name.startswith("head."):
            assert torch.equal(weights[name], value), name
    factors = weights["head.weight"] / other["head.weight"]
    torch.testing.assert_close(factors, factors[:1, :1].expand_as(factors))
    # the metrics of the result are those of the finished network
    actual = score_logits(VALIDATION.labels, one.logits(VALIDATION))[0]
    assert result.best_metrics == pytest.approx(actual, abs=1e-5)
    assert actual["loss"] < score_logits(VALIDATION.labels, alone.logits(VALIDATION))[0]["loss"] / 3


def test_it_is_scikit_learns_machine_of_the_texts_n_grams() -> None:
    architecture = architecture_of(dataclasses.replace(AVERAGE, ngrams=2, ngram_buckets=97), 14, 2)
    texts = [TRAIN.batch(np.array([row])).input_ids[0].tolist() for row in range(len(TRAIN))]
    counts = np.zeros((len(texts), architecture.ngram_table_rows))
    for number, text in enumerate(texts):
        columns = sorted(hand_rows(text, 2, 14, 97))
        counts[number, columns] = 1 / np.sqrt(len(columns))
    np.testing.assert_allclose(ngram_matrix(architecture, TRAIN).toarray(), counts, rtol=1e-6)

    frequency = (counts > 0).sum(0)
    features = counts * (np.log((1 + len(texts)) / (1 + frequency)) + 1)
    features /= np.sqrt((features**2).sum(1).mean())
    expected = LinearSVC(random_state=0).fit(features, TRAIN.labels).decision_function(features)
    network = make_network(dataclasses.replace(AVERAGE, ngrams=2, ngram_buckets=97), 14, 2, 1)
    torch.nn.init.zeros_(network.head.weight)
    torch.nn.init.zeros_(network.head.bias)
    nothing = np.zeros((len(VALIDATION), 2), np.float32)
    joined = add_ngram_path(network, TRAIN, VALIDATION, nothing, balanced=False, seed=1)
    lengths = torch.from_numpy(TRAIN.lengths)
    actual = network(torch.tensor(texts), lengths).detach().numpy()
    factor = (actual[:, 1] @ expected) / (expected @ expected)
    assert factor > 0
    np.testing.assert_allclose(actual[:, 1], factor * expected, atol=1e-3 * factor)
    np.testing.assert_allclose(actual[:, 0], -actual[:, 1], atol=1e-5)
    batch = VALIDATION.batch(np.arange(len(VALIDATION)))
    predictions = network(torch.from_numpy(batch.input_ids), torch.from_numpy(batch.lengths))
    np.testing.assert_allclose(predictions.detach(), joined, atol=1e-4)


def test_no_other_factors_are_likelier_on_validation() -> None:
    # each path knows something of the label: of 9 rows that pairs share few are one pair's own
    model = dataclasses.replace(AVERAGE, ngrams=2, ngram_buckets=9)
    network = make_network(model, 14, 2, 1)
    draw = np.random.default_rng(3)
    deep = (VALIDATION.labels[:, None] == np.arange(2)) + draw.normal(0, 1.0, (200, 2))
    deep = deep.astype(np.float32)
    weight = network.head.weight.detach().clone()
    joined = add_ngram_path(network, TRAIN, VALIDATION, deep, balanced=False, seed=1)
    factor = float((network.head.weight.detach() / weight).mean())
    wide = (joined - factor * deep).astype(np.float64)

    def loss(network_share: float, ngram_share: float) -> float:
        return cross_entropy(VALIDATION.labels, network_share * factor * deep + ngram_share * wide)

    assert 0.5 < factor < 2
    assert 0.55 < ((wide[:, 1] > wide[:, 0]) == VALIDATION.labels).mean() < 0.95
    for network_share, ngram_share in (
        (0.95, 1),
        (1.05, 1),
        (1, 0.5),
        (1, 1.5),
        (1, -0.5),
        (1.02, 0.9),
    ):
        assert loss(network_share, ngram_share) >= loss(1, 1) - 1e-7


@pytest.mark.parametrize("balanced", [False, True])
def test_labels_that_no_text_or_every_text_has_are_told_apart(balanced: bool) -> None:
    model = dataclasses.replace(AVERAGE, ngrams=2, ngram_buckets=100)
    features = Features(FEATURES | {"label": List(Value("bool"), length=4)})

    def several(texts: TokenizedTexts) -> TokenizedTexts:
        rows = [texts.batch(np.array([row])) for row in range(len(texts))]
        ids = [row.input_ids[0].tolist() for row in rows]
        labels = [[bool(row.labels[0]), False, True, not row.labels[0]] for row in rows]
        return TokenizedTexts(
            Dataset.from_dict({"input_ids": ids, "label": labels}, features=features)
        )

    train, validation = several(TRAIN), several(VALIDATION)
    network = make_network(model, 14, 4, 1)
    joined = add_ngram_path(
        network, train, validation, np.zeros((200, 4), np.float32), balanced=balanced, seed=1
    )
    assert (joined[:, 1] < 0).all()
    assert (joined[:, 2] > 0).all()
    for label in (0, 3):
        assert ((joined[:, label] > 0) == validation.labels[:, label]).mean() > 0.97

    # of one label each, a third and fourth that train never had
    network = make_network(model, 14, 4, 1)
    zeros = np.zeros((200, 4), np.float32)
    joined = add_ngram_path(network, TRAIN, VALIDATION, zeros, balanced=balanced, seed=1)
    assert score_logits(VALIDATION.labels, joined)[0]["accuracy"] > 0.97
    assert (joined[:, 2:] < joined.max(1, keepdims=True)).all()


def test_balanced_classes_weigh_alike_in_the_linear_model_too() -> None:
    rare = np.concatenate([np.flatnonzero(TRAIN.labels == 0), np.flatnonzero(TRAIN.labels)[:4]])
    rows = [TRAIN.batch(np.array([row])).input_ids[0].tolist() for row in rare]
    few = TokenizedTexts(
        Dataset.from_dict({"input_ids": rows, "label": TRAIN.labels[rare]}, features=FEATURES)
    )
    architecture = architecture_of(dataclasses.replace(AVERAGE, ngrams=1), 14, 2)
    linear = [_fit(architecture, few, balanced, 1) for balanced in (False, True)]
    plain, alike = (model.scores(ngram_matrix(architecture, VALIDATION)) for model in linear)
    assert plain[:, 1].max() < 0
    assert 0.2 < (alike[:, 1] > 0).mean()


def test_of_very_much_text_a_part_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ngram_fitting, "MAX_TOKENS", 800)
    lengths = TRAIN.lengths
    rows, others = _sample_rows(lengths, 1), _sample_rows(lengths, 2)
    assert 700 < lengths[rows].sum() <= 800
    assert (np.diff(rows) > 0).all()
    assert rows.tolist() != others.tolist()
    monkeypatch.undo()
    assert _sample_rows(lengths, 1).tolist() == list(range(len(lengths)))


def test_rows_that_no_text_has_stay_zero() -> None:
    model = dataclasses.replace(AVERAGE, ngrams=2, ngram_buckets=5000)
    made = trainer_of(model, 2)
    finish(made, made.fit(TRAIN, VALIDATION), TRAIN, VALIDATION)
    assert made.network.wide is not None
    moved = made.network.wide.table.weight.abs().sum(1) > 0
    assert 0.01 < moved.float().mean() < 0.1
    assert not moved[0]  # padding


@pytest.mark.parametrize("cell", ["gru", "average"])
@pytest.mark.parametrize("order", ORDERS)
def test_attributions_sum_to_the_log_odds_with_the_wide_path(cell: str, order: int) -> None:
    from nlp_rnn.inspection.attribution import attribute

    made = explained_network(cell, ngrams=order, ngram_buckets=50 if order > 1 else 0)
    actual = attribute(made, IDS, [2, 0], steps=256)
    assert actual.residual < 5e-3
    whole = odds(made, IDS)[[2, 0]]
    vectors, table = made.embedding.weight.clone(), made.wide.table.weight.clone()
    made.embedding.weight.zero_()
    made.wide.table.weight.zero_()
    nothing = odds(made, IDS)[[2, 0]]
    np.testing.assert_allclose(actual.integrated.sum(1), whole - nothing, atol=5e-3)
    # a network that reads n-grams alone: what a token is worth is what is gone without it
    made.wide.table.weight.copy_(table)
    only_wide = attribute(made, IDS, [0, 1, 2], steps=2)
    text = IDS.tolist()
    for position in range(len(text)):
        retained = {
            hand_row(tuple(text[start : start + size]), VOCAB_SIZE, max(1, 50 * (order > 1)))
            for size in range(1, order + 1)
            for start in range(len(text) - size + 1)
            if not start <= position < start + size
        }
        logits = table[sorted(retained)].sum(0) / len(retained) ** 0.5
        logits = logits + odds_free_logits(made, IDS)
        p = logits.double().softmax(0).numpy()
        expected = odds(made, IDS) - (np.log(p) - np.log1p(-p))
        np.testing.assert_allclose(only_wide.occluded[:, position], expected, atol=1e-4)
    made.embedding.weight.copy_(vectors)


def odds_free_logits(made: TextNetwork, ids: np.ndarray) -> torch.Tensor:
    """The logits (C,) of the recurrent path alone."""
    wide, made.wide = made.wide, None
    logits = made(torch.from_numpy(ids)[None], torch.tensor([len(ids)]))[0]
    made.wide = wide
    return logits


def test_what_is_too_large_is_refused_with_what_fits() -> None:
    sizes = Architecture("average", 8000, 151, 128, 0, 0, False, "mean", 2, 2**23)
    with pytest.raises(ConfigError, match=r"4\.7 GiB.*\nSet model\.ngram_buckets=(\d+)") as caught:
        check_size(sizes)
    fits = int(str(caught.value).rsplit("=", 1)[1].split()[0])
    check_size(dataclasses.replace(sizes, ngram_buckets=fits))
    with pytest.raises(ConfigError):
        make_network(dataclasses.replace(AVERAGE, ngrams=2, ngram_buckets=2**23), 8000, 151, 1)


def test_limits_are_those_of_the_arithmetic() -> None:
    allowed = {f.name: f.metadata["allowed"] for f in dataclasses.fields(NetworkConfig)}
    assert allowed["ngrams"][:2] == (0, LARGEST_ORDER)
    tokens = {f.name: f.metadata["allowed"] for f in dataclasses.fields(TrainedTokenizerConfig)}
    most_tokens = tokens["vocab_size"].high
    assert (PRIME - 1) * MULTIPLIER + most_tokens < 2**63
    assert NGRAM_BUCKETS <= allowed["ngram_buckets"].high < PRIME


@pytest.mark.parametrize("several", [False, True])
def test_labels_that_are_all_right_make_no_factor_endless(several: bool) -> None:
    labels: Any = np.arange(200) % 2
    deep = np.where(labels[:, None] == np.arange(2), 1.0, -1.0).astype(np.float32)
    if several:
        labels = deep > 0
    factors = _ensemble_factors(labels, deep, deep.astype(np.float64))
    # 200 of 200 are right: 201 of 202 are expected of the next
    odds = sum(factors) * (1 if several else 2)
    assert odds == pytest.approx(np.log(2 * 202 - 1), abs=0.02)
