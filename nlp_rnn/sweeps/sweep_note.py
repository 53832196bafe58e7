"""Note of a sweep: the Markdown description that MLflow shows for its run."""

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence

from nlp_rnn.sweeps.child_runs import Child
from nlp_rnn.sweeps.jobs import Job
from nlp_rnn.sweeps.sweep_arguments import SweepCommand, space_text

__all__ = ["note", "results_table"]

# Columns of the table in the note: heading, MLflow metric, factor, number format.
COLUMNS = (
    ("accuracy %", "test/accuracy", 100, ".2f"),
    ("micro-F1 %", "test/micro_f1", 100, ".2f"),
    ("macro-F1 %", "test/macro_f1", 100, ".2f"),
    ("parameters", "parameters/total", 1, ",.0f"),
    ("training s", "train/seconds", 1, ",.0f"),
    ("tokens/s", "train/tokens_per_second", 1, ",.0f"),
    ("latency, ms", "latency/onnx_batch1_p50_ms", 1, ".2f"),
)
CELL_PADDING = "\u00a0" * 3
"""Follows every table cell, because MLflow shows tables without space between the columns."""


def results_table(finished: Sequence[Child]) -> str:
    """Return a Markdown table of means over the seeds, sorted by test accuracy or micro-F1."""
    configurations: dict[str, list[Child]] = defaultdict(list)
    for child in finished:
        configurations[child.name.rpartition(" seed")[0] or child.name].append(child)

    def mean(children: Sequence[Child], name: str) -> float:
        values = [child.metrics[name] for child in children if name in child.metrics]
        return statistics.fmean(values) if values else math.nan

    scores = COLUMNS[:2]
    used = [column for column in scores if any(column[1] in child.metrics for child in finished)]
    columns = (*(used or scores[:1]), *COLUMNS[2:])
    heads = ["", "seeds", *(head for head, *_ in columns)]
    rows = [_row(heads), "|---" * len(heads) + "|"]
    ordered = sorted(configurations.items(), key=lambda item: -mean(item[1], columns[0][1]))
    for name, children in ordered:
        cells = [name, str(len(children))]
        for _, metric, scale, form in columns:
            value = mean(children, metric) * scale
            cells.append("–" if math.isnan(value) else format(value, form))
        rows.append(_row(cells))
    return "\n".join(rows)


def _row(cells: Sequence[str]) -> str:
    return "| " + f"{CELL_PADDING} | ".join(cells) + f"{CELL_PADDING} |"


def note(
    command: SweepCommand,
    jobs: Sequence[Job],
    run_id: str,
    children: Mapping[str, Child],
    body: str = "",
    count: int | None = None,
) -> str:
    """Return the note of a sweep: the Markdown description that MLflow shows for its run.

    Parameters
    ----------
    command : SweepCommand
        Composed arguments of the sweep.
    jobs : sequence of Job
        All jobs.
    run_id : str
        MLflow run id of the sweep.
    children : mapping of str to Child
        MLflow runs of the jobs, by the key of the job.
    body : str
        Markdown text with the results; by default a table of the finished jobs.
    count : int, optional
        Number of all jobs, if the search was interrupted before it chose all of them.

    Returns
    -------
    str
        Markdown with the number of finished jobs, the results and the commands to use next.
    """
    pairs = [(job, children.get(job.key)) for job in jobs]
    done = sum(child is not None and child.done for _, child in pairs)
    pruned = sum(child is not None and "pruned" in child.tags for _, child in pairs)
    failures = [
        f"- {job.name}: {child.summary if child else 'not run'}"
        for job, child in pairs
        if child is None or not child.done
    ]
    head = f"**{done} of {count or len(jobs)} jobs finished**: `{space_text(command.space)}`"
    if pruned:
        head += f"; {pruned} of them were pruned"
    finished = [child for child in children.values() if child.status == "FINISHED"]
    # The verdict comes first, because MLflow shows only three lines at first.
    parts = (
        [body, head]
        if body
        else [head, results_table(finished) if finished else "No job finished."]
    )
    if failures:
        parts += ["**Not finished**", "\n".join(failures)]
    parts.append(f"**Compare again**: `nlp-rnn compare --sweep {run_id[:8]}`")
    if failures:
        parts.append(f"**Resume**: `nlp-rnn train -m resume={run_id[:8]}`")
    return "\n\n".join(parts)
