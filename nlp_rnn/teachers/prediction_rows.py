"""Rows of a table of predictions, matched with texts by the texts themselves or by row numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.errors import DataError
from nlp_rnn.sources.columns import listed
from nlp_rnn.sources.text_column import as_text, hash_texts
from nlp_rnn.teachers.prediction_table import PredictionTable
from nlp_rnn.teachers.teacher_predictions import FloatArray, predicted_rows

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["Matched", "PredictionRows"]

UNLABELLED = "unlabelled"


@dataclass(frozen=True)
class Matched:
    """Predictions for the texts of one split, or for unlabelled texts.

    Attributes
    ----------
    probabilities : float32 (n, C)
        Mean probabilities of the rows that match a text; nan for a text without any.
    used : bool (rows of the table,)
        Which rows of the table match a text.
    """

    probabilities: FloatArray
    used: NDArray[np.bool_]


class PredictionRows:
    """Predictions by text, or by row number where the table has no texts.

    Several rows for the same text are averaged. Texts are compared as they are; a text that the
    table lacks is compared without case and superfluous white space.

    Parameters
    ----------
    table : PredictionTable
        The table.
    probabilities : float32 (n, C)
        The predictions of its rows; nan for a row without a prediction.
    text : sequence of str
        Columns of the texts in the data.
    separator : str or None
        Token between the texts of a pair.
    has_pool : bool
        Whether there are unlabelled texts, which row numbers could mean as well.

    Raises
    ------
    DataError
        The table has neither texts nor row numbers, or row numbers without a split.
    """

    def __init__(
        self,
        table: PredictionTable,
        probabilities: FloatArray,
        text: Sequence[str],
        separator: str | None,
        has_pool: bool,
    ) -> None:
        self._table, self._probabilities = table, probabilities
        self._predicted = predicted_rows(probabilities)
        self.by_text = True
        columns = table.columns
        if all(name in columns for name in text):
            self._hashes = _hashes(table, text, separator)
        elif "text" in columns:
            self._hashes = _hashes(table, ["text"], None)
        elif "row" in columns:
            self.by_text = False
            self._rows = _row_numbers(table)
            if has_pool and "split" not in columns:
                raise DataError(
                    f"{table.where} has row numbers but no texts, and they could mean rows of "
                    "data.path or of data.unlabelled.\nAdd the column of the texts, or a column "
                    "split with train, validation, test or unlabelled."
                )
        else:
            raise DataError(
                f"{table.where} has no column of texts ({listed(text)}) and no column row; it "
                f"has: {listed(columns)}.\nAdd one of them, so that predictions can be matched."
            )

    def match_split(self, split: str, dataset: "Dataset") -> Matched:
        """Return the predictions for the rows of a split of the corpus."""
        if self.by_text:
            return self._match_texts(dataset)
        return self._match_rows(split, np.asarray(dataset["row"], np.int64))

    def match_unlabelled(self, texts: Sequence[str], rows: NDArray[np.int64]) -> Matched:
        """Return the predictions for unlabelled texts, whose row numbers are `rows`."""
        if self.by_text:
            from datasets import Dataset

            return self._match_texts(Dataset.from_dict({"text": list(texts)}))
        return self._match_rows(UNLABELLED, rows)

    def contradictions(self) -> int:
        """Return the number of texts, or row numbers, whose predictions name different labels."""
        keys = self._hashes.exact if self.by_text else self._rows
        keys, labels = keys[self._predicted], self._probabilities[self._predicted].argmax(axis=1)
        pairs = np.unique(np.stack([keys.astype(np.uint64), labels.astype(np.uint64)]), axis=1)
        return int((np.unique(pairs[0], return_counts=True)[1] > 1).sum())

    def _match_texts(self, dataset: "Dataset") -> Matched:
        if not len(dataset):
            return self._mean(self._hashes.exact, np.empty(0, np.uint64), self._predicted)
        hashes = hash_texts(dataset)
        exact = self._mean(self._hashes.exact, hashes.exact, self._predicted)
        missing = ~predicted_rows(exact.probabilities)
        similar = self._mean(self._hashes.normal, hashes.normal[missing], self._predicted)
        exact.probabilities[missing] = similar.probabilities
        return Matched(exact.probabilities, exact.used | similar.used)

    def _match_rows(self, split: str, rows: NDArray[np.int64]) -> Matched:
        usable = self._predicted
        if "split" in self._table.columns:
            named = [_split_name(value) for value in self._table.columns["split"]]
            usable = usable & (np.asarray(named, dtype=object) == split)
        elif split != "train":
            usable = usable & False
        return self._mean(self._rows, rows, usable)

    def _mean(self, keys: NDArray[Any], wanted: NDArray[Any], usable: NDArray[np.bool_]) -> Matched:
        """Average the usable rows of the table whose key is a wanted one."""
        size = self._probabilities.shape[1]
        result = np.full((len(wanted), size), np.nan, np.float32)
        usable = usable & np.isin(keys, wanted)
        if usable.any():
            known, group = np.unique(keys[usable], return_inverse=True)
            sums = np.zeros((len(known), size))
            np.add.at(sums, group, self._probabilities[usable])
            means = sums / np.bincount(group)[:, None]
            index = np.searchsorted(known, wanted).clip(max=len(known) - 1)
            matching = known[index] == wanted
            result[matching] = means[index[matching]]
        return Matched(result, usable)


def _hashes(table: PredictionTable, columns: Sequence[str], separator: str | None) -> Any:
    from datasets import Dataset, Features, Value

    values = {
        name: [None if cell is None else str(cell) for cell in table.columns[name]]
        for name in columns
    }
    features = Features({name: Value("string") for name in columns})
    rows = Dataset.from_dict(values, features)
    return hash_texts(as_text(rows, columns, table.where, separator))


def _row_numbers(table: PredictionTable) -> NDArray[np.int64]:
    numbers = []
    for index, value in enumerate(table.columns["row"], 1):
        try:
            number = float(value)
            whole = int(number)
        except (TypeError, ValueError, OverflowError):
            number, whole = -1.0, 0
        if number != whole or whole < 0:
            raise DataError(
                f"{table.where}, row {index:,}: the row number is {value!r}.\n"
                "Write the number of each text's row in its file, from 0."
            )
        numbers.append(whole)
    return np.asarray(numbers, np.int64)


def _split_name(value: Any) -> str:
    name = str(value).strip().casefold()
    return UNLABELLED if name in ("unlabeled", "pool") else name
