"""Each pooling against a plain computation text by text."""

import pytest
import torch

from nlp_rnn.layers.poolings import POOLINGS
from nlp_rnn.model.architecture import Architecture
from nlp_rnn.model.encoder import reversal_index, reverse_texts

HIDDEN = 3


def pool(kind: str, steps: torch.Tensor, lengths: torch.Tensor, bidirectional: bool = True):
    torch.manual_seed(0)
    hidden = steps.shape[2] // (2 if bidirectional else 1)
    sizes = Architecture("gru", 10, 2, 4, hidden, 1, bidirectional, kind)
    pooling = POOLINGS[kind].module(sizes.output_size, bidirectional)
    return pooling, pooling(steps, lengths)


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("kind", ["last", "mean", "max", "max_mean", "attention"])
def test_equals_a_plain_computation_and_ignores_padding(kind: str, bidirectional: bool) -> None:
    lengths = torch.tensor([4, 1, 3])
    steps = torch.randn(4, 3, 2 * HIDDEN) - 5.0  # all below 0, so that padded zeros would win
    for column, length in enumerate(lengths):
        steps[length:, column] = 1e4
    pooling, pooled = pool(kind, steps, lengths, bidirectional)
    for column, length in enumerate(lengths):
        text = steps[:length, column]
        if kind == "last":
            expected = text[-1]
            if bidirectional:
                expected = torch.cat([text[-1, :HIDDEN], text[0, HIDDEN:]])
        elif kind == "attention":
            score = torch.tanh(pooling.projection(text)) @ pooling.query
            expected = score.softmax(0) @ text
        else:
            parts = {"mean": [text.mean(0)], "max": [text.max(0).values]}
            expected = torch.cat(parts.get(kind) or parts["max"] + parts["mean"])
        torch.testing.assert_close(pooled[column], expected)


@pytest.mark.parametrize("kind", ["last", "mean", "max", "max_mean"])
@pytest.mark.parametrize("sides", [1, 2])
def test_directions_pooled_by_themselves_are_the_same(kind: str, sides: int) -> None:
    lengths = torch.tensor([4, 2, 3])
    states = torch.randn(4, 3, sides * HIDDEN)
    pooling, expected = pool(kind, states, lengths, bidirectional=sides == 2)
    directions = list(states.split(HIDDEN, dim=2))
    if sides == 2:
        directions[1] = reverse_texts(directions[1], reversal_index(lengths, 4))
    actual = pooling.join([pooling.direction(side, lengths) for side in directions])
    torch.testing.assert_close(actual, expected)


def test_more_equal_maxima_than_a_byte_can_count_share_the_gradient() -> None:
    steps = torch.zeros(600, 1, 2 * HIDDEN, requires_grad=True)
    _, pooled = pool("max", steps, torch.tensor([512]))
    pooled.sum().backward()
    torch.testing.assert_close(steps.grad[:512], torch.full((512, 1, 2 * HIDDEN), 1 / 512))
    assert not steps.grad[512:].any()


@pytest.mark.parametrize("kind", ["mean", "max", "max_mean"])
@pytest.mark.parametrize("others", [[1, 3], [4, 4]])
def test_the_written_gradient_is_autograds(kind: str, others: list[int]) -> None:
    torch.manual_seed(0)
    lengths = torch.tensor([4, *others])
    # few different values, so that maxima are shared, as among the states of a bf16 LSTM
    steps = torch.randint(-2, 2, (4, 3, 2 * HIDDEN)).float().requires_grad_(True)
    _, pooled = pool(kind, steps, lengths)
    weight = torch.randn_like(pooled)
    (actual,) = torch.autograd.grad((pooled * weight).sum(), steps)
    texts = [steps[:length, column] for column, length in enumerate(lengths)]
    parts = {"max": [text.amax(0) for text in texts], "mean": [text.mean(0) for text in texts]}
    expected = torch.cat([torch.stack(parts[part]) for part in kind.split("_")], dim=1)
    (expected_gradient,) = torch.autograd.grad((expected * weight).sum(), steps)
    torch.testing.assert_close(actual, expected_gradient)
    assert not actual[others[0] :, 1].any()
