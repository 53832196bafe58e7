"""Batches become a network's answers on a device, in a precision, shared among processes."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nlp_rnn.data.batches import Batch, TokenizedTexts, length_order
from nlp_rnn.training.prefixes import random_prefixes
from nlp_rnn.training.processes import Processes

__all__ = ["all_logits", "answer_of"]


def answer_of(
    network: nn.Module,
    batch: Batch,
    device: torch.device,
    dtype: torch.dtype,
    *,
    prefixes: bool = False,
    vocabulary: Tensor | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Logits of a batch and, with `vocabulary`, the loss of the language model.

    With `prefixes` the logits of a random beginning of each text come after those of the texts.
    """
    input_ids = torch.from_numpy(batch.input_ids).to(device, non_blocking=True)
    lengths = torch.from_numpy(batch.lengths).to(device, non_blocking=True)
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype is torch.bfloat16):
        parts = random_prefixes(lengths) if prefixes else None
        answer: Tensor | tuple[Tensor, Tensor] = network(input_ids, lengths, parts, vocabulary)
    return answer if isinstance(answer, tuple) else (answer, None)


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
            logits.append(answer_of(network, batch, device, dtype)[0].cpu())
    answers = torch.cat(logits)
    ordered = torch.zeros(len(texts), answers.shape[1])
    if own:
        ordered[torch.from_numpy(np.concatenate(rows))] = answers
    found: NDArray[np.float32] = processes.total(ordered).numpy()
    return found
