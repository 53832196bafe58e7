"""section_methods."""

from typing import TYPE_CHECKING

from nlp_rnn.report.context import Material
from nlp_rnn.report.page import Block, Items, Section, Table, Words

if TYPE_CHECKING:
    pass

__all__ = ["measured_section"]


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
