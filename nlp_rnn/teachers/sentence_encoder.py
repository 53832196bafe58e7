"""Sentence encoder in the layout of sentence-transformers, whose vectors are cached by text."""

import copy
import re
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np

from nlp_rnn.config.signature import content_digest
from nlp_rnn.errors import ConfigError, DataError
from nlp_rnn.teachers.encoding_progress import EncodingProgress
from nlp_rnn.teachers.teacher_predictions import FloatArray
from nlp_rnn.teachers.vector_cache import VectorCache

__all__ = ["SentenceEncoder"]

CHUNK_TEXTS = 1024
"""Texts whose vectors are written to the cache at once."""

BATCH_TEXTS = 16
"""Texts of similar length that are encoded at once; more do not fit the caches of a CPU core."""

VERSION = 1
"""Part of the key of the cache: raise it when the vectors would differ."""

TIMED_TEXTS = 20
"""Texts whose time is measured."""

LAYOUT = ("modules.json", "config_sentence_transformers.json", "config.json")


class SentenceEncoder:
    """A sentence encoder, loaded when the first vector is needed that is not in the cache.

    Parameters
    ----------
    location : str
        Folder of the encoder, or its name on the Hugging Face hub.
    device : str
        Device of torch that computes; `auto` for a GPU if there is one.
    threads : int, optional
        Threads that compute on a CPU; by default those of torch.
    """

    def __init__(self, location: str, device: str = "auto", threads: int | None = None) -> None:
        self.location, self._threads = location, threads
        self._device = None if device == "auto" else device
        self._folder = Path(location).expanduser()
        if self._folder.exists():
            if not any((self._folder / name).is_file() for name in LAYOUT):
                raise DataError(
                    f"{location} is no sentence encoder: it has no modules.json.\nSet teacher.path "
                    "to a folder that sentence-transformers saved, or to a name on the hub."
                )
        elif location.startswith((".", "/", "~")) or location.count("/") > 1:
            raise DataError(
                f"There is no sentence encoder at {location}.\nSet teacher.path to a folder that "
                "sentence-transformers saved, or to a name on the hub."
            )

    @property
    def name(self) -> str:
        """The name on the hub, or that of the folder."""
        return self._folder.resolve().name if self._folder.exists() else self.location

    @cached_property
    def digest(self) -> str:
        """Hash of the files of the encoder; its revision if it comes from the hub."""
        if self._folder.exists():
            return content_digest(str(self._folder))[:16]
        revision = getattr(self._model[0].auto_model.config, "_commit_hash", None)
        return str(revision or self.location)[:16]

    @cached_property
    def num_parameters(self) -> int:
        """The number of parameters."""
        return sum(parameter.numel() for parameter in self._model.parameters())

    @property
    def size_bytes(self) -> int | None:
        """Size of the weights and the tokenizer in bytes; of an encoder from the hub, in memory."""
        if not self._folder.exists():
            return sum(int(p.numel() * p.element_size()) for p in self._model.parameters())
        safe = any(self._folder.rglob("*.safetensors"))
        kinds = ("*.safetensors" if safe else "*.bin", "tokenizer.json")
        return sum(file.stat().st_size for kind in kinds for file in self._folder.rglob(kind))

    @property
    def licence(self) -> str | None:
        """The licence that the model card of the folder names."""
        card = self._folder / "README.md"
        if not card.is_file():
            return None
        head = card.read_text(encoding="utf-8", errors="replace").split("\n---", 1)[0]
        match = re.search(r"^license:\s*([^\n#]+)", head, re.MULTILINE)
        return match[1].strip(" '\"") if match else None

    @cached_property
    def _model(self) -> Any:
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise ConfigError(
                f"teacher=encoder needs sentence-transformers ({error}).\n"
                "Install it: pip install 'nlp_rnn[teacher]'"
            ) from error
        from transformers.utils import logging

        logging.disable_progress_bar()
        local = self._folder.exists()
        try:
            return SentenceTransformer(
                str(self._folder) if local else self.location,
                device=self._device,
                local_files_only=local,
            ).eval()
        except Exception as error:  # the libraries raise many types
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise DataError(
                f"The sentence encoder {self.location} cannot be loaded: {reason}\nSet "
                "teacher.path to a folder that sentence-transformers saved, or to a name on the "
                "hub."
            ) from error

    @cached_property
    def _models(self) -> list[Any]:
        """One model for each thread, with a tokenizer of its own and shared parameters.

        Threads that encode a batch each are faster than one batch on several threads, above all
        where other programs need the cores too.
        """
        import torch

        if self._model.device.type != "cpu":
            return [self._model]
        parameters = {id(p): p for p in self._model.parameters()}
        number = self._threads or torch.get_num_threads()
        copies = [copy.deepcopy(self._model, dict(parameters)) for _ in range(number - 1)]
        return [self._model, *copies]

    def vectors(self, texts: Sequence[str]) -> FloatArray:
        """Return the vectors of n texts, float32 (n, D); those that are not cached are computed.

        Texts of similar length are computed together, and each chunk is cached at once. Matrices
        are multiplied in bfloat16 on a CPU with instructions for it.
        """
        cache = VectorCache(self.vector_key)
        missing = cache.missing(texts)
        if missing:
            missing.sort(key=lambda index: len(texts[index]))
            with EncodingProgress(f"Encoding with {self.name}", len(missing)) as progress:
                # the longest first: memory that suffices now suffices until the end
                for start in range(len(missing), 0, -CHUNK_TEXTS):
                    chunk = [texts[index] for index in missing[max(0, start - CHUNK_TEXTS) : start]]
                    cache.add(chunk, self._encode(chunk, progress))
        return cache.read(texts)

    @cached_property
    def vector_key(self) -> str:
        """Key of the cache: the encoder, and the precision of its vectors."""
        return f"{self.digest}-{VERSION}-{'bf16' if self._bfloat16 else 'fp32'}"

    @cached_property
    def _bfloat16(self) -> bool:
        import torch

        on_cpu = self._device == "cpu" or (self._device is None and not torch.cuda.is_available())
        native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        return bool(on_cpu and native)

    def _encode(self, texts: Sequence[str], progress: EncodingProgress) -> FloatArray:
        batches = [list(texts[i : i + BATCH_TEXTS]) for i in range(0, len(texts), BATCH_TEXTS)]
        models: SimpleQueue[Any] = SimpleQueue()
        for model in self._models:
            models.put(model)

        def encode(batch: list[str]) -> FloatArray:
            import torch

            model = models.get()
            try:
                with torch.autocast("cpu", torch.bfloat16, enabled=self._bfloat16):
                    vectors = model.encode(batch, batch_size=BATCH_TEXTS, show_progress_bar=False)
            finally:
                models.put(model)
            progress.advance(len(batch))
            return np.asarray(vectors, np.float32)

        with _one_thread_each(), ThreadPoolExecutor(len(self._models)) as pool:
            return np.concatenate(list(pool.map(encode, batches)))

    def latency_ms(self, texts: Sequence[str]) -> float | None:
        """Measure the median time of encoding one text, in milliseconds on one thread of a CPU.

        None on another device, whose time cannot be compared with that of a classifier.
        """
        if not texts or self._model.device.type != "cpu":
            return None
        times = []
        with _one_thread_each():
            for index in range(TIMED_TEXTS + 3):
                started = time.perf_counter()
                self._model.encode([texts[index % len(texts)]], show_progress_bar=False)
                times.append(1000 * (time.perf_counter() - started))
        return float(np.median(times[3:]))


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Let torch compute on the calling thread alone inside the block."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
