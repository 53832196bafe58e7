"""The configurations that were scored on a test split are counted, by the digest of the data."""

import pytest

from nlp_rnn.errors import TrackingError
from nlp_rnn.tracking.scored_configurations import (
    MAX_COUNTED,
    add_scored,
    count_scored,
    scored_advice,
)
from nlp_rnn.tracking.store import obtain_experiment


def test_configurations_count_once_per_digest_in_all_experiments(store_uri: str) -> None:
    one, two = (obtain_experiment(store_uri, name) for name in ("one", "two"))
    assert count_scored(store_uri, "d1") == 0
    assert add_scored(store_uri, one, "d1", ["aaaaaaaa"]) == 1
    assert add_scored(store_uri, one, "d1", ["aaaaaaaa"]) == 1  # another seed
    assert add_scored(store_uri, two, "d1", ["aaaaaaaa", "bbbbbbbb"]) == 2
    assert add_scored(store_uri, one, "d2", ["cccccccc"]) == 1
    assert (count_scored(store_uri, "d1"), count_scored(store_uri, "d2")) == (2, 1)


def test_the_third_configuration_is_told_to_choose_by_validation(store_uri: str) -> None:
    experiment = obtain_experiment(store_uri, "one")
    assert scored_advice(store_uri, experiment, "d1", ["aaaaaaaa", "bbbbbbbb"]) == []
    (advice,) = scored_advice(store_uri, experiment, "d1", ["cccccccc"])
    assert advice.startswith("This test split has been scored by 3 configurations")
    many = [f"{number:08x}" for number in range(MAX_COUNTED + 9)]
    assert add_scored(store_uri, experiment, "d1", many) == MAX_COUNTED + 12
    assert count_scored(store_uri, "d1") == MAX_COUNTED


def test_a_store_with_a_problem_is_no_error_at_the_end_of_a_run(store_uri: str) -> None:
    with pytest.raises(TrackingError):
        add_scored(store_uri, "999", "d1", ["aaaaaaaa"])
    assert scored_advice(store_uri, "999", "d1", ["aaaaaaaa"]) == []
