"""A loaded classifier becomes a measured time to answer one text on this machine."""

import itertools
import time
from collections.abc import Sequence

import numpy as np

from nlp_rnn.classifier.predictor import TextClassifier

__all__ = ["answer_latency"]

WARM_UP_CALLS = 20


def answer_latency(
    classifier: TextClassifier, texts: Sequence[str], calls: int = 300
) -> dict[str, float]:
    """Milliseconds from one text to its probabilities, tokenization included.

    Calls `predict_proba` on one text at a time, going round `texts`. One text is answered on
    one thread whatever the classifier's `threads`. Returns `latency/onnx_batch1_p50_ms` and
    `latency/onnx_batch1_p95_ms`.
    """
    one_text = itertools.cycle([[text] for text in texts])
    for _ in range(WARM_UP_CALLS):
        classifier.predict_proba(next(one_text))
    milliseconds = []
    for _ in range(calls):
        text = next(one_text)
        started = time.perf_counter()
        classifier.predict_proba(text)
        milliseconds.append(1000 * (time.perf_counter() - started))
    return {
        "latency/onnx_batch1_p50_ms": float(np.quantile(milliseconds, 0.5)),
        "latency/onnx_batch1_p95_ms": float(np.quantile(milliseconds, 0.95)),
    }
