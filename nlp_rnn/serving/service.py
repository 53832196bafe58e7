"""State of one process of the service: its classifiers, its queue and its metrics."""

import asyncio
import json
import logging
from typing import Any

from starlette.requests import Request

from nlp_rnn.errors import ClassifierError
from nlp_rnn.serving.bad_request import FAILED, RequestError
from nlp_rnn.serving.batcher import Batcher
from nlp_rnn.serving.explanation import Explainer
from nlp_rnn.serving.metrics import Metrics
from nlp_rnn.serving.options import ServingOptions
from nlp_rnn.serving.predict_request import PredictRequest, prediction_records
from nlp_rnn.serving.served_classifier import ServedClassifier

__all__ = ["BODY_BYTES", "Service"]

# All bodies of unfinished requests that a process holds in memory together, unless a single one
# can be larger.
BODY_MEMORY = 64 << 20
BODY_BYTES = "nlp_rnn.body_bytes"
"""Key of the size of a request's body in its ASGI scope."""

log = logging.getLogger("nlp_rnn.serving")


class Service:
    """State of one process: the classifiers, the queue and the metrics.

    Parameters
    ----------
    options : ServingOptions
        Options of the service.
    classifiers : dict of str to ServedClassifier
        Classifiers by name; the first one serves requests that name none.
    metrics : Metrics
        Metrics of this process.
    """

    def __init__(
        self, options: ServingOptions, classifiers: dict[str, ServedClassifier], metrics: Metrics
    ) -> None:
        self.options = options
        self.classifiers = dict(classifiers)
        self.metrics = metrics
        self.batcher = Batcher(options.queue, options.timeout, metrics.step)
        self.draining = False
        self.body_bytes = 0
        self.streams = 0
        self._explainers: dict[str, tuple[ServedClassifier, Explainer]] = {}
        self._loading = asyncio.Lock()  # so that concurrent requests load each only once
        for served in classifiers.values():
            metrics.serve(served)

    def replace(self, served: ServedClassifier) -> None:
        """Serve a new version of a classifier; requests in the queue keep the former one."""
        self._explainers.pop(served.name, None)
        self.metrics.serve(self.classifiers[served.name], present=False)
        self.classifiers[served.name] = served
        self.metrics.serve(served)

    def classifier(self, name: str | None) -> ServedClassifier:
        """Return the classifier of a name, or the first one.

        Raises
        ------
        RequestError
            Status 404: there is none of this name.
        """
        if name is None:
            return next(iter(self.classifiers.values()))
        if name not in self.classifiers:
            names = ", ".join(self.classifiers)
            raise RequestError(404, f"There is no classifier {name[:40]!r}; there are {names}.")
        return self.classifiers[name]

    async def predict(
        self, served: ServedClassifier, request: PredictRequest
    ) -> list[dict[str, Any]]:
        """Predict the texts of a request together with those of other requests."""
        probabilities = await self.batcher.predict_proba(
            served.classifier, request.texts, request.windows
        )
        records = prediction_records(request, served.classifier, probabilities)
        if served.classifier.thresholds is None:
            labels = [record["label"] or "" for record in records]
        else:
            labels = [label for record in records for label in record["labels"]]
        self.metrics.predictions(served.name, labels)
        if self.options.log_texts:
            for text, record in zip(request.texts, records, strict=True):
                log.info("%s", json.dumps({"classifier": served.name, "text": text} | record))
        return records

    async def explain(self, served: ServedClassifier, text: str) -> dict[str, Any]:
        """Return the contributions of the tokens of a text, the gates, and more for the page.

        Raises
        ------
        RequestError
            Status 500: the classifier folder can no longer be read. Others as in `predict`.
        """
        loop = asyncio.get_running_loop()
        async with self._loading:
            former, explainer = self._explainers.get(served.name, (None, None))
            if explainer is None or former is not served:
                try:
                    explainer = await loop.run_in_executor(None, Explainer, served)
                except ClassifierError as error:  # names a path, so it is for the log only
                    log.error("%s cannot be explained: %s", served.name, error)
                    raise RequestError(500, FAILED) from None
                self._explainers[served.name] = served, explainer
        prepared = await loop.run_in_executor(None, explainer.prepare, text)
        probabilities = await self.batcher.predict_proba(served.classifier, prepared.left_out.texts)
        return await loop.run_in_executor(None, explainer.explain, prepared, probabilities)

    def count_streams(self, change: int) -> None:
        """Count a stream that was opened (1) or closed (-1)."""
        self.streams += change
        self.metrics.stream(change)

    async def read_body(self, request: Request) -> bytes:
        """Return the body of a request.

        Raises
        ------
        RequestError
            Status 413: it is too large. Status 503: the bodies in memory are too large together.
        """
        limit = self.options.max_body
        too_large = RequestError(413, f"The body is larger than {limit} bytes.")
        length = request.headers.get("content-length")
        if length is not None and int(length) > limit:
            raise too_large
        parts: list[bytes] = []
        size = 0
        async for part in request.stream():
            size += len(part)
            request.scope[BODY_BYTES] = size  # subtracted when the request ends
            self.body_bytes += len(part)
            if size > limit:
                raise too_large
            if self.body_bytes > max(BODY_MEMORY, limit):
                message = "The service is busy. Send the request again later."
                raise RequestError(503, message, {"Retry-After": "1"})
            if part:
                parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)
