"""Section on memory: half-lives of the gates, accuracy on excerpts of the texts, and probes."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from nlp_rnn.report.context import ReportContext
from nlp_rnn.report.figure_files import LineStyle, add_axes, legend_above, new_figure, plot_line
from nlp_rnn.report.page import Block, Figures, Placeholder, Section, Table
from nlp_rnn.report.section_probes import probe_figure, probe_section

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from nlp_rnn.inspection.memory_horizon import MemoryHorizon

__all__ = ["excerpt_figure", "memory_section"]

Horizons = Mapping[str, Sequence["MemoryHorizon"]]


def memory_section(context: ReportContext) -> Section:
    """Return the section: half-lives, accuracy on the first or last tokens, results on probes."""
    title = "Memory"
    horizons: dict[str, list[MemoryHorizon]] = {}
    table = []
    for configuration in context.comparison.configurations:
        for run in configuration.runs:
            horizon = context.memory_horizons.get(run.run_id)
            if horizon is None:
                continue
            horizons.setdefault(configuration.name, []).append(horizon)
            table += [
                {
                    "configuration": configuration.name,
                    "seed": run.seed,
                    "excerpt": end,
                    "tokens": count,
                    "accuracy": 100 * accuracy,
                }
                for end, accuracies in (("first", horizon.first), ("last", horizon.last))
                for count, accuracy in accuracies.items()
            ]
    if not horizons:
        missing = (
            "The memory was not measured. It needs the classifiers of the runs and the test texts "
            "on the machine that makes the report; a report downloads neither from a hub."
        )
        if context.comparison.is_multi_label:
            missing = "The memory is measured for single-label classifiers only."
        return Section("memory", title, [*_probe_blocks(context), Placeholder(missing)])
    all_horizons = [horizon for of_name in horizons.values() for horizon in of_name]
    blocks: list[Block] = []
    rows = _half_life_rows(horizons)
    if rows:
        num_traced = min(horizon.num_traced for horizon in all_horizons)
        caption = (
            "Half-life in tokens: number of tokens after which the median unit has lost half of "
            "its content, by the forget gate (LSTM) or the update gate (GRU) alone. Geometric mean "
            f"over n = {num_traced} test texts and over the seeds, and the value of each seed. "
            "Content that is written again through the recurrent weights may last longer."
        )
        blocks.append(Table(["configuration, layer", "half-life", "of each seed"], rows, caption))
    context.tables["excerpts"] = table
    if any(horizon.first for horizon in all_horizons):
        num_texts = min(horizon.num_texts for horizon in all_horizons)
        figures = []
        for end in ("first", "last"):
            figure = excerpt_figure(horizons, context.styles, end)
            saved = context.save_figure(figure, f"excerpt_{end}", f"Accuracy by the {end} tokens")
            caption = (
                f"Accuracy when the classifiers read only the {end} tokens of each text, "
                f"n = {num_texts:,} test texts, means over the seeds; the last mark is the full "
                "text. The classifiers were trained on excerpts only with trainer.prefixes."
            )
            figures.append((saved, caption))
        blocks.append(Figures(figures))
    blocks += _probe_blocks(context)
    names = [c.name for c in context.comparison.configurations if c.name not in horizons]
    if names:
        without = f"There is no recurrent classifier to measure for {', '.join(names)}."
        blocks.append(Placeholder(without))
    return Section("memory", title, blocks)


def excerpt_figure(horizons: Horizons, styles: Mapping[str, LineStyle], end: str) -> "Figure":
    """Draw the accuracy over the number of tokens at one `end` of the texts, `first` or `last`."""
    figure = new_figure(3.1)
    axes = add_axes(figure, f"{end} tokens of each text", "test accuracy (%)")
    counts = sorted({n for of_name in horizons.values() for h in of_name for n in h.first})
    for name, of_name in horizons.items():
        accuracies = [getattr(horizon, end) | {0: horizon.full} for horizon in of_name]
        shared = [n for n in counts if all(n in by_count for by_count in accuracies)]
        means = [100 * float(np.mean([by_n[n] for by_n in accuracies])) for n in (*shared, 0)]
        positions = [*(counts.index(n) for n in shared), len(counts)]
        plot_line(axes, positions, means, styles[name].colour, styles[name], name)
    axes.set_xticks(range(len(counts) + 1), [*map(str, counts), "all"])
    legend_above(axes)
    return figure


def _probe_blocks(context: ReportContext) -> Sequence[Block]:
    """Return the results of the same architectures on probes, if there are any."""
    if not context.probes:
        return ()
    figure = probe_figure(context.probes)
    saved = context.save_figure(figure, "probes", "Accuracy over length by probe")
    return probe_section(context.probes, saved).blocks


def _half_life_rows(horizons: Horizons) -> list[list[str]]:
    rows = []
    for name, of_name in horizons.items():
        for layer in of_name[0].half_lives:
            values = [h.half_lives[layer] for h in of_name if layer in h.half_lives]
            mean = float(np.exp(np.mean(np.log(values))))
            rows.append([f"{name}, {layer}", f"{mean:.1f}", ", ".join(f"{v:.1f}" for v in values)])
    return rows
