"""CUDA graphs that are captured once and replayed, with a stand-in for the GPU."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch

from nlp_rnn.config.training import Schedule
from nlp_rnn.training.cuda_graphs import CudaGraphStep, can_use_cuda_graphs
from nlp_rnn.training.prefetch import PINNING, DeviceBatch, DeviceUpdate
from nlp_rnn.training.processes import SINGLE_PROCESS, Processes
from tests.resolved_options import optimizer_options, trainer_options

CUDA = torch.device("cuda")


class Step:
    """Its result is a sum of all that it is given; under a recorder it can be made again."""

    def __init__(self) -> None:
        self.optimizer = SimpleNamespace(
            param_groups=[{"lr": 0.5, "capturable": False}, {"lr": 0.25, "capturable": False}]
        )
        self.calls = 0
        self.again = lambda: None

    def __call__(self, update, weights):  # type: ignore[no-untyped-def]
        self.calls += 1
        result = {name: torch.zeros(()) for name in weights}, torch.zeros(())
        rates = [group["lr"] for group in self.optimizer.param_groups]

        def make() -> None:
            total = sum(float(tensor.sum()) for tensor in update.tensors())
            for name, value in result[0].items():
                value.fill_(float(weights[name]) * total)
            result[1].fill_(sum(map(float, rates)))

        make()
        self.again = make
        return result


@pytest.fixture
def step(monkeypatch: pytest.MonkeyPatch) -> Step:
    step = Step()

    class Graph:
        def replay(self) -> None:
            self.make()

        def pool(self) -> tuple[int, int]:
            return (0, 1)

    class Recorder(nullcontext):
        def __init__(self, graph: Graph, pool: object, capture_error_mode: str) -> None:
            super().__init__()
            assert PINNING.locked()
            self.graph = graph

        def __exit__(self, *_: object) -> None:
            assert all(group["capturable"] for group in step.optimizer.param_groups)
            self.graph.make = step.again

    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", Recorder)
    return step


def update(value: int, steps: int = 4, vocabulary: int | None = None) -> DeviceUpdate:
    batch = DeviceBatch(
        torch.full((2, steps), value), torch.full((2,), value), torch.full((2,), value)
    )
    tokens = None if vocabulary is None else torch.full((vocabulary,), value)
    return DeviceUpdate([batch], [1.0], [1.0], tokens)


def test_all_but_the_first_of_a_shape_are_replayed_with_their_own_numbers(
    step: Step,
) -> None:
    graph_step = CudaGraphStep(step)
    for number in range(1, 6):
        rate = number / 8
        for group in step.optimizer.param_groups:
            group["lr"] = rate
        losses, norm = graph_step(update(number), {"labels": 1.0, "language_model": number / 10})
        assert float(losses["labels"]) == 12 * number
        assert float(losses["language_model"]) == pytest.approx(1.2 * number**2)
        assert float(norm) == 2 * rate
        for group in step.optimizer.param_groups:
            assert group == {"lr": rate, "capturable": False}
    assert step.calls == 2  # once as it is, once recorded


def test_each_shape_and_each_set_of_losses_has_its_own_graph(step: Step) -> None:
    graph_step = CudaGraphStep(step)
    kinds = [
        (update(1), {"labels": 1.0}),
        (update(1, steps=8), {"labels": 1.0}),
        (update(1, vocabulary=5), {"labels": 1.0}),
        (update(1), {"labels": 1.0, "r_drop": 1.0}),
    ]
    for _ in range(3):
        for device_update, weights in kinds:
            graph_step(device_update, weights)
    assert step.calls == 2 * len(kinds)
    graph_step.reset()
    graph_step(*kinds[0])
    assert step.calls == 2 * len(kinds) + 1


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"r_drop": 1.0, "language_model": 0.5, "prefixes": True}, True),
        ({"accumulation": 2}, False),
        ({"adversarial": 1.0}, False),
        ({"virtual_adversarial": 1.0}, False),
    ],
    ids=str,
)
def test_what_can_be_captured(changes: dict[str, float], expected: bool) -> None:
    config = trainer_options(**{"batch_size": 16} | changes)  # type: ignore[arg-type]
    optimizer = optimizer_options()
    assert can_use_cuda_graphs(config, optimizer, CUDA, SINGLE_PROCESS) is expected
    assert not can_use_cuda_graphs(config, optimizer, torch.device("cpu"), SINGLE_PROCESS)
    assert not can_use_cuda_graphs(config, optimizer, CUDA, Processes(0, 2, 0, 2))
    one_cycle = optimizer_options(schedule=Schedule.one_cycle)
    assert not can_use_cuda_graphs(config, one_cycle, CUDA, SINGLE_PROCESS)
