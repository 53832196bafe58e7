"""What a CUDA device computes, against the CPU; runs only where there is one."""

import dataclasses
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

import nlp_rnn
from nlp_rnn.config.training import Precision
from nlp_rnn.errors import TrainingError
from nlp_rnn.model.architecture import Architecture
from nlp_rnn.model.encoder import RecurrentEncoder
from nlp_rnn.model.network import make_network
from nlp_rnn.pretraining.pretrainer import Pretrainer
from nlp_rnn.training.device import choose_device, choose_precision
from nlp_rnn.training.events import EpochEnd
from nlp_rnn.training.prefetch import prefetch_updates
from nlp_rnn.training.processes import SINGLE_PROCESS
from nlp_rnn.training.range_test import try_learning_rates
from nlp_rnn.training.trainer import Trainer
from tests.test_pretraining import SMALL, chain, models
from tests.test_trainer import MODEL, OPTIMIZER, TRAIN, TRAINER, VALIDATION

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")

CELLS = ("lstm", "gru", "rnn")
LOW = (torch.bfloat16, torch.float16)
# cuDNN's products of float32 have the mantissa of TF32: ten bits, as float16
TOLERANCE = {torch.float32: 3e-3, torch.bfloat16: 4e-2, torch.float16: 1e-2}
TWO_PARTS = {"r_drop": 1.0, "language_model": 0.5}


def encoder(cell: str, num_layers: int, bidirectional: bool) -> RecurrentEncoder:
    torch.manual_seed(0)
    return RecurrentEncoder(Architecture(cell, 20, 3, 24, 32, num_layers, bidirectional, "max"))


def trainer(**options: object) -> Trainer:
    listeners = {k: options.pop(k) for k in ("on_epoch", "checkpoint") if k in options}
    model = dataclasses.replace(MODEL, **options.pop("model", {}))
    config = dataclasses.replace(
        TRAINER, **{"device": "cuda", "precision": Precision.fp32} | options
    )
    return Trainer(make_network(model, 12, 2, 1), config, OPTIMIZER, seed=1, **listeners)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("num_layers", "bidirectional"), [(1, True), (2, True), (1, False)])
@pytest.mark.parametrize("cell", CELLS)
def test_states_and_gradients_are_those_of_a_cpu(
    cell: str, num_layers: int, bidirectional: bool, dtype: torch.dtype
) -> None:
    torch.manual_seed(1)
    embedded, lengths = torch.randn(9, 5, 24), torch.tensor([9, 4, 1, 7, 9])
    real = (torch.arange(9).unsqueeze(1) < lengths).unsqueeze(2)
    actual = {}
    for device in ("cpu", "cuda"):
        reader = encoder(cell, num_layers, bidirectional).to(device)
        steps = embedded.clone().to(device).requires_grad_()
        with torch.autocast(device, dtype=dtype, enabled=device == "cuda" and dtype in LOW):
            states = reader(steps, lengths.to(device))
        outputs = torch.where(real.to(device), states.float(), 0.0)
        outputs.square().sum().backward()
        gradients = [parameter.grad.cpu() for parameter in reader.parameters()]
        actual[device] = [outputs.detach().cpu(), steps.grad.cpu(), *gradients]
    for mine, reference in zip(actual["cuda"], actual["cpu"], strict=True):
        assert (mine - reference).norm() <= TOLERANCE[dtype] * max(1.0, float(reference.norm()))


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("cell", CELLS)
def test_padding_and_company_change_nothing(cell: str, dtype: torch.dtype) -> None:
    reader = encoder(cell, 1, True).cuda()
    torch.manual_seed(1)
    text = torch.randn(4, 1, 24, device="cuda")
    company = torch.randn(9, 3, 24, device="cuda")
    company[:4, :1] = text
    with torch.no_grad(), torch.autocast("cuda", dtype=dtype, enabled=dtype in LOW):
        alone = reader(text, torch.tensor([4], device="cuda"))
        together = reader(company, torch.tensor([4, 9, 6], device="cuda"))
    difference = (together[:4, :1].float() - alone.float()).abs().max()
    assert difference <= TOLERANCE[dtype]


def test_auto_is_cuda_in_float16() -> None:
    device = choose_device("auto")
    assert device.type == "cuda"
    assert choose_precision(Precision.auto, device) is torch.float16


def test_weights_lie_as_cudnn_wants_them() -> None:
    reader = encoder("lstm", 2, True).cuda()
    steps, lengths = torch.randn(3, 2, 24, device="cuda"), torch.tensor([3, 2], device="cuda")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reader(steps, lengths)
        with torch.autocast("cuda", dtype=torch.float16):
            reader(steps, lengths)


@pytest.mark.parametrize("options", [{}, TWO_PARTS, {"average_decay": 0.9}], ids=str)
def test_an_update_is_that_of_a_cpu(options: dict[str, float]) -> None:
    still = {"embedding_dropout": 0.0, "head_dropout": 0.0}
    losses = {}
    for device in ("cpu", "cuda"):
        one = trainer(device=device, model=still, **options)
        if one.network.language_model is not None:
            one.network.language_model.state_dropout = 0.0
            one.network.language_model.token_dropout = 0.0
        rows = [[np.arange(16)]] * 12
        updates = prefetch_updates(
            TRAIN,
            rows,
            SINGLE_PROCESS,
            for_gpu=device == "cuda",
            vocabulary="language_model" in options,
        )
        losses[device] = [
            [float(loss) for loss in (*one._update(update).values(), one.gradient_norm)]
            for update in updates
        ]
    # all but the first are replays
    np.testing.assert_allclose(losses["cuda"], losses["cpu"], rtol=0.02, atol=0.01)


@pytest.mark.parametrize("precision", [Precision.fp32, Precision.fp16])
def test_what_is_replayed_is_what_would_have_been_done(precision: Precision) -> None:
    actual = {}
    for way in ("step by step", "replayed"):
        history: list[EpochEnd] = []
        one = trainer(
            precision=precision, on_epoch=history.append, max_epochs=3, patience=3, **TWO_PARTS
        )
        assert one.cuda_graph_step is not None
        if way == "step by step":
            one.cuda_graph_step = None
        one.fit(TRAIN, VALIDATION)
        losses = [[v for k, v in e.metrics.items() if "loss" in k] for e in history]
        actual[way] = np.array(losses)
    # the same random numbers; gradients of embeddings are summed in no fixed order
    np.testing.assert_allclose(actual["replayed"], actual["step by step"], rtol=0.05, atol=0.02)


@pytest.mark.parametrize("precision", [Precision.fp32, Precision.bf16, Precision.fp16])
def test_it_learns_an_order(precision: Precision) -> None:
    one = trainer(precision=precision, max_epochs=8, patience=8)
    result = one.fit(TRAIN, VALIDATION)
    assert result.best_metrics["accuracy"] > 0.9


@pytest.mark.parametrize(
    "options",
    [
        {"prefixes": True, "model": {"bidirectional": False}},
        {"accumulation": 2},
        {"adversarial": 1.0},
        {"virtual_adversarial": 1.0},
        {"model": {"weight_drop": 0.2, "word_dropout": 0.1, "output_dropout": 0.1}},
        {"model": {"num_layers": 2, "dropout": 0.1, "pooling": "attention"}},
        {"profile": True},
    ],
    ids=str,
)
def test_every_option_trains_there(options: dict[str, object]) -> None:
    if "pooling" in options.get("model", {}):
        pooling = type(MODEL.pooling)["attention"]
        options = options | {"model": options["model"] | {"pooling": pooling}}
    one = trainer(precision=Precision.fp16, max_epochs=2, **options)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="RNN module weights are not part")
        result = one.fit(TRAIN, VALIDATION)
    assert np.isfinite(list(result.best_metrics.values())).all()


def test_an_overflow_leaves_an_update_out() -> None:
    one = trainer(precision=Precision.fp16)
    updates = list(prefetch_updates(TRAIN, [[np.arange(16)]] * 5, SINGLE_PROCESS, for_gpu=True))
    one._update(updates[0])
    before = [parameter.detach().clone() for parameter in one.network.parameters()]
    scaler = one.loss.scaler
    scaler.load_state_dict(scaler.state_dict() | {"scale": 2.0**60})
    one._update(updates[1])
    assert all(map(torch.equal, before, one.network.parameters()))
    assert scaler.get_scale() == 2.0**59
    assert one.gradient_norm == 0
    scaler.load_state_dict(scaler.state_dict() | {"scale": 2.0**10})
    one._update(updates[2])
    assert not all(map(torch.equal, before, one.network.parameters()))


def test_one_that_was_stopped_is_resumed(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    whole: list[EpochEnd] = []
    options = {"precision": Precision.fp16, "max_epochs": 4, "patience": 4} | TWO_PARTS
    trainer(on_epoch=whole.append, **options).fit(TRAIN, VALIDATION)
    first: list[EpochEnd] = []

    def stop(event: EpochEnd) -> None:
        first.append(event)
        if event.epoch == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trainer(on_epoch=stop, checkpoint=path, **options).fit(TRAIN, VALIDATION)
    rest: list[EpochEnd] = []
    trainer(on_epoch=rest.append, checkpoint=path, **options).fit(TRAIN, VALIDATION)
    assert [event.epoch for event in rest] == [3, 4]
    for mine, reference in zip(rest, whole[2:], strict=True):
        assert mine.metrics["train/loss"] == pytest.approx(
            reference.metrics["train/loss"], rel=0.2, abs=0.05
        )


def test_a_range_test_changes_nothing() -> None:
    one = trainer(precision=Precision.fp16, **TWO_PARTS)
    before = [parameter.detach().clone() for parameter in one.network.parameters()]
    result = try_learning_rates(one, TRAIN)
    assert 1e-5 < result.suggestion < 1.0
    assert all(map(torch.equal, before, one.network.parameters()))
    result = one.fit(TRAIN, VALIDATION)
    assert result.best_metrics["accuracy"] > 0.6


def test_a_loss_that_is_not_finite_is_reported_there_too() -> None:
    one = trainer(max_epochs=2)
    with torch.no_grad():
        one.network.head.weight.fill_(float("nan"))
    with pytest.raises(TrainingError, match="learning_rate"):
        one.fit(TRAIN, VALIDATION)


@pytest.mark.parametrize("precision", [Precision.fp32, Precision.fp16])
def test_a_language_model_is_pretrained_there(precision: Precision) -> None:
    config = dataclasses.replace(SMALL, max_epochs=2, dropout=0.0, learning_rate=0.01)
    there = dataclasses.replace(TRAINER, device="cuda", precision=precision)
    one = Pretrainer(models(hidden_size=16, embedding_size=16), config, there)
    result = one.fit(chain(8_000, 1), chain(1000, 2))
    assert result.best_metrics["validation/perplexity_forward"] < 12


def test_the_command_trains_there_and_leaves_a_classifier(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nlp_rnn.cli import main

    monkeypatch.chdir(tmp_path)
    code = main(
        [
            "train",
            "data.train_rows=400",
            "trainer.max_epochs=2",
            "model.hidden_size=16",
            f"hydra.run.dir={tmp_path}/run",
        ]
    )
    assert not code
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert 0 <= result["metrics"]["test/accuracy"] <= 1
    classifier = nlp_rnn.load(result["classifier"])
    assert classifier.predict(["a text"])[0] in classifier.classes_
    assert result["metrics"]["train/tokens_per_second"] > 0
