"""Forward passes of the network: on a training batch, and over all texts of a split."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nlp_rnn.tokens.batches import TokenizedTexts, length_order
from nlp_rnn.training.device import in_precision
from nlp_rnn.training.prefetch import DeviceBatch
from nlp_rnn.training.processes import Processes

__all__ = ["TrainingBatch", "all_logits", "random_prefixes"]


@dataclass(frozen=True)
class TrainingBatch:
    """A batch as training passes it to the network, on the device.

    B is the number of texts, copies included, and T the number of tokens. A is the number of rows
    of the logits: B, or 2B with `trainer.prefixes`.

    Attributes
    ----------
    input_ids : Tensor
        int64 (B, T). With two copies, all texts and then all texts again.
    lengths : Tensor
        int64 (B,).
    prefixes : Tensor or None
        int64 (B,): the length of a random prefix of each text that is classified too, with
        `trainer.prefixes`.
    labels : Tensor
        int64 (A,), bool (A, C), or soft targets float32 (A, C), one row for each row of the
        logits: the labels of the texts, and with prefixes the same labels again.
    multi_label : bool
        Whether the task is multi-label.
    copies : int
        How many times each text is in the batch: 2 with R-Drop, else 1.
    """

    input_ids: Tensor
    lengths: Tensor
    prefixes: Tensor | None
    labels: Tensor
    multi_label: bool
    copies: int = 1

    @classmethod
    def of(
        cls, batch: DeviceBatch, *, multi_label: bool, copies: int, prefixes: bool
    ) -> "TrainingBatch":
        """Return the training batch of `batch`; both copies have the same random prefixes."""
        input_ids, lengths, labels = (
            tensor.repeat(copies, *[1] * (tensor.ndim - 1))
            for tensor in (batch.input_ids, batch.lengths, batch.labels)
        )
        if not prefixes:
            return cls(input_ids, lengths, None, labels, multi_label, copies)
        drawn = random_prefixes(batch.lengths).repeat(copies)
        return cls(input_ids, lengths, drawn, torch.cat([labels, labels]), multi_label, copies)

    def forward(
        self,
        network: nn.Module,
        dtype: torch.dtype,
        vocabulary: Tensor | None = None,
        perturbation: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Return the logits and the loss of the auxiliary language model.

        Parameters
        ----------
        network : nn.Module
            The network, possibly wrapped for several processes.
        dtype : torch.dtype
            The dtype of matrix products.
        vocabulary : Tensor, optional
            Sorted token ids int64 (U,) of the language model's softmax; None for no such loss.
        perturbation : Tensor, optional
            Float (T, B, E), added to the embedded texts.

        Returns
        -------
        logits : Tensor
            Float (A, C): the logits of the texts, then those of the prefixes if there are any.
        loss : Tensor or None
            The loss of the language model, a scalar; None without `vocabulary`.
        """
        with in_precision(dtype, self.input_ids.device):
            output: Tensor | tuple[Tensor, Tensor] = network(
                self.input_ids, self.lengths, self.prefixes, vocabulary, perturbation
            )
        return output if isinstance(output, tuple) else (output, None)


def random_prefixes(lengths: Tensor) -> Tensor:
    """Return for each text a random number of tokens from 1 to its length, int64 (B,).

    All numbers have the same probability. They come from torch's generator of the device, whose
    state is part of a checkpoint.
    """
    shares = torch.rand(lengths.shape, device=lengths.device)
    # for a long text, a share just below 1 may be rounded up to the whole text
    return torch.minimum((shares * lengths).long() + 1, lengths)


def all_logits(
    network: nn.Module,
    texts: TokenizedTexts,
    batch_size: int,
    device: torch.device,
    dtype: torch.dtype,
    processes: Processes,
) -> NDArray[np.float32]:
    """Return the logits (n, C) of all texts, in the order of `texts`.

    The batches are divided among the processes, and every process returns all logits.
    """
    network.eval()
    order = length_order(texts.lengths, batch_size)
    share = order[processes.rank :: processes.count]
    rows, logits = [], []
    with torch.inference_mode():
        for batch in texts.batches(share or order[-1:]):
            rows.append(batch.rows)
            input_ids, lengths = (
                torch.from_numpy(array).to(device, non_blocking=True)
                for array in (batch.input_ids, batch.lengths)
            )
            with in_precision(dtype, device):
                logits.append(network(input_ids, lengths).cpu())
    by_length = torch.cat(logits)
    ordered = torch.zeros(len(texts), by_length.shape[1])
    if share:
        ordered[torch.from_numpy(np.concatenate(rows))] = by_length
    total: NDArray[np.float32] = processes.sum(ordered).numpy()
    return total
