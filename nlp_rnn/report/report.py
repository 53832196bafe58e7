"""A comparison becomes a page that stands alone, a summary in Markdown, pictures and tables."""

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.comparison.records import Comparison
from nlp_rnn.errors import DataError
from nlp_rnn.report.context import Material, TrainingCurve
from nlp_rnn.report.page import Page, Section, render_html, render_markdown
from nlp_rnn.report.section_calibration import calibration_section
from nlp_rnn.report.section_conclusion import (
    recommendation_section,
    undecided_section,
    verdict_section,
)
from nlp_rnn.report.section_confusion import confusion_section
from nlp_rnn.report.section_cost import cost_section
from nlp_rnn.report.section_difference import difference_section
from nlp_rnn.report.section_disagreement import disagreement_section
from nlp_rnn.report.section_latency import speed_section
from nlp_rnn.report.section_learning_curves import curve_section
from nlp_rnn.report.section_memory import memory_section
from nlp_rnn.report.section_methods import measured_section
from nlp_rnn.report.section_scores import seed_section, table_section
from nlp_rnn.report.section_text_length import length_section

if TYPE_CHECKING:
    from nlp_rnn.comparison.probes import ProbeCurve
    from nlp_rnn.inspection.memory_horizon import MemoryHorizon
    from nlp_rnn.tracking.tracked_run import TrackedRun

__all__ = ["ARTIFACTS", "Report", "log_report", "report_runs", "write_report"]

ARTIFACTS = "comparison"
"""Where a report lies among the artifacts of a run."""

IN_THE_NOTE = ("verdict", "recommendation", "table", "undecided")


@dataclass(frozen=True)
class Report:
    """The files of a report.

    Attributes:
        page: `report.html`; stands alone.
        summary: `summary.md`.
        pictures: `pictures/*.png`.
        tables: `data/*.parquet`, what the pictures were drawn from.
    """

    page: Path
    summary: Path
    pictures: tuple[Path, ...]
    tables: tuple[Path, ...]


def write_report(
    comparison: Comparison,
    folder: Path,
    *,
    curves: Mapping[str, TrainingCurve] | None = None,
    texts: Mapping[int, str] | None = None,
    no_texts: str = "the data was not read again.",
    remembered: Mapping[str, "MemoryHorizon"] | None = None,
    probes: Sequence["ProbeCurve"] = (),
    more: Sequence[Section] = (),
) -> Report:
    """Write the report of `comparison` into `folder`; files of an earlier one are replaced.

    Nothing appears in `folder` before everything is made; the page comes last.

    Args:
        comparison: with the predictions of its runs where there are such.
        folder: made if it is missing; no other file in it is touched.
        curves: by run id, as from `read_curves`.
        texts: test texts by row, as from `read_texts`; they are shown, so they leave the data.
        no_texts: why there are none.
        remembered: by run id, as from `read_remembered`.
        probes: as from `read_probes`.
        more: sections that come before the open questions.

    Raises:
        DataError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".report-", dir=folder) as unfinished:
            place = Path(unfinished)
            for name in ("pictures", "data"):
                (place / name).mkdir()
            material = Material(
                comparison,
                place / "pictures",
                curves or {},
                texts,
                no_texts,
                remembered or {},
                probes,
            )
            _write(material, place, more)
            return _put(Path(unfinished), folder)
    except OSError as error:
        raise DataError(f"{folder} cannot be written: {error.strerror}.") from error


def report_runs(comparison: Comparison, uri: str, folder: Path) -> Report:
    """Write the report of `comparison`, with what its runs in the store at `uri` still hold.

    The test texts are read again where the data is on this machine and unchanged.

    Raises:
        DataError: the folder cannot be written.
        TrackingError: MLflow does not answer.
    """
    from nlp_rnn.report.report_data import (
        read_curves,
        read_probes,
        read_remembered,
        read_texts,
    )

    texts, no_texts = read_texts(comparison, uri)
    curves = read_curves(comparison, uri)
    remembered = read_remembered(comparison, uri, texts or {})
    return write_report(
        comparison,
        folder,
        curves=curves,
        texts=texts,
        no_texts=no_texts,
        remembered=remembered,
        probes=read_probes(comparison, uri),
    )


def log_report(run: "TrackedRun", report: Report, place: str = ARTIFACTS) -> None:
    """Log the files of a report to a run, under `place`; `report.summary` suits its note.

    Raises:
        TrackingError: MLflow does not take them.
    """
    for path in (report.page, report.summary):
        run.log_file(path, place)
    for path in report.pictures:
        run.log_file(path, f"{place}/pictures")
    for path in report.tables:
        run.log_file(path, f"{place}/data")


def _write(material: Material, folder: Path, more: Sequence[Section]) -> None:
    page = _page(material, more)
    material.tables["runs"] = _runs(material.comparison)
    for name, rows in material.tables.items():
        _write_table(folder / "data" / f"{name}.parquet", rows)
    (folder / "summary.md").write_bytes(
        render_markdown(page, IN_THE_NOTE).encode("utf-8", "replace")
    )
    (folder / "report.html").write_bytes(render_html(page).encode("utf-8", "replace"))


def _page(material: Material, more: Sequence[Section]) -> Page:
    comparison = material.comparison
    levels = list(dict.fromkeys(group.level for group in comparison.configurations if group.level))
    versus = " or ".join(filter(None, (", ".join(levels[:-1]), *levels[-1:])))
    runs = sum(len(group.runs) for group in comparison.configurations)
    return Page(
        f"{versus or comparison.rules.by}? {comparison.data}",
        f"{runs} {'run' if runs == 1 else 'runs'} compared by {comparison.rules.by} on "
        f"{material.num_texts:,} test texts, test {material.score_name} in percent.",
        [
            verdict_section(material),
            recommendation_section(material),
            table_section(material),
            seed_section(material),
            difference_section(material),
            length_section(material),
            cost_section(material),
            speed_section(material),
            curve_section(material),
            calibration_section(material),
            disagreement_section(material),
            confusion_section(material),
            memory_section(material),
            *more,
            undecided_section(material),
            measured_section(material),
        ],
    )


def _runs(comparison: Comparison) -> list[dict[str, Any]]:
    return [
        {
            "group": group.name,
            "control": group.is_baseline,
            "run_id": run.run_id,
            "seed": run.seed,
            "machine": run.machine,
            "score": group.scores.get(run.seed if run.seed is not None else 0),
            **dict(sorted(run.metrics.items())),
        }
        for group in (*comparison.baselines, *comparison.configurations)
        for run in group.runs
    ]


def _write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = list(dict.fromkeys(key for row in rows for key in row))
    pq.write_table(
        pa.table({name: [row.get(name) for row in rows] for name in columns}),
        path,
        compression="zstd",
    )


def _put(unfinished: Path, folder: Path) -> Report:
    """Move a report that is whole into its folder, the page last."""
    moved: dict[str, list[Path]] = {}
    for name in ("pictures", "data"):
        (folder / name).mkdir(exist_ok=True)
        moved[name] = []
        # file by file: a folder of this name may hold other things of the user's
        for path in sorted((unfinished / name).iterdir()):
            os.replace(path, folder / name / path.name)
            moved[name].append(folder / name / path.name)
    for name in ("summary.md", "report.html"):
        os.replace(unfinished / name, folder / name)
    return Report(
        folder / "report.html",
        folder / "summary.md",
        tuple(moved["pictures"]),
        tuple(moved["data"]),
    )
