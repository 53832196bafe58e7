"""Checkpoint files: save a training, and load it to resume.

A checkpoint is one safetensors file. It stores every tensor, and everything else as JSON in its
header, so it holds no pickle. It is written next to the previous checkpoint, flushed to the disk
and renamed over it. Neither a full disk nor a killed process loses the last good checkpoint.
"""

import json
import os
import warnings
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor, nn

from nlp_rnn.errors import TrainingError
from nlp_rnn.training.processes import Processes

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["load_checkpoint", "random_states", "save_checkpoint"]

State = TypeVar("State", bound="DataclassInstance")


def random_states(processes: Processes) -> dict[str, Tensor]:
    """Return the states of torch's random generators, stacked by rank; called by every process."""
    states = {"cpu": processes.gather(torch.get_rng_state())}
    if torch.cuda.is_available():
        states["cuda"] = processes.gather(torch.cuda.get_rng_state())
    return states


def save_checkpoint(
    path: Path,
    file_format: str,
    state: "DataclassInstance",
    groups: Mapping[str, Mapping[str, Tensor]],
    optimizer: torch.optim.Optimizer,
    random: Mapping[str, Tensor],
) -> None:
    """Write a checkpoint, or warn and leave the previous one when the disk is full.

    Parameters
    ----------
    path : Path
        The file. Its folder is created.
    file_format : str
        Name of the format, which `load_checkpoint` compares.
    state : dataclass
        Everything that is not a tensor: values that JSON can hold.
    groups : mapping
        Tensors by group and name, stored as `GROUP/NAME`.
    optimizer : torch.optim.Optimizer
        Its moments are stored as `optimizer/PARAMETER/NAME`.
    random : mapping
        What `random_states` returned, stored as `random/DEVICE`.
    """
    tensors = {
        f"{group}/{name}": tensor
        for group, members in {**groups, "random": random}.items()
        for name, tensor in members.items()
    }
    for number, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{number}/{name}": value for name, value in moments.items()}
    try:
        _write(path, tensors, {"format": file_format, "state": json.dumps(asdict(state))})
    except OSError as error:
        warnings.warn(
            f"The checkpoint was not written ({error}). The training continues, "
            "and the previous checkpoint is still there.",
            stacklevel=4,
        )


def load_checkpoint(
    path: Path,
    file_format: str,
    state_type: type[State],
    module_group: str,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    processes: Processes,
) -> tuple[State, dict[str, dict[str, Tensor]]]:
    """Load a checkpoint into `module`, `optimizer` and torch's random generators.

    Returns
    -------
    state : State
        The state, of type `state_type`.
    groups : dict
        The other groups of tensors that were saved, on the device of `module`. A group that was
        empty is an empty dictionary.

    Raises
    ------
    TrainingError
        If the file is damaged, or does not fit the module or the number of processes.
    """
    from safetensors import SafetensorError, safe_open

    groups: defaultdict[str, dict[str, Tensor]] = defaultdict(dict)
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != file_format:
                raise ValueError("it is not a checkpoint of this version of nlp_rnn")
            for key in file.keys():
                group, _, name = key.partition("/")
                groups[group][name] = file.get_tensor(key)
        module.load_state_dict(groups.pop(module_group))
        _load_moments(optimizer, groups.pop("optimizer", {}))
        _load_random_states(groups.pop("random"), processes)
        state = state_type(**json.loads(metadata["state"]))
    except (SafetensorError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise TrainingError(
            f"{path} cannot be resumed: {_reason(error)}. "
            "Delete this file to train again from the beginning."
        ) from error
    device = next(module.parameters()).device
    for members in groups.values():
        members.update({name: tensor.to(device) for name, tensor in members.items()})
    return state, groups


def _write(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a whole safetensors file to the disk, or leave `path` as it was.

    Raises OSError when the disk is full or not writable.
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


def _load_moments(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    moments: defaultdict[int, dict[str, Tensor]] = defaultdict(dict)
    for key, tensor in tensors.items():
        number, _, name = key.partition("/")
        moments[int(number)][name] = tensor
    optimizer.load_state_dict(optimizer.state_dict() | {"state": dict(moments)})


def _load_random_states(states: Mapping[str, Tensor], processes: Processes) -> None:
    count = len(states["cpu"])
    if count != processes.count:
        raise ValueError(f"it was written by {count} processes, and {processes.count} read it")
    # torch reads a view from the start of its storage, so it needs a copy
    torch.set_rng_state(states["cpu"][processes.rank].clone())
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"][processes.rank].clone())


def _reason(error: Exception) -> str:
    """The line of an error that says what is wrong: torch's first line names only the class."""
    lines = [line.strip().rstrip(".") for line in str(error).splitlines() if line.strip()]
    first, *rest = lines or [type(error).__name__]
    return rest[0] if first.endswith(":") and rest else first
