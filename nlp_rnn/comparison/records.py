"""What is known of runs becomes frozen tables that verdict, terminal and report share.

Scores, intervals and differences are in percent and percentage points; `Run.metrics` are as
MLflow has them (shares of 1, seconds, milliseconds, counts).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from nlp_rnn.scoring.predictions import Predictions

__all__ = [
    "Comparison",
    "Configuration",
    "Difference",
    "Interval",
    "NotComparable",
    "Outcome",
    "Recommendation",
    "RequiredSamples",
    "Rules",
    "Run",
]


class Outcome(StrEnum):
    """What the interval of a difference a − b says against the region of equivalence."""

    first = "first better"
    second = "second better"
    equivalent = "practically equivalent"
    inconclusive = "inconclusive"


@dataclass(frozen=True)
class Rules:
    """The thresholds of a verdict; all that the decision depends on besides the runs.

    Attributes:
        metric: `accuracy` or `macro_f1` of the test split.
        by: dotted configuration key whose values are compared.
        tuned_keys: keys over which every value of `by` was tuned with the same budget;
            configurations may differ in them.
        rope: half width of the region of practical equivalence, points.
        ropes: the verdict is repeated for these.
        confidence: of every interval.
        power: for which `RequiredSamples` is computed.
        min_seeds: with fewer shared seeds nothing is called better or equivalent.
        parameter_tolerance, latency_tolerance: relative difference up to which two
            configurations count as
            matched by recurrent parameters, by latency.
        latency_limit: milliseconds (p95 of one text) that a recommendation may need, or None.
        memory_limit: megabytes that a recommendation may need, or None.
        resamples: of the bootstrap.
        seed: of the bootstrap; the same runs give the same numbers.
    """

    metric: str = "accuracy"
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


@dataclass(frozen=True)
class Run:
    """One run of MLflow, one row of the table.

    Attributes:
        run_id, name, experiment_id: as MLflow has them.
        configuration_name, signature, cell: its tags; empty where there is none.
        seed: None where the run names none, as a baseline without chance.
        kind: `train` or `baseline` (tag `kind`; a run without it is `train`).
        status: FINISHED, FAILED, KILLED or RUNNING.
        config: dotted configuration keys and their values in words.
        metrics: the last value of each.
        tags: all of them.
        machine: host and processor that measured its times.
        digest: of the data it read; empty where it recorded none.
        started: milliseconds since 1970.
        artifacts: where its files are.
        predictions: its answers to the test split; None until read, or where there are none.
    """

    run_id: str
    name: str
    experiment_id: str
    configuration_name: str
    signature: str
    cell: str
    seed: int | None
    kind: str
    status: str
    config: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    machine: str
    digest: str
    started: int
    artifacts: str
    predictions: Predictions | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Interval:
    """A mean with its interval (95 % unless `Rules` say otherwise); NaN where unknown."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Configuration:
    """The runs of one signature: one for each seed, in the order of the seeds.

    Attributes:
        name: short and unique within the comparison, such as `gru h128`.
        level: its value of `Rules.by`; empty for a baseline.
        is_baseline: whether it is a yardstick (majority class, linear, average) and no candidate.
        runs: finished runs with predictions; empty for the majority class, which is counted from
            the labels.
        scores: percent, for each seed (0 for a run without one).
        score: mean over the seeds and its interval over seeds × texts; for one seed over texts.
        sd: standard deviation over the seeds, points; NaN for one.
        means: the mean over the runs of every metric all of them have, in MLflow's units.
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
    """What would decide, at `Rules.power`, if the difference is truly the one that was seen.

    Attributes:
        seeds: in all, with the present texts; None if no number would do.
        texts: in all, with the present seeds; None if no number would do.
        both: seeds and texts together where neither does alone; None where not needed.
        if_equal: seeds and texts that would show the two to be equivalent if they are in truth
            equal; known where nothing else would decide, and None if no number would.
    """

    seeds: int | None
    texts: int | None
    both: tuple[int, int] | None = None
    if_equal: tuple[int, int] | None = None


@dataclass(frozen=True)
class Difference:
    """Configuration `first` minus configuration `second`, paired by seed and by text.

    Attributes:
        first, second: names of configurations.
        metric: as `Rules.metric`.
        matching: how the two are matched: any of `size` (same hidden size), `parameters`,
            `latency`; `configuration` where nothing but `Rules.by` differs and it is no cell.
        interval: the mean over the shared seeds, points, by the bootstrap over seeds × texts.
        by_seed: points, for each shared seed.
        texts: n of the test split.
        p_values: two-sided, by test: `bootstrap`, `mcnemar`, `wilcoxon`; NaN where it cannot be.
        adjusted: the same after Holm over all differences of the call.
        effect_size: Cohen's d_z over the shared seeds; NaN for one seed or no spread.
        cliffs_delta: Cliff's delta between the two configurations' seeds, −1 to 1.
        aso: eps_min of `first` over `second` (Dror et al. 2019); below 0.5 `first` is almost
            stochastically larger; NaN for fewer than two seeds.
        wins: texts times seeds that only `first` has right; `losses`: only `second`.
        detectable: the smallest difference the present seeds and texts would show, points.
        outcome: for `Rules.rope`.
        outcomes: for each of `Rules.ropes`.
        required: where inconclusive what would decide, else None.
        remarks: what a reader must know of this pair.
        detectable_by_texts: the smallest difference these texts would show with any number of
            seeds, points.
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


@dataclass(frozen=True)
class NotComparable:
    """Two configurations that are not compared, and the difference that makes it so."""

    first: str
    second: str
    reason: str


@dataclass(frozen=True)
class Recommendation:
    """What to take for a use.

    Attributes:
        use: `most accurate`, `real-time answers`, `long texts`, `few labels`, `small memory`.
        choice: name of a configuration; None where the evidence does not carry one.
        reason: one sentence.
        evidence: the numbers it rests on, one sentence.
    """

    use: str
    choice: str | None
    reason: str
    evidence: str


@dataclass(frozen=True)
class Comparison:
    """All that one data set says about what was compared.

    Attributes:
        data: its name; `digest`: of its content.
        label_names: the C classes, in the order of the predictions' columns.
        rules: the thresholds.
        configurations: candidates, in the order of their names.
        baselines: majority class first, then linear, then average.
        differences: of every comparable pair of candidates.
        not_comparable: pairs that were not compared, and why.
        verdict: two sentences.
        robustness: sentences that say where another ROPE or matching gives another verdict.
        inconclusive: sentences that say what could not be decided and what it would take.
        recommendations: one for each use.
        notes: runs that were left out, and other things a reader must know.
        methods: how it was measured, sentences.
        same_machine: whether all times come from one machine, so that speeds can be compared.
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
