"""A pretraining in its middle becomes one file, and the file the same pretraining again."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from nlp_rnn.errors import TrainingError
from nlp_rnn.pretraining.language_models import States
from nlp_rnn.training.checkpoint import (
    cannot_go_on,
    optimizer_tensors,
    part,
    put_back,
    random_states,
    read_tensors,
    write_tensors,
)
from nlp_rnn.training.processes import SINGLE_PROCESS

__all__ = ["PretrainingState", "load_checkpoint", "save_checkpoint"]

FORMAT = "nlp_rnn pretraining 1"


@dataclass
class PretrainingState:
    """Where a pretraining stands, tensors left out.

    `epoch` is the one that is being trained, from 1; `position` counts its windows that are done,
    `losses` sums their cross-entropies, one sum a direction, over `foretold` tokens.
    """

    epoch: int = 1
    position: int = 0
    updates: int = 0
    tokens: int = 0
    seconds: float = 0.0
    update_seconds: float = 0.0
    losses: list[float] = field(default_factory=list)
    foretold: int = 0
    best_epoch: int = 0
    best_value: float = float("inf")
    best_metrics: dict[str, float] = field(default_factory=dict)
    stopped: str = ""


def save_checkpoint(
    path: Path,
    state: PretrainingState,
    models: nn.Module,
    best_weights: dict[str, Tensor],
    states: States | None,
    optimizer: torch.optim.Optimizer,
) -> None:
    """Write everything that the rest depends on, where the reading stands too.

    Raises:
        OSError: the disk is full or not writable; the checkpoint before is still there.
    """
    tensors = {f"models/{name}": tensor for name, tensor in models.state_dict().items()}
    tensors |= {f"best/{name}": tensor for name, tensor in best_weights.items()}
    tensors |= optimizer_tensors(optimizer)
    tensors |= {f"random/{name}": value for name, value in random_states(SINGLE_PROCESS).items()}
    for direction, layers in enumerate(states or []):
        for layer, parts in enumerate(layers):
            tensors |= {f"states/{direction}/{layer}/{i}": t for i, t in enumerate(parts)}
    write_tensors(path, tensors, {"format": FORMAT, "state": json.dumps(asdict(state))})


def load_checkpoint(
    path: Path, models: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[PretrainingState, dict[str, Tensor], States | None]:
    """Put a checkpoint back; returns the state, the best weights and where the reading stands.

    Raises:
        TrainingError: the file is damaged, or of another network.
    """
    from safetensors import SafetensorError

    try:
        tensors, metadata = read_tensors(path)
        if metadata.get("format") != FORMAT:
            raise ValueError("it is no checkpoint of this version")
        models.load_state_dict(part(tensors, "models/"))
        put_back(optimizer, tensors)
        torch.set_rng_state(tensors["random/cpu"][0].clone())
        if "random/cuda" in tensors and torch.cuda.is_available():
            torch.cuda.set_rng_state(tensors["random/cuda"][0].clone())
        state = PretrainingState(**json.loads(metadata["state"]))
    except (SafetensorError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise TrainingError(f"{path} {cannot_go_on(error)}") from error
    device = next(models.parameters()).device
    best, stand = (
        {name: tensor.to(device) for name, tensor in part(tensors, prefix).items()}
        for prefix in ("best/", "states/")
    )
    return state, best, _nested(stand) if stand else None


def _nested(tensors: dict[str, Tensor]) -> States:
    """The tensors called `DIRECTION/LAYER/NUMBER` in lists of lists."""
    nested: dict[int, dict[int, dict[int, Tensor]]] = {}
    for name, tensor in tensors.items():
        direction, layer, number = map(int, name.split("/"))
        nested.setdefault(direction, {}).setdefault(layer, {})[number] = tensor
    return [
        [tuple(parts[i] for i in sorted(parts)) for _, parts in sorted(layers.items())]
        for _, layers in sorted(nested.items())
    ]
