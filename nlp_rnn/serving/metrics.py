"""Metrics of the service in the format of Prometheus, summed over its processes.

Each process writes its numbers to files in a folder of its own, and `GET /metrics` of any process
sums the files. The folder has to be in `PROMETHEUS_MULTIPROC_DIR` before the first import of
prometheus_client; the supervisor sets it.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from nlp_rnn.serving.served_classifier import ServedClassifier

__all__ = ["Metrics", "render"]

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
TEXTS = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """Counters and histograms of one process; made once per process, after the fork."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self._requests = Counter(
            "nlp_rnn_requests", "Requests by route and HTTP status.", ["route", "status"],
            registry=registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "nlp_rnn_request_seconds", "Time from the headers to the response.", ["route"],
            buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self._predictions = Counter(
            "nlp_rnn_predictions", "Predicted labels; the empty label is below the threshold.",
            ["classifier", "label"], registry=registry,
        )  # fmt: skip
        self._step = Histogram(
            "nlp_rnn_batch_texts", "Texts that were predicted together.", buckets=TEXTS,
            registry=registry,
        )  # fmt: skip
        self._queue = Gauge(
            "nlp_rnn_queue_texts", "Texts that wait for a prediction.",
            multiprocess_mode="livesum", registry=registry,
        )  # fmt: skip
        self._streams = Gauge(
            "nlp_rnn_streams", "Open streams.", multiprocess_mode="livesum", registry=registry
        )
        self._info = Gauge(
            "nlp_rnn_classifier_info", "Classifiers that are served.",
            ["classifier", "checksum", "version"], multiprocess_mode="livemax", registry=registry,
        )  # fmt: skip

    def request(self, route: str, status: int, seconds: float | None) -> None:
        """Count a request, and how long it took unless `seconds` is None."""
        self._requests.labels(route, str(status)).inc()
        if seconds is not None:
            self._seconds.labels(route).observe(seconds)

    def step(self, texts: int, waiting: int) -> None:
        """Count a step of the batcher, and how many texts wait after it."""
        self._step.observe(texts)
        self._queue.set(waiting)

    def predictions(self, classifier: str, labels: list[str]) -> None:
        """Count predicted labels."""
        counters = self._predictions
        for label in labels:
            counters.labels(classifier, label).inc()

    def stream(self, change: int) -> None:
        """Count a stream that was opened (1) or closed (-1)."""
        self._streams.inc(change)

    def serve(self, served: ServedClassifier, present: bool = True) -> None:
        """Record that a classifier is served, or no longer served."""
        checksum = served.classifier.config["checksum"][:12]
        version = served.source.version or ""
        self._info.labels(served.name, checksum, version).set(int(present))


def render() -> bytes:
    """Return the metrics of all processes in Prometheus's text format."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    text: bytes = generate_latest(registry)
    return text
