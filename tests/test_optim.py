"""Parameter groups of the optimizer, and the learning rate over a run."""

import pytest
import torch

from nlp_rnn.config.training import OptimizerConfig, Schedule
from nlp_rnn.model.architecture import Architecture
from nlp_rnn.model.network import TextNetwork
from nlp_rnn.training.optim import (
    learning_rate_factor,
    make_optimizer,
    set_learning_rates,
    update_plateau,
)
from nlp_rnn.training.training_state import TrainingState
from tests.resolved_options import optimizer_options


def config(schedule: Schedule, warmup: float = 0.1) -> OptimizerConfig:
    return optimizer_options(schedule=schedule, warmup_fraction=warmup)


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


def test_one_cycle_is_torchs() -> None:
    options = optimizer_options(
        schedule=Schedule.one_cycle, learning_rate=0.3, warmup_fraction=0.25
    )
    parameter = torch.nn.Parameter(torch.zeros(1))
    theirs = torch.optim.AdamW([parameter], lr=0.1)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        theirs, max_lr=0.3, total_steps=40, pct_start=0.25
    )
    ours = torch.optim.AdamW([parameter], lr=0.1)
    for update in range(40):
        set_learning_rates(ours, TrainingState(updates=update), 40, options)
        (one,), (other,) = ours.param_groups, theirs.param_groups
        assert one["lr"] == pytest.approx(other["lr"])
        assert one["betas"] == pytest.approx(other["betas"])
        theirs.step()
        if update < 39:
            scheduler.step()


def test_a_plateau_lowers_the_rate_after_its_patience() -> None:
    options = optimizer_options(
        schedule=Schedule.plateau,
        learning_rate=0.8,
        warmup_fraction=0.0,
        plateau_factor=0.25,
    )
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=9.0)
    state, rates = TrainingState(), []
    for improved in (True, False, True, False, False, False, False, True, False):
        update_plateau(state, improved, options)
        set_learning_rates(optimizer, state, 100, options)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([0.8] * 4 + [0.2] * 2 + [0.05] * 3)


def test_weight_decay_spares_embeddings_biases_and_nothing_else() -> None:
    network = TextNetwork(Architecture("lstm", 20, 3, 4, 5, 1, True, "attention"))
    optimizer = make_optimizer(network, optimizer_options(weight_decay=0.3))
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
