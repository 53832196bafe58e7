"""When a training ends, and what a user is told about its end."""

import pytest

from nlp_rnn.training.limits import TrainingLimits, ending_notes, stop_reason, training_limits
from nlp_rnn.training.training_state import TrainingState
from tests.resolved_options import optimizer_options, trainer_options


def test_limits_follow_from_the_rows_and_the_options() -> None:
    config = trainer_options(batch_size=16, accumulation=2, max_epochs=20)
    limits = training_limits(100, config, optimizer_options(warmup_fraction=0.3))
    assert limits == TrainingLimits(20, 80, patience=6, warmup_epochs=6)
    config = trainer_options(batch_size=16, max_epochs=20, max_updates=35)
    limits = training_limits(100, config, optimizer_options(warmup_fraction=0.0))
    assert limits == TrainingLimits(20, 35, patience=6, warmup_epochs=0)


@pytest.mark.parametrize(("warmup_epochs", "last"), [(0, 4), (1, 4), (2, 5), (5, 8)])
def test_patience_begins_after_the_warm_up(warmup_epochs: int, last: int) -> None:
    limits = TrainingLimits(99, 999, patience=3, warmup_epochs=warmup_epochs)
    state = TrainingState(best_epoch=1)
    for state.epoch in range(1, 99):
        if stop_reason(state, limits):
            break
    assert (state.epoch, stop_reason(state, limits)) == (last, "patience")


def note(values: list[float], stopped: str = "epochs", rows: int = 1000, **options: float) -> str:
    config = trainer_options(max_epochs=10, **options)
    state = TrainingState(stopped=stopped, values=values, updates=70)
    return " ".join(ending_notes(state, TrainingLimits(10, 100, 6), config, rows))


RISING = [0.1 * epoch for epoch in range(1, 11)]


def test_a_score_that_still_rises_names_the_option_to_raise() -> None:
    assert note(RISING) == (
        "The validation score was still rising when trainer.max_epochs=10 ended the training. "
        "Raise trainer.max_epochs."
    )
    assert "Raise trainer.max_updates." in note(RISING, "updates", max_updates=70)
    assert note(RISING, "patience") == ""


@pytest.mark.parametrize(
    ("values", "rows", "rising"),
    [
        ([0.5] * 8 + [0.9, 0.5], 1000, True),
        ([0.5] * 8 + [0.51, 0.51], 1000, False),  # within a standard error
        ([0.5] * 8 + [0.51, 0.51], 100_000, True),
        ([0.9] + [0.5] * 9, 1000, False),
        ([0.5, 0.9], 1000, True),
        ([0.9], 1000, False),  # one epoch says nothing
        ([-1.0] * 8 + [-0.9, -0.9], 10, True),  # a loss, negated
        ([-1.0] * 8 + [-0.99, -0.99], 10, False),
        ([0.9] * 8 + [1.0, 1.0], 1000, True),
    ],
)
def test_rising_is_more_than_chance(values: list[float], rows: int, rising: bool) -> None:
    assert bool(note(values, rows=rows)) == rising


def test_a_time_limit_says_what_it_left_out() -> None:
    assert note([0.5] * 7, "minutes", max_minutes=1.5) == (
        "trainer.max_minutes=1.5 ended the training after 70 of 100 updates, in epoch 7 of 10. "
        "Raise it to train the rest."
    )
