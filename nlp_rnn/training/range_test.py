"""Learning rate range test: the loss at rising learning rates, and a suggested learning rate."""

import copy
import math
from dataclasses import dataclass, replace
from itertools import cycle, islice

import torch

from nlp_rnn.errors import TrainingError
from nlp_rnn.tokens.batches import TokenizedTexts, epoch_order
from nlp_rnn.training.loss import LABELS
from nlp_rnn.training.prefetch import prefetch_updates
from nlp_rnn.training.processes import SINGLE_PROCESS
from nlp_rnn.training.trainer import Trainer

__all__ = ["RangeTest", "try_learning_rates"]

LOWEST, HIGHEST, UPDATES = 1e-5, 1.0, 100
MOMENTUM = 0.9  # of the moving average of the loss
TOO_HIGH = 4.0  # times the lowest average so far


@dataclass(frozen=True)
class RangeTest:
    """Result of a range test.

    Attributes
    ----------
    rates : list of float
        The learning rates.
    losses : list of float
        The label loss of the batch at each rate.
    smoothed : list of float
        Exponential moving average of the losses.
    suggestion : float
        The suggested learning rate.
    """

    rates: list[float]
    losses: list[float]
    smoothed: list[float]
    suggestion: float


def try_learning_rates(trainer: Trainer, train: TokenizedTexts) -> RangeTest:
    """Train at rising learning rates, and restore the trainer afterwards.

    Smith 2017, arXiv:1506.01186: `UPDATES` updates, with rates from `LOWEST` to `HIGHEST` in equal
    ratios. The test ends early when the loss is far above its lowest value. Here the loss is
    smoothed, and the suggestion is a tenth of the rate with the lowest smoothed loss (Gugger 2018).
    Weights, optimizer and random generators are restored, so the test does not change the training
    that follows.

    Raises
    ------
    TrainingError
        If no loss is finite.
    """
    network, optimizer = trainer.network, trainer.optimizer
    weights, moments = copy.deepcopy((network.state_dict(), optimizer.state_dict()))
    # only the first process runs the test; the others wait for its first update
    before = trainer.step, trainer.cuda_graph_step
    trainer.step, trainer.cuda_graph_step = (
        replace(trainer.step, wrapped=network, processes=SINGLE_PROCESS),
        None,
    )
    scaler = copy.deepcopy(trainer.loss.scaler.state_dict())
    trainer.prepare(train)
    order = epoch_order(train.lengths, trainer.batch_size, trainer.seed, epoch=0)
    rates: list[float] = []
    losses: list[float] = []
    smoothed: list[float] = []
    mean = 0.0
    devices = [trainer.device] if trainer.device.type == "cuda" else []
    try:
        network.train()
        with torch.random.fork_rng(devices=devices):
            rows = [[rows] for rows in islice(cycle(order), UPDATES)]
            occurring = bool(trainer.config.language_model)
            updates = prefetch_updates(
                train, rows, SINGLE_PROCESS, for_gpu=False, vocabulary=occurring
            )
            for number, update in enumerate(updates):
                rate = LOWEST * (HIGHEST / LOWEST) ** (number / (UPDATES - 1))
                for group in optimizer.param_groups:
                    group["lr"] = rate * group["rate"]
                loss = float(trainer._update(update)[LABELS])
                if not math.isfinite(loss):
                    break
                mean = MOMENTUM * mean + (1 - MOMENTUM) * loss
                rates.append(rate)
                losses.append(loss)
                smoothed.append(mean / (1 - MOMENTUM ** (number + 1)))
                if smoothed[-1] > TOO_HIGH * min(smoothed):
                    break
    finally:
        network.load_state_dict(weights)
        optimizer.load_state_dict(moments)
        optimizer.zero_grad(set_to_none=True)
        trainer.loss.scaler.load_state_dict(scaler)
        trainer.step, trainer.cuda_graph_step = before
    if not rates:
        raise TrainingError(
            f"The loss is not finite even at the learning rate {LOWEST:g}.\nCheck the word vectors "
            "or the pretrained encoder, or set trainer.precision=fp32."
        )
    return RangeTest(rates, losses, smoothed, rates[smoothed.index(min(smoothed))] / 10)
