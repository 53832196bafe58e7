"""The trainer: two equal runs, early stopping, best weights, checkpoints and errors."""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset, Features, List, Value

from nlp_rnn.config.model import GatedConfig
from nlp_rnn.config.training import Monitor, OptimizerConfig, Precision, Schedule
from nlp_rnn.errors import ConfigError, TrainingError
from nlp_rnn.model.network import make_network
from nlp_rnn.scoring.metrics import score_logits
from nlp_rnn.tokens.batches import TokenizedTexts
from nlp_rnn.training.device import choose_device, choose_precision
from nlp_rnn.training.prefetch import prefetch_updates
from nlp_rnn.training.processes import SINGLE_PROCESS
from nlp_rnn.training.trainer import EpochEnd, Trainer, UpdateEnd
from tests.resolved_options import optimizer_options, trainer_options

FEATURES = Features({"input_ids": List(Value("int32")), "label": Value("int64")})
MODEL = GatedConfig(
    name="gru", cell="gru", embedding_size=16, hidden_size=12, embedding_dropout=0.2
)
OPTIMIZER = optimizer_options(learning_rate=0.02)
TRAINER = trainer_options(batch_size=16, max_epochs=4, threads=2, device="cpu", r_drop=0.0)


def which_came_first(rows: int, seed: int) -> TokenizedTexts:
    """Token 2 and token 3 stand among fillers; the label says which came first."""
    generator = np.random.default_rng(seed)
    ids, labels = [], []
    for _ in range(rows):
        text = generator.integers(4, 12, generator.integers(4, 12))
        first, second = sorted(generator.choice(len(text), 2, replace=False))
        label = int(generator.integers(2))
        text[first], text[second] = 2 + label, 3 - label
        ids.append(text.tolist())
        labels.append(label)
    return TokenizedTexts(Dataset.from_dict({"input_ids": ids, "label": labels}, features=FEATURES))


TRAIN, VALIDATION = which_came_first(400, 0), which_came_first(100, 1)
FEW = which_came_first(200, 0)


def trainer(seed: int = 1, optimizer: OptimizerConfig = OPTIMIZER, **options: object) -> Trainer:
    listeners = {k: options.pop(k) for k in ("on_update", "on_epoch", "checkpoint") if k in options}
    return Trainer(
        make_network(MODEL, 12, 2, seed),
        dataclasses.replace(TRAINER, **options),
        optimizer,
        seed=seed,
        **listeners,
    )


def test_it_learns_an_order_and_keeps_the_best_weights() -> None:
    epochs: list[EpochEnd] = []
    updates: list[UpdateEnd] = []
    one = trainer(on_epoch=epochs.append, on_update=updates.append, max_epochs=8, patience=8)
    result = one.fit(TRAIN, VALIDATION)
    assert result.best_metrics["accuracy"] > 0.9
    assert score_logits(VALIDATION.labels, one.logits(VALIDATION))[0] == pytest.approx(
        result.best_metrics
    )
    best = max(epochs, key=lambda event: event.metrics["validation/macro_f1"])
    assert result.best_epoch == best.epoch
    assert [event.epoch for event in epochs] == list(range(1, 9))
    assert result.updates == len(updates) == 8 * 25
    assert result.tokens == 8 * TRAIN.lengths.sum()
    assert 0 < result.update_seconds < result.seconds


def test_two_runs_of_one_seed_are_equal_to_the_last_bit() -> None:
    weights, histories = [], []
    for seed in (5, 5, 6):
        history: list[EpochEnd] = []
        one = trainer(seed, on_epoch=history.append, max_epochs=2)
        one.fit(TRAIN, VALIDATION)
        weights.append([parameter.detach() for parameter in one.network.parameters()])
        timed = "train/tokens_per_second"
        histories.append([{k: v for k, v in e.metrics.items() if k != timed} for e in history])
    assert all(map(torch.equal, weights[0], weights[1]))
    assert histories[0] == histories[1]
    assert histories[0] != histories[2]


def test_it_stops_when_validation_no_longer_improves() -> None:
    result = trainer(
        optimizer=dataclasses.replace(OPTIMIZER, learning_rate=1e-12), patience=2, max_epochs=9
    ).fit(TRAIN, VALIDATION)
    assert (result.best_epoch, result.epochs, result.stopped) == (1, 3, "patience")


def test_the_monitor_decides_which_epoch_is_best() -> None:
    for monitor in (Monitor.macro_f1, Monitor.accuracy, Monitor.loss):
        epochs: list[EpochEnd] = []
        one = trainer(on_epoch=epochs.append, monitor=monitor, max_epochs=6, patience=6)
        result = one.fit(FEW, VALIDATION)
        sign = -1 if monitor is Monitor.loss else 1
        values = [sign * event.metrics[f"validation/{monitor.name}"] for event in epochs]
        assert result.best_epoch == 1 + int(np.argmax(values))


@pytest.mark.parametrize("weight", [0.0, 0.5], ids=["alone", "with a language model"])
def test_accumulated_batches_are_one_batch(weight: float) -> None:
    """Four batches of 16 are one of 64, the last and smaller ones too, in weights and losses."""
    plain = dataclasses.replace(MODEL, embedding_dropout=0.0, head_dropout=0.0)
    parts = [np.arange(start, min(start + 16, 100)) for start in range(0, 100, 16)]
    weights, losses = [], []
    for rows in (parts, [np.arange(100)]):
        config = dataclasses.replace(
            TRAINER, precision=Precision.fp32, batch_size=16, language_model=weight
        )
        one = Trainer(make_network(plain, 12, 2, 1), config, OPTIMIZER, seed=1)
        if weight:
            one.network.language_model.state_dropout = 0.0
            one.network.language_model.token_dropout = 0.0
        (update,) = prefetch_updates(
            TRAIN, [rows], SINGLE_PROCESS, for_gpu=False, vocabulary=weight > 0
        )
        losses.append(one._update(update))
        weights.append([p.grad.clone() for p in one.network.parameters()])
    torch.testing.assert_close(*losses)
    for one_gradient, other in zip(*weights, strict=True):
        torch.testing.assert_close(one_gradient, other, rtol=1e-4, atol=1e-6)


def test_an_epoch_has_as_many_updates_as_accumulation_leaves() -> None:
    epochs: list[EpochEnd] = []
    result = trainer(accumulation=4, max_epochs=2, on_epoch=epochs.append).fit(TRAIN, VALIDATION)
    assert [event.update for event in epochs] == [7, 14]  # 25 batches
    assert result.tokens == 2 * TRAIN.lengths.sum()


def test_the_gradient_norm_of_an_epoch_is_logged_when_asked_for() -> None:
    epochs: list[EpochEnd] = []
    norms: list[float] = []
    one = trainer(
        log_gradient_norm=True,
        max_epochs=1,
        on_epoch=epochs.append,
        on_update=lambda event: norms.append(float(one.gradient_norm)),
    )
    one.fit(TRAIN, VALIDATION)
    assert epochs[0].metrics["train/gradient_norm"] == pytest.approx(np.mean(norms))
    assert epochs[0].metrics["train/gradient_norm_max"] == pytest.approx(max(norms))
    trainer(max_epochs=1, on_epoch=epochs.append).fit(TRAIN, VALIDATION)
    assert "train/gradient_norm" not in epochs[-1].metrics


@pytest.mark.parametrize(
    "options", [pytest.param({}, marks=pytest.mark.slow), {"max_updates": 2}, {"max_updates": 12}]
)
def test_a_profile_tells_where_the_time_of_some_updates_went(options: dict[str, int]) -> None:
    one = trainer(profile=True, max_epochs=1, threads=2, **options)
    one.fit(TRAIN, VALIDATION)
    assert one.profile is not None
    expected = {2: 1, 12: 9}.get(options.get("max_updates", 0), 20)
    assert one.profile.table.startswith(f"{expected} updates\n")
    assert "Optimizer.step#AdamW.step" in one.profile.table
    assert "Self CPU" in one.profile.table


def test_label_smoothing_raises_the_training_loss() -> None:
    losses = []
    for smoothing in (0.0, 0.4):
        epochs: list[EpochEnd] = []
        trainer(on_epoch=epochs.append, label_smoothing=smoothing).fit(TRAIN, VALIDATION)
        losses.append(epochs[-1].metrics["train/loss"])
    assert losses[1] > losses[0] + 0.1


HAS_BF16 = torch.ops.mkldnn._is_mkldnn_bf16_supported()
needs_bf16 = pytest.mark.skipif(not HAS_BF16, reason="this processor computes no bfloat16")


def test_bf16_predicts_nearly_as_fp32() -> None:
    one = trainer(precision=Precision.fp32, max_epochs=2)
    one.fit(TRAIN, VALIDATION)
    exact = one.logits(VALIDATION)
    one.dtype = torch.bfloat16
    assert one.precision == "bf16"
    rounded = one.logits(VALIDATION)
    assert not np.array_equal(exact, rounded)
    np.testing.assert_allclose(rounded, exact, atol=0.1)


@needs_bf16
def test_bf16_trains() -> None:
    result = trainer(precision=Precision.bf16, max_epochs=8, patience=8).fit(TRAIN, VALIDATION)
    assert result.best_metrics["accuracy"] > 0.85


def test_a_loss_that_is_no_number_is_an_error_with_a_way_out() -> None:
    wild = dataclasses.replace(OPTIMIZER, learning_rate=1e30, max_gradient_norm=1e30)
    with pytest.raises(TrainingError, match="Set optimizer.learning_rate to less than"):
        trainer(optimizer=wild, max_epochs=9, patience=9).fit(TRAIN, VALIDATION)


@pytest.mark.parametrize("name", ["cuda:7", "mps", "tpu", "gpu"])
def test_a_device_that_is_not_here_raises_an_error(name: str) -> None:
    with pytest.raises(ConfigError, match="trainer.device"):
        choose_device(name)


def test_precision_is_what_was_asked_for() -> None:
    cpu = torch.device("cpu")
    assert choose_precision(Precision.fp32, cpu) is torch.float32
    if HAS_BF16:
        assert choose_precision(Precision.bf16, cpu) is torch.bfloat16
    else:
        with pytest.raises(ConfigError, match="trainer.precision=auto"):
            choose_precision(Precision.bf16, cpu)
    assert choose_precision(Precision.auto, cpu) in (torch.float32, torch.bfloat16)
    with pytest.raises(ConfigError, match="no float16"):
        choose_precision(Precision.fp16, cpu)


@pytest.mark.parametrize(("capability", "native"), [((6, 1), False), ((8, 0), True)])
def test_precision_of_a_gpu_goes_by_what_it_is_fast_at(
    capability: tuple[int, int], native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda device: capability)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation: native)
    gpu = torch.device("cuda")
    assert choose_precision(Precision.auto, gpu) is (torch.float16 if native else torch.float32)
    assert choose_precision(Precision.fp16, gpu) is torch.float16
    assert choose_precision(Precision.fp32, gpu) is torch.float32
    if native:
        assert choose_precision(Precision.bf16, gpu) is torch.bfloat16
    else:
        with pytest.raises(ConfigError, match="no bfloat16"):
            choose_precision(Precision.bf16, gpu)


def test_limits_of_updates_and_minutes_end_a_run_cleanly() -> None:
    epochs: list[EpochEnd] = []
    result = trainer(on_epoch=epochs.append, max_updates=30).fit(TRAIN, VALIDATION)
    assert (result.updates, result.epochs, result.stopped) == (30, 2, "updates")
    assert "validation/macro_f1" in epochs[-1].metrics
    result = trainer(max_minutes=1e-9).fit(TRAIN, VALIDATION)
    assert (result.updates, result.stopped) == (1, "minutes")


class Killed(BaseException):
    """Stands for a process that ends at any moment."""


PLATEAU = dataclasses.replace(
    OPTIMIZER,
    schedule=Schedule.plateau,
    plateau_factor=0.5,
    plateau_patience=1,
    learning_rate=0.1,
)
ONE_CYCLE = dataclasses.replace(OPTIMIZER, schedule=Schedule.one_cycle, warmup_fraction=0.3)


@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"average_decay": 0.9},
        {"accumulation": 3, "max_epochs": 6, "patience": 6, "log_gradient_norm": True},
        {"optimizer": PLATEAU, "max_epochs": 4},
        {"optimizer": ONE_CYCLE},
        {"language_model": 0.5, "average_decay": 0.9},
        {"r_drop": 1.0},
        {"adversarial": 1.0, "virtual_adversarial": 1.0, "average_decay": 0.9},
    ],
    ids=[
        "plain",
        "average",
        "accumulation",
        "plateau",
        "one_cycle",
        "language_model",
        "r_drop",
        "adversarial",
    ],
)
@pytest.mark.parametrize(
    "moment",
    [13, *(pytest.param(moment, marks=pytest.mark.slow) for moment in (1, 20, 25))],
)
def test_a_killed_training_is_resumed_to_the_same_bits(
    tmp_path: Path, moment: int, extra: dict[str, object]
) -> None:
    def history(events: list[EpochEnd]) -> list[dict[str, float]]:
        timed = "train/tokens_per_second"
        return [{k: v for k, v in e.metrics.items() if k != timed} for e in events]

    extra = {"max_epochs": 2} | extra
    whole: list[EpochEnd] = []
    unbroken = trainer(on_epoch=whole.append, **extra)
    expected = unbroken.fit(FEW, VALIDATION)

    def kill(event: UpdateEnd) -> None:
        if event.update == moment:
            raise Killed

    path, parts = tmp_path / "checkpoint.safetensors", list[EpochEnd]()
    options = {"on_epoch": parts.append, "checkpoint": path, "checkpoint_minutes": 0.0}
    options |= extra
    with pytest.raises(Killed):
        trainer(on_update=kill, **options).fit(FEW, VALIDATION)
    torch.rand(3)  # the generator of a new process stands elsewhere
    resumed = trainer(**options)
    assert resumed.state.updates == moment - 1
    result = resumed.fit(FEW, VALIDATION)
    assert history(parts) == history(whole)
    assert (result.updates, result.tokens) == (expected.updates, expected.tokens)
    assert result.best_epoch == expected.best_epoch
    for one, other in zip(resumed.network.parameters(), unbroken.network.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_finished_training_is_not_trained_further(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    first = trainer(checkpoint=path)
    result = first.fit(TRAIN, VALIDATION)
    again = trainer(checkpoint=path).fit(TRAIN, VALIDATION)
    assert again == result


def test_a_full_disk_costs_neither_training_nor_the_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "checkpoint.safetensors"
    trainer(checkpoint=path, max_epochs=1).fit(TRAIN, VALIDATION)
    good = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    one = trainer(checkpoint=path, max_epochs=3)
    one.state.stopped = ""
    with pytest.warns(UserWarning, match="No space left"):
        one.fit(TRAIN, VALIDATION)
    assert path.read_bytes() == good
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_damaged_checkpoint_raises_an_error_of_one_line(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    trainer(checkpoint=path, max_epochs=1).fit(TRAIN, VALIDATION)
    whole = path.read_bytes()
    for damaged in (b"", whole[:-100], b"\x80\x04pickle" * 9):
        path.write_bytes(damaged)
        with pytest.raises(TrainingError, match=r"checkpoint\.safetensors") as error:
            trainer(checkpoint=path)
        assert len(str(error.value).splitlines()) == 1


def test_a_checkpoint_of_another_network_says_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    trainer(checkpoint=path, max_epochs=1).fit(TRAIN, VALIDATION)
    larger = make_network(MODEL, 13, 2, 1)
    with pytest.raises(
        TrainingError, match=r"size mismatch for embedding\.weight.*Delete this file"
    ):
        Trainer(larger, TRAINER, OPTIMIZER, seed=1, checkpoint=path)


def test_averaged_weights_are_the_moving_average_of_all_updates() -> None:
    seen: list[torch.Tensor] = []
    one = trainer(
        average_decay=0.8,
        max_epochs=2,
        on_update=lambda event: seen.append(one.network.head.weight.detach().clone()),
    )
    expected = one.network.head.weight.detach().clone()
    one.fit(TRAIN, VALIDATION)
    for update, weight in enumerate(seen, start=1):
        decay = min(0.8, (1 + update) / (10 + update))
        expected = decay * expected + (1 - decay) * weight
    torch.testing.assert_close(one.average.weights["head.weight"], expected)


def test_validation_and_the_best_weights_are_the_average() -> None:
    epochs: list[EpochEnd] = []
    one = trainer(average_decay=0.9, max_epochs=3, patience=9, on_epoch=epochs.append)
    result = one.fit(TRAIN, VALIDATION)
    scores = score_logits(VALIDATION.labels, one.logits(VALIDATION))[0]
    assert scores == pytest.approx(result.best_metrics)
    best = epochs[result.best_epoch - 1].metrics
    assert scores["macro_f1"] == pytest.approx(best["validation/macro_f1"])


def test_a_training_does_not_import_the_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch._dynamo", None)  # now an import of it fails
    one = trainer(max_updates=2)
    one.fit(TRAIN, VALIDATION)
    one.optimizer.load_state_dict(one.optimizer.state_dict())
