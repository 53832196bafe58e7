"""Two answers to the same texts become a number: how far one is from the other."""

from torch import Tensor, nn

__all__ = ["divergence", "symmetric_divergence"]


def divergence(expected: Tensor, found: Tensor, several: bool) -> Tensor:
    """Kullback-Leibler divergence of `found` from `expected`, logits (B, C), in nats; a scalar.

    The mean over texts of KL(softmax(expected) ‖ softmax(found)); with `several` labels a text
    the labels' divergences between two Bernoulli distributions are added up, as their losses are.
    """
    expected, found = expected.float(), found.float()
    if not several:
        log_expected = expected.log_softmax(1)
        difference = log_expected - found.log_softmax(1)
        return (log_expected.exp() * difference).sum(1).mean()
    log_sigmoid = nn.functional.logsigmoid
    there = expected.sigmoid() * (log_sigmoid(expected) - log_sigmoid(found))
    absent = (-expected).sigmoid() * (log_sigmoid(-expected) - log_sigmoid(-found))
    return (there + absent).sum(1).mean()


def symmetric_divergence(one: Tensor, other: Tensor, several: bool) -> Tensor:
    """The mean of both directions' divergences between logits (B, C); a scalar."""
    return (divergence(one, other, several) + divergence(other, one, several)) / 2
