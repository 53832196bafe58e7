"""What the children of a sweep reached becomes the note, the metrics and the report of its run."""

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nlp_rnn.config.data import ProbeConfig
from nlp_rnn.config.signature import plain
from nlp_rnn.config.training import Monitor
from nlp_rnn.errors import NlpRnnError
from nlp_rnn.runs.console import announced, output_to
from nlp_rnn.sweeps.child_runs import Child, validation_metric
from nlp_rnn.sweeps.jobs import Command, Job, swept_words
from nlp_rnn.tracking.store import experiment_name
from nlp_rnn.tracking.tags import BASELINES_TAG

if TYPE_CHECKING:
    from nlp_rnn.tracking.tracked_run import TrackedRun

__all__ = ["Ended", "conclude", "note"]

COLUMNS = (
    ("accuracy %", "test/accuracy", 100, ".2f"),
    ("micro-F1 %", "test/micro_f1", 100, ".2f"),
    ("macro-F1 %", "test/macro_f1", 100, ".2f"),
    ("parameters", "parameters/total", 1, ",.0f"),
    ("training s", "train/seconds", 1, ",.0f"),
    ("tokens/s", "train/tokens_per_second", 1, ",.0f"),
    ("one answer, ms", "latency/onnx_batch1_p50_ms", 1, ".2f"),
)
SPACE = "\u00a0" * 3
"""MLflow's tables have no space between columns."""


@dataclass(frozen=True)
class Ended:
    """A sweep whose jobs have been tried; `tuned` are those that a search ends with."""

    command: Command
    jobs: Sequence[Job]
    tuned: Sequence[Job]
    uri: str
    experiment_id: str
    folder: Path
    run: "TrackedRun"


def conclude(sweep: Ended, children: Mapping[str, Child]) -> None:
    """Write the summary of the finished jobs, the best of them and their comparison to the run.

    After a search only its `tuned` jobs are compared, each cell's best over the seeds.
    Where there is nothing to compare, or the comparison fails, the note says why: the runs are
    there all the same.
    """
    run, told = sweep.run, sweep.command.told
    finished = [child for child in children.values() if child.status == "FINISHED"]
    if not finished:
        run.set_note(note(sweep.command, sweep.jobs, run.run_id, children))
        return
    best = _best(finished, told.trainer.monitor)
    if best is not None:
        run.set_tags({"best_run": best.run_id, "best_run_name": best.name})
        run.log_final(_best_metrics(best))
    body = _table(finished)
    if told.sweep.compare:
        try:
            wanted = {job.key for job in sweep.tuned or sweep.jobs}
            compared = _compare(sweep, [child for child in finished if child.key in wanted])
        except NlpRnnError as error:
            print(f"Not compared: {error}")
            body += f"\n\n**Not compared**: {' '.join(str(error).split())}"
        else:
            body = "\n\n".join(compared) or body
    run.set_note(note(sweep.command, sweep.jobs, run.run_id, children, body))


def _compare(sweep: Ended, finished: Sequence[Child]) -> list[str]:
    """Verdict and summary of each data set's comparison; none if only the seed varies."""
    jobs = sweep.tuned or sweep.jobs
    by = _compared_key(sweep.command, jobs)
    if by is None:
        return []
    from nlp_rnn.comparison.compare import compare_runs
    from nlp_rnn.comparison.read import read_runs
    from nlp_rnn.comparison.rules import Rules
    from nlp_rnn.comparison.table import table
    from nlp_rnn.report.probe_report import write_probe_report
    from nlp_rnn.report.report import log_report, report_runs

    ids = {child.run_id for child in finished}
    experiment = experiment_name(sweep.command.told.tracking.experiment)
    if all(isinstance(job.config.data, ProbeConfig) for job in jobs):  # they need no controls
        runs = [each for each in read_runs(sweep.uri, experiment) if each.run_id in ids]
        report = write_probe_report(runs, sweep.folder / "comparison", by)
        log_report(sweep.run, report)
        print(f"report        {report.page}")
        return [report.summary.read_text(encoding="utf-8")]
    with announced("Training the controls"):
        controls = _controls(sweep, jobs, finished)
    sweep.run.set_tags({BASELINES_TAG: " ".join(sorted(controls))})
    ids |= controls
    keys = [key for key in sweep.command.space if "." in key and key != by] if sweep.tuned else []
    with announced("Comparing"):
        runs = [each for each in read_runs(sweep.uri, experiment) if each.run_id in ids]
        found = compare_runs(runs, Rules(by=by, tuned_keys=tuple(keys)), sweep.uri)
    summaries = []
    for each in found:
        place = "comparison" if len(found) == 1 else f"comparison/{each.data}-{each.digest[:6]}"
        with announced("Writing the report"):
            report = report_runs(each, sweep.uri, sweep.folder / place)
            log_report(sweep.run, report, place)
        summary = report.summary.read_text(encoding="utf-8")
        summaries.append(f"**{each.data}**: {each.verdict}\n\n{summary}")
        print(f"\n{table(each)}\n\nreport        {report.page}")
    return summaries


def _compared_key(command: Command, jobs: Sequence[Job]) -> str | None:
    """The configuration key whose values the comparison sets against each other."""
    configs = [job.config for job in jobs]
    if len({config.model.cell for config in configs}) > 1:
        return "model.cell"
    for key, values in command.space.items():
        if key not in ("seed", "data") and len(values) > 1:
            return key if "." in key else f"{key}.name"
    return None


def _controls(sweep: Ended, jobs: Sequence[Job], finished: Sequence[Child]) -> set[str]:
    """The runs of the controls on each of the sweep's data sets; a failing one is left out."""
    from nlp_rnn.sweeps.baseline_runs import ALL_BASELINES, ensure_baselines

    configs = {job.key: job.config for job in jobs}
    by_data: dict[str, Child] = {}
    for child in finished:
        if child.key in configs:
            by_data.setdefault(str(plain(configs[child.key].data)), child)
    found: set[str] = set()
    for child in by_data.values():
        config = configs[child.key]
        try:
            with output_to(sweep.folder / "controls.log"):
                controls = ensure_baselines(
                    config,
                    sweep.uri,
                    sweep.experiment_id,
                    sweep.run.run_id,
                    names=ALL_BASELINES,
                    folder=sweep.folder / "controls" / child.tags["data"],
                )
        except NlpRnnError as error:
            print(f"No controls for {child.tags['data']}: {error}")
            continue
        found |= {control.run_id for control in controls.values()}
    return found


def _best(finished: Sequence[Child], monitor: Monitor) -> Child | None:
    """The child whose validation metric is best, never by the test split."""
    sign = -1 if monitor is Monitor.loss else 1
    scored = {
        child.run_id: sign * value
        for child in finished
        if (value := child.metrics.get(validation_metric(monitor, child.metrics))) is not None
        and not math.isnan(value)
    }
    return max(
        (child for child in finished if child.run_id in scored),
        key=lambda child: scored[child.run_id],
        default=None,
    )


def _best_metrics(best: Child) -> dict[str, float]:
    return {
        f"best_{name.replace('/', '_')}": value
        for name, value in best.metrics.items()
        if name.startswith(("test/", "validation/")) and name.endswith(("accuracy", "_f1", "loss"))
    }


def _table(finished: Sequence[Child]) -> str:
    """Means over the seeds as a Markdown table, best accuracy or micro-F1 first."""
    groups: dict[str, list[Child]] = defaultdict(list)
    for child in finished:
        groups[child.name.rpartition(" seed")[0] or child.name].append(child)

    def mean(children: Sequence[Child], name: str) -> float:
        values = [child.metrics[name] for child in children if name in child.metrics]
        return statistics.fmean(values) if values else math.nan

    kinds = COLUMNS[:2]
    used = [column for column in kinds if any(column[1] in child.metrics for child in finished)]
    columns = (*(used or kinds[:1]), *COLUMNS[2:])
    heads = ["", "seeds", *(head for head, *_ in columns)]
    rows = [_row(heads), "|---" * len(heads) + "|"]
    for name, children in sorted(groups.items(), key=lambda item: -mean(item[1], columns[0][1])):
        cells = [name, str(len(children))]
        for _, metric, scale, form in columns:
            value = mean(children, metric) * scale
            cells.append("–" if math.isnan(value) else format(value, form))
        rows.append(_row(cells))
    return "\n".join(rows)


def _row(cells: Sequence[str]) -> str:
    return "| " + f"{SPACE} | ".join(cells) + f"{SPACE} |"


def note(
    command: Command,
    jobs: Sequence[Job],
    run_id: str,
    children: Mapping[str, Child],
    body: str = "",
) -> str:
    """What MLflow shows of a sweep: how far it came, `body` or a table, what to type next."""
    pairs = [(job, children.get(job.key)) for job in jobs]
    done = sum(child is not None and child.done for _, child in pairs)
    pruned = sum(child is not None and "pruned" in child.tags for _, child in pairs)
    failures = [
        f"- {job.name}: {child.told if child else 'not run'}"
        for job, child in pairs
        if child is None or not child.done
    ]
    head = f"**{done} of {len(jobs)} jobs finished**: `{swept_words(command.space)}`"
    if pruned:
        head += f"; {pruned} of them were pruned"
    finished = [child for child in children.values() if child.status == "FINISHED"]
    # the verdict comes first: MLflow shows three lines until it is asked for more
    parts = [body, head] if body else [head, _table(finished) if finished else "No job finished."]
    if failures:
        parts += ["**Not finished**", "\n".join(failures)]
    parts.append(f"**Compare again**: `nlp-rnn compare --sweep {run_id[:8]}`")
    if failures:
        parts.append(f"**Go on**: `nlp-rnn train -m resume={run_id[:8]}`")
    return "\n\n".join(parts)
