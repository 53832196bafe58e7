"""Micro-batches: texts of requests that arrive together are predicted together.

One thread computes. When it is idle, a request is computed at once. While it computes, further
requests wait in a queue, and then form the next step together. So a batch is as large as the load
requires, and no request waits for others to arrive.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.classifier.predictor import TextClassifier
from nlp_rnn.serving.bad_request import RequestError

__all__ = ["Batcher"]

# Texts and characters of one step, and texts that one request contributes to it while others wait.
# So a request with thousands of texts delays the others by one step, not by its whole duration.
STEP_TEXTS = 128
STEP_CHARACTERS = 1 << 16
STEP_SHARE = 32

Array = NDArray[np.float32]


class _Job:
    """Texts of one request, and the probabilities that are ready."""

    __slots__ = ("classifier", "done", "future", "parts", "started", "texts", "windows")

    def __init__(
        self,
        classifier: TextClassifier,
        texts: list[str],
        windows: bool,
        future: "asyncio.Future[Array]",
    ) -> None:
        self.classifier, self.texts, self.windows, self.future = classifier, texts, windows, future
        self.started = 0  # texts that are computed or being computed
        self.done = 0
        self.parts: list[Array] = []


class Batcher:
    """Queue of texts in front of the thread that predicts; it belongs to one event loop.

    The step of texts that is computed next takes a share of every waiting request, first come,
    first served. `TextClassifier.predict_proba` sorts its texts into batches of similar length.

    Parameters
    ----------
    limit : int
        Largest number of waiting texts. A request with more texts is accepted if none wait.
    timeout : float
        Seconds after which a request without a prediction gets status 503.
    observe : callable, optional
        Called with the number of texts and of waiting texts at every step.
    """

    def __init__(
        self, limit: int, timeout: float, observe: Callable[[int, int], None] | None = None
    ) -> None:
        self._limit = limit
        self._timeout = timeout
        self._observe = observe
        self._jobs: deque[_Job] = deque()
        self._busy = False
        self.waiting = 0
        self.executor = ThreadPoolExecutor(1, thread_name_prefix="predict")

    async def predict_proba(
        self, classifier: TextClassifier, texts: list[str], windows: bool = False
    ) -> Array:
        """Return the probabilities (n, C) of the texts.

        Raises
        ------
        RequestError
            Status 503: the queue is full, or the time is over.
        ClassifierError
            `windows` has no effect for this classifier.
        """
        if not texts:
            return np.empty((0, len(classifier.labels)), np.float32)
        if self.waiting and self.waiting + len(texts) > self._limit:
            raise RequestError(
                503,
                f"{self.waiting} texts are waiting for a prediction and the limit is "
                f"{self._limit}. Send the request again later.",
                {"Retry-After": "1"},
            )
        loop = asyncio.get_running_loop()
        job = _Job(classifier, texts, windows, loop.create_future())
        self.waiting += len(texts)
        self._jobs.append(job)
        if not self._busy:
            self._start_step(loop)
        timer = loop.call_later(self._timeout, _expire, job.future, self._timeout)
        try:
            return await job.future
        finally:
            timer.cancel()

    def _start_step(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take a step of texts from the queue and start to compute it."""
        step = self._take_step()
        self._busy = bool(step)
        if not step:
            return
        texts = [text for job, start, stop in step for text in job.texts[start:stop]]
        if self._observe is not None:
            self._observe(len(texts), self.waiting)
        first = step[0][0]
        task = loop.run_in_executor(self.executor, _compute, first.classifier, texts, first.windows)
        task.add_done_callback(lambda future: self._end_step(loop, step, future))

    def _take_step(self) -> list[tuple[_Job, int, int]]:
        """Return the next texts as (job, start, stop), all for one classifier."""
        step: list[tuple[_Job, int, int]] = []
        skipped: list[_Job] = []
        unfinished: list[_Job] = []
        texts = characters = 0
        jobs = self._jobs
        share = STEP_SHARE if len(jobs) > 1 else STEP_TEXTS
        while jobs and texts < STEP_TEXTS and (not texts or characters < STEP_CHARACTERS):
            job = jobs.popleft()
            start = stop = job.started
            if job.future.done():  # its time is over, or its client is gone
                self.waiting -= len(job.texts) - start
                continue
            first = step[0][0] if step else job
            if (job.classifier, job.windows) != (first.classifier, first.windows):
                skipped.append(job)
                continue
            end = min(len(job.texts), start + share, start + STEP_TEXTS - texts)
            while stop < end and (stop == start or characters < STEP_CHARACTERS):
                characters += len(job.texts[stop])
                stop += 1
            step.append((job, start, stop))
            texts += stop - start
            self.waiting -= stop - start
            job.started = stop
            if stop < len(job.texts):
                unfinished.append(job)
        jobs.extendleft(reversed(skipped))
        jobs.extend(unfinished)
        return step

    def _end_step(
        self,
        loop: asyncio.AbstractEventLoop,
        step: list[tuple[_Job, int, int]],
        computed: "asyncio.Future[Array]",
    ) -> None:
        """Give each request its probabilities, and start the next step."""
        error = computed.exception()
        row = 0
        for job, start, stop in step:
            rows = slice(row, row + stop - start)
            row = rows.stop
            if job.future.done():
                continue
            if error is not None:
                job.future.set_exception(error)
                continue
            job.parts.append(computed.result()[rows])
            job.done += stop - start
            if job.done == len(job.texts):
                whole = job.parts[0] if len(job.parts) == 1 else np.concatenate(job.parts)
                job.future.set_result(whole)
        self._start_step(loop)

    def close(self) -> None:
        """Stop the thread."""
        self.executor.shutdown(wait=False, cancel_futures=True)


def _compute(classifier: TextClassifier, texts: list[str], windows: bool) -> Array:
    return classifier.predict_proba(texts, windows=windows)


def _expire(future: "asyncio.Future[Array]", timeout: float) -> None:
    if not future.done():
        message = f"The prediction was not ready after {timeout:g} s. Send the request again later."
        future.set_exception(RequestError(503, message, {"Retry-After": "5"}))
