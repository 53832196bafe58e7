"""Distributed training: process ranks, broadcasts and the synchronization of gradients.

Every process holds the whole network and trains on its share of every batch. torch's
DistributedDataParallel averages the gradients, with nccl between GPUs and with gloo otherwise.
Decisions are always broadcast with gloo, so that no GPU waits for them.
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist

__all__ = [
    "SINGLE_PROCESS",
    "Processes",
    "launched_by_torchrun",
    "local_count",
    "process_group",
    "torchrun_processes",
]

# How long a process waits for the others: the first one may be loading and tokenizing data.
TIMEOUT = timedelta(hours=2)


@dataclass(frozen=True)
class Processes:
    """This process among all processes of a training.

    The process with rank 0 decides, writes and reports. All methods except `wrap` and
    `synchronized` must be called by every process, in the same order.

    Attributes
    ----------
    rank, count : int
        Number of this process, from 0, and the number of processes.
    local_rank, local_count : int
        The same among the processes on this machine.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    local_count: int = 1

    @property
    def first(self) -> bool:
        """Whether this process has rank 0."""
        return self.rank == 0

    def wrap(self, network: nn.Module) -> nn.Module:
        """Return the network, wrapped so that its gradients are averaged over the processes."""
        if self.count == 1:
            return network
        return nn.parallel.DistributedDataParallel(network, gradient_as_bucket_view=True)

    def synchronized(self, wrapped: nn.Module, now: bool) -> AbstractContextManager[None]:
        """Return a context in which gradients are exchanged if `now`, or accumulated otherwise."""
        if now or not isinstance(wrapped, nn.parallel.DistributedDataParallel):
            return nullcontext()
        return wrapped.no_sync()

    def broadcast(self, value: int) -> int:
        """Return the first process's `value` in every process."""
        if self.count == 1:
            return value
        tensor = torch.tensor(value, dtype=torch.int64)
        dist.broadcast(tensor, 0)
        return int(tensor)

    def broadcast_text(self, text: str) -> str:
        """Return the first process's `text`, which must not be empty, in every process."""
        if self.count == 1:
            return text
        encoded = text.encode()
        data = torch.zeros(self.broadcast(len(encoded)), dtype=torch.uint8)
        if self.first:
            data.copy_(torch.frombuffer(bytearray(encoded), dtype=torch.uint8))
        dist.broadcast(data, 0)
        return data.numpy().tobytes().decode()

    def sum(self, tensor: Tensor) -> Tensor:
        """Return the sum over all processes in every process; `tensor` is changed in place."""
        if self.count > 1:
            dist.all_reduce(tensor)
        return tensor

    def gather(self, tensor: Tensor) -> Tensor:
        """Return the tensors of all processes, stacked by rank: (count, …); all have one shape."""
        if self.count == 1:
            return tensor.unsqueeze(0)
        parts = [torch.empty_like(tensor) for _ in range(self.count)]
        dist.all_gather(parts, tensor)
        return torch.stack(parts)


SINGLE_PROCESS = Processes()


def launched_by_torchrun() -> bool:
    """Return whether `torchrun` started this process together with others."""
    return "TORCHELASTIC_RUN_ID" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1


def torchrun_processes() -> Processes:
    """Return this process among those that torchrun started."""
    rank, count, local_rank, local_count = (
        int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    )
    return Processes(rank, count, local_rank, local_count)


def local_count(count: int) -> int:
    """Return how many of `count` processes run on this machine."""
    return torchrun_processes().local_count if launched_by_torchrun() else count


@contextmanager
def process_group(processes: Processes, store: Any = None) -> Iterator[Processes]:
    """Inside the block, the processes form torch's default process group.

    Parameters
    ----------
    processes : Processes
        This process.
    store : torch.distributed.TCPStore, optional
        The store where the processes meet; None for the address that torchrun set.
    """
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo",
        store=store,
        rank=processes.rank,
        world_size=processes.count,
        timeout=TIMEOUT,
    )
    try:
        yield processes
    finally:
        dist.destroy_process_group()
