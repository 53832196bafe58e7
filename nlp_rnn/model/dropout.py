"""States and recurrent matrices become the same with some features or weights zeroed."""

from torch import Tensor, nn

__all__ = ["drop_features", "dropped_weights"]


def drop_features(steps: Tensor, probability: float) -> Tensor:
    """Steps (T, B, features) with features zeroed for a whole text, the rest scaled up.

    Gal & Ghahramani 2016, arXiv:1512.05287: the same mask at every step.
    """
    keep = steps.new_empty(1, *steps.shape[1:]).bernoulli_(1 - probability)
    return steps * (keep / (1 - probability))


def dropped_weights(rnn: nn.Module, probability: float) -> dict[str, Tensor]:
    """The recurrent matrices of `rnn` by name, weights zeroed at random, the rest scaled up.

    Weight drop of Merity et al. 2018, arXiv:1708.02182: one mask for all texts and steps of a
    batch, so that the recurrence itself need not change and keeps its speed.
    """
    return {
        name: nn.functional.dropout(weight, probability)
        for name, weight in rnn.named_parameters()
        if name.startswith("weight_hh")
    }
