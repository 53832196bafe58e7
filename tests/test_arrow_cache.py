"""Mapped files: rows come whole and in order, what was read is given back, and nothing else."""

from pathlib import Path

import datasets
import numpy as np
import pyarrow
import pytest

from nlp_rnn.sources import arrow_cache
from nlp_rnn.sources.arrow_cache import arrow_batches, mapped_files, release_pages, texts_of
from nlp_rnn.tokens import batches
from nlp_rnn.tokens.batches import TokenizedTexts


def resident(path: Path) -> int:
    """Bytes of `path` that count as memory of this process."""
    total, here = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split(" ", 1)[0] and ":" not in line.split(" ", 1)[0]:
            here = line.endswith(str(path))
        elif here and line.startswith("Rss:"):
            total += int(line.split()[1]) * 1024
    return total


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """3 MB of texts, and of token ids."""
    path = tmp_path / "texts.arrow"
    schema = pyarrow.schema(
        [
            ("text", pyarrow.string()),
            ("label", pyarrow.int64()),
            ("input_ids", pyarrow.list_(pyarrow.int32())),
        ]
    )
    with pyarrow.ipc.new_stream(str(path), schema) as writer:
        for start in range(0, 15_000, 1000):
            rows = range(start, start + 1000)
            writer.write_batch(
                pyarrow.record_batch(
                    [
                        [f"{row} " + "word " * 40 for row in rows],
                        [row % 2 for row in rows],
                        [[row] * 20 for row in rows],
                    ],
                    schema=schema,
                )
            )
    return path


linux = pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="needs Linux")


@linux
def test_a_pass_over_a_file_leaves_no_more_than_it_may(file: Path, monkeypatch) -> None:
    dataset = datasets.Dataset.from_file(str(file))
    everything = file.stat().st_size
    texts = dataset["text"][:]
    assert resident(file) > 0.8 * everything
    release_pages(mapped_files(dataset))
    assert resident(file) < 0.1 * everything
    monkeypatch.setattr(arrow_cache, "RELEASE_AFTER", everything // 10)
    most = 0
    again = []
    for text in texts_of(dataset):
        again.append(text)
        if len(again) % 500 == 0:
            most = max(most, resident(file))
    assert again == texts
    assert most < 0.4 * everything


@linux
@pytest.mark.slow
def test_batches_read_a_large_file_in_little_memory(file: Path, monkeypatch) -> None:
    dataset = datasets.Dataset.from_file(str(file))
    plain = TokenizedTexts(dataset)
    assert not plain._files  # of a small file nothing is given back
    monkeypatch.setattr(batches, "RELEASE_AFTER", 1 << 20)
    monkeypatch.setattr(batches, "_RELEASE_AFTER_TEXTS", 64)
    texts = TokenizedTexts(dataset)
    release_pages(mapped_files(dataset))
    most = 0
    for rows in np.random.default_rng(0).permutation(15_000).reshape(-1, 50):
        batch = texts.batch(rows)
        assert (batch.input_ids == rows[:, None]).all()
        most = max(most, resident(file))
    assert most < 0.9 * file.stat().st_size


def test_rows_that_were_selected_come_in_their_order(file: Path) -> None:
    dataset = datasets.Dataset.from_file(str(file)).select([9000, 3, 12_345])
    assert [text.split()[0] for text in texts_of(dataset)] == ["9000", "3", "12345"]
    (table,) = arrow_batches(dataset)
    assert table.column("label").to_pylist() == [0, 1, 1]


def test_memory_that_is_no_mapped_file_is_never_touched(tmp_path: Path, file: Path) -> None:
    in_memory = datasets.Dataset.from_dict({"text": ["a" * 100_000] * 10})
    assert mapped_files(in_memory) == frozenset()
    release_pages([str(file), "[heap]", "[stack]", "", str(tmp_path / "missing")])
    assert in_memory["text"][9] == "a" * 100_000
    # one that may be written is left alone
    mapping = np.memmap(file, dtype=np.uint8, mode="c")
    mapping[:4096] = 7
    release_pages([str(file)])
    assert (mapping[:4096] == 7).all()
