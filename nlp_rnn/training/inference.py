"""Texts become a network's answers on a device, in a precision, shared among processes."""

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
    """A batch to learn from, on the device; with `copies` 2 all its texts and then all again.

    `input_ids` int64 (B, T), `lengths` int64 (B,); `prefixes` int64 (B,), where beginnings are
    learnt too. `labels` int64 (A,) or bool (A, C) belong to the logits: of the texts, and with
    prefixes of the same texts again.
    """

    input_ids: Tensor
    lengths: Tensor
    prefixes: Tensor | None
    labels: Tensor
    copies: int = 1

    @classmethod
    def of(cls, batch: DeviceBatch, *, copies: int, prefixes: bool) -> "TrainingBatch":
        """The texts of `batch`; `prefixes` are drawn, the same for both copies."""
        input_ids, lengths, labels = (
            tensor.repeat(copies, *[1] * (tensor.ndim - 1))
            for tensor in (batch.input_ids, batch.lengths, batch.labels)
        )
        if not prefixes:
            return cls(input_ids, lengths, None, labels, copies)
        drawn = random_prefixes(batch.lengths).repeat(copies)
        return cls(input_ids, lengths, drawn, torch.cat([labels, labels]), copies)

    @property
    def several(self) -> bool:
        """Whether a text may have several labels."""
        return self.labels.ndim == 2

    def read(
        self,
        network: nn.Module,
        dtype: torch.dtype,
        vocabulary: Tensor | None = None,
        change: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Logits (A, C) and, with `vocabulary`, the loss of the language model.

        `change` (T, B, E) is added to the embedded texts.
        """
        with in_precision(dtype, self.input_ids.device):
            answer: Tensor | tuple[Tensor, Tensor] = network(
                self.input_ids, self.lengths, self.prefixes, vocabulary, change
            )
        return answer if isinstance(answer, tuple) else (answer, None)


def random_prefixes(lengths: Tensor) -> Tensor:
    """For each length int64 (B,) a number of tokens from 1 to it, each as likely.

    Drawn from the generator of torch that belongs to the device, whose state a checkpoint holds.
    """
    shares = torch.rand(lengths.shape, device=lengths.device)
    # a share next to 1 of a long text may round up to the whole
    return torch.minimum((shares * lengths).long() + 1, lengths)


def all_logits(
    network: nn.Module,
    texts: TokenizedTexts,
    batch_size: int,
    device: torch.device,
    dtype: torch.dtype,
    processes: Processes,
) -> NDArray[np.float32]:
    """Logits (n, C) of every text, in the order of `texts`; each process answers a part."""
    network.eval()
    order = length_order(texts.lengths, batch_size)
    own = order[processes.rank :: processes.count]
    rows, logits = [], []
    with torch.inference_mode():
        for batch in texts.batches(own or order[-1:]):
            rows.append(batch.rows)
            input_ids, lengths = (
                torch.from_numpy(array).to(device, non_blocking=True)
                for array in (batch.input_ids, batch.lengths)
            )
            with in_precision(dtype, device):
                logits.append(network(input_ids, lengths).cpu())
    answers = torch.cat(logits)
    ordered = torch.zeros(len(texts), answers.shape[1])
    if own:
        ordered[torch.from_numpy(np.concatenate(rows))] = answers
    found: NDArray[np.float32] = processes.sum(ordered).numpy()
    return found
