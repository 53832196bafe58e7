"""What a config asks of the machine becomes a torch device, a precision and a thread count."""

import ctypes
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import torch

from nlp_rnn.config.training import Precision
from nlp_rnn.errors import ConfigError, TrainingError
from nlp_rnn.model.parallel import set_thread_count
from nlp_rnn.training.processes import SINGLE_PROCESS, Processes

__all__ = [
    "available_cores",
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


TENSOR_CORES = (7, 0)  # the compute capability that brought them
MANY_TOKENS, FEW_OPERATIONS = 100, 8  # of a text in the mean; what oneDNN then keeps
FIRST_SCALE = 2.0**12  # of losses in float16; torch's own begins with a few overflows


def available_cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def choose_device(name: str, processes: Processes = SINGLE_PROCESS) -> torch.device:
    """`auto` is the first CUDA device, else the CPU; each of several processes has its own GPU.

    Raises:
        ConfigError: no such device here, or fewer than there are processes.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if processes.local_count > 1 and name.startswith("cuda"):
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if name != "cuda" or processes.local_count > count:
            raise ConfigError(
                f"{processes.local_count} processes on this machine need a CUDA device each; found "
                f"trainer.device={name} and {count} CUDA devices.\nType trainer.device=cuda and "
                f"as many processes as devices, or trainer.device=cpu."
            )
        name = f"cuda:{processes.local_rank}"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(
            f"trainer.device={name} is no device. Type trainer.device=auto, cpu, cuda or cuda:1."
        ) from None
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise ConfigError(
                f"trainer.device={name} is not here: torch {torch.__version__} finds {count} CUDA "
                "devices. Type trainer.device=cpu."
            )
    elif device.type != "cpu":
        raise ConfigError(f"trainer.device={name} is not supported. Type cpu or cuda.")
    return device


def choose_precision(precision: Precision, device: torch.device) -> torch.dtype:
    """The dtype of matrix products; `auto` is the fastest one on `device` that is safe.

    On a GPU with tensor cores float16: of small layers cuDNN, as torch calls it, reads all steps at
    once in float16 and float32, but step by step in bfloat16. On a CPU bfloat16 where the hardware
    multiplies it natively: with AVX-512 but without its bf16 instructions bfloat16 is slower than
    float32, and without AVX-512 oneDNN has no bfloat16 LSTM at all.

    Raises:
        ConfigError: bf16 or fp16 was asked for and this machine has none.
    """
    if precision is Precision.fp32:
        return torch.float32
    if device.type == "cuda":
        if precision is Precision.bf16 and not torch.cuda.is_bf16_supported(
            including_emulation=False
        ):
            raise _not_here(precision, device)
        if precision is Precision.bf16:
            return torch.bfloat16
        fast = torch.cuda.get_device_capability(device) >= TENSOR_CORES
        return torch.float16 if fast or precision is Precision.fp16 else torch.float32
    if precision is Precision.fp16:
        raise _not_here(precision, device)
    if precision is Precision.bf16:
        if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
            raise _not_here(precision, device)
        return torch.bfloat16
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if native else torch.float32


def _not_here(precision: Precision, device: torch.device) -> ConfigError:
    name = {Precision.bf16: "bfloat16", Precision.fp16: "float16"}[precision]
    return ConfigError(
        f"trainer.precision={precision.name} cannot be had on this {device.type}, which computes "
        f"no {name}. Type trainer.precision=auto or fp32."
    )


def precision_name(dtype: torch.dtype) -> str:
    """As `trainer.precision` calls it."""
    names = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}
    return names[dtype]


def in_precision(dtype: torch.dtype, device: torch.device) -> torch.autocast:
    """Inside the block matrix products are in `dtype`."""
    low = dtype is not torch.float32
    return torch.autocast(device.type, dtype=dtype if low else None, enabled=low)


def gradient_scaler(dtype: torch.dtype, device: torch.device) -> torch.amp.GradScaler:
    """What keeps gradients from becoming 0 in float16; in other precisions it does nothing.

    Micikevicius et al. 2018, arXiv:1710.03740: losses times a power of two, gradients divided by
    it again. An update whose gradients overflow is left out, and the power is lowered.
    """
    return torch.amp.GradScaler(device.type, init_scale=FIRST_SCALE, enabled=dtype is torch.float16)


def threads_per_process(threads: int | None, processes: Processes) -> int:
    """Each process's part of `threads`, or of all cores, at least one."""
    return max(1, (threads or available_cores()) // processes.local_count)


def distribute_threads(threads: int) -> None:
    """Give each direction of a layer half of `threads`; one thread serves both in turn.

    Also keeps freed memory, which threads would otherwise wait for together.
    """
    keep_freed_memory()
    set_thread_count(min(2, threads))
    torch.set_num_threads(max(1, threads // 2))


# glibc's names for what `mallopt` sets, from malloc.h
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4


def keep_freed_memory() -> None:
    """Let the C library keep what it freed instead of giving it back to the system.

    A training step asks for the same hundreds of megabytes again and again. glibc maps every large
    block anew, and touching its pages for the first time took a third of an LSTM's time on long
    texts. Memory in use stays at its peak until the process ends. Does nothing without glibc.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            library = ctypes.CDLL("libc.so.6")
            library.mallopt(_MMAP_MAX, 0)
            library.mallopt(_TRIM_THRESHOLD, 2**31 - 1)


def limit_onednn_cache(tokens: float) -> None:
    """Where texts have many `tokens` in the mean, let oneDNN keep hardly any operation it has made.

    It makes an LSTM's anew for each length of a batch and keeps a thousand. That takes a
    millisecond, which short texts feel and long ones do not. But what is kept lies scattered
    between the large blocks of the steps and splits them: with 20newsgroups memory grew from
    epoch to epoch, 1.3 GB to 6. oneDNN looks once, before its first operation, so what trains later
    in the same process has what the first training set; what the user has set stays.
    """
    if tokens >= MANY_TOKENS:
        os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(FEW_OPERATIONS))


SIGNS = ("can't allocate memory", "out of memory", "failed to allocate memory")
ASKED = re.compile(r"tried to allocate ([\d.]+ ?[KMGT]?i?)(?:B|bytes)", re.IGNORECASE)


@contextmanager
def memory_errors(batch_size: str) -> Iterator[None]:
    """What torch and numpy raise for want of memory becomes a TrainingError of two lines.

    `batch_size` is the key of the number of texts that are read together.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        told = str(error)
        if not isinstance(error, MemoryError) and not any(sign in told for sign in SIGNS):
            raise
        found = ASKED.search(told)
        asked = f": {_size(found[1])} more were asked for" if found else ""
        raise TrainingError(
            f"There is not enough memory{asked}.\nType a smaller {batch_size}, "
            "model.hidden_size, model.embedding_size or tokenizer.max_length."
        ) from error


def _size(asked: str) -> str:
    """Bytes as torch says them, a plain number on the CPU, for people."""
    if not asked.strip().isdigit():
        return f"{asked}B"
    return f"{int(asked) / 2**30:,.1f} GiB"
