"""Variational dropout of features, and weight drop of recurrent matrices."""

from torch import Tensor, nn

__all__ = ["drop_features", "dropped_weights"]


def drop_features(steps: Tensor, probability: float) -> Tensor:
    """Zero features of `steps` (T, B, features) for a whole text, and scale up the others.

    Gal & Ghahramani 2016, arXiv:1512.05287: the same mask at every step.
    """
    keep = steps.new_empty(1, *steps.shape[1:]).bernoulli_(1 - probability)
    return steps * (keep / (1 - probability))


def dropped_weights(rnn: nn.Module, probability: float) -> dict[str, Tensor]:
    """Return the recurrent matrices of `rnn` by name, with weights zeroed at random.

    The other weights are scaled up. Weight drop of Merity et al. 2018, arXiv:1708.02182: one mask
    for all texts and steps of a batch, so that the recurrence is as fast as without it.
    """
    return {
        name: nn.functional.dropout(weight, probability)
        for name, weight in rnn.named_parameters()
        if name.startswith("weight_hh")
    }
