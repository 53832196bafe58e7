"""Runs on probes become a page of its own: one picture, and tables of where each cell breaks."""

import os
from collections.abc import Sequence
from pathlib import Path

from nlp_rnn.comparison.probes import ProbeCurve, probe_curves
from nlp_rnn.comparison.records import Run
from nlp_rnn.config.data import PROBE_FACTORS
from nlp_rnn.errors import ComparisonError, DataError
from nlp_rnn.report.figure_files import save_picture
from nlp_rnn.report.page import Page, render_html, render_markdown
from nlp_rnn.report.report import Report
from nlp_rnn.report.section_probes import probe_figure, probe_section

__all__ = ["write_probe_report"]


def write_probe_report(runs: Sequence[Run], folder: Path, by: str = "model.cell") -> Report:
    """Write `probes.html`, `probes.md`, `pictures/probes.png` and `data/probes.parquet`.

    Args:
        runs: as from `read_runs`; those on other data are left out.
        folder: made if it is missing.
        by: the configuration key that is compared.

    Raises:
        ComparisonError: no run on a probe has finished, or they cannot be compared.
        DataError: the folder cannot be written.
    """
    curves = probe_curves(runs, by)
    if not curves:
        raise ComparisonError(
            "No run on a probe has finished.\nTrain some: nlp-rnn train probe=dyck1 model=lstm"
        )
    try:
        for each in (folder / "pictures", folder / "data"):
            each.mkdir(parents=True, exist_ok=True)
        picture = save_picture(
            probe_figure(curves), folder / "pictures", "probes", "Accuracy over length by probe"
        )
        page = Page(
            "What can each cell remember?",
            f"{sum(len(curve.seeds) for curve in curves)} runs on "
            f"{len({curve.probe for curve in curves})} probes, compared by {by}.",
            [probe_section(curves, picture)],
        )
        _write_table(folder / "data" / "probes.parquet", curves)
        for name, words in (
            ("probes.md", render_markdown(page, ["probes"])),
            ("probes.html", render_html(page)),
        ):
            unfinished = folder / f".{name}.unfinished"
            unfinished.write_bytes(words.encode("utf-8", "replace"))
            os.replace(unfinished, folder / name)
    except OSError as error:
        raise DataError(f"{folder} cannot be written: {error.strerror}.") from error
    return Report(
        folder / "probes.html",
        folder / "probes.md",
        (picture.path,),
        (folder / "data" / "probes.parquet",),
    )


def _write_table(path: Path, curves: Sequence[ProbeCurve]) -> None:
    """One row for each run and length."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [
        {
            "probe": curve.probe,
            "cell": curve.cell,
            "seed": seed,
            "factor": factor,
            "accuracy": float(accuracy),
        }
        for curve in curves
        for seed, scores in zip(curve.seeds, curve.accuracies, strict=True)
        for factor, accuracy in zip(PROBE_FACTORS, scores, strict=True)
    ]
    pq.write_table(pa.Table.from_pylist(rows), path, compression="zstd")
