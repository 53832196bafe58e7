"""What quality costs, in time, size and training, becomes two sections of a report."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from nlp_rnn.comparison.records import Configuration
from nlp_rnn.report.context import Material, on_the_scale
from nlp_rnn.report.figure_files import Picture
from nlp_rnn.report.page import Block, Figures, Missing, Section, Words

__all__ = ["cost_section", "curve_section"]

# Name of the picture, the metric of a run or the next, the axis, and what is missing without it.
COSTS = (
    (
        "latency",
        ("latency/onnx_batch1_p95_ms", "latency/sklearn_batch1_p95_ms"),
        "one answer, p95 (ms)",
        "latency",
    ),
    ("parameters", ("parameters/total",), "parameters", "the number of parameters"),
    ("training_time", ("train/seconds",), "training with validation (s)", "training time"),
)


def cost_section(material: Material) -> Section:
    """Quality over latency, parameters and training time."""
    comparison = material.comparison
    figures, missing = [], []
    for name, metrics, across, words in COSTS:
        found = {
            g.name: _measured(g, metrics)
            for g in (*comparison.configurations, *comparison.baselines)
        }
        groups = [g for g in (*comparison.configurations, *comparison.baselines) if found[g.name]]
        if not any(not group.is_baseline for group in groups):
            missing.append(words)
            continue
        groups, far = on_the_scale(groups)
        picture = _cost_picture(material, groups, found, name, across)
        seeds = ", ".join(f"{each.name} {len(found[each.name])}" for each in groups)
        by = ""
        if name == "latency":
            linear = [g.name for g in groups if metrics[0] not in g.means]
            by = "; on onnxruntime" + (f", {', '.join(linear)} on scikit-learn" if linear else "")
        figures.append(
            (
                picture,
                f"Test {material.score_name} over {across}{by}; runs: {seeds}; "
                f"n = {material.num_texts:,} test texts.{far}",
            )
        )
    blocks: list[Block] = []
    if figures:
        blocks += [
            Words(
                "Up and to the left is better. Small marks are runs, large ones the means of their "
                "groups; the line joins groups that none beats in both, and there is no line where "
                "one group is best in both. Controls are grey."
            ),
            Figures(figures),
        ]
    if not comparison.same_machine:
        blocks.append(
            Words(
                "The times come from several machines: do not compare them. The scores and sizes "
                "are comparable."
            )
        )
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        blocks.append(
            Missing(
                f"Not drawn, because the runs do not hold it: {' and '.join(missing)} {verb} "
                "missing. Runs of this version of nlp-rnn measure it after training; nlp-rnn bench "
                "measures a saved classifier."
            )
        )
    return Section("cost", "What quality costs", blocks)


def curve_section(material: Material) -> Section:
    """How the validation score rose, against updates and against seconds."""
    title = "Learning curves"
    updates, seconds = material.drawn_curves("updates"), material.drawn_curves("seconds")
    if not updates:
        return Section(
            "curves",
            title,
            [
                Missing(
                    f"The runs hold no validation {material.score_name} of their epochs, so how "
                    "they learnt cannot be drawn. Runs of this version of nlp-rnn log it."
                )
            ],
        )
    from nlp_rnn.report.score_figures import curve_figure

    up = f"validation {material.score_name} (%)"
    count = ", ".join(f"{name} {len(curves)}" for name, curves in updates.items())
    drawn = []
    for name, curves, across, told in (
        ("curves_updates", updates, "updates", "updates, so each has read as many texts"),
        ("curves_seconds", seconds, "seconds of training with validation", "seconds of this "
         "machine, so a faster cell is further"),
    ):  # fmt: skip
        figure = curve_figure(curves, material.styles, across, up)
        picture = material.picture(figure, name, f"{up} over {across}")
        drawn.append(
            (
                picture,
                f"Against {told}. A line for each of n = {count} runs, a point for each epoch; "
                "the mark is its best epoch, whose weights were kept.",
            )
        )
    run_groups = {
        run.run_id: (group.name, run.seed)
        for group in material.comparison.configurations
        for run in group.runs
    }
    material.tables["curves"] = [
        {
            "group": run_groups[run_id][0],
            "seed": run_groups[run_id][1],
            "epoch": place + 1,
            "updates": curve.updates[place],
            "seconds": curve.seconds[place],
            "score": curve.scores[place],
        }
        for run_id, curve in material.curves.items()
        if run_id in run_groups
        for place in range(len(curve.scores))
    ]
    blocks: list[Block] = [Figures(drawn)]
    if not material.comparison.same_machine:
        blocks.append(Words("The seconds come from several machines: do not compare them."))
    return Section("curves", title, blocks)


def _cost_picture(
    material: Material,
    groups: list[Configuration],
    found: Mapping[str, list[tuple[float, float]]],
    name: str,
    across: str,
) -> Picture:
    from nlp_rnn.report.score_figures import Cost, cost_figure

    costs = {}
    for group in groups:
        cost, score = np.array(found[group.name], dtype=np.float64).T
        costs[group.name] = Cost(cost, score, group.is_baseline)
    material.tables[f"cost_{name}"] = [
        {"group": group.name, "control": group.is_baseline, "cost": float(x), "score": float(y)}
        for group in groups
        for x, y in zip(costs[group.name].cost, costs[group.name].score, strict=True)
    ]
    up = f"test {material.score_name} (%)"
    figure = cost_figure(costs, material.styles, across, up)
    return material.picture(figure, f"cost_{name}", f"{up} over {across}")


def _measured(group: Configuration, metrics: Sequence[str]) -> list[tuple[float, float]]:
    """Cost, by the first of the metrics that all runs have, and score of the runs."""
    found = []
    metric = next((m for m in metrics if math.isfinite(group.means.get(m, math.nan))), "")
    for run in group.runs:
        cost = run.metrics.get(metric, math.nan)
        score = group.scores.get(run.seed if run.seed is not None else 0, math.nan)
        if math.isfinite(cost) and math.isfinite(score):
            found.append((cost, score))
    return found
