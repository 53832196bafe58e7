"""Accuracy of each cell on the diagnostic probe tasks, by length of the texts."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.comparison.compared_run import Run
from nlp_rnn.config.data import PROBE_FACTORS
from nlp_rnn.errors import ComparisonError
from nlp_rnn.layers.cells import CELLS
from nlp_rnn.sources.probe_tasks import PROBES

__all__ = ["SOLVED", "ProbeCurve", "probe_curves", "seeds_ahead"]

SOLVED = 90.0
"""Mean accuracy, percent, from which a cell counts as solving a probe at a length."""


@dataclass(frozen=True)
class ProbeCurve:
    """Accuracies of the runs of one cell on one probe.

    Attributes
    ----------
    probe : str
        Name of the probe.
    cell : str
        The value of the compared key.
    seeds : tuple of int
        The S seeds.
    accuracies : ndarray of float64, shape (S, factors)
        Percent, balanced over the classes, for each factor of the training length.
    chance : float
        Accuracy of a random guess, percent.
    """

    probe: str
    cell: str
    seeds: tuple[int, ...]
    accuracies: NDArray[np.float64]
    chance: float

    @property
    def means(self) -> NDArray[np.float64]:
        """Means over the seeds, percent, shape (factors,)."""
        means: NDArray[np.float64] = self.accuracies.mean(axis=0)
        return means

    @property
    def breaks(self) -> str:
        """The first factor of the training length at which the mean is below `SOLVED`."""
        for factor, mean in zip(PROBE_FACTORS, self.means, strict=True):
            if mean < SOLVED:
                return "not learned" if factor == 1 else f"{factor}×"
        return f"beyond {PROBE_FACTORS[-1]}×"


def probe_curves(runs: Sequence[Run], by: str = "model.cell") -> list[ProbeCurve]:
    """Collect the finished runs on `data=probe` into curves, ordered by probe and then by cell.

    If a seed was run twice, the first run counts. Runs on other data are ignored.

    Parameters
    ----------
    runs : sequence of Run
        Oldest first.
    by : str
        Dotted configuration key whose values are compared.

    Raises
    ------
    ComparisonError
        The runs of a cell differ in more than the seed, or the runs on a probe were trained on
        different texts.
    """
    metrics = [f"test/accuracy_{factor}x" for factor in PROBE_FACTORS]
    runs_of: dict[tuple[str, str], dict[int, Run]] = defaultdict(dict)
    for run in runs:
        probe, complete = run.config.get("data.probe", ""), run.metrics.keys() >= set(metrics)
        if probe in PROBES and run.status == "FINISHED" and complete:
            runs_of[probe, run.config.get(by, "")].setdefault(run.seed or 0, run)
    digests: dict[str, set[str]] = defaultdict(set)
    for (probe, cell), seeds in runs_of.items():
        digests[probe] |= {run.digest for run in seeds.values()}
        if len(digests[probe]) > 1:
            raise ComparisonError(
                f"The runs on the probe {probe} were trained on different texts.\n"
                "Train all of them with the same data.seed, data.length and number of rows."
            )
        if len({run.configuration_name for run in seeds.values()}) > 1:
            raise ComparisonError(
                f"The runs of {cell} on the probe {probe} differ in more than the seed.\n"
                "Choose the runs of one sweep, or compare by the key that differs."
            )
    probes = list(PROBES)

    def order(key: tuple[str, str]) -> tuple[int, int, str]:
        probe, cell = key
        return probes.index(probe), list(CELLS).index(cell) if cell in CELLS else len(CELLS), cell

    curves = []
    for probe, cell in sorted(runs_of, key=order):
        seeds = dict(sorted(runs_of[probe, cell].items()))
        scores = [[100 * run.metrics[metric] for metric in metrics] for run in seeds.values()]
        chance = 100 / len(PROBES[probe].labels)
        curves.append(ProbeCurve(probe, cell, tuple(seeds), np.array(scores), chance))
    return curves


def seeds_ahead(first: ProbeCurve, second: ProbeCurve) -> tuple[NDArray[np.int64], int]:
    """Count the shared seeds for which `first` is more accurate.

    Returns
    -------
    ahead : ndarray of int64, shape (factors,)
        Number of seeds for each factor of the training length.
    shared : int
        Number of shared seeds.
    """
    shared = [seed for seed in first.seeds if seed in second.seeds]
    accuracies = [
        curve.accuracies[[curve.seeds.index(seed) for seed in shared]] for curve in (first, second)
    ]
    ahead: NDArray[np.int64] = (accuracies[0] > accuracies[1]).sum(axis=0)
    return ahead, len(shared)
