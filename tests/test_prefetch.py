"""Prefetched updates: this process's share, its weights, the order, prepared in advance."""

import threading

import numpy as np
import pytest
import torch

from nlp_rnn.tokens.tokenizer import PAD_ID
from nlp_rnn.training.prefetch import STEPS_MULTIPLE, VOCABULARY_MULTIPLE, prefetch_updates
from nlp_rnn.training.processes import SINGLE_PROCESS, Processes
from tests.test_trainer import TRAIN

UPDATES = [[np.arange(16), np.arange(16, 21)], [np.array([30])]]


def test_alone_an_update_reads_its_batches_whole() -> None:
    updates = list(prefetch_updates(TRAIN, UPDATES, SINGLE_PROCESS, for_gpu=False))
    assert [update.texts for update in updates] == [21, 1]
    assert updates[0].tokens == TRAIN.lengths[:21].sum()
    assert updates[0].weights == [16 / 21, 5 / 21]
    np.testing.assert_array_equal(updates[0].batches[1].rows, np.arange(16, 21))


def test_shares_are_the_batch_and_a_share_without_text_weighs_nothing() -> None:
    shares = [
        list(prefetch_updates(TRAIN, UPDATES, Processes(r, 3, r, 3), for_gpu=False))
        for r in range(3)
    ]
    for number, rows in enumerate(UPDATES):
        assert sum(sum(share[number].weights) for share in shares) == pytest.approx(1)
        assert {share[number].texts for share in shares} == {sum(map(len, rows))}
    read = [share[0].batches[0].rows for share in shares]
    assert sorted(np.concatenate(read)) == list(range(16))
    assert sorted(share[1].weights[0] for share in shares) == [0, 0, 1]
    assert all(len(share[1].batches[0].rows) == 1 for share in shares)


def test_pairs_and_vocabulary_are_those_of_all_processes_and_batches() -> None:
    for processes in (1, 3):
        shares = [
            list(
                prefetch_updates(
                    TRAIN, UPDATES, Processes(r, processes), for_gpu=False, vocabulary=True
                )
            )
            for r in range(processes)
        ]
        for number, rows in enumerate(UPDATES):
            ids = TRAIN.batch(np.concatenate(rows)).input_ids
            for share in shares:
                np.testing.assert_array_equal(share[number].vocabulary, np.unique(ids[ids > 0]))
            assert sum(sum(s[number].pair_weights) for s in shares) == pytest.approx(1)
    first = TRAIN.lengths[:16].sum() - 16
    alone = next(prefetch_updates(TRAIN, UPDATES, SINGLE_PROCESS, for_gpu=False))
    assert alone.pair_weights[0] == first / (TRAIN.lengths[:21].sum() - 21)
    assert alone.vocabulary is None


def test_batches_are_made_ahead_in_a_thread_that_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def batch(rows: np.ndarray, multiple: int) -> object:
        made.append((int(rows[0]), threading.current_thread().name.split("_")[0]))
        return TRAIN.__class__.batch(TRAIN, rows, multiple)

    monkeypatch.setattr(TRAIN, "batch", batch, raising=False)
    updates = prefetch_updates(
        TRAIN, [[np.array([row])] for row in range(9)], SINGLE_PROCESS, for_gpu=False
    )
    assert [int(next(updates).batches[0].rows[0]) for _ in range(2)] == [0, 1]
    updates.close()  # as when a limit ends the epoch: waits for the thread
    assert 2 < len(made) < 9
    assert made == [(row, "batches") for row in range(len(made))]
    assert not any(thread.name.startswith("batches") for thread in threading.enumerate())


def test_for_a_gpu_batches_are_pinned_and_of_few_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    pinned = []

    def pin_memory(tensor: torch.Tensor) -> torch.Tensor:
        pinned.append(tuple(tensor.shape))
        return tensor.clone()

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin_memory)
    (update,) = prefetch_updates(TRAIN, UPDATES[1:], SINGLE_PROCESS, for_gpu=True, vocabulary=True)
    assert pinned == [(1, STEPS_MULTIPLE), (1,), (1,), (VOCABULARY_MULTIPLE,)]
    usual = TRAIN.batch(np.array([30]))
    (batch,) = update.batches
    np.testing.assert_array_equal(batch.lengths, usual.lengths)
    length = usual.input_ids.shape[1]
    np.testing.assert_array_equal(batch.input_ids[:, :length], usual.input_ids)
    assert (batch.input_ids[:, length:] == PAD_ID).all()
    np.testing.assert_array_equal(np.unique(update.vocabulary), TRAIN.vocabulary(np.array([30])))
    assert (np.diff(update.vocabulary) >= 0).all()
