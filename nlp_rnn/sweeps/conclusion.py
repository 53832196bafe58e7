"""Conclusion of a sweep: compare its jobs, and log the results to the sweep's MLflow run.

The run gets a note (the description that MLflow shows), the metrics of the best job, and the
comparison report.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nlp_rnn.classifier.location import BEST_TAG, RECOMMENDED_TAG
from nlp_rnn.config.data import ProbeConfig
from nlp_rnn.config.signature import plain
from nlp_rnn.config.training import Monitor
from nlp_rnn.errors import NlpRnnError
from nlp_rnn.runs.console import announced, output_to
from nlp_rnn.sweeps.child_runs import Child, validation_metric
from nlp_rnn.sweeps.jobs import Job
from nlp_rnn.sweeps.sweep_arguments import SweepCommand
from nlp_rnn.sweeps.sweep_note import note, results_table
from nlp_rnn.tracking.store import experiment_name
from nlp_rnn.tracking.tags import BASELINES_TAG, DIGEST_TAG

if TYPE_CHECKING:
    from nlp_rnn.comparison.compared_run import Run
    from nlp_rnn.comparison.records import Comparison
    from nlp_rnn.sweeps.deployment import FinishedRun
    from nlp_rnn.tracking.tracked_run import TrackedRun

__all__ = ["FinishedSweep", "SweepResult", "conclude"]


@dataclass(frozen=True)
class FinishedSweep:
    """A sweep whose jobs have all ended; some may have failed.

    Attributes
    ----------
    command : SweepCommand
        Composed arguments of the sweep.
    jobs : sequence of Job
        All jobs.
    tuned : sequence of Job
        After a hyperparameter search, the jobs that train the best configuration of each study
        (usually one per recurrent cell) with several seeds; otherwise empty.
    uri, experiment_id : str
        MLflow tracking URI, and id of the experiment.
    folder : Path
        Folder of the sweep.
    run : TrackedRun
        MLflow run of the sweep, the parent of the jobs' runs.
    chosen : str
        Key of the job with the best classifier, if the sweep chose one; otherwise empty.
    steps : str
        Markdown table of what each step of a search for the best classifier gave.
    """

    command: SweepCommand
    jobs: Sequence[Job]
    tuned: Sequence[Job]
    uri: str
    experiment_id: str
    folder: Path
    run: "TrackedRun"
    chosen: str = ""
    steps: str = ""


@dataclass(frozen=True)
class SweepResult:
    """A concluded sweep: its run and store, its folder, its finished jobs and their comparisons."""

    run_id: str
    uri: str
    folder: Path
    runs: "Sequence[FinishedRun]"
    comparisons: "Sequence[Comparison]"


def conclude(sweep: FinishedSweep, children: Mapping[str, Child]) -> SweepResult:
    """Compare the finished jobs of a sweep, and log the results to the sweep's MLflow run.

    The run gets a note with the results, the id and the metrics of the best job, and the comparison
    report. After a hyperparameter search only the `tuned` jobs are compared. If the comparison
    fails, the note says why.

    Parameters
    ----------
    sweep : FinishedSweep
        The sweep.
    children : mapping of str to Child
        MLflow runs of the jobs, by the key of the job.
    """
    run, sweep_options = sweep.run, sweep.command.sweep_options
    finished = [child for child in children.values() if child.status == "FINISHED"]
    if not finished:
        run.set_note(note(sweep.command, sweep.jobs, run.run_id, children))
        return SweepResult(run.run_id, sweep.uri, sweep.folder, (), ())
    best = children.get(sweep.chosen) or _best_child(finished, sweep_options.trainer.monitor)
    if best is not None:
        run.set_tags({BEST_TAG: best.run_id, "best_run_name": best.name})
        run.log_final(_best_metrics(best))
    body = results_table(finished)
    keys = {job.key for job in sweep.tuned or sweep.jobs}
    candidates = [child for child in finished if child.key in keys]
    compared = Compared()
    if sweep_options.sweep.compare:
        try:
            compared = _compare(sweep, candidates)
        except NlpRnnError as error:
            print(f"Not compared: {error}")
            body += f"\n\n**Not compared**: {' '.join(str(error).split())}"
        else:
            body = "\n\n".join(compared.summaries) or body
    body += _deploy(sweep, compared.runs or candidates, compared.comparisons, children)
    for line in _reuse_of_test_splits(sweep, finished):
        print(line)
        body += f"\n\n{line}"
    if sweep.steps:
        title = f"**Best on validation**: {best.name}\n\n" if sweep.chosen and best else ""
        body = f"{title}{sweep.steps}\n\n{body}"
    run.set_note(note(sweep.command, sweep.jobs, run.run_id, children, body))
    return SweepResult(run.run_id, sweep.uri, sweep.folder, finished, compared.comparisons)


def _deploy(
    sweep: FinishedSweep,
    runs: "Sequence[FinishedRun]",
    comparisons: "Sequence[Comparison]",
    children: Mapping[str, Child],
) -> str:
    """Print and log which classifiers to deploy, and return a paragraph for the note.

    Probes are no data that a classifier is deployed for.
    """
    from nlp_rnn.sweeps.deployment import deploy, recommended

    if all(_is_probe(job) for job in sweep.jobs):
        return ""
    chosen = children[sweep.chosen].run_id if sweep.chosen in children else ""
    if chosen:
        runs = list(children.values())
    monitor = sweep.command.sweep_options.trainer.monitor
    deployments = recommended(runs, comparisons, monitor, chosen)
    if not deployments:
        return ""
    ids = [deployment.run.run_id for deployment in deployments]
    sweep.run.set_tags({RECOMMENDED_TAG: " ".join(ids)})
    lines = deploy(deployments, sweep.folder, sweep.run.run_id[:8])
    print("\n" + "\n".join(lines), flush=True)
    return "\n\n**Deploy**\n\n```\n" + "\n".join(lines) + "\n```"


def _reuse_of_test_splits(sweep: FinishedSweep, finished: Sequence[Child]) -> list[str]:
    """Count the configurations as scored on their test splits; return advice if there are many."""
    from nlp_rnn.tracking.scored_configurations import scored_advice

    scored: dict[str, set[str]] = {}
    for child in finished:
        if DIGEST_TAG in child.tags:
            scored.setdefault(child.tags[DIGEST_TAG], set()).add(child.tags["signature"])
    lines = []
    for digest, signatures in scored.items():
        lines += scored_advice(sweep.uri, sweep.experiment_id, digest, sorted(signatures))
    return list(dict.fromkeys(lines))


@dataclass(frozen=True)
class Compared:
    """Result of the comparison of a sweep; empty if the jobs differ only in the seed or the data.

    Attributes
    ----------
    summaries : sequence of str
        Markdown, one for each data set, and one for all probes together.
    comparisons : sequence of Comparison
        The comparisons, one for each data set.
    runs : sequence of Run
        The compared runs and the baselines.
    """

    summaries: Sequence[str] = ()
    comparisons: "Sequence[Comparison]" = ()
    runs: "Sequence[Run]" = ()


def _compare(sweep: FinishedSweep, finished: Sequence[Child]) -> Compared:
    """Compare the finished jobs, and write and log the report."""
    jobs = sweep.tuned or sweep.jobs
    by = _compared_key(sweep.command, jobs)
    if by is None:
        return Compared()
    from nlp_rnn.comparison.compare import compare_runs
    from nlp_rnn.comparison.read import read_runs
    from nlp_rnn.comparison.rules import Rules
    from nlp_rnn.comparison.table import data_sets_table, table
    from nlp_rnn.report.probe_report import write_probe_report
    from nlp_rnn.report.report import log_report, report_runs

    ids = {child.run_id for child in finished}
    experiment = experiment_name(sweep.command.sweep_options.tracking.experiment, sweep.uri)
    if all(_is_probe(job) for job in jobs):  # they need no baselines
        runs = [run for run in read_runs(sweep.uri, experiment) if run.run_id in ids]
        report = write_probe_report(runs, sweep.folder / "comparison", by)
        log_report(sweep.run, report)
        print(f"report        {report.page}")
        return Compared([report.summary.read_text(encoding="utf-8")])
    with announced("Training the baselines"):
        baselines = _baseline_run_ids(sweep, jobs, finished)
    sweep.run.set_tags({BASELINES_TAG: " ".join(sorted(baselines))})
    ids |= baselines
    keys = [key for key in sweep.command.space if "." in key and key != by] if sweep.tuned else []
    with announced("Comparing"):
        runs = [run for run in read_runs(sweep.uri, experiment) if run.run_id in ids]
        comparisons = compare_runs(runs, Rules(by=by, tuned_keys=tuple(keys)), sweep.uri)
    summaries = []
    for item in comparisons:
        folder = "comparison"
        if len(comparisons) > 1:
            folder += f"/{item.data}-{item.digest[:6]}"
        with announced("Writing the report"):
            report = report_runs(item, sweep.uri, sweep.folder / folder)
            log_report(sweep.run, report, folder)
        summary = report.summary.read_text(encoding="utf-8")
        summaries.append(f"**{item.data}**: {item.verdict}\n\n{summary}")
        print(f"\n{table(item)}\n\nreport        {report.page}")
    if text := data_sets_table(comparisons):
        print(f"\n{text}")
        summaries.insert(0, "\n\n".join(one.sentence for one in comparisons[0].across))
    return Compared(summaries, comparisons, runs)


def _is_probe(job: Job) -> bool:
    return isinstance(job.config.data, ProbeConfig)


def _compared_key(command: SweepCommand, jobs: Sequence[Job]) -> str | None:
    """Return the key whose values are compared; None if only seed or data vary."""
    configs = [job.config for job in jobs]
    if len({config.model.cell for config in configs}) > 1:
        return "model.cell"
    for key, values in command.space.items():
        if key not in ("seed", "data") and len(values) > 1:
            return key if "." in key else f"{key}.name"
    return None


def _baseline_run_ids(
    sweep: FinishedSweep, jobs: Sequence[Job], finished: Sequence[Child]
) -> set[str]:
    """Find or train the baselines on each data set, and return their MLflow run ids.

    A data set whose baselines fail is reported on the terminal and has none.
    """
    from nlp_rnn.sweeps.baseline_runs import ALL_BASELINES, ensure_baselines

    configs = {job.key: job.config for job in jobs}
    by_data: dict[str, Child] = {}
    for child in finished:
        if child.key in configs:
            by_data.setdefault(str(plain(configs[child.key].data)), child)
    run_ids: set[str] = set()
    for child in by_data.values():
        config = configs[child.key]
        try:
            with output_to(sweep.folder / "baselines.log"):
                baselines = ensure_baselines(
                    config,
                    sweep.uri,
                    sweep.experiment_id,
                    sweep.run.run_id,
                    names=ALL_BASELINES,
                    folder=sweep.folder / "baselines" / child.tags["data"],
                )
        except NlpRnnError as error:
            print(f"No baselines for {child.tags['data']}: {error}")
            continue
        run_ids |= {baseline.run_id for baseline in baselines.values()}
    return run_ids


def _best_child(finished: Sequence[Child], monitor: Monitor) -> Child | None:
    """Return the job's run with the best validation metric; the test split is never used."""
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
    """Return the scores and losses of the best run, named `best_…` for the sweep's run."""
    return {
        f"best_{name.replace('/', '_')}": value
        for name, value in best.metrics.items()
        if name.startswith(("test/", "validation/")) and name.endswith(("accuracy", "_f1", "loss"))
    }
