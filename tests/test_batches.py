"""Batches: every row once, padded little, in an order that seed and epoch fix."""

import numpy as np
import pytest
from datasets import Dataset, Features, List, Value

from nlp_rnn.tokens.batches import TokenizedTexts, epoch_order, length_order, split_by_tokens
from nlp_rnn.tokens.tokenizer import PAD_ID

FEATURES = Features({"input_ids": List(Value("int32")), "label": Value("int64")})


def texts(lengths: list[int]) -> list[list[int]]:
    return [[100 * row + step + 2 for step in range(n)] for row, n in enumerate(lengths)]


def tokenized(lengths: list[int]) -> TokenizedTexts:
    ids = texts(lengths)
    return TokenizedTexts(
        Dataset.from_dict({"input_ids": ids, "label": list(range(len(ids)))}, features=FEATURES)
    )


def test_a_batch_is_padded_to_its_longest_text() -> None:
    batch = tokenized([3, 1, 2, 9]).batch(np.array([2, 0]))
    np.testing.assert_array_equal(batch.input_ids, [[202, 203, PAD_ID], [2, 3, 4]])
    np.testing.assert_array_equal(batch.lengths, [2, 3])
    np.testing.assert_array_equal(batch.labels, [2, 0])
    assert batch.num_tokens == 5
    assert batch.input_ids.dtype == batch.lengths.dtype == batch.labels.dtype == np.int64


def test_rows_are_found_across_the_chunks_and_slices_of_a_table(tmp_path) -> None:
    from datasets import concatenate_datasets

    ids = texts([3, 1, 2, 5, 4, 1])
    rows = [{"input_ids": one, "label": i} for i, one in enumerate(ids)]
    parts = [Dataset.from_list(rows[i : i + 2], features=FEATURES) for i in (0, 2, 4)]
    whole = concatenate_datasets(parts)
    whole.save_to_disk(tmp_path / "saved")
    for dataset in (whole, Dataset.load_from_disk(tmp_path / "saved")):
        read = TokenizedTexts(dataset)
        for row, one in enumerate(ids):
            assert read.batch(np.array([row])).input_ids.tolist() == [one]


@pytest.mark.parametrize("rows", [1, 63, 64, 65, 7000])
def test_an_epoch_holds_every_row_once(rows: int) -> None:
    lengths = np.random.default_rng(0).integers(1, 400, rows)
    for order in (epoch_order(lengths, 64, seed=1, epoch=1), length_order(lengths, 64)):
        assert sorted(np.concatenate(order).tolist()) == list(range(rows))
        assert all(len(batch) <= 64 for batch in order)
        assert len(order) == -(-rows // 64)


def test_the_order_is_fixed_by_seed_and_epoch() -> None:
    lengths = np.random.default_rng(0).integers(1, 400, 500)

    def order(seed: int, epoch: int) -> list[list[int]]:
        return [batch.tolist() for batch in epoch_order(lengths, 32, seed, epoch)]

    assert order(1, 1) == order(1, 1)
    assert order(1, 1) != order(1, 2)
    assert order(1, 1) != order(2, 1)


def test_bucketing_pads_little_and_still_shuffles() -> None:
    lengths = np.random.default_rng(0).integers(1, 400, 7000)
    order = epoch_order(lengths, 64, seed=1, epoch=1)
    padded = sum(len(batch) * lengths[batch].max() for batch in order)
    assert padded < 1.05 * lengths.sum()
    assert len({int(lengths[batch].max()) // 100 for batch in order[:10]}) > 1


def test_answers_are_read_longest_first() -> None:
    order = length_order(np.array([1, 5, 3, 4]), 2)
    assert [batch.tolist() for batch in order] == [[1, 3], [2, 0]]


@pytest.mark.parametrize("parts", [1, 2, 3, 8])
@pytest.mark.parametrize("count", [1, 2, 5, 64])
def test_a_batch_is_split_by_tokens(parts: int, count: int) -> None:
    generator = np.random.default_rng(count)
    lengths = generator.integers(1, 400, 200)
    rows = generator.permutation(200)[:count]
    shares = split_by_tokens(rows, lengths, parts)
    assert len(shares) == parts
    assert sorted(np.concatenate(shares)) == sorted(rows)
    joined = lengths[np.concatenate(shares)]
    assert (np.diff(joined) >= 0).all()
    even = lengths[rows].sum() / parts
    for share in shares:
        # no share is off by more than its first and last text
        assert abs(lengths[share].sum() - even) <= lengths[rows].max()


def test_a_long_text_weighs_as_much_as_many_short_ones() -> None:
    lengths = np.array([1, 100, 1, 1, 1, 96])
    shares = split_by_tokens(np.arange(6), lengths, 2)
    assert [lengths[share].tolist() for share in shares] == [[1, 1, 1, 1, 96], [100]]
