"""The loss of tokens against torch's own, whole and sampled, gradients too."""

import pytest
import torch
from torch import Tensor, nn

from nlp_rnn.model import chunked_cross_entropy as softmax
from nlp_rnn.model.chunked_cross_entropy import IGNORED, token_losses

ROWS, SIZE, TOKENS = 23, 5, 11


def tensors(seed: int = 0) -> list[Tensor]:
    torch.manual_seed(seed)
    states, output = torch.randn(ROWS, SIZE), torch.randn(TOKENS, SIZE)
    return [t.requires_grad_() for t in (states, output, torch.randn(TOKENS))]


def targets() -> Tensor:
    rows = torch.randint(0, TOKENS, (ROWS,), generator=torch.Generator().manual_seed(1))
    rows[3] = IGNORED
    return rows


@pytest.mark.parametrize("at_once", [1, 4 * TOKENS, 1 << 20], ids=["rows", "pieces", "whole"])
def test_loss_and_gradients_are_torchs(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(softmax, "LOGITS_AT_ONCE", at_once)
    ours, torchs = tensors(), tensors()
    loss = token_losses(*ours, targets())
    states, output, bias = torchs
    expected = nn.functional.cross_entropy(
        states @ output.t() + bias, targets(), reduction="sum", ignore_index=IGNORED
    )
    torch.testing.assert_close(loss, expected)
    (3 * loss).backward()
    (3 * expected).backward()
    for one, other in zip(ours, torchs, strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_corrections_spare_the_answer() -> None:
    ours, torchs = tensors(), tensors()
    corrections = torch.rand(TOKENS)
    token_losses(*ours, targets(), corrections).backward()
    states, output, bias = torchs
    logits = states @ output.t() + bias - corrections
    real = targets() != IGNORED
    row, target = real.nonzero().flatten(), targets()[real]
    others = torch.zeros_like(logits)
    others[row, target] = corrections[target]
    expected = nn.functional.cross_entropy(
        logits + others, targets(), reduction="sum", ignore_index=IGNORED
    )
    expected.backward()
    torch.testing.assert_close(token_losses(*ours, targets(), corrections), expected)
    for one, other in zip(ours, torchs, strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_sampled_sums_are_right_on_average() -> None:
    """A token counts as much as it was unlikely to be there, so the sum over all is met."""
    torch.manual_seed(2)
    logits, chances, target = torch.randn(40), torch.rand(40) * 0.8 + 0.2, 7
    whole, sums = float(logits.exp().sum()), []
    for _ in range(1500):
        there = torch.rand(40) < chances
        there[target] = True
        tokens = there.nonzero().flatten()
        loss = token_losses(
            torch.ones(1, 1),
            logits[tokens].unsqueeze(1),
            torch.zeros(len(tokens)),
            torch.searchsorted(tokens, torch.tensor([target])),
            chances[tokens].log(),
        )
        sums.append(float((loss + logits[target]).exp()))
    assert sum(sums) / len(sums) == pytest.approx(whole, rel=0.03)


def test_nothing_to_foretell_costs_nothing() -> None:
    states, output, bias = tensors()
    loss = token_losses(states[:0], output, bias, targets()[:0])
    loss.backward()
    assert loss == 0
    assert not output.grad.any()


def test_without_gradients_none_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.inference_mode():
        loss = token_losses(*tensors(), targets())
    torch.testing.assert_close(loss, token_losses(*tensors(), targets()).detach())
