"""What the classifiers of a comparison keep of the test texts becomes a section of its report."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from nlp_rnn.report.context import Material
from nlp_rnn.report.figure_files import Style, axes_of, legend_above, new_figure, shortened
from nlp_rnn.report.page import Block, Figures, Missing, Section, Table
from nlp_rnn.report.section_probes import probe_figure, probe_section

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from nlp_rnn.inspection.memory_horizon import MemoryHorizon

__all__ = ["memory_section", "shown_figure"]

Groups = Mapping[str, Sequence["MemoryHorizon"]]


def memory_section(material: Material) -> Section:
    """Half-lives of the gates on the test texts, and what the first or last tokens are worth."""
    title = "What they remember"
    found: dict[str, list[MemoryHorizon]] = {}
    table = []
    for group in material.comparison.configurations:
        for run in group.runs:
            kept = material.remembered.get(run.run_id)
            if kept is None:
                continue
            found.setdefault(group.name, []).append(kept)
            table += [
                {
                    "group": group.name,
                    "seed": run.seed,
                    "shown": end,
                    "tokens": count,
                    "accuracy": 100 * share,
                }
                for end, shares in (("first", kept.first), ("last", kept.last))
                for count, share in shares.items()
            ]
    if not found:
        why = (
            "The classifiers of the runs were not asked about the test texts: that needs both "
            "where this report is made, and neither is asked for on a hub."
        )
        return Section("memory", title, [*_probes(material), Missing(why)])
    texts = min(run.num_texts for runs in found.values() for run in runs)
    blocks: list[Block] = []
    rows = _half_lives(found)
    if rows:
        traced = min(run.num_traced for runs in found.values() for run in runs)
        told = (
            "Half-lives in tokens: after so many, the median unit holds half of what it held, by "
            "the forget gate (LSTM) or the update gate (GRU) alone. Geometric means over "
            f"n = {traced} test texts and over the seeds, and those of the seeds. What is written "
            "again through the recurrent weights may live longer."
        )
        blocks.append(Table(["group, layer", "half-life", "of each seed"], rows, told))
    material.tables["shown"] = table
    if any(run.first for runs in found.values() for run in runs):
        pictures = []
        for end in ("first", "last"):
            figure = shown_figure(found, material.styles, end)
            picture = material.picture(figure, f"shown_{end}", f"Accuracy by the {end} tokens")
            caption = (
                f"Accuracy when only the {end} tokens of each text are shown, n = {texts:,} test "
                "texts, means over the seeds; the last mark is the whole text. The classifiers "
                "have not learnt to read parts, unless with trainer.prefixes."
            )
            pictures.append((picture, caption))
        blocks.append(Figures(pictures))
    blocks += _probes(material)
    missing = [each.name for each in material.comparison.configurations if each.name not in found]
    if missing:
        blocks.append(Missing(f"Without a recurrent classifier to ask: {', '.join(missing)}."))
    return Section("memory", title, blocks)


def shown_figure(found: Groups, styles: Mapping[str, Style], end: str) -> "Figure":
    """Accuracy of each group over the number of its `first` or `last` tokens that are shown."""
    figure = new_figure(3.1)
    axes = axes_of(figure, f"{end} tokens shown", "test accuracy (%)")
    counts = sorted({count for runs in found.values() for run in runs for count in run.first})
    for name, runs in found.items():
        style = styles[name]
        shares = [getattr(run, end) | {0: run.full} for run in runs]
        own = [count for count in counts if all(count in each for each in shares)]
        means = [100 * float(np.mean([each[count] for each in shares])) for count in (*own, 0)]
        places = [*(counts.index(count) for count in own), len(counts)]
        axes.plot(
            places, means, style.dash, marker=style.marker, color=style.colour, lw=1.5, ms=5.5,
            label=shortened(name),
        )  # fmt: skip
    axes.set_xticks(range(len(counts) + 1), [*map(str, counts), "all"])
    legend_above(axes)
    return figure


def _probes(material: Material) -> Sequence[Block]:
    """What the architectures reached on probes, where those were run."""
    if not material.probes:
        return ()
    picture = material.picture(
        probe_figure(material.probes), "probes", "Accuracy over length by probe"
    )
    return probe_section(material.probes, picture).blocks


def _half_lives(found: Groups) -> list[list[str]]:
    rows = []
    for name, runs in found.items():
        for layer in runs[0].half_lives:
            values = [run.half_lives[layer] for run in runs if layer in run.half_lives]
            mean = float(np.exp(np.mean(np.log(values))))
            rows.append([f"{name}, {layer}", f"{mean:.1f}", ", ".join(f"{v:.1f}" for v in values)])
    return rows
