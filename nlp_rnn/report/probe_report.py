"""Write the report of runs on probes: one page with a figure and tables for every cell."""

import os
from collections.abc import Sequence
from pathlib import Path

from nlp_rnn.comparison.compared_run import Run
from nlp_rnn.comparison.probes import probe_curves
from nlp_rnn.config.data import PROBE_FACTORS
from nlp_rnn.errors import ComparisonError, DataError
from nlp_rnn.report.figure_files import save_figure
from nlp_rnn.report.page import Page, render_html, render_markdown
from nlp_rnn.report.report import Report, write_rows
from nlp_rnn.report.section_probes import probe_figure, probe_section

__all__ = ["write_probe_report"]


def write_probe_report(runs: Sequence[Run], folder: Path, by: str = "model.cell") -> Report:
    """Write `probes.html`, `probes.md`, `figures/probes.png` and `data/probes.parquet`.

    Parameters
    ----------
    runs : sequence of Run
        Runs from `read_runs`; runs on other data are ignored.
    folder : Path
        Output folder, created if it is missing.
    by : str
        Configuration key whose values are compared.

    Returns
    -------
    Report

    Raises
    ------
    ComparisonError
        No run on a probe has finished, or the runs cannot be compared.
    DataError
        The folder cannot be written.
    """
    curves = probe_curves(runs, by)
    if not curves:
        raise ComparisonError(
            "No run on a probe has finished.\nRun nlp-rnn train probe=dyck1 model=lstm"
        )
    figures, table = folder / "figures", folder / "data" / "probes.parquet"
    try:
        for subfolder in (figures, table.parent):
            subfolder.mkdir(parents=True, exist_ok=True)
        title = "Accuracy over length by probe"
        figure = save_figure(probe_figure(curves), figures, "probes", title)
        page = Page(
            "What can each cell remember?",
            f"{sum(len(curve.seeds) for curve in curves)} runs on "
            f"{len({curve.probe for curve in curves})} probes, compared by {by}.",
            [probe_section(curves, figure)],
        )
        # one row for each run and length
        write_rows(
            table,
            [
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
            ],
        )
        for name, text in (
            ("probes.md", render_markdown(page, ["probes"])),
            ("probes.html", render_html(page)),
        ):
            unfinished = folder / f".{name}.unfinished"
            unfinished.write_bytes(text.encode("utf-8", "replace"))
            os.replace(unfinished, folder / name)
    except OSError as error:
        raise DataError(f"{folder} cannot be written: {error.strerror}.") from error
    return Report(folder / "probes.html", folder / "probes.md", (figure.path,), (table,))
