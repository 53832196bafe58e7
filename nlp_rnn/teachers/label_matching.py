"""Names of labels in the predictions of a teacher, matched with the labels of the data."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nlp_rnn.config.teacher import UnknownLabels
from nlp_rnn.data.suspect_labels import without_spelling
from nlp_rnn.errors import DataError

__all__ = ["LabelMatching"]

SHOWN = 20


class LabelMatching:
    """The labels of the data, found by their names or by spellings of them.

    A label is first looked up as it is. If the data has no such label, one that differs only in
    case, white space, or as `1.0` differs from `1` is taken, provided that only one does.

    Parameters
    ----------
    labels : sequence of str
        The labels of the data.
    aliases : mapping of str to str, optional
        Other names of labels, as in `data.label_names`.
    where : str
        Name of the file or the table, with which error messages begin.
    unknown : UnknownLabels
        Whether a label that the data does not have is an error.
    of_teacher : bool
        Whether errors name the option `teacher.unknown`.

    Attributes
    ----------
    unknown_rows : dict of str to list of int
        Rows, from 1, by unknown label.
    """

    def __init__(
        self,
        labels: Sequence[str],
        where: str,
        unknown: UnknownLabels = UnknownLabels.error,
        aliases: Mapping[str, str] | None = None,
        of_teacher: bool = True,
    ) -> None:
        self.labels, self.where = tuple(labels), where
        self._or_drop = ", or set teacher.unknown=drop" if of_teacher else ""
        self._unknown = unknown
        self._index = {name: index for index, name in enumerate(labels)}
        for alias, name in (aliases or {}).items():
            if name in self._index:
                self._index.setdefault(str(alias), self._index[name])
        spellings: dict[str, set[int]] = {}
        for name, index in self._index.items():
            spellings.setdefault(without_spelling(name), set()).add(index)
        self._spelling = {key: min(ids) for key, ids in spellings.items() if len(ids) == 1}
        self.unknown_rows: dict[str, list[int]] = {}

    def find(self, name: Any) -> int | None:
        """Return the index of a label; None if the data has none of this name."""
        index = self._index.get(name) if isinstance(name, str) else None
        if index is None:
            text = str(name)
            index = self._index.get(text)
            if index is None:
                index = self._spelling.get(without_spelling(text))
        return index

    def find_in_row(self, name: Any, row: int) -> int | None:
        """Return the index of a label, and remember the row, from 1, if there is none."""
        index = self.find(name)
        if index is None:
            self.unknown_rows.setdefault(str(name), []).append(row)
        return index

    def require_columns(self, columns: Iterable[str], names: Iterable[str]) -> list[int | None]:
        """Return the index of the label that each column belongs to; None for one to be dropped.

        Raises
        ------
        DataError
            A column belongs to no label, or two to the same one, or a label has none.
        """
        columns = list(columns)
        indices = [self.find(name) for name in names]
        known = [index for index in indices if index is not None]
        for column, index in zip(columns, indices, strict=True):
            if index is None and self._unknown is UnknownLabels.error:
                raise DataError(
                    f"{self.where} has the column {column!r}, but the data has no such label; it "
                    f"has: {self._listed()}.\nRename the column{self._or_drop}."
                )
        if len(set(known)) < len(known):
            twice = next(index for index in known if known.count(index) > 1)
            raise DataError(
                f"{self.where} has several columns for the label {self.labels[twice]!r}: "
                f"{', '.join(columns)}.\nRemove one of them."
            )
        if missing := [name for index, name in enumerate(self.labels) if index not in known]:
            raise DataError(
                f"{self.where} has no column of probabilities for the label {missing[0]!r}; its "
                f"columns are: {', '.join(columns[:SHOWN])}.\nAdd a column for each label."
            )
        return indices

    def note(self) -> str | None:
        """Return a line about the dropped labels; None if there were none.

        Raises
        ------
        DataError
            There were some, and they are errors.
        """
        if not self.unknown_rows:
            return None
        number = sum(map(len, self.unknown_rows.values()))
        name, rows = min(self.unknown_rows.items(), key=lambda item: item[1][0])
        if self._unknown is UnknownLabels.error:
            others = len(self.unknown_rows)
            how_many = (
                f"{number:,} rows have labels like this ({others:,} different ones)"
                if number > 1
                else "it is the only such row"
            )
            raise DataError(
                f"{self.where}, row {rows[0]:,}: the data has no label {name!r}; {how_many}. The "
                f"data has: {self._listed()}.\n"
                "Correct the labels"
                f"{self._or_drop and f'{self._or_drop} to leave out these predictions'}."
            )
        examples = ", ".join(repr(label) for label in list(self.unknown_rows)[:3])
        return (
            f"teacher: {number:,} prediction{'s' * (number > 1)} dropped, with labels that the "
            f"data does not have, such as {examples}"
        )

    def _listed(self) -> str:
        more = f" and {len(self.labels) - SHOWN:,} more" if len(self.labels) > SHOWN else ""
        return ", ".join(self.labels[:SHOWN]) + more
