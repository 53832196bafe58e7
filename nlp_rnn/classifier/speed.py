"""Speed and memory of a saved classifier, measured in a process of its own.

`measure_speed` starts that process with `python -m nlp_rnn.classifier.speed`.
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
TEXTS = 20  # of each length, used in turn
WARM_UP = 5
# For each level and runtime: the number of rounds through all lengths, the seconds after which no
# further round starts, the smallest number of rounds, the seconds of batches, and cold starts.
LEVELS = {
    "quick": {"rounds": 100, "seconds": 0.4, "least": 10, "batches": 0.15, "starts": 1},
    "full": {"rounds": 1000, "seconds": float("inf"), "least": 1000, "batches": 3.0, "starts": 5},
}
TIMEOUT_SECONDS = {"quick": 120.0, "full": 3600.0}

SpeedFigures = dict[str, Any]
"""`metrics` by name, number of `calls` behind each latency, and `conditions` of the measurement."""


def measure_speed(folder: Path, level: str) -> SpeedFigures:
    """Measure the classifier in `folder` in a new process with one thread.

    Parameters
    ----------
    folder : Path
        Classifier folder.
    level : {"quick", "full"}
        `quick` takes some seconds, `full` makes 1,000 calls for every latency.

    Returns
    -------
    SpeedFigures
        Its `metrics` are `latency/RUNTIME_batch1_LENGTH_p50_ms` and `…_p95_ms`, milliseconds from
        one text of LENGTH tokens to its probabilities, for every length up to `max_length`;
        `throughput/RUNTIME_batch32_texts_per_second` and `…_tokens_per_second` for 32 texts of
        100 tokens; `latency/onnx_cold_start_ms` from starting Python to the first prediction;
        after that prediction `memory/onnx_mb`, without the imported libraries, and
        `memory/process_mb`; and for one-directional networks `latency/stream_token_us`.

    Raises
    ------
    ClassifierError
        The process failed or exceeded the time limit.
    """
    # one thread inside every library, whatever the training used
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    started = time.monotonic()
    command = [sys.executable, "-m", "nlp_rnn.classifier.speed", str(folder), level, str(started)]
    try:
        process = subprocess.run(
            command,
            capture_output=True,
            text=True,
            env=environment,
            timeout=TIMEOUT_SECONDS[level],
        )
    except subprocess.TimeoutExpired:
        raise ClassifierError(
            f"Measuring the speed took longer than {TIMEOUT_SECONDS[level]:.0f} seconds."
        ) from None
    if process.returncode != 0:
        reason = (process.stderr.strip().splitlines() or ["the process was killed"])[-1]
        raise ClassifierError(f"The speed could not be measured: {reason}")
    figures: SpeedFigures = json.loads(process.stdout.splitlines()[-1])
    return figures


def measure(folder: Path, level: str, started: float) -> SpeedFigures:
    """Measure in this process, which was started at `started` seconds of the monotonic clock."""
    import numpy as np
    import onnxruntime
    import psutil
    import tokenizers

    process = psutil.Process()
    imported = process.memory_info().rss
    import nlp_rnn

    onnx = nlp_rnn.load(folder, threads=1)
    onnx.predict_proba(["a text"])
    metrics: dict[str, float] = {"latency/onnx_cold_start_ms": 1000 * (time.monotonic() - started)}
    resident = process.memory_info().rss
    metrics["memory/onnx_mb"] = (resident - imported) / 1e6
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
    # one runtime after the other: if they alternated, each would evict the other from the CPU cache
    calls = _measure_runtime(onnx, texts, batch, limits, metrics)
    architecture = onnx.config["architecture"]
    if onnx.can_stream:
        metrics["latency/stream_token_us"] = latency.step_latency(onnx)
    torch_version, kernel = None, "none"
    if architecture is not None:
        import torch

        torch.set_num_threads(1)
        by_torch = nlp_rnn.load(folder, threads=1, runtime="torch")
        calls |= _measure_runtime(by_torch, texts, batch, limits, metrics)
        torch_version, kernel = torch.__version__, torch_kernel(architecture["cell"])
    return {
        "metrics": metrics,
        "level": level,
        "calls": calls,
        "conditions": {
            "threads": 1,
            "batch_length": length,
            "torch_kernel": kernel,
            "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
            "onnxruntime": onnxruntime.__version__,
            "tokenizers": tokenizers.__version__,
            "torch": torch_version,
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
    """Add the figures of one runtime to `metrics`; return the number of calls of each latency.

    `texts` are grouped by their number of tokens; `batch` is this number and a list of texts.
    """
    import numpy as np

    counts = {}
    for length, milliseconds in _rounds(classifier, texts, limits).items():
        name = f"latency/{classifier.runtime}_batch1_{length}"
        counts[name] = len(milliseconds)
        for share in (50, 95):
            metrics[f"{name}_p{share}_ms"] = float(np.percentile(milliseconds, share))
    length, batch_texts = batch
    rate = len(batch_texts) / _batch_seconds(classifier, batch_texts, limits["batches"])
    name = f"throughput/{classifier.runtime}_batch{len(batch_texts)}"
    metrics[f"{name}_texts_per_second"] = rate
    metrics[f"{name}_tokens_per_second"] = rate * length
    return counts


def _rounds(
    classifier: "TextClassifier", texts: dict[int, list[str]], limits: dict[str, float]
) -> dict[int, list[float]]:
    """Return the milliseconds of single texts; every round has each length, to share any drift."""
    milliseconds: dict[int, list[float]] = {length: [] for length in texts}
    for same_length in texts.values():
        for text in same_length[:WARM_UP]:
            classifier.predict_proba([text])
    first_start = time.perf_counter()
    for number in range(int(limits["rounds"])):
        if number >= limits["least"] and time.perf_counter() - first_start > limits["seconds"]:
            break
        for length, same_length in texts.items():
            single = [same_length[number % len(same_length)]]
            started = time.perf_counter()
            classifier.predict_proba(single)
            milliseconds[length].append(1000 * (time.perf_counter() - started))
    return milliseconds


def _batch_seconds(classifier: "TextClassifier", batch: list[str], seconds: float) -> float:
    """Return the seconds (median) of predicting `batch`, in at least three calls."""
    import statistics

    classifier.predict_proba(batch)
    times: list[float] = []
    while len(times) < 3 or sum(times) < seconds:
        started = time.perf_counter()
        classifier.predict_proba(batch)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def torch_kernel(cell: str) -> str:
    """Return what computes the cell in torch: `oneDNN`, `torch`, or `none` without recurrence.

    Of the recurrent layers torch computes only the LSTM with oneDNN, and only batches that are not
    packed, as in this package.
    """
    import torch

    from nlp_rnn.layers.cells import recurrent_cell

    definition = recurrent_cell(cell)
    if definition is None:
        return "none"
    available: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    onednn = definition.onednn and available and torch.backends.mkldnn.enabled
    return "oneDNN" if onednn else "torch"


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]))))
