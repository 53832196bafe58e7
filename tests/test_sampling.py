"""Stratified sampling: shares, bounds and seeds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlp_rnn.data.sampling import allocate, sample


@given(st.lists(st.integers(1, 50), min_size=1, max_size=12), st.floats(0, 1))
def test_shares_add_up_stay_in_bounds_and_are_fair(sizes, fraction):
    counts = np.array(sizes)
    least, most = np.zeros_like(counts), counts - 1
    total = round(fraction * int(most.sum()))
    shares = allocate(counts, total, least, most)
    assert shares.sum() == total
    assert (shares >= least).all()
    assert (shares <= most).all()
    # a class is off its exact share by less than a row, unless a bound is in the way somewhere
    quota = counts * (total / counts.sum())
    if (quota <= most).all():
        assert (np.abs(shares - quota) < 1 + 1e-9).all()


@given(st.lists(st.integers(1, 50), min_size=1, max_size=12), st.integers(0, 500))
def test_every_class_can_be_given_a_row(sizes, extra):
    counts = np.array(sizes)
    total = min(len(sizes) + extra, int(counts.sum()))
    shares = allocate(counts, total, np.ones_like(counts), counts)
    assert shares.sum() == total
    assert (shares >= 1).all()
    assert (shares <= counts).all()


def test_ties_go_to_the_smaller_id():
    counts = np.array([10, 10, 10, 10])
    assert allocate(counts, 2, counts * 0, counts).tolist() == [1, 1, 0, 0]


def test_what_cannot_be_shared_out():
    counts = np.array([1, 2])
    with pytest.raises(ValueError, match="4 rows cannot be allocated"):
        allocate(counts, 4, counts * 0, counts)


def test_a_sample_has_the_shares_and_is_seeded():
    ids = np.random.default_rng(0).integers(0, 3, 300)
    shares = np.array([5, 0, 40])
    mask = sample(ids, shares, (0, 1))
    assert np.bincount(ids[mask], minlength=3).tolist() == [5, 0, 40]
    assert (mask == sample(ids, shares, (0, 1))).all()
    assert (mask != sample(ids, shares, (1, 1))).any()
    assert (mask != sample(ids, shares, (0, 2))).any()


def test_a_larger_sample_holds_the_smaller_one():
    ids = np.arange(200) % 4
    small = sample(ids, np.array([3, 4, 5, 6]), (7,))
    large = sample(ids, np.array([9, 9, 9, 9]), (7,))
    assert (large | ~small).all()


def test_a_sample_is_not_the_first_rows():
    mask = sample(np.repeat([0, 1], 500), np.array([50, 50]), (0,))
    rows = np.flatnonzero(mask)
    assert 100 < rows[:50].mean() < 400
