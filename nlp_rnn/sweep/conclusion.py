"""What the children of a sweep reached becomes the note, the metrics and the report of its run."""

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nlp_rnn.config import Monitor
from nlp_rnn.errors import NlpRnnError
from nlp_rnn.screen import announced, output_to
from nlp_rnn.signature import plain
from nlp_rnn.sweep.children import Child
from nlp_rnn.sweep.grid import Grid, swept_words
from nlp_rnn.tracking.store import experiment_name

if TYPE_CHECKING:
    from nlp_rnn.tracking.run import TrackedRun

__all__ = ["conclude", "note"]

COLUMNS = (
    ("accuracy %", "test/accuracy", 100, ".2f"),
    ("macro-F1 %", "test/macro_f1", 100, ".2f"),
    ("parameters", "parameters/total", 1, ",.0f"),
    ("training s", "train/seconds", 1, ",.0f"),
    ("tokens/s", "train/tokens_per_second", 1, ",.0f"),
    ("one answer, ms", "latency/onnx_batch1_p50_ms", 1, ".2f"),
)
SPACE = "\u00a0" * 3
"""MLflow's tables have no space between columns."""


def conclude(
    grid: Grid,
    uri: str,
    experiment_id: str,
    folder: Path,
    run: "TrackedRun",
    children: Mapping[str, Child],
) -> None:
    """Write the summary of the finished jobs, the best of them and their comparison to `run`.

    Where there is nothing to compare, or the comparison fails, the note says why: the runs are
    there all the same.

    Raises:
        TrackingError: MLflow does not take it.
    """
    finished = [child for child in children.values() if child.status == "FINISHED"]
    if not finished:
        run.set_note(note(grid, run.run_id, children))
        return
    best = _best(finished, grid.told.trainer.monitor)
    if best is not None:
        run.set_tags({"best_run": best.run_id, "best_run_name": best.name})
        run.log_final(_best_metrics(best))
    body = _table(finished)
    if grid.told.sweep.compare:
        try:
            compared = _compare(grid, uri, experiment_id, folder, run, finished)
        except NlpRnnError as error:
            print(f"Not compared: {error}")
            body += f"\n\n**Not compared**: {' '.join(str(error).split())}"
        else:
            body = "\n\n".join(compared) or body
    run.set_note(note(grid, run.run_id, children, body))


def _compare(
    grid: Grid,
    uri: str,
    experiment_id: str,
    folder: Path,
    run: "TrackedRun",
    finished: Sequence[Child],
) -> list[str]:
    """The summaries of the comparisons, one for each data set; none if only the seed varies."""
    by = _compared_key(grid)
    if by is None:
        return []
    from nlp_rnn.comparison.compare import compare_runs
    from nlp_rnn.comparison.evidence import Rules
    from nlp_rnn.comparison.report import log_report, report_runs
    from nlp_rnn.comparison.runs import read_runs
    from nlp_rnn.comparison.table import table

    ids = {child.run_id for child in finished}
    with announced("Training the controls"):
        ids |= _controls(grid, uri, experiment_id, folder, run.run_id, finished)
    with announced("Comparing"):
        experiment = experiment_name(grid.told.tracking.experiment)
        runs = [each for each in read_runs(uri, experiment) if each.run_id in ids]
        found = compare_runs(runs, Rules(by=by), uri)
    summaries = []
    for each in found:
        place = "comparison" if len(found) == 1 else f"comparison/{each.data}-{each.digest[:6]}"
        with announced("Writing the report"):
            report = report_runs(each, uri, folder / place)
            log_report(run, report, place)
        summaries.append(report.summary.read_text(encoding="utf-8"))
        print(f"\n{table(each)}\n\nreport        {report.page}")
    return summaries


def _compared_key(grid: Grid) -> str | None:
    """The configuration key whose values the comparison sets against each other."""
    configs = [job.config for job in grid.jobs]
    if len({config.model.cell for config in configs}) > 1:
        return "model.cell"
    for key in grid.space:
        if key not in ("seed", "data") and len(grid.space[key]) > 1:
            return key if "." in key else f"{key}.name"
    return None


def _controls(
    grid: Grid,
    uri: str,
    experiment_id: str,
    folder: Path,
    parent: str,
    finished: Sequence[Child],
) -> set[str]:
    """The runs of the controls on each of the sweep's data sets; a failing one is left out."""
    from nlp_rnn.controls.runs import ALL_CONTROLS, ensure_controls

    configs = {job.key: job.config for job in grid.jobs}
    by_data: dict[str, Child] = {}
    for child in finished:
        if child.key in configs:
            by_data.setdefault(str(plain(configs[child.key].data)), child)
    found: set[str] = set()
    for child in by_data.values():
        config = configs[child.key]
        try:
            with output_to(folder / "controls.log"):
                controls = ensure_controls(
                    config,
                    uri,
                    experiment_id,
                    parent,
                    names=ALL_CONTROLS,
                    folder=folder / "controls" / child.tags["data"],
                )
        except NlpRnnError as error:
            print(f"No controls for {child.tags['data']}: {error}")
            continue
        found |= {control.run_id for control in controls.values()}
    return found


def _best(finished: Sequence[Child], monitor: Monitor) -> Child | None:
    """The child whose validation metric is best, never by the test split."""
    name = f"validation/{monitor.name}"
    scored = [child for child in finished if not math.isnan(child.metrics.get(name, math.nan))]
    sign = -1 if monitor is Monitor.loss else 1
    return max(scored, key=lambda child: sign * child.metrics[name], default=None)


def _best_metrics(best: Child) -> dict[str, float]:
    return {
        f"best_{name.replace('/', '_')}": value
        for name, value in best.metrics.items()
        if name.startswith(("test/", "validation/")) and name.endswith(("accuracy", "_f1", "loss"))
    }


def _table(finished: Sequence[Child]) -> str:
    """Means over the seeds as a Markdown table, best accuracy first."""
    groups: dict[str, list[Child]] = defaultdict(list)
    for child in finished:
        groups[child.name.rpartition(" seed")[0] or child.name].append(child)

    def mean(children: Sequence[Child], name: str) -> float:
        values = [child.metrics[name] for child in children if name in child.metrics]
        return statistics.fmean(values) if values else math.nan

    heads = ["", "seeds", *(head for head, *_ in COLUMNS)]
    rows = [_row(heads), "|---" * len(heads) + "|"]
    for name, children in sorted(groups.items(), key=lambda item: -mean(item[1], "test/accuracy")):
        cells = [name, str(len(children))]
        for _, metric, scale, form in COLUMNS:
            value = mean(children, metric) * scale
            cells.append("–" if math.isnan(value) else format(value, form))
        rows.append(_row(cells))
    return "\n".join(rows)


def _row(cells: Sequence[str]) -> str:
    return "| " + f"{SPACE} | ".join(cells) + f"{SPACE} |"


def note(grid: Grid, run_id: str, children: Mapping[str, Child], body: str = "") -> str:
    """What MLflow shows of a sweep: how far it came, `body` or a table, what to type next."""
    wanted = [children.get(job.key) for job in grid.jobs]
    done = sum(child is not None and child.status == "FINISHED" for child in wanted)
    failures = [
        f"- {job.name}: {child.told if child else 'not run'}"
        for job, child in zip(grid.jobs, wanted, strict=True)
        if child is None or child.status != "FINISHED"
    ]
    head = f"**{done} of {len(grid.jobs)} jobs finished**: `{swept_words(grid.space)}`"
    finished = [child for child in children.values() if child.status == "FINISHED"]
    parts = [head, body or (_table(finished) if finished else "No job finished.")]
    if failures:
        parts += ["**Not finished**", "\n".join(failures)]
    again = f"nlp-rnn train -m resume={run_id[:8]}"
    parts.append(f"**Compare again**: `nlp-rnn compare --sweep {run_id[:8]}`")
    if failures:
        parts.append(f"**Go on**: `{again}`")
    return "\n\n".join(parts)
