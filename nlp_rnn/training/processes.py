"""Several processes become one training: who they are, and what they tell each other.

Every process holds the whole network and reads its share of every batch; torch's
DistributedDataParallel adds up the gradients. Gradients travel by nccl between GPUs and by
gloo otherwise; what the processes must agree on always travels by gloo, so that no GPU waits.
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

# How long a process waits for the others: the first reads and tokenizes the data meanwhile.
PATIENCE = timedelta(hours=2)


@dataclass(frozen=True)
class Processes:
    """One process among `count`; `rank` 0 decides, writes and reports.

    `local_rank` and `local_count` are the same among the processes of this machine. All
    methods but `wrap` and `synchronized` must be called by every process, in the same order.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    local_count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that decides."""
        return self.rank == 0

    def wrap(self, network: nn.Module) -> nn.Module:
        """`network`, or around it what makes its gradients the mean of all processes'."""
        if self.count == 1:
            return network
        return nn.parallel.DistributedDataParallel(network, gradient_as_bucket_view=True)

    def synchronized(self, wrapped: nn.Module, now: bool) -> AbstractContextManager[None]:
        """Inside the block gradients are exchanged if `now`, else only gathered here."""
        if now or not isinstance(wrapped, nn.parallel.DistributedDataParallel):
            return nullcontext()
        return wrapped.no_sync()

    def broadcast(self, value: int) -> int:
        """The first process's `value`, in every process."""
        if self.count == 1:
            return value
        told = torch.tensor(value, dtype=torch.int64)
        dist.broadcast(told, 0)
        return int(told)

    def broadcast_text(self, text: str) -> str:
        """The first process's `text`, not empty, in every process."""
        if self.count == 1:
            return text
        own = text.encode()
        data = torch.zeros(self.broadcast(len(own)), dtype=torch.uint8)
        if self.first:
            data.copy_(torch.frombuffer(bytearray(own), dtype=torch.uint8))
        dist.broadcast(data, 0)
        return data.numpy().tobytes().decode()

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum of all processes' tensors, in every process; the argument is changed too."""
        if self.count > 1:
            dist.all_reduce(tensor)
        return tensor

    def gather(self, tensor: Tensor) -> Tensor:
        """All processes' tensors of one shape, stacked by rank: (count, …)."""
        if self.count == 1:
            return tensor.unsqueeze(0)
        parts = [torch.empty_like(tensor) for _ in range(self.count)]
        dist.all_gather(parts, tensor)
        return torch.stack(parts)


SINGLE_PROCESS = Processes()


def launched_by_torchrun() -> bool:
    """Whether `torchrun` started this process and others beside it."""
    return "TORCHELASTIC_RUN_ID" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1


def torchrun_processes() -> Processes:
    """Which of torchrun's processes this one is."""
    rank, count, local_rank, local_count = (
        int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    )
    return Processes(rank, count, local_rank, local_count)


def local_count(count: int) -> int:
    """How many of `count` processes run on this machine."""
    return torchrun_processes().local_count if launched_by_torchrun() else count


@contextmanager
def process_group(processes: Processes, store: Any = None) -> Iterator[Processes]:
    """Inside the block the processes can talk; they meet at `store`, or where torchrun says.

    `store` is a `torch.distributed.TCPStore` of this process.
    """
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo",
        store=store,
        rank=processes.rank,
        world_size=processes.count,
        timeout=PATIENCE,
    )
    try:
        yield processes
    finally:
        dist.destroy_process_group()
