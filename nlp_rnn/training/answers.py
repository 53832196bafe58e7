"""Texts become a network's answers on a device, in a precision, shared among processes."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from nlp_rnn.data.batches import TokenizedTexts, length_order
from nlp_rnn.training.processes import Processes

__all__ = ["all_logits"]


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
    low = dtype is torch.bfloat16
    with torch.inference_mode():
        for batch in texts.batches(own or order[-1:]):
            rows.append(batch.rows)
            input_ids, lengths = (
                torch.from_numpy(array).to(device, non_blocking=True)
                for array in (batch.input_ids, batch.lengths)
            )
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=low):
                logits.append(network(input_ids, lengths).cpu())
    answers = torch.cat(logits)
    ordered = torch.zeros(len(texts), answers.shape[1])
    if own:
        ordered[torch.from_numpy(np.concatenate(rows))] = answers
    found: NDArray[np.float32] = processes.total(ordered).numpy()
    return found
