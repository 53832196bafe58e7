"""Values of a table of predictions as probabilities: labels, lists, dictionaries, or columns."""

import json
import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.errors import DataError
from nlp_rnn.ngrams.probabilities import probabilities_of
from nlp_rnn.teachers.label_matching import LabelMatching
from nlp_rnn.teachers.prediction_table import PredictionColumns, PredictionTable
from nlp_rnn.teachers.teacher_predictions import FloatArray

__all__ = ["PredictionValues"]

NUMBERS = re.compile(r"\[[-+\d.eE\s]+\]")
"""An array as numpy prints it, without commas."""

Row = NDArray[np.float64]


class PredictionValues:
    """Reader of the predictions of a table.

    Parameters
    ----------
    table : PredictionTable
        The table.
    columns : PredictionColumns
        Where the predictions are.
    matching : LabelMatching
        The labels of the data.
    multi_label : bool
        Whether a text may have any number of labels.
    separator : str or None
        Text between the labels of a multi-label cell, as in `data.label_separator`.

    Attributes
    ----------
    in_order_of_data : bool
        Whether lists without names were read, whose order was taken to be that of the labels.
    """

    def __init__(
        self,
        table: PredictionTable,
        columns: PredictionColumns,
        matching: LabelMatching,
        multi_label: bool,
        separator: str | None = None,
    ) -> None:
        self._table, self._columns, self._matching = table, columns, matching
        self._multi_label, self._separator = multi_label, separator
        self._size = len(matching.labels)
        self._tolerance = min(0.1, max(0.02, 0.005 * self._size))
        self._list_order: Sequence[int | None] | None = None
        self.in_order_of_data = False

    def probabilities(self) -> FloatArray:
        """Return the probabilities of all rows, float32 (n, C); nan for a row without prediction.

        Raises
        ------
        DataError
            A value is no label, no probability or no logit, or a label is unknown.
        """
        table = np.full((self._table.num_rows, self._size), np.nan)
        if self._columns.classes:
            self._read_class_columns(table)
        else:
            cells = self._table.columns[str(self._columns.cell)]
            confidences = (
                self._table.columns[self._columns.confidence]
                if self._columns.confidence
                else [None] * len(cells)
            )
            for index, (cell, confidence) in enumerate(zip(cells, confidences, strict=True)):
                row = self._row(_parsed(cell), _parsed(confidence), index + 1)
                if row is not None:
                    table[index] = row
        return table.astype(np.float32)

    def _read_class_columns(self, table: NDArray[np.float64]) -> None:
        columns = self._columns
        order = self._matching.require_columns(columns.classes, columns.class_names)
        pairs = zip(columns.classes, order, strict=True)
        known = [(name, index) for name, index in pairs if index is not None]
        chosen, indices = [name for name, _ in known], [index for _, index in known]
        dropped = len(chosen) < len(columns.classes)
        for row, values in enumerate(
            zip(*(self._table.columns[name] for name in chosen), strict=True)
        ):
            numbers = [_parsed(value) for value in values]
            if all(number is None for number in numbers):
                continue
            vector = np.empty(self._size)
            vector[indices] = [self._number(number, row + 1) for number in numbers]
            table[row] = self._checked(vector, row + 1, partial=dropped)

    def _row(self, cell: Any, confidence: Any, row: int) -> Row | None:
        """Return the probabilities of one row; None for a row without a prediction."""
        if cell is None:
            return None
        if isinstance(cell, list) and cell and all(isinstance(one, dict) for one in cell):
            cell = _from_pairs(cell)
        if isinstance(cell, dict):
            return self._from_names(cell, row)
        if isinstance(cell, list) and _is_numeric(cell):
            return self._from_list(cell, row)
        return self._from_labels(cell, confidence, row)

    def _from_names(self, cell: dict[str, Any], row: int) -> Row | None:
        """Read a dictionary; classes that it does not name share what is left to 1."""
        vector, missing = np.zeros(self._size), np.ones(self._size, bool)
        dropped = False
        for name, value in cell.items():
            if value is None:  # Arrow gives every row the keys of all rows
                continue
            index = self._matching.find_in_row(name, row)
            if index is None:
                dropped = True
                continue
            vector[index] += self._number(value, row)
            missing[index] = False
        if missing.all():
            return None
        if missing.any() and not self._columns.logits:
            if not self._multi_label:
                vector[missing] = max(0.0, 1.0 - vector.sum()) / missing.sum()
        elif missing.any():
            raise self._error(row, "a dictionary of logits needs a value for each label", cell)
        return self._checked(vector, row, partial=dropped)

    def _from_list(self, cell: list[Any], row: int) -> Row | None:
        order = self._order_of_lists()
        if len(cell) != len(order):
            raise self._error(
                row,
                f"{len(cell):,} values for {len(order):,} classes",
                "Write one value for each label of the data, a dictionary, or columns named "
                "probability_LABEL.",
            )
        numbers = [self._number(value, row) for value in cell]
        vector = np.zeros(self._size)
        for index, number in zip(order, numbers, strict=True):
            if index is not None:
                vector[index] = number
        return self._checked(vector, row, partial=None in order)

    def _order_of_lists(self) -> Sequence[int | None]:
        if self._list_order is None:
            names = self._table.class_names
            if names is None:
                self.in_order_of_data = True
                self._list_order = range(self._size)
            else:
                self._list_order = self._matching.require_columns(names, names)
        return self._list_order

    def _from_labels(self, cell: Any, confidence: Any, row: int) -> Row | None:
        names = self._names(cell)
        if not self._multi_label and len(names) != 1:
            raise self._error(
                row,
                f"{len(names):,} labels, but each text has one label",
                "Write one label, or a probability for each label.",
            )
        indices = [self._matching.find_in_row(name, row) for name in names]
        known = [index for index in indices if index is not None]
        if len(known) < len(indices):
            return None
        certain = confidence if isinstance(confidence, list) else [confidence] * len(names)
        if len(certain) != len(names):
            certain = [None] * len(names)
        shares = [1.0 if one is None else self._number(one, row) for one in certain]
        for share in shares:
            if not 0 <= share <= 1:
                raise self._error(
                    row,
                    f"the confidence {share:g} is not between 0 and 1",
                    "Divide percentages by 100, or remove the column "
                    f"{self._columns.confidence!r}.",
                )
        vector = np.zeros(self._size)
        if self._multi_label:
            vector[known] = shares
            return vector
        # the label remains the most probable one
        share = max(shares[0], 1.0 / self._size)
        vector[:] = (1.0 - share) / max(self._size - 1, 1)
        vector[known[0]] = share
        return vector

    def _names(self, cell: Any) -> list[Any]:
        if isinstance(cell, list):
            return cell
        if self._multi_label and self._separator and isinstance(cell, str):
            return [name.strip() for name in cell.split(self._separator) if name.strip()]
        return [cell]

    def _number(self, value: Any, row: int) -> float:
        if value is None:
            value = math.nan
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            raise self._error(
                row,
                f"a value is {value}, not a number",
                "Correct it, or leave all values of the row empty: it has no prediction then.",
            )
        return number

    def _checked(self, vector: Row, row: int, *, partial: bool) -> Row:
        """Return values as probabilities; `partial` ones, without some classes, may sum to less."""
        if self._columns.logits:
            logits = vector.astype(np.float32)[None]
            shares: Row = probabilities_of(logits, self._multi_label)[0].astype(np.float64)
            return shares
        total = float(vector.sum())
        if vector.min() < 0 or vector.max() > 1 + self._tolerance:
            percent = vector.min() >= 0 and abs(total - 100) < 100 * self._tolerance
            raise self._error(
                row,
                f"{vector[np.abs(vector - 0.5).argmax()]:g} is no probability",
                "Divide percentages by 100."
                if percent
                else "If the values are logits, name the column logits, or logit_LABEL.",
            )
        if self._multi_label:
            return np.clip(vector, 0, 1)
        if abs(total - 1) > self._tolerance and not (partial and 0 < total < 1):
            raise self._error(
                row,
                f"the probabilities sum to {total:.3g}, not to 1",
                "Divide each by their sum; if they are scores of a model, name the column logits.",
            )
        return vector / total

    def _error(self, row: int, what: str, advice: Any) -> DataError:
        return DataError(f"{self._table.where}, row {row:,}: {what}.\n{advice}")


def _parsed(cell: Any) -> Any:
    """Return a cell as a value, a list or a dictionary; None for one without a prediction."""
    if hasattr(cell, "tolist"):
        cell = cell.tolist()
    if isinstance(cell, float) and math.isnan(cell):
        return None
    if not isinstance(cell, str):
        return list(cell) if isinstance(cell, tuple) else cell
    text = cell.strip()
    if not text:
        return None
    if text[0] not in "[{":
        return text
    if NUMBERS.fullmatch(text):
        return [float(number) for number in text[1:-1].split()]
    try:
        return json.loads(text)
    except ValueError:
        return text


def _is_numeric(cell: list[Any]) -> bool:
    return bool(cell) and all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in cell
    )


def _from_pairs(cell: list[dict[str, Any]]) -> Any:
    """Return a list of `{"label": …, "score": …}`, as transformers write it, as a dictionary."""
    if all({"label", "score"} <= pair.keys() for pair in cell):
        return {str(pair["label"]): pair["score"] for pair in cell}
    return cell
