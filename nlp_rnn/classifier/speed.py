"""A classifier folder becomes figures of its speed, taken in a process that does nothing else.

`measure_speed` starts that process, and `python -m nlp_rnn.classifier.speed` is it.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.errors import ClassifierError

if TYPE_CHECKING:
    from nlp_rnn.classifier.predictor import TextClassifier

__all__ = ["LENGTHS", "SpeedFigures", "measure_speed", "torch_kernel"]

LENGTHS = (10, 50, 100, 400)
BATCH, BATCH_LENGTH = 32, 100
TEXTS = 20  # of each length, in turn
WARM_UP = 5
# Of one level, for each runtime: rounds through all lengths, and the seconds after which no further
# one begins, but for the least; seconds of batches. Also cold starts.
LEVELS = {
    "quick": {"rounds": 100, "seconds": 0.4, "least": 10, "batches": 0.15, "starts": 1},
    "full": {"rounds": 1000, "seconds": float("inf"), "least": 1000, "batches": 3.0, "starts": 5},
}
SECONDS_TO_ANSWER = {"quick": 120.0, "full": 3600.0}

SpeedFigures = dict[str, Any]
"""`metrics` by name; `calls` each latency is taken from; `conditions` of the measuring."""


def measure_speed(folder: Path, level: str) -> SpeedFigures:
    """Measure the classifier in `folder` in a fresh process with one thread.

    Args:
        folder: a classifier folder.
        level: `quick`, some seconds, or `full`, 1,000 calls of everything.

    Returns:
        `metrics`: `latency/RUNTIME_batch1_LENGTH_p50_ms` and `…_p95_ms`, milliseconds from one
        text of so many tokens to its probabilities, for each length that is not cut;
        `throughput/RUNTIME_batch32_texts_per_second` and `…_tokens_per_second`, of 32 texts of
        100 tokens; `latency/onnx_cold_start_ms` from starting Python to the first answer;
        `memory/onnx_mb` beyond the imported libraries and `memory/process_mb` of the process,
        after one answer; of a one-direction network `latency/stream_token_us`.

    Raises:
        ClassifierError: the process failed, or took longer than it may.
    """
    # one thread inside every library, whatever the training used
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    started = time.monotonic()
    command = [sys.executable, "-m", "nlp_rnn.classifier.speed", str(folder), level, str(started)]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            env=environment,
            timeout=SECONDS_TO_ANSWER[level],
        )
    except subprocess.TimeoutExpired:
        raise ClassifierError(
            f"Measuring the speed took longer than {SECONDS_TO_ANSWER[level]:.0f} seconds."
        ) from None
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["it was killed"])[-1]
        raise ClassifierError(f"The speed could not be measured: {reason}")
    figures: SpeedFigures = json.loads(done.stdout.splitlines()[-1])
    return figures


def measure(folder: Path, level: str, started: float) -> SpeedFigures:
    """The work of the fresh process; `started` is when it was, on the monotonic clock."""
    import numpy as np
    import onnxruntime
    import psutil
    import tokenizers

    process = psutil.Process()
    bare = process.memory_info().rss
    import nlp_rnn

    onnx = nlp_rnn.load(folder, threads=1)
    onnx.predict_proba(["a text"])
    metrics: dict[str, float] = {"latency/onnx_cold_start_ms": 1000 * (time.monotonic() - started)}
    resident = process.memory_info().rss
    metrics["memory/onnx_mb"] = (resident - bare) / 1e6
    metrics["memory/process_mb"] = resident / 1e6

    from nlp_rnn.classifier import latency

    limits = LEVELS[level]
    if limits["starts"] > 1:
        seconds = latency.cold_start(onnx, int(limits["starts"]))
        metrics["latency/onnx_cold_start_ms"] = 1000 * seconds
    longest = onnx.config["max_length"] or LENGTHS[-1]
    texts = {
        length: latency.texts_of_length(onnx, length, TEXTS)
        for length in LENGTHS
        if length <= longest
    }
    length = min(BATCH_LENGTH, longest)
    batch = length, latency.texts_of_length(onnx, length, BATCH)
    # each runtime by itself, as it is deployed: taking turns, each would empty the other's caches
    calls = _measure_runtime(onnx, texts, batch, limits, metrics)
    architecture = onnx.config["architecture"]
    if not architecture["bidirectional"]:
        metrics["latency/stream_token_us"] = latency.step_latency(onnx)
    import torch

    torch.set_num_threads(1)
    by_torch = nlp_rnn.load(folder, threads=1, runtime="torch")
    calls |= _measure_runtime(by_torch, texts, batch, limits, metrics)
    return {
        "metrics": metrics,
        "level": level,
        "calls": calls,
        "conditions": {
            "threads": 1,
            "batch_length": length,
            "torch_kernel": torch_kernel(architecture["cell"]),
            "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
            "onnxruntime": onnxruntime.__version__,
            "tokenizers": tokenizers.__version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
    }


def _measure_runtime(
    classifier: "TextClassifier",
    texts: dict[int, list[str]],
    batch: tuple[int, list[str]],
    limits: dict[str, float],
    metrics: dict[str, float],
) -> dict[str, int]:
    """Add the figures of one runtime to `metrics`; return how many calls each latency is of.

    `texts` by their length, and a `batch` after the length of its texts.
    """
    import numpy as np

    counts = {}
    for length, milliseconds in _rounds(classifier, texts, limits).items():
        name = f"latency/{classifier.runtime}_batch1_{length}"
        counts[name] = len(milliseconds)
        for share in (50, 95):
            metrics[f"{name}_p{share}_ms"] = float(np.percentile(milliseconds, share))
    length, many = batch
    rate = len(many) / _batch_seconds(classifier, many, limits["batches"])
    name = f"throughput/{classifier.runtime}_batch{len(many)}"
    metrics[f"{name}_texts_per_second"] = rate
    metrics[f"{name}_tokens_per_second"] = rate * length
    return counts


def _rounds(
    classifier: "TextClassifier", texts: dict[int, list[str]], limits: dict[str, float]
) -> dict[int, list[float]]:
    """Milliseconds of one text at a time, each length once a round, so that drift hits all."""
    taken: dict[int, list[float]] = {length: [] for length in texts}
    for some in texts.values():
        for text in some[:WARM_UP]:
            classifier.predict_proba([text])
    begun = time.perf_counter()
    for number in range(int(limits["rounds"])):
        if number >= limits["least"] and time.perf_counter() - begun > limits["seconds"]:
            break
        for length, some in texts.items():
            one = [some[number % len(some)]]
            started = time.perf_counter()
            classifier.predict_proba(one)
            taken[length].append(1000 * (time.perf_counter() - started))
    return taken


def _batch_seconds(classifier: "TextClassifier", batch: list[str], seconds: float) -> float:
    """Seconds (median) of answering `batch`, of at least three calls."""
    import statistics

    classifier.predict_proba(batch)
    taken: list[float] = []
    while len(taken) < 3 or sum(taken) < seconds:
        started = time.perf_counter()
        classifier.predict_proba(batch)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def torch_kernel(cell: str) -> str:
    """What torch computes a cell with here: `oneDNN`, `torch`, or `none` without recurrence.

    torch hands no recurrence but the LSTM to oneDNN, and this package no packed batch to torch.
    """
    import torch

    from nlp_rnn.layers.cells import recurrent_cell

    definition = recurrent_cell(cell)
    if definition is None:
        return "none"
    there: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return "oneDNN" if definition.onednn and there and torch.backends.mkldnn.enabled else "torch"


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]))))
