"""What a comparison decided becomes the sections of a report that say so, with their numbers."""

import math
from collections.abc import Sequence

from nlp_rnn.comparison.records import Configuration, Recommendation
from nlp_rnn.report.context import Material, on_the_scale, percent
from nlp_rnn.report.page import Block, Figures, Items, Missing, Section, Table, Words
from nlp_rnn.report.sections_difference import why_no_difference

__all__ = [
    "measured_section",
    "recommendation_section",
    "seed_section",
    "table_section",
    "undecided_section",
    "verdict_section",
]

MATCHINGS = ("size", "parameters", "latency")
"""In what two cells can be the same, one at a time."""

MOST_NAMED = 6
"""Pairs that a sentence names; of more it names the first and the last."""


def _answer(share: str) -> tuple[str, ...]:
    return tuple(f"latency/{runtime}_batch1_{share}_ms" for runtime in ("onnx", "sklearn"))


# Heads of the table, the metric of a run (or the next) behind each, how a mean of it is written.
COLUMNS = (
    ("embedding parameters", ("parameters/embedding",), "{:,.0f}"),
    ("recurrent parameters", ("parameters/recurrent",), "{:,.0f}"),
    ("head parameters", ("parameters/head",), "{:,.0f}"),
    ("training, seconds", ("train/seconds",), "{:,.1f}"),
    ("training, tokens/s", ("train/tokens_per_second",), "{:,.0f}"),
    ("one answer p50, ms", _answer("p50"), "{:.2f}"),
    ("one answer p95, ms", _answer("p95"), "{:.2f}"),
)


def verdict_section(material: Material) -> Section:
    """The answer, and where another threshold or matching gives another one."""
    comparison = material.comparison
    blocks: list[Block] = [Words(comparison.verdict, "verdict")]
    if comparison.robustness:
        blocks.append(Items([("This turns it.", flip, "") for flip in comparison.robustness]))
    elif comparison.differences:
        ropes = ", ".join(f"±{rope:g}" for rope in comparison.rules.ropes)
        blocks.append(Words(f"The outcome is the same for a ROPE of {ropes} points."))
    ways = {way for each in comparison.differences for way in each.matching}
    absent = [way for way in MATCHINGS if way not in ways]
    if ways & set(MATCHINGS) and absent:
        there = " and ".join(f"the same {way}" for way in MATCHINGS if way in ways)
        blocks.append(
            Words(
                f"Compared were groups of {there}. No pair here has the same "
                f"{' or '.join(absent)}: nothing is said about that way of matching."
            )
        )
    return Section("verdict", "Verdict", blocks)


def recommendation_section(material: Material) -> Section:
    """What to take for each use, quoting its evidence."""
    found = material.comparison.recommendations
    block: Block = Missing(
        "Nothing is recommended: there are no two comparable groups of runs. Train both cells with "
        "the same seeds on the same data."
    )
    if len(found) > 1 and len({(each.choice, each.reason, each.evidence) for each in found}) == 1:
        block = Items([(f"For every use: {found[0].choice or 'none of them'}", *_said(found[0]))])
    elif found:
        block = Items(
            [
                (
                    f"{each.use[:1].upper()}{each.use[1:]}: {each.choice or 'undecided'}",
                    *_said(each),
                )
                for each in found
            ]
        )
    return Section("recommendation", "Recommendation by use", [block])


def _said(each: Recommendation) -> tuple[str, str]:
    return each.reason, each.evidence


def table_section(material: Material) -> Section:
    """Every group in a row, the yardsticks first; without yardsticks no table."""
    comparison = material.comparison
    title = "All groups, controls first"
    if not comparison.baselines:
        missing = Missing(
            "No table is shown, because a score without a yardstick misleads: neither the majority "
            "class, nor a linear model, nor the average of embeddings was available on this split."
        )
        return Section("table", title, [missing])
    groups = [*comparison.baselines, *comparison.configurations]
    quiet = frozenset(range(len(comparison.baselines)))
    metric = comparison.rules.metric
    other, key = ("macro-F1", "macro_f1") if metric == "accuracy" else ("accuracy", "accuracy")
    scores = Table(
        [
            "group",
            "seeds",
            f"test {material.score_name}, %",
            "95 % interval",
            "sd of seeds",
            f"test {other}, %",
        ],
        [
            [
                group.name,
                _seeds(group),
                percent(group.score.mean, 2),
                _range(group.score.low, group.score.high),
                percent(group.sd, 2),
                percent(100 * group.means.get(f"test/{key}", math.nan), 2),
            ]
            for group in groups
        ],
        f"Means over the seeds; n = {material.num_texts:,} test texts. The interval counts seeds "
        "and texts as chance; with one seed, texts only. Grey rows are yardsticks: what is no "
        "better than they are has no use for a recurrent layer. A dash: not measured.",
        quiet,
    )
    columns = [e for e in COLUMNS if any(name in g.means for name in e[1] for g in groups)]
    if not columns:
        return Section("table", title, [scores])
    costs = Table(
        ["group", *(head for head, _, _ in columns)],
        [
            [group.name, *(_mean(group, metrics, form) for _, metrics, form in columns)]
            for group in groups
        ],
        "Size and speed, means over the seeds. One answer: one test text on onnxruntime (a linear "
        "model: scikit-learn), one thread; p50 is the median, p95 what 95 % of answers stay below."
        + ("" if comparison.same_machine else " Times are of several machines: not comparable."),
        quiet,
    )
    return Section("table", title, [scores, costs])


def seed_section(material: Material) -> Section:
    """A dot for every seed."""
    comparison = material.comparison
    groups = [
        group for group in (*comparison.baselines, *comparison.configurations) if group.scores
    ]
    title = "Every seed"
    if not any(group.scores for group in comparison.configurations):
        return Section("seeds", title, [Missing("No run of any group has a test score.")])
    from nlp_rnn.report.score_figures import seed_figure

    close, far = on_the_scale(groups)
    figure = seed_figure(
        {group.name: group.scores for group in close},
        {group.name: group.score for group in close if math.isfinite(group.score.low)},
        material.styles,
        f"test {material.score_name} (%)",
        frozenset(group.name for group in close if group.is_baseline),
    )
    material.tables["seeds"] = [
        {"group": group.name, "control": group.is_baseline, "seed": seed, "score": score}
        for group in groups
        for seed, score in group.scores.items()
    ]
    caption = (
        f"Each dot is a training with its own seed, tested on the same n = {material.num_texts:,} "
        "texts; grey lines join the same seed. The bar under the dots is the mean with its 95 % "
        "interval over seeds and texts." + far
    )
    picture = material.picture(figure, "seeds", f"Test {material.score_name} of every seed")
    return Section("seeds", title, [Figures([(picture, caption)])])


def undecided_section(material: Material) -> Section:
    """What the runs could not answer and what would."""
    comparison = material.comparison
    blocks: list[Block] = [
        Items([("", sentence, "") for sentence in comparison.inconclusive])
        if comparison.inconclusive
        else Missing(
            "Nothing that was asked is left open."
            if comparison.differences
            else why_no_difference(comparison)
        )
    ]
    if comparison.differences:
        pairs = sorted(comparison.differences, key=lambda each: each.detectable)
        some = pairs if len(pairs) <= MOST_NAMED else [pairs[0], pairs[-1]]
        least = (", ", " to ")[len(pairs) > MOST_NAMED].join(
            f"{each.first} − {each.second} {percent(each.detectable, 2)} points" for each in some
        )
        blocks.append(
            Words(
                f"Smallest true difference that these seeds and texts would show in "
                f"{comparison.rules.power:.0%} of repetitions: {least}."
            )
        )
    return Section("undecided", "What could not be decided, and what it would take", blocks)


def measured_section(material: Material) -> Section:
    """How the numbers came about, and what was left out."""
    comparison, rules = material.comparison, material.comparison.rules
    lines = [
        f"Data {comparison.data}, digest {comparison.digest or 'not recorded'}; "
        f"{len(comparison.label_names)} labels, {material.num_texts:,} test texts.",
        f"Compared by {rules.by} on test {material.score_name}; ROPE ±{rules.rope:g} points, "
        f"intervals of {rules.confidence:.0%}, {rules.resamples:,} resamples over seeds and texts "
        f"(bootstrap seed {rules.seed}).",
        *comparison.methods,
        "All times are of one machine."
        if comparison.same_machine
        else "Times come from several machines and are not comparable; scores are.",
    ]
    blocks: list[Block] = [Words(line) for line in lines]
    if comparison.notes:
        blocks.append(Items([("", note, "") for note in comparison.notes]))
    runs = [
        [
            group.name,
            "–" if run.seed is None else str(run.seed),
            run.run_id,
            run.machine or "–",
        ]
        for group in (*comparison.baselines, *comparison.configurations)
        for run in group.runs
    ]
    if runs:
        caption = f"The n = {len(runs)} runs in MLflow behind this page."
        blocks.append(Table(["group", "seed", "run", "machine"], runs, caption, ragged=True))
    return Section("measured", "How it was measured", blocks)


def _mean(group: Configuration, metrics: Sequence[str], form: str) -> str:
    value = next((group.means[name] for name in metrics if name in group.means), math.nan)
    return form.format(value) if math.isfinite(value) else "–"


def _seeds(group: Configuration) -> str:
    """How many; a control without chance has none."""
    return str(len(group.runs)) if any(run.seed is not None for run in group.runs) else "–"


def _range(low: float, high: float) -> str:
    return f"{low:.1f} to {high:.1f}" if math.isfinite(low) and math.isfinite(high) else "–"
