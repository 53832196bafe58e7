"""Answers before the end of texts become a picture: how right they are, and how sure."""

import os
from collections.abc import Sequence
from pathlib import Path

__all__ = ["write_earliness_plot"]


def write_earliness_plot(
    path: Path,
    prefixes: Sequence[tuple[float, float, float]],
    exits: Sequence[tuple[float, float, float]],
    chosen: float,
) -> None:
    """Write a PNG: accuracy over tokens read, for a fixed share of them and by threshold.

    Args:
        path: of the picture.
        prefixes: share of the tokens, accuracy, mean probability of the answer.
        exits: threshold, mean share of the tokens read, accuracy.
        chosen: the threshold that is marked.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4))
    axes = figure.add_subplot()
    shares, accuracies, confidences = zip(*prefixes, strict=True)
    axes.plot(shares, accuracies, color="C0", marker="o", label="right after this share")
    axes.plot(shares, confidences, color="0.6", linestyle="--", label="sure after this share")
    _, read, right = zip(*exits, strict=True)
    axes.plot(read, right, color="C3", marker=".", label="right when stopped at a threshold")
    for threshold, tokens, accuracy in exits:
        if threshold == chosen:
            axes.plot([tokens], [accuracy], color="C3", marker="D", markersize=9)
            axes.annotate(
                f"{threshold:g}", (tokens, accuracy), xytext=(8, -12), textcoords="offset points"
            )
    axes.set_xlim(0, 1.02)
    axes.set_xlabel("share of a text's tokens read (validation)")
    axes.set_ylabel("share of answers")
    axes.legend(frameon=False, loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        figure.savefig(unfinished, format="png", dpi=110, bbox_inches="tight")
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
