"""The optimizer's groups and the learning rate over a run."""

import pytest

from nlp_rnn.config import OptimizerConfig, Schedule
from nlp_rnn.model.architecture import Architecture
from nlp_rnn.model.network import TextNetwork
from nlp_rnn.training.optim import make_optimizer
from nlp_rnn.training.schedule import learning_rate_factor


def config(schedule: Schedule, warmup: float = 0.1) -> OptimizerConfig:
    return OptimizerConfig(name="adamw", schedule=schedule, warmup_fraction=warmup)


@pytest.mark.parametrize(
    ("schedule", "middle", "last"),
    [(Schedule.constant, 1.0, 1.0), (Schedule.linear, 0.5, 0.0), (Schedule.cosine, 0.5, 0.0)],
)
def test_rises_over_the_warm_up_then_follows_the_schedule(
    schedule: Schedule, middle: float, last: float
) -> None:
    factors = [learning_rate_factor(update, 100, config(schedule)) for update in range(100)]
    assert factors[0] == pytest.approx(0.1)
    assert factors[4] == pytest.approx(0.5)
    assert max(factors) == factors[10] == 1.0
    assert factors[55] == pytest.approx(middle)
    assert factors[99] == pytest.approx(last, abs=0.02)
    assert factors[:10] == sorted(factors[:10])
    assert factors[10:] == sorted(factors[10:], reverse=True)


def test_without_warm_up_the_first_update_has_the_whole_rate() -> None:
    assert learning_rate_factor(0, 10, config(Schedule.cosine, warmup=0.0)) == 1.0


def test_weight_decay_spares_embeddings_biases_and_nothing_else() -> None:
    network = TextNetwork(Architecture("lstm", 20, 3, 4, 5, 1, True, "attention"))
    optimizer = make_optimizer(network, OptimizerConfig(name="adamw", weight_decay=0.3))
    decay = {
        id(parameter): group["weight_decay"]
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    names = dict(network.named_parameters())
    assert len(decay) == len(names)
    spared = {name for name, parameter in names.items() if decay[id(parameter)] == 0.0}
    assert spared == {
        name for name in names if "bias" in name or name in ("embedding.weight", "pooling.query")
    }
