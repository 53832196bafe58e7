"""Functions in threads: results and gradients equal plain calls, in the caller's modes."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch

from nlp_rnn.model.parallel import retain_graphs, run_in_threads, set_thread_count, thread_count


@pytest.fixture(autouse=True)
def _two_threads() -> Iterator[None]:
    set_thread_count(2)
    yield
    set_thread_count(1)


def product(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    return torch.tanh(left @ right)


def test_results_and_gradients_are_those_of_plain_calls() -> None:
    torch.manual_seed(0)
    shared = torch.randn(3, 3, requires_grad=True)
    inputs = [[torch.randn(2, 3, requires_grad=True), shared] for _ in range(2)]
    flat = [inputs[0][0], inputs[1][0], shared]
    expected = [product(*tensors) for tensors in inputs]
    expected_gradients = torch.autograd.grad(expected[0].sum() + (2 * expected[1]).sum(), flat)
    actual = run_in_threads([product, product], inputs)
    assert all(map(torch.equal, actual, expected))
    gradients = torch.autograd.grad(actual[0].sum() + (2 * actual[1]).sum(), flat)
    for one, other in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_gradients_can_be_computed_again_where_graphs_are_retained() -> None:
    weight = torch.randn(3, 3, requires_grad=True)
    inputs = [[torch.randn(2, 3), weight] for _ in range(2)]
    with retain_graphs():
        actual = torch.stack(run_in_threads([product, product], inputs)).sum()
    first = torch.autograd.grad(actual, weight, retain_graph=True)
    assert torch.equal(torch.autograd.grad(actual, weight)[0], first[0])


def test_a_gradient_does_not_wait_for_sympy() -> None:
    code = """
import sys, torch
from nlp_rnn.model.parallel import run_in_threads, set_thread_count
set_thread_count(2)
weight = torch.ones(3, 3, requires_grad=True)
sum(run_in_threads([torch.mm] * 2, [[torch.ones(2, 3), weight]] * 2)).sum().backward()
assert weight.grad.sum() == 36
sys.exit("sympy" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_input_without_gradient_gets_none() -> None:
    plain, weight = torch.randn(2, 3), torch.randn(3, 3, requires_grad=True)
    one, two = run_in_threads([product, product], [[plain, weight], [plain, weight]])
    (one.sum() + two.sum()).backward()
    assert plain.grad is None
    assert weight.grad is not None


def test_modes_of_the_caller_hold_in_every_thread() -> None:
    inputs = [[torch.randn(2, 3), torch.randn(3, 3)]] * 2
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        for result in run_in_threads([product, product], inputs):
            assert result.is_inference()
            assert result.dtype is torch.bfloat16


def test_an_error_in_a_thread_reaches_the_caller() -> None:
    def broken(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        raise ValueError("in a thread")

    inputs = [[torch.randn(2, 3), torch.randn(3, 3)]] * 2
    with pytest.raises(ValueError, match="in a thread"):
        run_in_threads([product, broken], inputs)
    assert thread_count() == 2
