"""Device, precision, threads and memory: what a training uses of the machine."""

import ctypes
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import torch

from nlp_rnn.config.training import Precision
from nlp_rnn.cores import available_cores
from nlp_rnn.errors import ConfigError, TrainingError
from nlp_rnn.model.parallel import set_thread_count
from nlp_rnn.training.processes import SINGLE_PROCESS, Processes

__all__ = [
    "choose_device",
    "choose_precision",
    "distribute_threads",
    "gradient_scaler",
    "in_precision",
    "keep_freed_memory",
    "limit_onednn_cache",
    "memory_errors",
    "precision_name",
    "threads_per_process",
]


TENSOR_CORES = (7, 0)
"""The first CUDA compute capability with tensor cores."""

INITIAL_SCALE = 2.0**12
"""First factor of the loss in float16; torch's default overflows in the first updates."""

MANY_TOKENS, FEW_OPERATIONS = 100, 8
"""Mean tokens of a text from which on oneDNN caches only this number of operations."""

OUT_OF_MEMORY = ("can't allocate memory", "out of memory", "failed to allocate memory")
REQUESTED = re.compile(r"tried to allocate ([\d.]+ ?[KMGT]?i?)(?:B|bytes)", re.IGNORECASE)


def choose_device(name: str, processes: Processes = SINGLE_PROCESS) -> torch.device:
    """Return the device for `trainer.device`.

    `auto` is the first CUDA device if there is one, and the CPU otherwise. Each of several
    processes gets a GPU of its own.

    Raises
    ------
    ConfigError
        If the device does not exist, or if there are fewer GPUs than processes.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if processes.local_count > 1 and name.startswith("cuda"):
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if name != "cuda" or processes.local_count > count:
            raise ConfigError(
                f"{processes.local_count} processes on this machine need a CUDA device each, but "
                f"trainer.device={name} and there are {count} CUDA devices.\nSet "
                f"trainer.device=cuda and at most one process for each, or trainer.device=cpu."
            )
        name = f"cuda:{processes.local_rank}"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(
            f"trainer.device={name} is not a device. Set it to auto, cpu, cuda or cuda:NUMBER."
        ) from None
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise ConfigError(
                f"trainer.device={name} is not available: torch {torch.__version__} finds {count} "
                "CUDA devices. Set trainer.device=cpu."
            )
    elif device.type != "cpu":
        raise ConfigError(
            f"trainer.device={name} is not supported. Set trainer.device to cpu or cuda."
        )
    return device


def choose_precision(precision: Precision, device: torch.device) -> torch.dtype:
    """Return the dtype of matrix products for `trainer.precision`.

    `auto` is the fastest dtype that trains stably on `device`. It is float16 on a GPU with tensor
    cores: for small layers, cuDNN as torch calls it processes all steps at once in float16 and
    float32, but one at a time in bfloat16. It is bfloat16 on a CPU with native bfloat16
    multiplication, and float32 otherwise. With AVX-512 but without its bf16 instructions, bfloat16
    is slower than float32; without AVX-512, oneDNN has no bfloat16 LSTM.

    Raises
    ------
    ConfigError
        If bf16 or fp16 is set and the device does not support it.
    """
    if precision is Precision.fp32:
        return torch.float32
    if device.type == "cuda":
        if precision is Precision.bf16 and not torch.cuda.is_bf16_supported(
            including_emulation=False
        ):
            raise _unsupported(precision, device)
        if precision is Precision.bf16:
            return torch.bfloat16
        fast = torch.cuda.get_device_capability(device) >= TENSOR_CORES
        return torch.float16 if fast or precision is Precision.fp16 else torch.float32
    if precision is Precision.fp16:
        raise _unsupported(precision, device)
    if precision is Precision.bf16:
        if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
            raise _unsupported(precision, device)
        return torch.bfloat16
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if native else torch.float32


def _unsupported(precision: Precision, device: torch.device) -> ConfigError:
    name = {Precision.bf16: "bfloat16", Precision.fp16: "float16"}[precision]
    return ConfigError(
        f"trainer.precision={precision.name} is not supported: this {device.type} device has no "
        f"{name}. Set trainer.precision=auto or fp32."
    )


def precision_name(dtype: torch.dtype) -> str:
    """Return the name that `trainer.precision` has for a dtype."""
    names = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}
    return names[dtype]


def in_precision(dtype: torch.dtype, device: torch.device) -> torch.autocast:
    """Return a context manager in which matrix products are computed in `dtype`."""
    low = dtype is not torch.float32
    return torch.autocast(device.type, dtype=dtype if low else None, enabled=low)


def gradient_scaler(dtype: torch.dtype, device: torch.device) -> torch.amp.GradScaler:
    """Return the loss scaler that keeps float16 gradients from underflowing to 0.

    Micikevicius et al. 2018, arXiv:1710.03740. The loss is multiplied by a power of two and the
    gradients are divided by it again. An update whose gradients overflow is skipped, and the factor
    is lowered. With other dtypes the scaler does nothing.
    """
    return torch.amp.GradScaler(
        device.type, init_scale=INITIAL_SCALE, enabled=dtype is torch.float16
    )


def threads_per_process(threads: int | None, processes: Processes) -> int:
    """Return the threads of each process: its share of `threads`, or of all cores, at least one."""
    return max(1, (threads or available_cores()) // processes.local_count)


def distribute_threads(threads: int) -> None:
    """Use half of `threads` for each direction of a layer; one thread computes both in turn.

    Also calls `keep_freed_memory`, because the threads would wait for the system together.
    """
    keep_freed_memory()
    set_thread_count(min(2, threads))
    torch.set_num_threads(max(1, threads // 2))


# Parameters of `mallopt` in glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4


def keep_freed_memory() -> None:
    """Let the C library keep freed memory instead of returning it to the system.

    Every update allocates the same hundreds of megabytes. By default glibc maps each large block
    again, and the first access to its pages took a third of an LSTM's time on long texts. The
    memory in use stays at its peak until the process ends. Does nothing without glibc.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            library = ctypes.CDLL("libc.so.6")
            library.mallopt(_MMAP_MAX, 0)
            library.mallopt(_TRIM_THRESHOLD, 2**31 - 1)


def limit_onednn_cache(tokens: float) -> None:
    """Limit oneDNN's cache of operations for long texts, whose mean length is `tokens` tokens.

    oneDNN creates an LSTM operation for each length of a batch and caches a thousand of them.
    Creating one takes a millisecond, which matters for short texts only. The cached operations
    fragment the memory between the large blocks of the updates: with 20newsgroups, memory grew from
    1.3 GB to 6 GB over the epochs. oneDNN reads the limit once, before its first operation, so the
    first training in a process decides for later ones. A limit that the user has set stays.
    """
    if tokens >= MANY_TOKENS:
        os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(FEW_OPERATIONS))


@contextmanager
def memory_errors(batch_size: str) -> Iterator[None]:
    """Inside the block, out-of-memory errors of torch and NumPy are raised as a TrainingError.

    Parameters
    ----------
    batch_size : str
        The key of the batch size that the error message suggests to lower.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        message = str(error)
        if not isinstance(error, MemoryError) and not any(
            sign in message for sign in OUT_OF_MEMORY
        ):
            raise
        match = REQUESTED.search(message)
        requested = f": allocating {_size(match[1])} more failed" if match else ""
        raise TrainingError(
            f"There is not enough memory{requested}.\nSet a smaller {batch_size}, "
            "model.hidden_size, model.embedding_size or tokenizer.max_length."
        ) from error


def _size(requested: str) -> str:
    """A size from torch's message in readable form: on the CPU torch writes plain bytes."""
    if not requested.strip().isdigit():
        return f"{requested}B"
    return f"{int(requested) / 2**30:,.1f} GiB"
