"""Configurations compared with each other, as `nlp_rnn.compare` and `nlp_rnn.sweep` return them."""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.comparison.records import Comparison as DataComparison
from nlp_rnn.comparison.table import data_sets_table, table
from nlp_rnn.sweeps.deployment import FinishedRun

if TYPE_CHECKING:
    import os

    import pandas as pd

    from nlp_rnn.classifier.predictor import TextClassifier

__all__ = ["Comparison"]


@dataclass(frozen=True, repr=False)
class Comparison:
    """Configurations (runs that differ only in the seed) with their scores and differences.

    `nlp_rnn.sweep` and `nlp_rnn.compare` return one. Printed, it is what `nlp-rnn compare` prints.

    Attributes
    ----------
    results : tuple
        The comparison of each data set, with all its numbers; empty if a sweep had nothing to
        compare.
    uri : str
        Address of the MLflow store.
    sweep_id : str or None
        Id of the sweep.
    output_dir : Path or None
        Folder of the sweep.

    Examples
    --------
    >>> import nlp_rnn
    >>> comparison = nlp_rnn.compare()
    >>> comparison.scores[["configuration", "seeds"]]
             configuration  seeds
    0  majority class (no)      0
    1             gru h128      5
    2            lstm h128      5
    >>> comparison.verdict
    'Inconclusive: ...'
    """

    results: tuple[DataComparison, ...]
    uri: str
    sweep_id: str | None = None
    output_dir: Path | None = None
    _runs: Sequence[FinishedRun] = ()

    @property
    def verdict(self) -> str:
        """The conclusion, for each data set."""
        if len(self.results) == 1:
            return self.results[0].verdict
        return "\n".join(f"{one.data}: {one.verdict}" for one in self.results)

    @cached_property
    def scores(self) -> "pd.DataFrame":
        """One row for each configuration, baselines first; scores and intervals in percent.

        The columns are `data`, `configuration`, `baseline`, `seeds`, `score`, `low`, `high` and
        `sd` (standard deviation over the seeds). Of ensembles these are the networks alone, and the
        saved classifiers follow as `configuration` with n-gram models.
        """
        import pandas as pd

        rows = []
        for result in self.results:
            deployed = [(f"{one.name} with n-gram models", one) for one in result.deployed]
            compared = [(one.name, one) for one in (*result.baselines, *result.configurations)]
            rows += [
                {
                    "data": result.data,
                    "configuration": name,
                    "baseline": one.is_baseline,
                    "seeds": len(one.runs),
                    "score": one.score.mean,
                    "low": one.score.low,
                    "high": one.score.high,
                    "sd": one.sd,
                }
                for name, one in (*compared, *deployed)
            ]
        return pd.DataFrame(rows)

    @cached_property
    def differences(self) -> "pd.DataFrame":
        """One row for each pair: `first` minus `second` in points, with interval and outcome."""
        import pandas as pd

        return pd.DataFrame(
            [
                {
                    "data": result.data,
                    "first": one.first,
                    "second": one.second,
                    "points": one.interval.mean,
                    "low": one.interval.low,
                    "high": one.interval.high,
                    "p_value": one.adjusted["bootstrap"],
                    "outcome": str(one.outcome),
                }
                for result in self.results
                for one in result.differences
            ]
        )

    @cached_property
    def recommendations(self) -> "pd.DataFrame":
        """The recommended configuration for each use, with the reason and the evidence."""
        import pandas as pd

        return pd.DataFrame(
            [
                {
                    "data": result.data,
                    "use": one.use,
                    "choice": one.choice,
                    "reason": one.reason,
                    "evidence": one.evidence,
                }
                for result in self.results
                for one in result.recommendations
            ]
        )

    @cached_property
    def runs(self) -> "pd.DataFrame":
        """One row for each run: `name`, `run_id`, `data`, and its metrics."""
        import pandas as pd

        rows: list[dict[str, Any]] = [
            {"name": run.name, "run_id": run.run_id, "data": run.tags.get("data"), **run.metrics}
            for run in self._runs
        ]
        return pd.DataFrame(rows)

    @cached_property
    def classifier(self) -> "TextClassifier":
        """The classifier that the sweep recommends.

        Raises
        ------
        ClassifierError
            There is none, or there is one for each of several data sets.
        """
        import nlp_rnn
        from nlp_rnn.errors import ClassifierError
        from nlp_rnn.tracking.environment import default_tracking_uri

        if self.sweep_id is None:
            raise ClassifierError(
                "A comparison of an experiment recommends no single classifier.\n"
                "Call nlp_rnn.compare(sweep=ID) for those of a sweep."
            )
        with default_tracking_uri(self.uri):
            return nlp_rnn.load(self.sweep_id)

    def report(self, folder: "str | os.PathLike[str]") -> list[Path]:
        """Write the report of each data set, and return the paths of the HTML pages.

        Parameters
        ----------
        folder : str or path
            Output folder. Several data sets have a subfolder each.

        Raises
        ------
        DataError
            The folder cannot be written.
        """
        from nlp_rnn.report.report import report_runs

        target = Path(folder).absolute()
        if len(self.results) == 1:
            return [report_runs(self.results[0], self.uri, target).page]
        pages = []
        for result in self.results:
            name = re.sub(r"[^\w.-]+", "_", f"{result.data}-{result.digest[:6]}")
            pages.append(report_runs(result, self.uri, target / name).page)
        return pages

    def __repr__(self) -> str:
        """Return what `nlp-rnn compare` prints."""
        if self.results:
            parts = [*map(table, self.results), data_sets_table(self.results)]
            return "\n\n".join(filter(None, parts))
        return f"{len(self._runs)} runs, nothing to compare"

    def _repr_html_(self) -> str:
        """Return the same for notebooks, in a font of equal widths."""
        return f"<pre>{html.escape(repr(self))}</pre>"
