"""The learning rate range test: a sensible suggestion, and a trainer that it does not change."""

from pathlib import Path

import pytest
import torch

from nlp_rnn.config.training import Precision
from nlp_rnn.errors import TrainingError
from nlp_rnn.scoring.plots import write_range_plot, write_range_table
from nlp_rnn.training.range_test import try_learning_rates
from tests.test_trainer import TRAIN, VALIDATION, trainer


def test_the_training_after_it_is_the_one_without_it() -> None:
    weights = []
    for tested in (True, False):
        one = trainer(precision=Precision.fp32, threads=1, max_epochs=2)
        if tested:
            result = try_learning_rates(one, TRAIN)
        one.fit(TRAIN, VALIDATION)
        weights.append([parameter.detach() for parameter in one.network.parameters()])
    assert all(map(torch.equal, *weights))
    assert result.rates == sorted(result.rates)
    assert result.rates[0] == pytest.approx(1e-5)
    assert 1e-4 < result.suggestion < 0.1
    assert min(result.smoothed) < result.smoothed[0]


def test_a_loss_that_is_never_a_number_is_reported() -> None:
    one = trainer(precision=Precision.fp32, threads=1)
    with torch.no_grad():
        one.network.head.bias.fill_(float("nan"))
    with pytest.raises(TrainingError, match="not finite"):
        try_learning_rates(one, TRAIN)


def test_table_and_picture(tmp_path: Path) -> None:
    rates, losses = [1e-4, 1e-3, 1e-2], [2.0, 1.0, 3.0]
    write_range_table(tmp_path / "a.csv", rates, losses, losses)
    assert (tmp_path / "a.csv").read_text().splitlines() == [
        "learning_rate,loss,smoothed_loss",
        "0.0001,2,2",
        "0.001,1,1",
        "0.01,3,3",
    ]
    write_range_plot(tmp_path / "a.png", rates, losses, losses, 1e-4)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert len(list(tmp_path.iterdir())) == 2
