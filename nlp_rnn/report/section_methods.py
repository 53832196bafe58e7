"""Section on methods: data, thresholds, how the values were measured, and the runs."""

from nlp_rnn.comparison.verdict import counted
from nlp_rnn.report.context import ReportContext
from nlp_rnn.report.page import Block, BulletList, Paragraph, Section, Table

__all__ = ["methods_section"]


def methods_section(context: ReportContext) -> Section:
    """Return the section: how the comparison was made, and its runs, included and left out."""
    comparison, rules = context.comparison, context.comparison.rules
    paragraphs = [
        f"Data: {comparison.data}, digest {comparison.digest or 'not logged'}; "
        f"{len(comparison.label_names)} labels, {context.num_texts:,} test texts.",
        f"Compared by {rules.by} with the test {context.score_name}. The equivalence region (ROPE) "
        f"is ±{rules.rope:g} points. Intervals have a confidence of {rules.confidence:.0%} and use "
        f"{rules.resamples:,} bootstrap resamples over seeds and texts (seed {rules.seed}).",
        *comparison.methods,
        "All times come from one machine."
        if comparison.same_machine
        else "The times come from several machines, so they are not comparable; the scores are.",
    ]
    if context.scored_configurations:
        configurations = counted(context.scored_configurations, "configuration")
        paragraphs.append(
            f"This test split has been scored by {configurations} so far, in all experiments of "
            "the store; runs that differ only in the seed count once."
        )
    runs_with_vectors = {
        run.tags["vectors"]: None
        for configuration in context.baselines_first
        for run in configuration.runs
        if "vectors" in run.tags
    }
    paragraphs += [f"Word vectors: {vectors}." for vectors in runs_with_vectors]
    blocks: list[Block] = [Paragraph(text) for text in paragraphs]
    if comparison.notes:
        blocks.append(BulletList([("", note, "") for note in comparison.notes]))
    runs = [
        [
            configuration.name,
            "–" if run.seed is None else str(run.seed),
            run.run_id,
            run.machine or "–",
        ]
        for configuration in context.baselines_first
        for run in configuration.runs
    ]
    if runs:
        head = ["configuration", "seed", "run id", "machine"]
        caption = f"The n = {len(runs)} MLflow runs behind this page."
        blocks.append(Table(head, runs, caption, left_aligned=True))
    return Section("methods", "Methods and runs", blocks)
