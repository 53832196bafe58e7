"""A comparison and what its runs left behind become what the sections of a report are made from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nlp_rnn.comparison.records import Comparison, Configuration, Difference
from nlp_rnn.report.figure_files import Picture, Style, save_picture, styles_of
from nlp_rnn.scoring.predictions import Predictions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from nlp_rnn.comparison.probes import ProbeCurve
    from nlp_rnn.inspection.memory_horizon import MemoryHorizon

__all__ = [
    "NO_PAIR",
    "NO_PREDICTIONS",
    "Material",
    "TrainingCurve",
    "on_the_scale",
    "percent",
    "points",
    "shown_text",
]

NO_PREDICTIONS = (
    "No run here has its answers to the single test texts (predictions/test_predictions.parquet), "
    "which this section is made from. Runs of this version of nlp-rnn log them: train again."
)

NO_PAIR = (
    "This needs two comparable groups whose runs have their answers to the same test texts; "
    "there are none."
)

MOST_CHARACTERS = 600
"""Of a text that the page shows."""


@dataclass(frozen=True)
class TrainingCurve:
    """How the validation score of one run rose, an entry for each epoch.

    `updates` since the start, `seconds` of training with validation, `scores` in percent.
    """

    updates: tuple[float, ...]
    seconds: tuple[float, ...]
    scores: tuple[float, ...]


@dataclass
class Material:
    """What sections read, and where they leave their pictures and the data behind them.

    Attributes:
        comparison: what is reported.
        folder: where pictures go; it exists.
        curves: by run id; a run without one is missing.
        texts: the test texts by their row; None where the data could not be read again.
        no_texts: why not.
        remembered: what a run's classifier keeps of the texts, by run id; some may be missing.
        probes: what the candidates' architectures reached on probes; `cell` is the group.
        tables: by name, rows of columns, to become parquet.
        pictures: those made so far.
    """

    comparison: Comparison
    folder: Path
    curves: Mapping[str, TrainingCurve]
    texts: Mapping[int, str] | None
    no_texts: str
    remembered: Mapping[str, "MemoryHorizon"] = field(default_factory=dict)
    probes: Sequence["ProbeCurve"] = ()
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    pictures: list[Picture] = field(default_factory=list)

    @cached_property
    def styles(self) -> dict[str, Style]:
        """A style for each group, candidates first."""
        comparison = self.comparison
        return styles_of(
            [group.name for group in (*comparison.configurations, *comparison.baselines)]
        )

    @property
    def score_name(self) -> str:
        """The metric in words, without its unit."""
        metric = self.comparison.rules.metric
        return {"accuracy": "accuracy", "macro_f1": "macro-F1"}.get(metric, metric)

    @property
    def num_texts(self) -> int:
        """Texts of the test split; 0 where no run has its predictions."""
        for group in (*self.comparison.configurations, *self.comparison.baselines):
            for run in group.runs:
                if run.predictions is not None:
                    return len(run.predictions.rows)
        return max((each.texts for each in self.comparison.differences), default=0)

    @cached_property
    def predictions(self) -> dict[str, list[Predictions]]:
        """The answers of each candidate's seeds to the same texts; groups without are missing."""
        found: dict[str, list[Predictions]] = {}
        rows = None
        for group in self.comparison.configurations:
            for run in group.runs:
                answers = run.predictions
                if answers is None or not len(answers.rows):
                    continue
                rows = answers.rows if rows is None else rows
                if np.array_equal(answers.rows, rows):
                    found.setdefault(group.name, []).append(answers)
        return found

    def pair(self) -> Difference | None:
        """The pair that texts and confusions are shown for: the one whose groups score highest."""
        scores = {group.name: group.score.mean for group in self.comparison.configurations}
        pairs = [
            each
            for each in self.comparison.differences
            if each.first in self.predictions and each.second in self.predictions
        ]
        return max(
            pairs,
            key=lambda pair: scores.get(pair.first, 0) + scores.get(pair.second, 0),
            default=None,
        )

    def picture(self, figure: "Figure", name: str, title: str) -> Picture:
        """Keep a figure as `name.png` and return it for the page."""
        picture = save_picture(figure, self.folder, name, title)
        self.pictures.append(picture)
        return picture


def on_the_scale(groups: Sequence[Configuration]) -> tuple[list[Configuration], str]:
    """The candidates and the controls that do not squeeze them into a corner, and who is missing.

    The words begin with a blank, and are empty where nobody is.
    """
    scores = [score for group in groups if not group.is_baseline for score in group.scores.values()]
    low, high = min(scores), max(scores)
    reach = max(3 * (high - low), 8.0)
    close = [
        group
        for group in groups
        if not group.is_baseline or low - reach <= group.score.mean <= high + reach
    ]
    far = [f"{each.name} ({percent(each.score.mean)} %)" for each in groups if each not in close]
    return close, f" Far off the scale: {', '.join(far)}." if far else ""


def percent(value: float, digits: int = 1) -> str:
    """A score for people; a dash where there is none."""
    return f"{value:.{digits}f}" if np.isfinite(value) else "–"


def points(value: float) -> str:
    """A difference for people, with its sign."""
    return f"{value:+.2f}".replace("-", "−") if np.isfinite(value) else "–"


def shown_text(text: str) -> str:
    """A text as a page can show it: no control characters, and not more than fits."""
    clean = "".join(each if each.isprintable() or each == "\n" else " " for each in text).strip()
    if len(clean) > MOST_CHARACTERS:
        return f"{clean[:MOST_CHARACTERS]}… ({len(clean):,} characters)"
    return clean or "(an empty text)"
