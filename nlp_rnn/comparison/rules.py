"""Thresholds of a comparison, and the outcomes that they decide between."""

from dataclasses import dataclass, replace
from enum import StrEnum

__all__ = ["ENSEMBLE_KEY", "METRICS", "METRIC_NAMES", "Outcome", "Rules"]

ENSEMBLE_KEY = "model.ensemble"
"""Key of the ensembles with n-gram models. If it is compared, saved classifiers are compared."""

METRIC_NAMES = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "micro_f1": "micro-F1",
    "subset_accuracy": "subset accuracy",
}
"""Readable names of the metrics that can be compared."""

METRICS = {
    "single-label": ("accuracy", "macro_f1"),
    "multi-label": ("micro_f1", "macro_f1", "subset_accuracy"),
}
"""Metrics of each task that can be compared, the default first."""


class Outcome(StrEnum):
    """Conclusion about a pair: the interval of the difference against the equivalence region."""

    first = "first better"
    second = "second better"
    equivalent = "equivalent"
    inconclusive = "inconclusive"


@dataclass(frozen=True)
class Rules:
    """Thresholds of a comparison; besides the runs, the conclusion depends on nothing else.

    Attributes
    ----------
    metric : str
        `accuracy` or `macro_f1` of the test split. In the rules of a multi-label comparison the
        same as `multi_label_metric`.
    multi_label_metric : str
        `micro_f1`, `macro_f1` or `subset_accuracy`: stands for `metric` on multi-label data.
    by : str
        Dotted configuration key whose values are compared.
    tuned_keys : tuple of str
        Keys over which every value of `by` was tuned with the same budget. Configurations may
        differ in them.
    rope : float
        Half width of the region of practical equivalence (ROPE), points.
    ropes : tuple of float
        Other half widths for which the outcome is reported.
    confidence : float
        Confidence level of every interval.
    power : float
        Statistical power for which `RequiredSamples` is computed.
    min_seeds : int
        With fewer shared seeds the outcome is inconclusive.
    parameter_tolerance, latency_tolerance : float
        Largest relative difference at which two configurations count as matched by recurrent
        parameters, or by latency.
    latency_limit : float or None
        Largest p95 latency of one text that a recommended configuration may have, milliseconds.
    memory_limit : float or None
        Largest memory that a recommended configuration may need, megabytes.
    resamples : int
        Number of bootstrap resamples.
    seed : int
        Seed of the bootstrap: the same runs give the same numbers.
    """

    metric: str = "accuracy"
    multi_label_metric: str = "micro_f1"
    by: str = "model.cell"
    tuned_keys: tuple[str, ...] = ()
    rope: float = 0.5
    ropes: tuple[float, ...] = (0.25, 0.5, 1.0)
    confidence: float = 0.95
    power: float = 0.8
    min_seeds: int = 3
    parameter_tolerance: float = 0.01
    latency_tolerance: float = 0.05
    latency_limit: float | None = None
    memory_limit: float | None = None
    resamples: int = 10_000
    seed: int = 0

    def of_task(self, multi_label: bool) -> "Rules":
        """Return the rules with the metric of a task."""
        return replace(self, metric=self.multi_label_metric) if multi_label else self

    @property
    def metric_name(self) -> str:
        """Readable name of the metric, without a unit."""
        return METRIC_NAMES.get(self.metric, self.metric)
