"""The number of an epoch becomes which parts of a network that began pretrained are trained."""

from torch import nn

__all__ = ["unfreeze"]


def unfreeze(network: nn.Module, epoch: int, frozen_epochs: int) -> None:
    """Let the parts learn that may in `epoch` (from 1), the last ones first.

    Gradual unfreezing (Howard & Ruder 2018, arXiv:1801.06146): for `frozen_epochs` epochs pooling
    and head alone, for as many more the encoder too, then the embedding.
    """
    begins = {"encoder": frozen_epochs, "embedding": 2 * frozen_epochs}
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(epoch > begins.get(name.partition(".")[0], 0))
