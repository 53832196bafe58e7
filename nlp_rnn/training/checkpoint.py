"""A training in its middle becomes one file, and the file the same training again.

One safetensors file holds every tensor, and in its header the rest as JSON: no pickle. It is
written beside the last one, forced to the disk and renamed over it, so neither a full disk nor
a process that is killed costs the last good checkpoint.
"""

import json
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from nlp_rnn.errors import TrainingError
from nlp_rnn.training.processes import Processes

__all__ = [
    "TrainingState",
    "cannot_go_on",
    "keeping_the_last",
    "load_checkpoint",
    "optimizer_tensors",
    "part",
    "put_back",
    "random_states",
    "read_tensors",
    "save_checkpoint",
    "write_tensors",
]

FORMAT = "nlp_rnn checkpoint 3"


@dataclass
class TrainingState:
    """Where a training stands, tensors left out.

    `epoch` is the one that is being trained, from 1; `position` counts its updates that are
    done. `seconds` is wall time of training with validation, `update_seconds` that of the
    updates alone. `best_thresholds` are there where a text may have several labels.
    `loss_sums` (of each part), `norm_sum` and `norm_max` are of this epoch's updates so far.
    `spread` is the embeddings' at the start, where it is kept: means and standard deviations.
    `reductions` and `epochs_waited` are of the schedule `plateau`: how often it lowered the rate,
    and epochs without improvement since. `scaler` is that of the losses in float16. `stopped` says
    why training is over, and is empty while it is not.
    """

    epoch: int = 1
    position: int = 0
    updates: int = 0
    tokens: int = 0
    seconds: float = 0.0
    update_seconds: float = 0.0
    loss_sums: dict[str, float] = field(default_factory=dict)
    norm_sum: float = 0.0
    norm_max: float = 0.0
    spread: list[list[float]] = field(default_factory=list)
    best_epoch: int = 0
    best_value: float = float("-inf")
    best_metrics: dict[str, float] = field(default_factory=dict)
    best_thresholds: list[float] = field(default_factory=list)
    reductions: int = 0
    epochs_waited: int = 0
    scaler: dict[str, float] = field(default_factory=dict)
    stopped: str = ""


def random_states(processes: Processes) -> dict[str, Tensor]:
    """Where torch's generators stand, those of all processes stacked; called by every one."""
    states = {"cpu": processes.gather(torch.get_rng_state())}
    if torch.cuda.is_available():
        states["cuda"] = processes.gather(torch.cuda.get_rng_state())
    return states


def save_checkpoint(
    path: Path,
    state: TrainingState,
    network: nn.Module,
    best_weights: dict[str, Tensor],
    averaged_weights: dict[str, Tensor],
    optimizer: torch.optim.Optimizer,
    random: dict[str, Tensor],
) -> None:
    """Write everything that the rest of the training depends on, or leave `path` as it was.

    Raises:
        OSError: the disk is full or not writable; the checkpoint before is still there.
    """
    tensors = {f"network/{name}": tensor for name, tensor in network.state_dict().items()}
    tensors |= {f"best/{name}": tensor for name, tensor in best_weights.items()}
    tensors |= {f"average/{name}": tensor for name, tensor in averaged_weights.items()}
    tensors |= optimizer_tensors(optimizer)
    tensors |= {f"random/{name}": states for name, states in random.items()}
    write_tensors(path, tensors, {"format": FORMAT, "state": json.dumps(asdict(state))})


@contextmanager
def keeping_the_last() -> Iterator[None]:
    """Inside the block a checkpoint that cannot be written is said, and training goes on."""
    try:
        yield
    except OSError as error:
        warnings.warn(
            f"No checkpoint was written ({error}); the last good one is kept.", stacklevel=4
        )


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The moments of `optimizer` as `optimizer/NUMBER/NAME`."""
    return {
        f"optimizer/{number}/{name}": value
        for number, moments in optimizer.state_dict()["state"].items()
        for name, value in moments.items()
    }


def put_back(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Give `optimizer` the moments that `optimizer_tensors` took."""
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in part(tensors, "optimizer/").items():
        number, _, moment = name.partition("/")
        moments.setdefault(int(number), {})[moment] = tensor
    optimizer.load_state_dict(optimizer.state_dict() | {"state": moments})


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file whole and onto the disk, or leave `path` as it was.

    Raises:
        OSError: the disk is full or not writable.
    """
    from safetensors.torch import save

    data = save(
        {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
        metadata=metadata,
    )
    temporary = path.with_name(f".{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """What `write_tensors` wrote; raises SafetensorError."""
    from safetensors import safe_open

    with safe_open(path, framework="pt", device="cpu") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}


def load_checkpoint(
    path: Path, network: nn.Module, optimizer: torch.optim.Optimizer, processes: Processes
) -> tuple[TrainingState, dict[str, Tensor], dict[str, Tensor]]:
    """Put a checkpoint back into `network`, `optimizer` and torch's generators.

    Returns the state, the best weights so far and the averaged weights (empty if none).

    Raises:
        TrainingError: the file is damaged, or of another network.
    """
    from safetensors import SafetensorError

    device = str(next(network.parameters()).device)
    try:
        tensors, metadata = read_tensors(path)
        if metadata.get("format") != FORMAT:
            raise TrainingError(f"{path} is no checkpoint of this version. Train again without it.")
        network.load_state_dict(part(tensors, "network/"))
        put_back(optimizer, tensors)
        if len(tensors["random/cpu"]) != processes.count:
            raise ValueError(f"it is of {len(tensors['random/cpu'])} processes")
        # torch reads a view from the start of its storage
        torch.set_rng_state(tensors["random/cpu"][processes.rank].clone())
        if "random/cuda" in tensors and torch.cuda.is_available():
            torch.cuda.set_rng_state(tensors["random/cuda"][processes.rank].clone())
        state = TrainingState(**json.loads(metadata["state"]))
    except (SafetensorError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise TrainingError(f"{path} {cannot_go_on(error)}") from error
    best, averaged = (
        {name: tensor.to(device) for name, tensor in part(tensors, prefix).items()}
        for prefix in ("best/", "average/")
    )
    return state, best, averaged


def cannot_go_on(error: Exception) -> str:
    """Why a checkpoint does not fit, as the end of a sentence, and what to do.

    torch's first line names the class, its second what is wrong.
    """
    lines = [line.strip().rstrip(".") for line in str(error).splitlines() if line.strip()]
    first, *rest = lines or [type(error).__name__]
    reason = rest[0] if first.endswith(":") and rest else first
    return f"cannot be gone on with: {reason}. Train again without it."


def part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Those whose names begin with `prefix`, without it."""
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
