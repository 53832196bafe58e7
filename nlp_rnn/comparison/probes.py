"""Runs on probes become, for each cell, the accuracy at each length and where it breaks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.comparison.records import Run
from nlp_rnn.config.data import PROBE_FACTORS
from nlp_rnn.errors import ComparisonError
from nlp_rnn.layers.cells import CELLS
from nlp_rnn.sources.probe_tasks import PROBES

__all__ = ["HELD", "ProbeCurve", "probe_curves", "seeds_ahead"]

HELD = 90.0
"""A cell holds a length when its mean accuracy there is at least this, percent."""


@dataclass(frozen=True)
class ProbeCurve:
    """The runs of one cell on one probe.

    Attributes:
        probe: its name.
        cell: what is compared; a value of `by`.
        seeds: S of them.
        accuracies: percent, balanced over the classes, (S, factors of the length).
        chance: percent that a guess reaches.
    """

    probe: str
    cell: str
    seeds: tuple[int, ...]
    accuracies: NDArray[np.float64]
    chance: float

    @property
    def means(self) -> NDArray[np.float64]:
        """Means over the seeds, percent, one a factor."""
        found: NDArray[np.float64] = self.accuracies.mean(axis=0)
        return found

    @property
    def breaks(self) -> str:
        """The first length, in lengths of training, at which the mean is below `HELD`."""
        for factor, mean in zip(PROBE_FACTORS, self.means, strict=True):
            if mean < HELD:
                return "not learnt" if factor == 1 else f"{factor}×"
        return f"beyond {PROBE_FACTORS[-1]}×"


def probe_curves(runs: Sequence[Run], by: str = "model.cell") -> list[ProbeCurve]:
    """Gather the finished runs on `data=probe`, by probe in the order of the lists, then by cell.

    Of two runs of one seed the first counts, whatever it scored. Runs on other data are left out.

    Raises:
        ComparisonError: runs of one cell differ in more than the seed, or the texts of a probe
            are not the same for all.
    """
    names = [f"test/accuracy_{factor}x" for factor in PROBE_FACTORS]
    found: dict[tuple[str, str], dict[int, Run]] = {}
    for run in runs:
        probe = run.config.get("data.probe", "")
        if probe in PROBES and run.status == "FINISHED" and all(n in run.metrics for n in names):
            seeds = found.setdefault((probe, run.config.get(by, "")), {})
            seeds.setdefault(run.seed or 0, run)
    for probe in dict.fromkeys(probe for probe, _ in found):
        digests = {run.digest for key in found if key[0] == probe for run in found[key].values()}
        if len(digests) > 1:
            raise ComparisonError(
                f"The runs on the probe {probe} did not read the same texts.\n"
                "Train all of them with the same data.seed, data.length and rows."
            )
    for (probe, cell), seeds in found.items():
        if len({run.configuration_name for run in seeds.values()}) > 1:
            raise ComparisonError(
                f"The runs of {cell} on the probe {probe} differ in more than the seed.\n"
                "Choose those of one sweep, or compare by the key that differs."
            )
    probes = list(PROBES)

    def order(key: tuple[str, str]) -> tuple[int, int, str]:
        probe, cell = key
        return probes.index(probe), list(CELLS).index(cell) if cell in CELLS else len(CELLS), cell

    curves = []
    for probe, cell in sorted(found, key=order):
        seeds = dict(sorted(found[probe, cell].items()))
        scores = [[100 * run.metrics[name] for name in names] for run in seeds.values()]
        chance = 100 / len(PROBES[probe].labels)
        curves.append(ProbeCurve(probe, cell, tuple(seeds), np.array(scores), chance))
    return curves


def seeds_ahead(first: ProbeCurve, second: ProbeCurve) -> tuple[NDArray[np.int64], int]:
    """Of how many shared seeds `first` is more accurate, one a factor, and how many they share."""
    shared = [seed for seed in first.seeds if seed in second.seeds]
    rows = [
        curve.accuracies[[curve.seeds.index(seed) for seed in shared]] for curve in (first, second)
    ]
    ahead: NDArray[np.int64] = (rows[0] > rows[1]).sum(axis=0)
    return ahead, len(shared)
