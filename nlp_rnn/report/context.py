"""Shared context of the report sections: the comparison, data of its runs, and saved figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nlp_rnn.comparison.records import Comparison, Configuration, Difference
from nlp_rnn.report.figure_files import LineStyle, SavedFigure, line_styles, save_figure
from nlp_rnn.scoring.predictions import Predictions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from nlp_rnn.comparison.probes import ProbeCurve
    from nlp_rnn.inspection.memory_horizon import MemoryHorizon

__all__ = [
    "NO_PAIR",
    "NO_PREDICTIONS",
    "ReportContext",
    "TrainingCurve",
    "clean_text",
    "format_percent",
    "format_points",
    "within_scale",
]

NO_PREDICTIONS = (
    "This section needs the predictions for the single test texts "
    "(predictions/test_predictions.parquet), and no run has logged them. Train the runs again "
    "with this version of nlp-rnn, which logs them."
)

NO_PAIR = (
    "This section needs two comparable configurations with predictions for the same test texts; "
    "there is no such pair."
)

MAX_CHARACTERS = 600
"""Number of characters of a text that the page shows."""


RiskRow = tuple[float, float, float | None]
"""Threshold, coverage, and accuracy if a text reaches the threshold; shares of 1."""


@dataclass(frozen=True)
class TrainingCurve:
    """Validation score of one run after each epoch.

    Attributes
    ----------
    updates : tuple of float
        Optimizer updates since the start.
    seconds : tuple of float
        Seconds of training and validation since the start.
    scores : tuple of float
        Validation score in percent.
    """

    updates: tuple[float, ...]
    seconds: tuple[float, ...]
    scores: tuple[float, ...]


@dataclass
class ReportContext:
    """Input of every section function, and the place where it saves figures and their data.

    Attributes
    ----------
    comparison : Comparison
        The comparison to report.
    folder : Path
        Existing folder for the figures.
    curves : mapping of str to TrainingCurve
        Learning curves by run id; runs without a history are missing.
    texts : mapping of int to str, or None
        Test texts by row, None if the data could not be loaded.
    why_no_texts : str
        Reason why there are no texts.
    memory_horizons : mapping of str to MemoryHorizon
        Memory horizons by run id; runs without a classifier are missing.
    probes : sequence of ProbeCurve
        Results of the same architectures on probes; `cell` is the name of the configuration.
    teachers : mapping of str to dict
        Content of `teacher.json`, by the name of the configuration; those without a teacher are
        missing.
    risk_coverage : mapping of str to sequence
        Threshold, coverage and accuracy on validation by run id; runs of earlier versions are
        missing.
    scored_configurations : int
        How many configurations were scored on the test split; 0 where it is not known.
    tables : dict of str to list of dict
        Data of the figures, a list of rows per name. Every table is written as a Parquet file.
    """

    comparison: Comparison
    folder: Path
    curves: Mapping[str, TrainingCurve]
    texts: Mapping[int, str] | None
    why_no_texts: str
    memory_horizons: Mapping[str, "MemoryHorizon"] = field(default_factory=dict)
    probes: Sequence["ProbeCurve"] = ()
    teachers: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    risk_coverage: Mapping[str, Sequence[RiskRow]] = field(default_factory=dict)
    scored_configurations: int = 0
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def baselines_first(self) -> tuple[Configuration, ...]:
        """The baselines, then the compared configurations."""
        return (*self.comparison.baselines, *self.comparison.configurations)

    @cached_property
    def styles(self) -> dict[str, LineStyle]:
        """Line style by the name of the configuration or baseline."""
        comparison = self.comparison
        return line_styles([c.name for c in (*comparison.configurations, *comparison.baselines)])

    @property
    def score_name(self) -> str:
        """Readable name of the metric, without a unit."""
        return self.comparison.rules.metric_name

    @property
    def num_texts(self) -> int:
        """Number of test texts, 0 if no run has predictions and there is no difference."""
        for configuration in (*self.comparison.configurations, *self.comparison.baselines):
            for run in configuration.runs:
                if run.predictions is not None:
                    return len(run.predictions.rows)
        return max((pair.texts for pair in self.comparison.differences), default=0)

    @cached_property
    def predictions(self) -> dict[str, list[Predictions]]:
        """Predictions of the seeds by configuration, all for the same rows of the test split.

        Runs without predictions or with other rows are left out.
        """
        predictions: dict[str, list[Predictions]] = {}
        rows = None
        for configuration in self.comparison.configurations:
            for run in configuration.runs:
                if run.predictions is None or not len(run.predictions.rows):
                    continue
                rows = run.predictions.rows if rows is None else rows
                if np.array_equal(run.predictions.rows, rows):
                    predictions.setdefault(configuration.name, []).append(run.predictions)
        return predictions

    def best_pair(self) -> Difference | None:
        """Return the pair with the highest scores; single texts are shown only for this pair."""
        scores = {c.name: c.score.mean for c in self.comparison.configurations}
        pairs = [
            pair
            for pair in self.comparison.differences
            if pair.first in self.predictions and pair.second in self.predictions
        ]
        return max(
            pairs,
            key=lambda pair: scores.get(pair.first, 0) + scores.get(pair.second, 0),
            default=None,
        )

    def save_figure(self, figure: "Figure", name: str, title: str) -> SavedFigure:
        """Save a figure as `name.png` and return it for the page; `title` describes it."""
        return save_figure(figure, self.folder, name, title)


def within_scale(configurations: Sequence[Configuration]) -> tuple[list[Configuration], str]:
    """Leave out baselines whose scores are so far off that they would compress the axis.

    Returns the configurations to draw, and a sentence that names the others. The sentence starts
    with a space and is empty if all are drawn.
    """
    scores = [score for c in configurations if not c.is_baseline for score in c.scores.values()]
    low, high = min(scores), max(scores)
    reach = max(3 * (high - low), 8.0)
    drawn = [
        c
        for c in configurations
        if not c.is_baseline or low - reach <= c.score.mean <= high + reach
    ]
    far = [f"{c.name} ({format_percent(c.score.mean)} %)" for c in configurations if c not in drawn]
    return drawn, f" Outside the range of the axis: {', '.join(far)}." if far else ""


def format_percent(value: float, digits: int = 1) -> str:
    """Format a score; an unknown one is a dash."""
    return f"{value:.{digits}f}" if np.isfinite(value) else "–"


def format_points(value: float) -> str:
    """Format a difference with its sign; an unknown one is a dash."""
    return f"{value:+.2f}".replace("-", "−") if np.isfinite(value) else "–"


def clean_text(text: str) -> str:
    """Remove control characters from a text and cut it to `MAX_CHARACTERS`."""
    clean = "".join(c if c.isprintable() or c == "\n" else " " for c in text).strip()
    if len(clean) > MAX_CHARACTERS:
        return f"{clean[:MAX_CHARACTERS]}… ({len(clean):,} characters)"
    return clean or "(an empty text)"
