"""The encoder against a written-out loop of gates, and its promise about padding and company."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor, nn

from nlp_rnn.layers import gru_loop as gru
from nlp_rnn.layers.gru_loop import gru_states
from nlp_rnn.layers.pooling_modules import DirectionPooling
from nlp_rnn.model.architecture import Architecture
from nlp_rnn.model.encoder import RecurrentEncoder
from nlp_rnn.model.parallel import set_thread_count

CELLS = ("lstm", "gru", "rnn")
EMBEDDING, HIDDEN = 5, 4


def architecture(cell: str, num_layers: int = 1, bidirectional: bool = True) -> Architecture:
    return Architecture(cell, 20, 3, EMBEDDING, HIDDEN, num_layers, bidirectional, "max")


def make_encoder(cell: str, num_layers: int = 1, bidirectional: bool = True) -> RecurrentEncoder:
    torch.manual_seed(0)
    return RecurrentEncoder(architecture(cell, num_layers, bidirectional))


def lstm_step(x: Tensor, state: tuple[Tensor, Tensor], w: list[Tensor]) -> tuple[Tensor, Tensor]:
    h, c = state
    i, f, g, o = (w[0] @ x + w[2] + w[1] @ h + w[3]).chunk(4)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def gru_step(x: Tensor, state: tuple[Tensor, Tensor], w: list[Tensor]) -> tuple[Tensor, Tensor]:
    h = state[0]
    from_x, from_h = (w[0] @ x + w[2]).chunk(3), (w[1] @ h + w[3]).chunk(3)
    r = torch.sigmoid(from_x[0] + from_h[0])
    z = torch.sigmoid(from_x[1] + from_h[1])
    n = torch.tanh(from_x[2] + r * from_h[2])
    h = (1 - z) * n + z * h
    return h, h


def rnn_step(x: Tensor, state: tuple[Tensor, Tensor], w: list[Tensor]) -> tuple[Tensor, Tensor]:
    h = torch.tanh(w[0] @ x + w[2] + w[1] @ state[0] + w[3])
    return h, h


STEP = {"lstm": lstm_step, "gru": gru_step, "rnn": rnn_step}


def one_direction(cell: str, text: Tensor, weights: list[Tensor]) -> list[Tensor]:
    state = (torch.zeros(HIDDEN), torch.zeros(HIDDEN))
    states = []
    for x in text:
        state = STEP[cell](x, state, weights)
        states.append(state[0])
    return states


def reference(encoder: RecurrentEncoder, cell: str, text: Tensor) -> Tensor:
    """States (T, D) of one text (T, E), gate by gate."""
    steps = text
    for layer in range(encoder.num_layers):

        def weights(suffix: str, layer: int = layer) -> list[Tensor]:
            names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            return [getattr(encoder.rnn, f"{name}_l{layer}{suffix}") for name in names]

        forward = torch.stack(one_direction(cell, steps, weights("")))
        if encoder.bidirectional:
            flipped = one_direction(cell, steps.flip(0), weights("_reverse"))
            steps = torch.cat([forward, torch.stack(flipped[::-1])], dim=1)
        else:
            steps = forward
    return steps


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("num_layers", [1, 2, 3])
@pytest.mark.parametrize("cell", CELLS)
def test_equals_a_loop_of_gates_forward_and_backward(
    cell: str, num_layers: int, bidirectional: bool, threads: int
) -> None:
    encoder = make_encoder(cell, num_layers, bidirectional)
    lengths = torch.tensor([7, 1, 4])
    texts = torch.randn(7, 3, EMBEDDING)
    weight = torch.randn(7, 3, HIDDEN * (2 if bidirectional else 1))
    for column, length in enumerate(lengths):
        weight[length:, column] = 0.0

    def gradients(loss: Tensor) -> list[Tensor]:
        return list(torch.autograd.grad(loss, [texts, *encoder.parameters()]))

    texts.requires_grad_(True)
    expected_loss = torch.zeros(())
    expected_states = []
    for column, length in enumerate(lengths):
        states = reference(encoder, cell, texts[:length, column])
        expected_states.append(states.detach())
        expected_loss = expected_loss + (states * weight[:length, column]).sum()
    expected = gradients(expected_loss)
    set_thread_count(threads)
    try:
        states = encoder(texts, lengths)
        actual = gradients((states * weight).sum())
    finally:
        set_thread_count(1)
    for column, length in enumerate(lengths):
        torch.testing.assert_close(
            states[:length, column], expected_states[column], rtol=1e-5, atol=1e-6
        )
    for one, other in zip(actual, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("cell", CELLS)
def test_equals_torch_with_packing(cell: str, num_layers: int) -> None:
    encoder = make_encoder(cell, num_layers)
    lengths = torch.tensor([6, 6, 3, 1])
    texts = torch.randn(6, 4, EMBEDDING)
    packed = nn.utils.rnn.pack_padded_sequence(texts, lengths)
    layer = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}[cell]
    torch_encoder = layer(EMBEDDING, HIDDEN, num_layers, bidirectional=True)
    torch_encoder.load_state_dict(encoder.rnn.state_dict())
    expected, _ = nn.utils.rnn.pad_packed_sequence(torch_encoder(packed)[0])
    states = encoder(texts, lengths)
    for column, length in enumerate(lengths):
        torch.testing.assert_close(states[:length, column], expected[:length, column])


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("cell", CELLS)
def test_what_is_beyond_a_length_never_changes_the_result(cell: str, bidirectional: bool) -> None:
    encoder = make_encoder(cell, 2, bidirectional)
    lengths = torch.tensor([3, 5])
    texts = torch.randn(5, 2, EMBEDDING)
    states = encoder(texts, lengths)
    noisy = texts.clone()
    noisy[3:, 0] = 1e6
    torch.testing.assert_close(encoder(noisy, lengths)[:3, 0], states[:3, 0], rtol=0, atol=0)
    alone = encoder(texts[:3, :1], lengths[:1])
    torch.testing.assert_close(alone[:, 0], states[:3, 0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("cell", CELLS)
def test_lanes_give_the_same_bits_as_one_thread(cell: str, precision: str) -> None:
    if precision == "bf16" and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        pytest.skip("this processor computes no bfloat16")
    encoder = make_encoder(cell, 2)
    texts, lengths = torch.randn(30, 4, EMBEDDING), torch.tensor([30, 8, 2, 1])
    results = []
    for threads in (1, 2, 2, 2):
        set_thread_count(threads)
        try:
            encoder.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
                states = encoder(texts, lengths)
            states.float().sum().backward()
        finally:
            set_thread_count(1)
        results.append([states.detach(), *(p.grad.clone() for p in encoder.parameters())])
    for other in results[1:]:
        assert all(map(torch.equal, results[0], other))


@pytest.mark.parametrize("cell", CELLS)
def test_orthogonal_initialization_and_total_forget_bias(cell: str) -> None:
    encoder = make_encoder(cell, 2)
    forget_bias = 1.5 if cell != "rnn" else None
    encoder.initialize(orthogonal=True, forget_bias=forget_bias)
    for gate in encoder.rnn.weight_hh_l1_reverse.detach().split(HIDDEN):
        torch.testing.assert_close(gate @ gate.T, torch.eye(HIDDEN), rtol=0, atol=1e-5)
    total = (encoder.rnn.bias_ih_l0 + encoder.rnn.bias_hh_l0).detach()
    expected = torch.zeros_like(total)
    if forget_bias is not None:
        expected[HIDDEN : 2 * HIDDEN] = 1.5
    assert torch.equal(total, expected)


@pytest.mark.parametrize("kind", ["last", "max_mean"])
@pytest.mark.parametrize(("layers", "bidirectional"), [(1, True), (2, True), (2, False)])
def test_pooled_where_it_is_read_is_pooled_afterwards(
    kind: str, layers: int, bidirectional: bool
) -> None:
    encoder = make_encoder("lstm", layers, bidirectional)
    pooling = DirectionPooling(kind, bidirectional)
    texts, lengths = torch.randn(6, 4, EMBEDDING, requires_grad=True), torch.tensor([6, 1, 4, 3])
    results = []
    for pooled in (encoder(texts, lengths, pooling), pooling(encoder(texts, lengths), lengths)):
        weight = torch.linspace(-1, 1, pooled.numel()).view_as(pooled)
        wanted = [texts, *encoder.parameters()]
        results.append([pooled, *torch.autograd.grad((pooled * weight).sum(), wanted)])
    torch.testing.assert_close(results[0], results[1])


def test_uniform_initialization_is_torchs_own_range() -> None:
    encoder = make_encoder("gru")
    encoder.initialize(orthogonal=False, forget_bias=1.0)
    weight = encoder.rnn.weight_hh_l0.detach()
    assert weight.abs().max() <= HIDDEN**-0.5
    assert weight.std() > 0.2


def test_a_forget_bias_keeps_the_state_longer() -> None:
    """The sign and the place of the bias: with a large one the first step is remembered."""
    for cell in ("lstm", "gru"):
        retained = []
        for bias in (-6.0, 6.0):
            encoder = make_encoder(cell, bidirectional=False)
            torch.manual_seed(1)
            encoder.initialize(orthogonal=True, forget_bias=bias)
            first = torch.randn(1, 1, EMBEDDING, requires_grad=True)
            texts = torch.cat([first, torch.randn(15, 1, EMBEDDING)])
            encoder(texts, torch.tensor([16]))[-1].sum().backward()
            retained.append(float(first.grad.norm()))
        assert retained[1] > 100 * retained[0], cell


@pytest.mark.parametrize("steps", [1, 15, 16, 17, 40])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_written_out_gru_equals_torchs_in_both_precisions(precision: str, steps: int) -> None:
    torch.manual_seed(0)
    layer = nn.GRU(EMBEDDING, HIDDEN)
    weights = [getattr(layer, name) for name in ("weight_ih_l0", "weight_hh_l0")]
    weights += [getattr(layer, name) for name in ("bias_ih_l0", "bias_hh_l0")]
    texts = torch.randn(steps, 3, EMBEDDING, requires_grad=True)
    weight = torch.randn(steps, 3, HIDDEN)

    def gradients(states: Tensor) -> list[Tensor]:
        actual = torch.autograd.grad((states * weight).sum(), [texts, *weights])
        return [states.detach(), *actual]

    expected = gradients(layer(texts)[0])
    low = precision == "bf16"
    with torch.autocast("cpu", torch.bfloat16, enabled=low):
        actual = gradients(gru_states(texts, *weights))
    assert actual[0].dtype is torch.float32
    for one, other in zip(actual, expected, strict=True):
        scale = float(other.abs().max())
        assert float((one - other).abs().max()) <= (0.02 if low else 1e-5) * scale


def test_the_written_out_gru_gives_the_same_bits_in_python_and_outside(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoder, texts = make_encoder("gru", 2), torch.randn(20, 3, EMBEDDING)
    results = []
    for loops in ([gru._forward, gru._backward], []):
        monkeypatch.setattr(gru, "_LOOPS", loops)
        encoder.zero_grad()
        states = encoder(texts, torch.tensor([20, 9, 1]))
        states.sum().backward()
        results.append([states.detach(), *(p.grad.clone() for p in encoder.parameters())])
    assert isinstance(gru._LOOPS[0], torch.jit.ScriptFunction)
    for one, two in zip(*results, strict=True):
        assert torch.equal(one, two)


def test_two_directions_at_once_make_the_loops_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """`ast.parse` in two threads at once fails now and then in Python 3.11."""
    monkeypatch.setattr(gru, "_LOOPS", [])
    inside, most, calls = 0, 0, 0

    def script(function: Callable[..., None]) -> Callable[..., None]:
        nonlocal inside, most, calls
        inside, calls = inside + 1, calls + 1
        most = max(most, inside)
        time.sleep(0.05)
        inside -= 1
        return function

    monkeypatch.setattr(torch.jit, "script", script)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: gru._loops(), range(4)))
    assert (calls, most) == (2, 1)


def test_a_slow_state_is_not_rounded_away_in_bf16() -> None:
    """torch's own GRU keeps its state in bfloat16, where small changes are lost."""
    hidden, steps = 1, 400
    weight = torch.zeros(3 * hidden, 1)
    bias = torch.tensor([0.0, 7.0, 5.0])  # the update gate all but shut, the new state near 1
    with torch.autocast("cpu", torch.bfloat16):
        states = gru_states(torch.zeros(steps, 1, 1), weight, weight, bias, torch.zeros(3))
    exact = 1 - torch.sigmoid(torch.tensor(7.0)) ** steps
    assert float(states[-1]) == pytest.approx(float(exact), rel=0.01)
