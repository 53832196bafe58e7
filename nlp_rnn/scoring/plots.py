"""Learning rates and their losses become a table and a picture."""

import os
from collections.abc import Sequence
from pathlib import Path

__all__ = ["write_range_plot", "write_range_table"]


def write_range_table(
    path: Path, rates: Sequence[float], losses: Sequence[float], smoothed: Sequence[float]
) -> None:
    """Write csv with the columns `learning_rate`, `loss` and `smoothed_loss`."""
    rows = zip(rates, losses, smoothed, strict=True)
    lines = [",".join(f"{value:.6g}" for value in row) for row in rows]
    path.write_text(
        "\n".join(["learning_rate,loss,smoothed_loss", *lines]) + "\n", encoding="utf-8"
    )


def write_range_plot(
    path: Path,
    rates: Sequence[float],
    losses: Sequence[float],
    smoothed: Sequence[float],
    suggestion: float,
) -> None:
    """Write a PNG: loss over learning rate, the suggested rate marked."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4))
    axes = figure.add_subplot()
    axes.plot(rates, losses, color="0.75", linewidth=1, label="loss of a batch")
    axes.plot(rates, smoothed, color="C0", linewidth=2, label="running mean")
    axes.axvline(suggestion, color="C3", linestyle="--", label=f"suggested: {suggestion:.1e}")
    axes.set_xscale("log")
    # what lies above the start says only that the rate is too high
    axes.set_ylim(0, 1.5 * smoothed[0])
    axes.set_xlabel("learning rate")
    axes.set_ylabel("training loss")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        figure.savefig(unfinished, format="png", dpi=110, bbox_inches="tight")
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
