"""What a comparison decided becomes the sections of a report that say so, with their numbers."""

import math

from nlp_rnn.comparison.evidence import Comparison, Difference, Group
from nlp_rnn.comparison.material import Material, percent, points
from nlp_rnn.comparison.page import Block, Figures, Items, Missing, Section, Table, Words

__all__ = [
    "difference_section",
    "measured_section",
    "recommendation_section",
    "seed_section",
    "table_section",
    "undecided_section",
    "verdict_section",
]

TESTS = {
    "bootstrap": "paired bootstrap",
    "mcnemar": "McNemar (texts)",
    "wilcoxon": "Wilcoxon (seeds)",
}

MOST_ACROSS = 2
"""Pairs that stand as columns beside each other; more of them are rows."""

# Heads of the table, the metric of a run behind each, and how a mean of it is written.
COLUMNS = (
    ("embedding parameters", "parameters/embedding", "{:,.0f}"),
    ("recurrent parameters", "parameters/recurrent", "{:,.0f}"),
    ("head parameters", "parameters/head", "{:,.0f}"),
    ("training, seconds", "train/seconds", "{:,.1f}"),
    ("training, tokens/s", "train/tokens_per_second", "{:,.0f}"),
    ("one answer p50, ms", "latency/onnx_batch1_p50_ms", "{:.2f}"),
    ("one answer p95, ms", "latency/onnx_batch1_p95_ms", "{:.2f}"),
)


def verdict_section(material: Material) -> Section:
    """The answer, and where another threshold or matching gives another one."""
    comparison = material.comparison
    blocks: list[Block] = [Words(comparison.verdict, "verdict")]
    if comparison.flips:
        blocks.append(
            Items([("It turns on the threshold.", flip, "") for flip in comparison.flips])
        )
    elif comparison.differences:
        ropes = ", ".join(f"±{rope:g}" for rope in comparison.rules.ropes)
        blocks.append(
            Words(
                f"The same verdict holds for each way of matching and for a ROPE of {ropes} points."
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
    if found:
        block = Items(
            [
                (
                    f"{each.use[:1].upper()}{each.use[1:]}: {each.choice or 'undecided'}",
                    each.reason,
                    each.evidence,
                )
                for each in found
            ]
        )
    return Section("recommendation", "Recommendation by use", [block])


def table_section(material: Material) -> Section:
    """Every group in a row, the yardsticks first; without yardsticks no table."""
    comparison = material.comparison
    title = "All groups, controls first"
    if not comparison.controls:
        missing = Missing(
            "No table is shown, because a score without a yardstick misleads: neither the majority "
            "class, nor a linear model, nor the average of embeddings was available on this split."
        )
        return Section("table", title, [missing])
    groups = [*comparison.controls, *comparison.groups]
    quiet = frozenset(range(len(comparison.controls)))
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
    columns = [each for each in COLUMNS if any(each[1] in group.means for group in groups)]
    if not columns:
        return Section("table", title, [scores])
    costs = Table(
        ["group", *(head for head, _, _ in columns)],
        [
            [group.name, *(_mean(group, metric, form) for _, metric, form in columns)]
            for group in groups
        ],
        "Size and speed, means over the seeds. One answer: one test text on onnxruntime, one "
        "thread; p50 is the median, p95 what 95 % of answers stay below."
        + ("" if comparison.same_machine else " Times are of several machines: not comparable."),
        quiet,
    )
    return Section("table", title, [scores, costs])


def seed_section(material: Material) -> Section:
    """A dot for every seed."""
    comparison = material.comparison
    groups = [group for group in (*comparison.controls, *comparison.groups) if group.scores]
    title = "Every seed"
    if not any(group.scores for group in comparison.groups):
        return Section("seeds", title, [Missing("No run of any group has a test score.")])
    from nlp_rnn.comparison.plots import seed_figure

    candidates = [group for group in groups if not group.control]
    close = _near(groups, candidates)
    figure = seed_figure(
        {group.name: group.scores for group in close},
        {group.name: group.score for group in close if math.isfinite(group.score.low)},
        material.styles,
        f"test {material.score_name} (%)",
        frozenset(group.name for group in close if group.control),
    )
    material.tables["seeds"] = [
        {"group": group.name, "control": group.control, "seed": seed, "score": score}
        for group in groups
        for seed, score in group.scores.items()
    ]
    far = [f"{each.name} ({percent(each.score.mean)} %)" for each in groups if each not in close]
    caption = (
        f"Each dot is a training with its own seed, tested on the same n = {material.num_texts:,} "
        "texts; grey lines join the same seed. The bar under the dots is the mean with its 95 % "
        "interval over seeds and texts." + (f" Far off the scale: {', '.join(far)}." if far else "")
    )
    picture = material.picture(figure, "seeds", f"Test {material.score_name} of every seed")
    return Section("seeds", title, [Figures([(picture, caption)])])


def difference_section(material: Material) -> Section:
    """The paired differences over the region of practical equivalence, and their tests."""
    comparison = material.comparison
    blocks: list[Block] = []
    if comparison.differences:
        from nlp_rnn.comparison.plots import difference_figure

        figure = difference_figure(
            {f"{each.first} − {each.second}": each.interval for each in comparison.differences},
            comparison.rules.rope,
            f"difference in test {material.score_name} (points)",
        )
        caption = (
            f"Paired by seed and by text, n = {comparison.differences[0].texts:,} texts × "
            f"{_shared(comparison)} shared seeds. The diamond is the mean, the line its 95 % "
            f"interval. The blue band is the ROPE, ±{comparison.rules.rope:g} points: differences "
            "too small to matter. Right of the band the first is better, left of it the second, "
            "inside it they are equivalent; across its edge it is undecided."
        )
        title = "Paired differences and the region of practical equivalence"
        picture = material.picture(figure, "difference", title)
        blocks += [Figures([(picture, caption)]), _tests(comparison)]
        blocks += [
            Words(f"{each.first} − {each.second}: {remark}")
            for each in comparison.differences
            for remark in each.remarks
        ]
        material.tables["differences"] = [_row(each) for each in comparison.differences]
    else:
        blocks.append(Missing(_why_no_difference(comparison)))
    if comparison.refusals:
        blocks.append(
            Items(
                [
                    (f"{each.first} and {each.second} are not compared.", each.reason, "")
                    for each in comparison.refusals
                ]
            )
        )
    return Section("difference", "The paired difference", blocks)


def undecided_section(material: Material) -> Section:
    """What the runs could not answer and what would."""
    comparison = material.comparison
    blocks: list[Block] = [
        Items([("", sentence, "") for sentence in comparison.undecided])
        if comparison.undecided
        else Missing(
            "Nothing that was asked is left open."
            if comparison.differences
            else _why_no_difference(comparison)
        )
    ]
    if comparison.differences:
        least = ", ".join(
            f"{each.first} − {each.second} {percent(each.detectable, 2)} points"
            for each in comparison.differences
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
        *comparison.measured,
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
        for group in (*comparison.controls, *comparison.groups)
        for run in group.runs
    ]
    if runs:
        caption = f"The n = {len(runs)} runs in MLflow behind this page."
        blocks.append(Table(["group", "seed", "run", "machine"], runs, caption, ragged=True))
    return Section("measured", "How it was measured", blocks)


def _tests(comparison: Comparison) -> Table:
    used = [name for name in TESTS if any(name in each.adjusted for each in comparison.differences)]
    rows = []
    for each in comparison.differences:
        rows.append(
            [
                f"{each.first} − {each.second}",
                each.outcome.value,
                points(each.interval.mean),
                f"{points(each.interval.low)} to {points(each.interval.high)}",
                *(_p(each.adjusted.get(name, math.nan)) for name in used),
                points(each.effect),
                points(each.cliff),
                percent(each.aso, 2),
                f"{each.wins:,} / {each.losses:,}",
                ", ".join(each.matching) or "–",
            ]
        )
    heads = ["pair", "outcome", "points", "95 % interval", *(f"p, {TESTS[name]}" for name in used)]
    heads += ["Cohen’s d_z", "Cliff’s δ", "ASO ε", "texts × seeds only one has right", "matched by"]
    if len(rows) <= MOST_ACROSS:  # few pairs are read from top to bottom
        heads, *rows = ([str(cell) for cell in row] for row in zip(heads, *rows, strict=True))
    return Table(
        heads,
        rows,
        "p after Holm’s correction over all pairs of this page; the outcome follows the interval, "
        "not p. d_z: the mean difference over its spread from seed to seed. δ: how much more often "
        "a seed of the first beats one of the second than the reverse. ASO ε below 0.5: the first "
        "is almost stochastically larger. Matched by: in what the two are the same.",
    )


def _row(each: Difference) -> dict[str, object]:
    return {
        "first": each.first,
        "second": each.second,
        "metric": each.metric,
        "mean": each.interval.mean,
        "low": each.interval.low,
        "high": each.interval.high,
        "texts": each.texts,
        "outcome": each.outcome.value,
        "effect": each.effect,
        "cliff": each.cliff,
        "aso": each.aso,
        "wins": each.wins,
        "losses": each.losses,
        "detectable": each.detectable,
        **{f"p_{name}": value for name, value in each.p_values.items()},
        **{f"adjusted_{name}": value for name, value in each.adjusted.items()},
    }


def _why_no_difference(comparison: Comparison) -> str:
    if comparison.refusals:
        return "No two groups can be compared fairly; the reasons are given beside each pair."
    if len(comparison.groups) < 2:
        found = comparison.groups[0].name if comparison.groups else "none"
        return (
            f"A difference needs two groups of runs; found: {found}. "
            f"Train another value of {comparison.rules.by} with the same seeds."
        )
    return "No pair of groups shares a seed, so no difference is paired. Train the same seeds."


def _near(groups: list[Group], candidates: list[Group]) -> list[Group]:
    """The candidates, and the controls that do not squeeze them into a corner of the scale."""
    scores = [score for group in candidates for score in group.scores.values()]
    low, high = min(scores), max(scores)
    reach = max(3 * (high - low), 8.0)
    return [
        group
        for group in groups
        if not group.control or low - reach <= group.score.mean <= high + reach
    ]


def _shared(comparison: Comparison) -> str:
    counts = sorted({len(each.by_seed) for each in comparison.differences})
    return " to ".join(str(count) for count in dict.fromkeys((counts[0], counts[-1])))


def _mean(group: Group, metric: str, form: str) -> str:
    value = group.means.get(metric, math.nan)
    return form.format(value) if math.isfinite(value) else "–"


def _seeds(group: Group) -> str:
    """How many; a control without chance has none."""
    return str(len(group.runs)) if any(run.seed is not None for run in group.runs) else "–"


def _range(low: float, high: float) -> str:
    return f"{low:.1f} to {high:.1f}" if math.isfinite(low) and math.isfinite(high) else "–"


def _p(value: float) -> str:
    if not math.isfinite(value):
        return "–"
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"
