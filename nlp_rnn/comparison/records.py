"""Frozen records of a comparison, shared by its steps, the terminal table and the HTML report.

Scores, intervals and differences are in percent and percentage points. `Run.metrics` and
`Configuration.means` have MLflow's units: shares of 1, seconds, milliseconds, counts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from nlp_rnn.comparison.compared_run import Run
from nlp_rnn.comparison.ranking import Ranking
from nlp_rnn.comparison.rules import Outcome, Rules

__all__ = [
    "AcrossDataSets",
    "Comparison",
    "Configuration",
    "Difference",
    "Interval",
    "LabelDifference",
    "NotComparable",
    "Recommendation",
    "RequiredSamples",
]


@dataclass(frozen=True)
class Interval:
    """A mean with its confidence interval from `low` to `high`; NaN where unknown."""

    mean: float
    low: float
    high: float


UNKNOWN = Interval(float("nan"), float("nan"), float("nan"))


@dataclass(frozen=True)
class Configuration:
    """Runs that differ only in the seed, with their scores.

    Attributes
    ----------
    name : str
        Short name, unique within the comparison, such as `gru h128`.
    level : str
        The value of `Rules.by`; empty for a baseline.
    is_baseline : bool
        Whether it is a baseline (majority class, linear, average) and not a candidate.
    runs : tuple of Run
        Finished runs with predictions, ordered by seed, one per seed. Empty for a majority class
        that was counted from the labels.
    scores : mapping of int to float
        Percent, by seed; a run without a seed has 0.
    score : Interval
        Mean over the seeds, with an interval over seeds and texts; for one seed over texts.
    sd : float
        Standard deviation over the seeds, points; NaN for one seed.
    means : mapping of str to float
        Mean over the runs of every metric that all of them have.
    """

    name: str
    level: str
    is_baseline: bool
    runs: tuple[Run, ...]
    scores: Mapping[int, float]
    score: Interval
    sd: float
    means: Mapping[str, float]


@dataclass(frozen=True)
class RequiredSamples:
    """Seeds and texts that would settle an inconclusive pair with the power of `Rules.power`.

    They are totals, and assume that the true difference is the observed one. None: never enough.

    Attributes
    ----------
    seeds, texts : int or None
        Seeds with the present texts, and test texts with the present seeds.
    both : tuple of (int, int) or None
        Seeds and texts together, where neither is enough alone.
    if_equal : tuple of (int, int) or None
        Seeds and texts that would show equivalence if the two are truly equal. Computed only
        where nothing above is enough.
    """

    seeds: int | None
    texts: int | None
    both: tuple[int, int] | None = None
    if_equal: tuple[int, int] | None = None


@dataclass(frozen=True)
class Difference:
    """Score of configuration `first` minus that of `second`, paired by seed and by text.

    Attributes
    ----------
    first, second : str
        Names of the configurations.
    metric : str
        As `Rules.metric`.
    matching : tuple of str
        Matching criteria that hold: `size` (hidden size), `parameters`, `latency`,
        `tuning budget`. `configuration` where only `Rules.by` differs and it is not the cell.
    interval : Interval
        Mean over the shared seeds, points, with its bootstrap interval over seeds and texts.
    by_seed : mapping of int to float
        Points, by shared seed.
    texts : int
        Number of test texts.
    p_values, adjusted : mapping of str to float
        Two-sided p-values of `bootstrap`, `mcnemar` and `wilcoxon` (NaN where not defined), and the
        same after Holm's correction over all differences of the call.
    effect_size, cliffs_delta : float
        Cohen's d_z over the shared seeds (NaN for one seed or no spread), and Cliff's delta between
        the scores of the seeds, from −1 to 1.
    aso : float
        eps_min of `first` over `second` (Dror et al. 2019). Below 0.2 `first` is almost
        stochastically larger. NaN for fewer than two seeds.
    wins, losses : int
        Number of (text, seed) pairs that only `first`, or only `second`, classifies correctly.
    detectable, detectable_by_texts : float
        Smallest difference that these seeds and texts would detect, or these texts with any number
        of seeds, points.
    outcome, outcomes : Outcome, mapping of float to Outcome
        For `Rules.rope`, and for each half width of `Rules.ropes`.
    required : RequiredSamples or None
        What would settle an inconclusive outcome; None for other outcomes, and for one seed.
    remarks : tuple of str
        Limits of this pair, such as runs of different versions.
    superiority : Interval
        Probability, from 0 to 1, that a training of `first` scores higher than one of `second` on
        these texts.
    """

    first: str
    second: str
    metric: str
    matching: tuple[str, ...]
    interval: Interval
    by_seed: Mapping[int, float]
    texts: int
    p_values: Mapping[str, float]
    adjusted: Mapping[str, float]
    effect_size: float
    cliffs_delta: float
    aso: float
    wins: int
    losses: int
    detectable: float
    outcome: Outcome
    outcomes: Mapping[float, Outcome]
    required: RequiredSamples | None
    remarks: tuple[str, ...] = ()
    detectable_by_texts: float = float("nan")
    superiority: Interval = UNKNOWN


@dataclass(frozen=True)
class LabelDifference:
    """F1 of one label of multi-label data: configuration `first` minus `second`.

    Attributes
    ----------
    label : str
        Name of the label.
    texts : int
        Test texts that have it.
    first, second : float
        Mean F1 over the shared seeds, percent.
    interval : Interval
        Of the difference, points, over seeds and texts.
    adjusted_p : float
        Bootstrap p-value after Holm's correction over the labels.
    outcome : Outcome
        By the same rules as for all labels together.
    """

    label: str
    texts: int
    first: float
    second: float
    interval: Interval
    adjusted_p: float
    outcome: Outcome


@dataclass(frozen=True)
class NotComparable:
    """Names of two configurations that cannot be compared, and the reason."""

    first: str
    second: str
    reason: str


@dataclass(frozen=True)
class Recommendation:
    """Recommended configuration for a use.

    Attributes
    ----------
    use : str
        `most accurate`, `low latency`, `long texts`, `few labels` or `small memory`.
    choice : str or None
        Name of a configuration; None where the evidence does not support one.
    reason, evidence : str
        Why, and the numbers behind it; one sentence each.
    """

    use: str
    choice: str | None
    reason: str
    evidence: str


@dataclass(frozen=True)
class AcrossDataSets:
    """Difference of two values of the compared key over several data sets, `first` minus `second`.

    Attributes
    ----------
    first, second : str
        The two values, such as two cells.
    by_set : mapping of str to Interval
        Difference on each data set with its interval, points.
    mean : float
        Mean over the data sets, points.
    p_value : float
        Wilcoxon's signed-rank test over the data sets, after Holm's correction.
    probabilities : tuple of float
        Bayesian signed-rank test: `first` better, equivalent, `second` better.
    superiority : Interval
        Probability that `first` is ahead on a new data set, from 0 to 1.
    outcome : Outcome
        Inconclusive with fewer than six data sets.
    sentence : str
        The conclusion.
    """

    first: str
    second: str
    by_set: Mapping[str, Interval]
    mean: float
    p_value: float
    probabilities: tuple[float, float, float]
    superiority: Interval
    outcome: Outcome
    sentence: str


@dataclass(frozen=True)
class Comparison:
    """Comparison of all configurations on one data set, with its conclusion.

    Attributes
    ----------
    data, digest : str
        Name of the data set, and digest of its content.
    label_names : tuple of str
        The C classes, in the order of the predictions' columns.
    rules : Rules
        The thresholds.
    configurations : tuple of Configuration
        The candidates, ordered by name; of ensembles with n-gram models the networks alone.
    baselines : tuple of Configuration
        Majority class first, then linear, then average.
    differences : tuple of Difference
        One per comparable pair of candidates.
    not_comparable : tuple of NotComparable
        The other pairs.
    verdict : str
        The conclusion, and how far it can be trusted or what is missing.
    robustness, inconclusive : tuple of str
        Sentences: where another ROPE or matching criterion gives another outcome, and what would
        settle each inconclusive pair.
    recommendations : tuple of Recommendation
        One per use.
    notes, methods : tuple of str
        Sentences: runs that were left out and limits, and how it was measured.
    same_machine : bool
        Whether all runs were timed on one machine: speeds can be compared.
    deployed : tuple of Configuration
        The saved classifiers, by which is recommended; empty if none of them is an ensemble.
    deployed_differences : tuple of Difference
        As `differences`, between the saved classifiers.
    effects, ensembles : tuple of Difference, tuple of str
        Ensemble minus network alone, one per candidate that is an ensemble, and as sentences.
    label_pair, label_differences : tuple of str, tuple of LabelDifference
        Multi-label data: names of the pair with the best validation metric, and its differences,
        the most frequent label first; otherwise empty.
    across : tuple of AcrossDataSets
        Conclusions over all data sets of the call; empty for one data set.
    ranking : Ranking
        All configurations by validation.
    """

    data: str
    digest: str
    label_names: tuple[str, ...]
    rules: Rules
    configurations: tuple[Configuration, ...]
    baselines: tuple[Configuration, ...]
    differences: tuple[Difference, ...]
    not_comparable: tuple[NotComparable, ...]
    verdict: str
    robustness: tuple[str, ...]
    inconclusive: tuple[str, ...]
    recommendations: tuple[Recommendation, ...]
    notes: tuple[str, ...]
    methods: tuple[str, ...]
    same_machine: bool
    deployed: tuple[Configuration, ...] = ()
    deployed_differences: tuple[Difference, ...] = ()
    effects: tuple[Difference, ...] = ()
    ensembles: tuple[str, ...] = ()
    label_pair: tuple[str, ...] = ()
    label_differences: tuple[LabelDifference, ...] = ()
    across: tuple[AcrossDataSets, ...] = ()
    ranking: Ranking = field(default_factory=Ranking)

    @property
    def is_multi_label(self) -> bool:
        """Whether a text of the data may have any number of labels."""
        return any(run.is_multi_label for one in self.configurations for run in one.runs)
