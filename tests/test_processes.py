"""Two processes train as one does: the same losses, the same bits after a stop."""

import dataclasses
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch.distributed import TCPStore

from nlp_rnn.config.training import Precision
from nlp_rnn.errors import ConfigError
from nlp_rnn.model.network import make_network
from nlp_rnn.training.device import choose_device, threads_per_process
from nlp_rnn.training.events import EpochEnd, UpdateEnd
from nlp_rnn.training.processes import SINGLE_PROCESS, Processes, process_group
from nlp_rnn.training.trainer import Trainer
from tests import warm
from tests.test_trainer import MODEL, OPTIMIZER, TRAINER, VALIDATION, which_came_first

TRAIN = which_came_first(95, 0)
WITHOUT_DROPOUT = dataclasses.replace(MODEL, embedding_dropout=0.0, head_dropout=0.0)
COMMON = {
    "max_epochs": 2,
    "batch_size": 16,
    "log_gradient_norm": True,
    "precision": Precision.fp32,
}
CASES: dict[str, dict[str, object]] = {
    "plain": {},
    # 95 texts: the last batch has one text for two processes
    "a batch of one text": {"batch_size": 2, "max_epochs": 1},
    "accumulation": {"accumulation": 4},
    "average": {"average_decay": 0.9},
    "a limit": {"max_updates": 8},
    "a language model": {"language_model": 0.5, "accumulation": 2},
    "r_drop": {"r_drop": 1.0},
    "adversarial and a language model": {
        **{"adversarial": 1.0, "perturbation": 1.0, "language_model": 0.5, "r_drop": 1.0},
    },
    "adversarial": {"adversarial": 1.0, "accumulation": 2, "perturbation": 1.0},
    "averaged weights": {"accumulation": 2, "average_decay": 0.9},
}
EVERY = {"language_model": 0.5, "r_drop": 0.5, "adversarial": 0.5, "virtual_adversarial": 0.5}
MOMENT = 7


def fit(
    processes: Processes, options: dict[str, object]
) -> tuple[list[EpochEnd], list[torch.Tensor]]:
    epochs: list[EpochEnd] = []
    one = Trainer(
        make_network(WITHOUT_DROPOUT, 12, 2, 1),
        dataclasses.replace(TRAINER, **(COMMON | options)),
        OPTIMIZER,
        seed=1,
        on_epoch=epochs.append,
        processes=processes,
    )
    if (language_model := one.network.language_model) is not None:
        language_model.state_dropout = language_model.token_dropout = 0.0
    one.fit(TRAIN, VALIDATION)
    one.network.finish_training()
    return epochs, [parameter.detach() for parameter in one.network.parameters()]


def stop_and_go(processes: Processes, folder: Path) -> list[list[torch.Tensor]]:
    """The weights of a training with dropout, and of one that went on from its middle."""
    weights = []

    def keep(event: UpdateEnd) -> None:
        if event.update == MOMENT and processes.first:
            shutil.copy(folder / "whole", folder / "part")

    for name in ("whole", "part"):
        one = Trainer(
            make_network(MODEL, 12, 2, 1),
            dataclasses.replace(TRAINER, **COMMON, **EVERY, checkpoint_minutes=0.0),
            OPTIMIZER,
            seed=1,
            on_update=keep if name == "whole" else lambda event: None,
            checkpoint=folder / name,
            processes=processes,
        )
        if name == "part":
            assert one.state.updates == MOMENT - 1
        one.fit(TRAIN, VALIDATION)
        one.network.finish_training()
        weights.append([parameter.detach() for parameter in one.network.parameters()])
    return weights


def run_all(processes: Processes, store: TCPStore, folder: Path) -> tuple[dict, list]:
    with process_group(processes, store):
        assert processes.broadcast_text("ä first" if processes.first else "") == "ä first"
        return {name: fit(processes, options) for name, options in CASES.items()}, stop_and_go(
            processes, folder
        )


def second(port: int, folder: Path) -> None:
    store = TCPStore("127.0.0.1", port, 2, is_master=False)
    run_all(Processes(1, 2, 1, 2), store, folder)
    os._exit(0)  # at once, as `follow` does: taken down, torch aborts once in a while


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict, list]]:
    folder = tmp_path_factory.mktemp("two")
    store = TCPStore("127.0.0.1", 0, 2, is_master=True, wait_for_workers=False)
    process = warm.processes().Process(target=second, args=(store.port, folder), daemon=True)
    process.start()
    yield run_all(Processes(0, 2, 0, 2), store, folder)
    process.join(20)
    assert process.exitcode == 0


@pytest.mark.parametrize("name", list(CASES))
def test_two_processes_give_the_losses_and_weights_of_one(name: str, two: tuple) -> None:
    expected, weights = fit(SINGLE_PROCESS, CASES[name])
    actual, other_weights = two[0][name]
    assert len(actual) == len(expected)
    for one, other in zip(actual, expected, strict=True):
        assert one.update == other.update
        keys = ["train/loss", "validation/loss", "train/gradient_norm"]
        parts = ("language_model", "r_drop", "adversarial")
        keys += [f"train/{part}_loss" for part in parts if part in CASES[name]]
        for key in keys:
            assert one.metrics[key] == pytest.approx(other.metrics[key], abs=1e-4), key
    for one, other in zip(weights, other_weights, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=2e-3)


def test_two_processes_that_were_stopped_are_resumed_to_the_same_bits(two: tuple) -> None:
    whole, part = two[1]
    assert all(map(torch.equal, whole, part))


def test_processes_share_cores_and_need_a_gpu_each(monkeypatch: pytest.MonkeyPatch) -> None:
    two = Processes(1, 2, 1, 2)
    assert threads_per_process(4, two) == 2
    assert threads_per_process(1, two) == 1
    assert choose_device("cpu", two) == torch.device("cpu")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert choose_device("auto", two) == torch.device("cuda:1")
    for name, count in (("cuda:0", 2), ("cuda", 3)):
        with pytest.raises(ConfigError, match="trainer.device=cpu"):
            choose_device(name, Processes(0, count, 0, count))
