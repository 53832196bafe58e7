"""Any table of strings is read back as it was written, in every format and dialect."""

import csv
import json
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nlp_rnn.commands.input_tables import InputTable
from nlp_rnn.config.checks import check
from nlp_rnn.data.corpus import load_corpus
from nlp_rnn.data.label_columns import read_labels
from nlp_rnn.data.labels import SingleLabels
from nlp_rnn.sources.file_format import DEFAULT_OPTIONS
from nlp_rnn.sources.source import read_source
from nlp_rnn.sources.streams import find_streams
from nlp_rnn.sources.text_column import as_text
from tests.composing import compose

pytestmark = pytest.mark.usefixtures("own_datasets_cache")

ODD = [
    '"',
    '""',
    ",",
    ";",
    "\t",
    "|",
    "\n",
    "\r\n",
    " ",
    "'",
    "\\",
    "\ufeff",
    "\u2028",
    "#",
    "é",
    "漢",
]
"""Signs that have a meaning in one of the formats."""

ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
TEXTS = st.one_of(
    ANY, st.lists(st.sampled_from([*ODD, "a", "text", "label"]), max_size=8).map("".join)
)


def is_plain(label: str) -> bool:
    """Whether a label is not one of the documented forms: a list, a float, a missing value."""
    text = label.strip()
    return bool(text) and text != r"\N" and not re.match(r"[\[{(]|array\(|-?\d+\.0$", text)


LABELS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5).filter(is_plain)
TABLES = st.lists(st.tuples(TEXTS, LABELS), min_size=1, max_size=8)


def examples(number: int) -> settings:
    fixtures = HealthCheck.function_scoped_fixture
    return settings(max_examples=number, deadline=None, suppress_health_check=[fixtures])


@contextmanager
def new_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def read(path: Path) -> list[tuple[str | None, str | None]]:
    """Return texts and labels as training reads them; None for what is missing.

    The readers of predict and evaluate have to return the same.
    """
    config = compose(["data=files", f"data.path={path}"])
    check(config)
    source = read_source(config.data)
    texts = as_text(source.splits["train"], source.text, "train")["text"]
    labels = read_labels(source, [])["train"]
    assert isinstance(labels, SingleLabels)
    names = [labels.names[index] if index >= 0 else None for index in labels.ids]
    table = list(zip(texts, names, strict=True))
    assert predicted_texts(path) == list(texts)
    assert evaluated(path, names) == [row for row in table if None not in row]
    return table


def predicted_texts(path: Path) -> list[str | None]:
    (entries,) = find_streams(path, ("text",), [], DEFAULT_OPTIONS).values()
    table = InputTable(entries, [("text",)])
    return [text for chunk in table.chunks() for text in chunk.texts]


def evaluated(path: Path, known: list[str | None]) -> list[tuple[str, str]]:
    """Return texts and labels as evaluate reads them, for a classifier that knows the labels."""
    config = compose(["data=files", f"data.path={path}"])
    labels = {label for label in known if label is not None}
    if not any(labels) or all(text is None for text in predicted_texts(path)):
        return []
    corpus = load_corpus(config.data, labels, cutting=False)
    return [(row["text"], corpus.labels[row["label"]]) for row in corpus.train.to_list()]


def expected(table: list[tuple[str, str]], *, empty_is_null: bool) -> list[tuple[str | None, str]]:
    """Return the table with the documented normalization: labels have no blanks around them."""
    return [(None if empty_is_null and not text else text, label.strip()) for text, label in table]


@examples(30)
@given(
    table=TABLES,
    delimiter=st.sampled_from(",;\t|"),
    line_end=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    columns=st.permutations(["id", "text", "label"]),
    suffix=st.sampled_from([".csv", ".tsv"]),
)
def test_csv(
    table: list[tuple[str, str]],
    delimiter: str,
    line_end: str,
    quoting: Any,
    encoding: str,
    columns: list[str],
    suffix: str,
) -> None:
    if any("\r" in cell for row in table for cell in row):
        quoting = csv.QUOTE_ALL  # Python's writer leaves a lone carriage return without quotes
    with new_folder() as folder:
        path = folder / f"a{suffix}"
        with path.open("w", encoding=encoding, newline="") as file:
            writer = csv.writer(file, delimiter=delimiter, lineterminator=line_end, quoting=quoting)
            writer.writerow(columns)
            for number, (text, label) in enumerate(table):
                row = {"id": str(number), "text": text, "label": label}
                writer.writerow([row[name] for name in columns])
        assert read(path) == expected(table, empty_is_null=quoting == csv.QUOTE_MINIMAL)


@examples(12)
@given(table=TABLES, ascii_only=st.booleans(), is_array=st.booleans())
def test_json(table: list[tuple[str, str]], ascii_only: bool, is_array: bool) -> None:
    records = [{"text": text, "label": label} for text, label in table]
    with new_folder() as folder:
        path = folder / ("a.json" if is_array else "a.jsonl")
        lines = [json.dumps(record, ensure_ascii=ascii_only) for record in records]
        content = f"[{','.join(lines)}]" if is_array else "".join(line + "\n" for line in lines)
        path.write_text(content, encoding="utf-8", newline="")
        assert read(path) == expected(table, empty_is_null=False)


@examples(10)
@given(table=TABLES, category=st.booleans())
def test_parquet(table: list[tuple[str, str]], category: bool) -> None:
    frame = pd.DataFrame(table, columns=["text", "label"])
    if category:
        frame["label"] = frame["label"].astype("category")
    with new_folder() as folder:
        frame.to_parquet(path := folder / "a.parquet")
        assert read(path) == expected(table, empty_is_null=False)
