"""Lengths of texts become lengths of their beginnings, to learn to answer before a text ends."""

import torch
from torch import Tensor

__all__ = ["random_prefixes"]


def random_prefixes(lengths: Tensor) -> Tensor:
    """For each length int64 (B,) a number of tokens from 1 to it, each as likely.

    Drawn from the generator of torch that belongs to the device, whose state a checkpoint holds.
    """
    shares = torch.rand(lengths.shape, device=lengths.device)
    # a share next to 1 of a long text may round up to the whole
    return torch.minimum((shares * lengths).long() + 1, lengths)
