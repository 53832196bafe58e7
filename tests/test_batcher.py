"""Requests that arrive together are predicted together, fairly, and never more than fit."""

import asyncio
import threading
from typing import Any

import numpy as np
import pytest

from nlp_rnn.serving.bad_request import RequestError
from nlp_rnn.serving.batcher import STEP_SHARE, STEP_TEXTS, Batcher


class Recorder:
    """Stands in for a classifier: waits for its release, and records what is predicted together."""

    def __init__(self, fail: bool = False) -> None:
        self.labels = ["a", "b"]
        self.steps: list[list[str]] = []
        self.release = threading.Event()
        self.fail = fail

    def predict_proba(self, texts: list[str], windows: bool = False) -> np.ndarray:
        self.steps.append(list(texts))
        assert self.release.wait(10)
        if self.fail:
            raise MemoryError
        return np.array([[float(text.split()[-1]), 0.0] for text in texts], np.float32)


def texts(first: int, number: int) -> list[str]:
    return [f"text {index}" for index in range(first, first + number)]


def run(recorder: Recorder, requests: list[list[str]], **options: Any) -> list[Any]:
    """Queue requests in order while the first one is computed, then let everything finish."""

    async def scenario() -> list[Any]:
        batcher = Batcher(options.pop("limit", 10_000), options.pop("timeout", 10))
        tasks = []
        for request in requests:
            tasks.append(asyncio.create_task(batcher.predict_proba(recorder, request)))  # type: ignore[arg-type]
            await asyncio.sleep(0)
        recorder.release.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert batcher.waiting == 0
        batcher.close()
        return results

    return asyncio.run(scenario())


def values(result: Any) -> list[int]:
    return [int(value) for value in result[:, 0]]


def test_what_arrives_during_a_step_forms_the_next_one() -> None:
    recorder = Recorder()
    results = run(recorder, [texts(index, 1) for index in range(20)])
    assert [values(result) for result in results] == [[index] for index in range(20)]
    assert [len(step) for step in recorder.steps] == [1, 19]


def test_a_large_request_leaves_room_for_small_ones() -> None:
    recorder = Recorder()
    results = run(recorder, [texts(0, 1), texts(1000, 1000), texts(7, 1)])
    assert values(results[1]) == list(range(1000, 2000))
    assert values(results[2]) == [7]
    assert "text 7" in recorder.steps[1]
    assert len(recorder.steps[1]) == STEP_SHARE + 1
    assert max(map(len, recorder.steps)) == STEP_TEXTS


def test_two_large_requests_take_turns() -> None:
    recorder = Recorder()
    run(recorder, [texts(0, 1), texts(1000, 200), texts(2000, 200)])
    assert {text.split()[1][0] for text in recorder.steps[1]} == {"1", "2"}


def test_a_step_of_long_texts_has_few_of_them() -> None:
    recorder = Recorder()
    long = [f"{'x' * 40_000} {index}" for index in range(5)]
    results = run(recorder, [texts(0, 1), long])
    assert values(results[1]) == list(range(5))
    assert [len(step) for step in recorder.steps] == [1, 2, 2, 1]


def test_a_full_queue_rejects_at_once_and_the_others_are_predicted() -> None:
    recorder = Recorder()
    results = run(recorder, [texts(0, 1), texts(1, 3), texts(4, 2), texts(6, 1)], limit=4)
    assert values(results[1]) == [1, 2, 3]
    assert isinstance(results[2], RequestError)
    assert (results[2].status, results[2].headers) == (503, {"Retry-After": "1"})
    assert values(results[3]) == [6]


def test_a_request_with_more_texts_than_the_limit_is_accepted_if_none_wait() -> None:
    results = run(Recorder(), [texts(0, 5), texts(5, 5), texts(10, 1)], limit=4)
    assert [values(result) for result in results[:2]] == [list(range(5)), list(range(5, 10))]
    assert results[2].status == 503


def test_a_request_whose_time_is_over_is_not_computed() -> None:
    recorder = Recorder()

    async def scenario() -> None:
        batcher = Batcher(100, 0.05)
        first = asyncio.create_task(batcher.predict_proba(recorder, texts(0, 1)))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        with pytest.raises(RequestError, match="not ready after 0.05 s"):
            await batcher.predict_proba(recorder, texts(1, 1))  # type: ignore[arg-type]
        recorder.release.set()
        with pytest.raises(RequestError):
            await first
        while batcher.waiting:
            await asyncio.sleep(0.01)
        batcher.close()

    asyncio.run(scenario())
    assert recorder.steps == [["text 0"]]


def test_an_error_reaches_the_requests_of_its_step_only() -> None:
    broken, working = Recorder(fail=True), Recorder()
    working.release.set()

    async def scenario() -> list[Any]:
        batcher = Batcher(100, 10)
        tasks = []
        for recorder in (broken, working, broken, working):
            tasks.append(asyncio.create_task(batcher.predict_proba(recorder, ["1"])))  # type: ignore[arg-type]
            await asyncio.sleep(0)
        broken.release.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        batcher.close()
        return results

    results = asyncio.run(scenario())
    assert [isinstance(result, MemoryError) for result in results] == [True, False, True, False]


def test_no_texts_give_an_empty_table() -> None:
    (result,) = run(Recorder(), [[]])
    assert result.shape == (0, 2)
