"""Language models: a known entropy is met, windows and directions agree, a stop changes nothing."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nlp_rnn.config.model import GatedConfig
from nlp_rnn.config.pretraining import PretrainingConfig
from nlp_rnn.config.training import Precision, TrainerConfig
from nlp_rnn.errors import TrainingError
from nlp_rnn.model.network import make_network
from nlp_rnn.pretraining.language_models import LanguageModels
from nlp_rnn.pretraining.pretrainer import Pretrainer, default_epochs
from nlp_rnn.pretraining.token_stream import BOUNDARY_ID, StreamWindows, TokenTexts
from nlp_rnn.training.events import UpdateEnd
from tests.test_trainer import needs_bf16

TRAINER = TrainerConfig(threads=1, precision=Precision.fp32)
SMALL = PretrainingConfig(max_epochs=2, batch_size=4, window=8, dropout=0.3)
VOCABULARY = 40


def models(cell: str = "lstm", dropout: float = 0.0, **changes: object) -> LanguageModels:
    model = GatedConfig(name=cell, cell=cell, embedding_size=6, hidden_size=5)
    return LanguageModels(
        make_network(replace(model, **changes), VOCABULARY, 1, seed=1), 1, dropout
    )


def texts(count: int = 30, length: int = 20, seed: int = 0) -> TokenTexts:
    generator = np.random.default_rng(seed)
    lengths = generator.integers(1, length, count)
    return TokenTexts(generator.integers(2, VOCABULARY, lengths.sum()).astype(np.int32), lengths)


def chain(tokens: int, seed: int) -> TokenTexts:
    """Each token is followed by one of two, three times out of four by the first."""
    generator = np.random.default_rng(seed)
    steps = generator.choice([1, 7], size=tokens, p=[0.75, 0.25])
    walk = np.cumsum(steps) % (VOCABULARY - 2) + 2
    return TokenTexts(walk.astype(np.int32), np.full(tokens // 200, 200))


@pytest.mark.parametrize(("cell", "samples"), [("lstm", 1024), ("gru", 1024), ("lstm", 16)])
def test_the_perplexity_of_a_known_language_is_met(cell: str, samples: int) -> None:
    config = PretrainingConfig(
        max_epochs=3, batch_size=8, window=16, dropout=0.0, learning_rate=0.01, samples=samples
    )
    trainer = Pretrainer(models(cell, hidden_size=16, embedding_size=16), config, TRAINER)
    result = trainer.fit(chain(18_000, 1), chain(2000, 2))
    # beside the two ways on, a boundary and the token after it, once in 201
    entropy = -0.75 * math.log(0.75) - 0.25 * math.log(0.25)
    known = math.exp((199 * entropy + math.log(VOCABULARY - 2)) / 200)
    for direction in ("forward", "backward"):
        perplexity = result.best_metrics[f"validation/perplexity_{direction}"]
        assert known * 0.97 < perplexity < known * 1.12
    assert result.tokens > 3 * 17_000


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("layers", [1, 2])
def test_windows_cost_what_one_long_read_costs(cell: str, layers: int) -> None:
    made = (
        models(cell, bidirectional=layers == 1, num_layers=layers)
        if cell != "rnn"
        else rnn_models(layers)
    ).eval()
    stream = texts().stream()
    sides = (stream, stream[::-1])[: made.architecture.num_directions]
    whole = [next(StreamWindows(side, 1, len(side)).batches()) for side in sides]
    parts = [list(StreamWindows(side, 1, 7).batches()) for side in sides]
    with torch.no_grad():
        expected, _ = made(*as_tensors(whole))
        total, states = torch.zeros(len(sides)), None
        for windows in zip(*parts, strict=True):
            losses, states = made(*as_tensors(windows), states)
            total += losses
    torch.testing.assert_close(total, expected)


def rnn_models(layers: int) -> LanguageModels:
    from nlp_rnn.config.model import RecurrentConfig

    config = RecurrentConfig(
        name="rnn",
        cell="rnn",
        embedding_size=6,
        hidden_size=5,
        num_layers=layers,
        bidirectional=layers == 1,
    )
    return LanguageModels(make_network(config, VOCABULARY, 1, seed=1), 1)


def as_tensors(windows: list) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    return tuple(  # type: ignore[return-value]
        [torch.from_numpy(window[side]) for window in windows] for side in (0, 1)
    )


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_the_backward_model_is_the_forward_one_of_reversed_texts(cell: str) -> None:
    made = models(cell)
    with torch.no_grad():
        for name, parameter in list(made.encoder.rnn.named_parameters()):
            if name.endswith("_reverse"):
                parameter.copy_(getattr(made.encoder.rnn, name.removesuffix("_reverse")))
        made.projections[1].load_state_dict(made.projections[0].state_dict())
    examples = texts()
    backwards = TokenTexts(examples.tokens[::-1].copy(), examples.lengths[::-1].copy())
    trainer = Pretrainer(made, SMALL, TRAINER)
    one, other = trainer.perplexities(examples), trainer.perplexities(backwards)
    assert one["validation/perplexity_backward"] == pytest.approx(
        other["validation/perplexity_forward"]
    )
    assert one["validation/perplexity_forward"] != pytest.approx(
        other["validation/perplexity_forward"], rel=1e-6
    )


def test_states_predict_the_next_token_written_out() -> None:
    made = models().eval()
    stream = texts(3, 6).stream()
    window = next(StreamWindows(stream, 1, len(stream)).batches())
    with torch.no_grad():
        losses, _ = made([torch.from_numpy(window[0])] * 2, [torch.from_numpy(window[1])] * 2)
        tokens = torch.from_numpy(stream.astype(np.int64))
        encoder = torch.nn.LSTM(6, 5, bidirectional=True)
        encoder.load_state_dict(made.encoder.rnn.state_dict())
        states, _ = encoder(made.embedding(tokens[:-1]).unsqueeze(1))
        logits = made.projections[0](states[:, 0, :5]) @ made.embedding.weight.t() + made.bias
        expected = torch.nn.functional.cross_entropy(logits, tokens[1:], reduction="sum")
    torch.testing.assert_close(losses[0], expected)


def test_a_stream_holds_every_text_once_between_boundaries() -> None:
    examples = texts()
    pieces = np.split(examples.tokens, np.cumsum(examples.lengths)[:-1])
    in_order, shuffled = examples.stream(), examples.stream(seed=1, epoch=1)
    assert len(in_order) == examples.stream_length + 1
    expected = [BOUNDARY_ID]
    for piece in pieces:
        expected += [*piece.tolist(), BOUNDARY_ID]
    assert in_order.tolist() == expected
    decoded = "".join(map(chr, shuffled)).strip("\0").split("\0")
    assert sorted(decoded) == sorted("".join(map(chr, piece)) for piece in pieces)
    assert shuffled.tolist() != in_order.tolist()
    assert shuffled.tolist() == examples.stream(seed=1, epoch=1).tolist()
    assert shuffled.tolist() != examples.stream(seed=1, epoch=2).tolist()


def test_sequences_continue_where_they_stopped() -> None:
    stream = texts(100).stream()
    lanes = StreamWindows(stream, 4, 8)
    assert lanes.count == 4
    read, foretold = (np.concatenate(side) for side in zip(*lanes.batches(), strict=True))
    assert read.T.reshape(-1).tolist() == stream[: read.size].tolist()
    assert foretold.T.reshape(-1).tolist() == stream[1 : read.size + 1].tolist()
    assert len(stream) - 1 - read.size < 4
    later = list(lanes.batches(3))
    assert later[0][0].tolist() == list(lanes.batches())[3][0].tolist()
    assert lanes.windows == 3 + len(later)
    tiny = TokenTexts(np.array([5], np.int32), np.array([1]))
    assert StreamWindows(tiny.stream(), 64, 64).count == 1


class StoppedError(Exception):
    pass


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("update", [3, 25], ids=["first", "second"])
def test_one_that_was_stopped_ends_bit_identical(cell: str, update: int, tmp_path: Path) -> None:
    config = replace(SMALL, samples=10, checkpoint_minutes=0.0)
    examples = texts(60), texts(10, seed=1)

    def made(stop: int = 0) -> Pretrainer:
        def on_update(event: UpdateEnd) -> None:
            if event.update == stop:
                raise StoppedError

        path = tmp_path / "pretraining.safetensors"
        return Pretrainer(
            models(cell, config.dropout), config, TRAINER, on_update=on_update, checkpoint=path
        )

    whole = Pretrainer(models(cell, config.dropout), config, TRAINER)
    expected = whole.fit(*examples)
    with pytest.raises(StoppedError):
        made(update).fit(*examples)
    trainer = made()
    assert trainer.state.updates == update - 1
    assert trainer.state.epoch == (1 if update == 3 else 2)
    result = trainer.fit(*examples)
    assert (result.best_metrics, result.updates, result.tokens) == (
        expected.best_metrics,
        expected.updates,
        expected.tokens,
    )
    for one, other in zip(
        whole.models.state_dict().values(), trainer.models.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other)


def test_a_damaged_checkpoint_raises_an_error(tmp_path: Path) -> None:
    path = tmp_path / "pretraining.safetensors"
    path.write_bytes(b"\x80\x04K\x01.")
    with pytest.raises(TrainingError, match="cannot be resumed"):
        Pretrainer(models(), SMALL, TRAINER, checkpoint=path)


def test_minutes_end_it_with_the_rate_fallen() -> None:
    trainer = Pretrainer(models(), replace(SMALL, max_minutes=1e-4), TRAINER)
    result = trainer.fit(texts(300), texts(10))
    assert result.stopped == "minutes"
    assert result.updates < 20
    assert math.isfinite(result.best_metrics["validation/perplexity"])
    trainer.state.seconds = 60 * 1e-4
    trainer._set_rate(1000)
    assert trainer.optimizer.param_groups[0]["lr"] == pytest.approx(0, abs=1e-6)


def test_a_loss_that_is_no_number_says_what_to_set() -> None:
    made = models()
    with torch.no_grad():
        made.embedding.weight.fill_(math.nan)
    with pytest.raises(TrainingError, match=r"pretraining\.learning_rate to less than 0\.003"):
        Pretrainer(made, SMALL, TRAINER).fit(texts(), texts())


def test_epochs_go_by_the_tokens() -> None:
    assert [default_epochs(n) for n in (1000, 6_000_000, 10**9)] == [20, 5, 4]


@needs_bf16
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_bf16_learns_too(cell: str) -> None:
    trainer = Pretrainer(models(cell), SMALL, replace(TRAINER, precision=Precision.bf16))
    assert math.isfinite(trainer.fit(texts(), texts()).best_metrics["validation/loss"])
