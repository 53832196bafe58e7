"""Write the report of a comparison: an HTML page, a summary in Markdown, figures and tables."""

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.comparison.records import Comparison
from nlp_rnn.errors import DataError
from nlp_rnn.report.context import ReportContext, RiskRow, TrainingCurve
from nlp_rnn.report.page import Page, Section, render_html, render_markdown
from nlp_rnn.report.section_calibration import calibration_section
from nlp_rnn.report.section_conclusion import (
    inconclusive_section,
    recommendation_section,
    verdict_section,
)
from nlp_rnn.report.section_confidence import confidence_section
from nlp_rnn.report.section_confusion import confusion_section
from nlp_rnn.report.section_cost import cost_section
from nlp_rnn.report.section_difference import difference_section
from nlp_rnn.report.section_disagreement import disagreement_section
from nlp_rnn.report.section_ensemble import ensemble_section
from nlp_rnn.report.section_latency import latency_section
from nlp_rnn.report.section_learning_curves import learning_curve_section
from nlp_rnn.report.section_memory import memory_section
from nlp_rnn.report.section_methods import methods_section
from nlp_rnn.report.section_scores import seeds_section, table_section
from nlp_rnn.report.section_teacher import teacher_section
from nlp_rnn.report.section_text_length import text_length_section

if TYPE_CHECKING:
    from nlp_rnn.comparison.probes import ProbeCurve
    from nlp_rnn.inspection.memory_horizon import MemoryHorizon
    from nlp_rnn.tracking.tracked_run import TrackedRun

__all__ = [
    "ARTIFACTS",
    "SECTIONS",
    "Report",
    "log_report",
    "report_runs",
    "write_report",
    "write_rows",
]

SECTIONS: tuple[Callable[[ReportContext], Section], ...] = (
    verdict_section,
    recommendation_section,
    table_section,
    ensemble_section,
    seeds_section,
    difference_section,
    text_length_section,
    cost_section,
    latency_section,
    learning_curve_section,
    calibration_section,
    confidence_section,
    disagreement_section,
    confusion_section,
    memory_section,
    teacher_section,
    inconclusive_section,
    methods_section,
)
"""The sections of the page in their order; a new section is a new line here."""

IN_SUMMARY = ("verdict", "recommendation", "table", "inconclusive")
"""Anchors of the sections that are also in `summary.md`."""

ARTIFACTS = "comparison"
"""Folder of a report among the artifacts of a run."""


@dataclass(frozen=True)
class Report:
    """The files of a report.

    Attributes
    ----------
    page : Path
        `report.html`, self-contained.
    summary : Path
        `summary.md`.
    figures : tuple of Path
        `figures/*.png`.
    tables : tuple of Path
        `data/*.parquet`, the data of the figures.
    """

    page: Path
    summary: Path
    figures: tuple[Path, ...]
    tables: tuple[Path, ...]


def write_report(
    comparison: Comparison,
    folder: Path,
    *,
    curves: Mapping[str, TrainingCurve] | None = None,
    texts: Mapping[int, str] | None = None,
    why_no_texts: str = "the data was not loaded.",
    memory_horizons: Mapping[str, "MemoryHorizon"] | None = None,
    probes: Sequence["ProbeCurve"] = (),
    teachers: Mapping[str, dict[str, Any]] | None = None,
    risk_coverage: Mapping[str, Sequence[RiskRow]] | None = None,
    scored_configurations: int = 0,
    sections: Sequence[Callable[[ReportContext], Section]] = SECTIONS,
) -> Report:
    """Write the report of a comparison; files of an earlier report are replaced.

    Nothing appears in `folder` before all files are complete, and the page appears last.

    Parameters
    ----------
    comparison : Comparison
        The comparison, with the predictions of its runs if they have logged them.
    folder : Path
        Output folder, created if it is missing. Its other files are not changed.
    curves : mapping of str to TrainingCurve, optional
        Learning curves by run id, from `read_curves`.
    texts : mapping of int to str, optional
        Test texts by row, from `read_texts`. The page contains some of them.
    why_no_texts : str
        Reason why there are no texts.
    memory_horizons : mapping of str to MemoryHorizon, optional
        Memory horizons by run id, from `read_memory_horizons`.
    probes : sequence of ProbeCurve, optional
        Results on probes, from `read_probes`.
    teachers : mapping of str to dict, optional
        Teachers by the name of the configuration, from `read_teachers`.
    risk_coverage : mapping of str to sequence, optional
        Rows of the risk–coverage tables by run id, from `read_risk_coverage`.
    scored_configurations : int
        How many configurations were scored on the test split; 0 if that is not known.
    sections : sequence of callable
        Functions that make the sections of the page, in order.

    Returns
    -------
    Report

    Raises
    ------
    DataError
        The folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".report-", dir=folder) as name:
            unfinished = Path(name)
            for subfolder in ("figures", "data"):
                (unfinished / subfolder).mkdir()
            context = ReportContext(
                comparison,
                unfinished / "figures",
                curves or {},
                texts,
                why_no_texts,
                memory_horizons or {},
                probes,
                teachers or {},
                risk_coverage or {},
                scored_configurations,
            )
            _write_files(context, unfinished, sections)
            return _move_files(unfinished, folder)
    except OSError as error:
        raise DataError(f"{folder} cannot be written: {error.strerror}.") from error


def report_runs(comparison: Comparison, uri: str, folder: Path) -> Report:
    """Write the report of a comparison with the data of its runs in the MLflow store at `uri`.

    The test texts are loaded again if the data is on this machine and unchanged.

    Raises
    ------
    DataError
        The folder cannot be written.
    TrackingError
        MLflow does not respond.
    """
    from nlp_rnn.report.report_data import (
        read_curves,
        read_memory_horizons,
        read_probes,
        read_risk_coverage,
        read_teachers,
        read_texts,
    )
    from nlp_rnn.tracking.scored_configurations import count_scored

    texts, why_no_texts = read_texts(comparison, uri)
    return write_report(
        comparison,
        folder,
        curves=read_curves(comparison, uri),
        texts=texts,
        why_no_texts=why_no_texts,
        memory_horizons=read_memory_horizons(comparison, uri, texts or {}),
        probes=read_probes(comparison, uri),
        teachers=read_teachers(comparison, uri),
        risk_coverage=read_risk_coverage(comparison, uri),
        scored_configurations=count_scored(uri, comparison.digest),
    )


def log_report(run: "TrackedRun", report: Report, folder: str = ARTIFACTS) -> None:
    """Log the files of a report to a run, below `folder` of its artifacts.

    Raises
    ------
    TrackingError
        MLflow rejects the files.
    """
    for path in (report.page, report.summary):
        run.log_file(path, folder)
    for path in report.figures:
        run.log_file(path, f"{folder}/figures")
    for path in report.tables:
        run.log_file(path, f"{folder}/data")


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as a Parquet file; a key that is missing in a row is null."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = list(dict.fromkeys(key for row in rows for key in row))
    table = pa.table({name: [row.get(name) for row in rows] for name in columns})
    pq.write_table(table, path, compression="zstd")


def _write_files(
    context: ReportContext,
    folder: Path,
    sections: Sequence[Callable[[ReportContext], Section]],
) -> None:
    title, subtitle = _titles(context)
    page = Page(title, subtitle, [section(context) for section in sections])
    context.tables["runs"] = _runs(context)
    for name, rows in context.tables.items():
        write_rows(folder / "data" / f"{name}.parquet", rows)
    summary = (*IN_SUMMARY, "ensemble") if context.comparison.deployed else IN_SUMMARY
    for name, text in (
        ("summary.md", render_markdown(page, summary)),
        ("report.html", render_html(page)),
    ):
        (folder / name).write_bytes(text.encode("utf-8", "replace"))


def _titles(context: ReportContext) -> tuple[str, str]:
    comparison = context.comparison
    levels = list(dict.fromkeys(c.level for c in comparison.configurations if c.level))
    question = " or ".join(filter(None, (", ".join(levels[:-1]), *levels[-1:])))
    runs = sum(len(c.runs) for c in comparison.configurations)
    return (
        f"{question or comparison.rules.by}? {comparison.data}",
        f"Comparison of {runs} run{'' if runs == 1 else 's'} by {comparison.rules.by} on "
        f"{context.num_texts:,} test texts; test {context.score_name} in percent.",
    )


def _runs(context: ReportContext) -> list[dict[str, Any]]:
    return [
        {
            "configuration": configuration.name,
            "baseline": configuration.is_baseline,
            "run_id": run.run_id,
            "seed": run.seed,
            "machine": run.machine,
            "score": configuration.scores.get(run.seed if run.seed is not None else 0),
            **dict(sorted(run.metrics.items())),
        }
        for configuration in context.baselines_first
        for run in configuration.runs
    ]


def _move_files(unfinished: Path, folder: Path) -> Report:
    """Move a complete report into its folder, the page last."""
    moved: dict[str, list[Path]] = {}
    for name in ("figures", "data"):
        (folder / name).mkdir(exist_ok=True)
        moved[name] = []
        # file by file, because a folder of this name may contain other files of the user
        for path in sorted((unfinished / name).iterdir()):
            os.replace(path, folder / name / path.name)
            moved[name].append(folder / name / path.name)
    for name in ("summary.md", "report.html"):
        os.replace(unfinished / name, folder / name)
    return Report(
        folder / "report.html",
        folder / "summary.md",
        tuple(moved["figures"]),
        tuple(moved["data"]),
    )
