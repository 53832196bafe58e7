"""Choice of the classifier that a sweep recommends to deploy, one for each data set.

The configuration is the one that the comparison recommends as the most accurate. If it recommends
none, because the outcome is inconclusive or nothing was compared, it is the configuration with the
best mean validation score; models without a network, such as `model=ngrams`, and baselines that are
saved as classifiers take part. Of its runs, the one with the best validation score is deployed.
"""

import math
import shutil
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from nlp_rnn.classifier.location import CLASSIFIER
from nlp_rnn.classifier.manifest import CONFIG
from nlp_rnn.comparison.records import Comparison
from nlp_rnn.config.training import Monitor
from nlp_rnn.sweeps.child_runs import validation_metric
from nlp_rnn.tracking.tags import configuration_name

__all__ = ["Deployment", "FinishedRun", "deploy", "recommended"]

MOST_ACCURATE = "most accurate"
NOT_SAVED = ("majority", "linear")
"""Baselines that are not saved as classifiers."""


class FinishedRun(Protocol):
    """What is read of a finished run in MLflow."""

    @property
    def run_id(self) -> str:
        """Id of the run."""

    @property
    def name(self) -> str:
        """Name of the run."""

    @property
    def tags(self) -> Mapping[str, str]:
        """All tags."""

    @property
    def metrics(self) -> Mapping[str, float]:
        """The last value of every metric."""


@dataclass(frozen=True)
class Deployment:
    """The classifier that a sweep recommends for a data set.

    Attributes
    ----------
    data : str
        Name of the data set.
    run : FinishedRun
        The run with the classifier.
    metric : str
        Validation metric that it has the best value of, among the seeds of its configuration.
    reason : str
        Why its configuration is recommended.
    """

    data: str
    run: FinishedRun
    metric: str
    reason: str


def recommended(
    runs: Sequence[FinishedRun],
    comparisons: Sequence[Comparison],
    monitor: Monitor,
    chosen: str = "",
) -> list[Deployment]:
    """Return the recommended classifier of each data set, ordered by the name of the data.

    Parameters
    ----------
    runs : sequence of FinishedRun
        Finished runs of the sweep, and its baselines. Those without a validation score or a saved
        classifier are left out.
    comparisons : sequence of Comparison
        Comparisons of the sweep; empty if nothing was compared.
    monitor : Monitor
        Validation metric that the classifiers are chosen by.
    chosen : str
        Id of the run that a search for the best classifier chose; otherwise empty.
    """
    scored: dict[str, dict[str, list[FinishedRun]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        is_candidate = chosen in ("", run.run_id) and run.tags.get("cell") not in NOT_SAVED
        if is_candidate and not math.isnan(_score(run, monitor)):
            scored[run.tags.get("data", "")][configuration_name(run.tags)].append(run)
    choices = {run_id: comparison for comparison in comparisons for run_id in _choice(comparison)}
    deployments = []
    for data, configurations in sorted(scored.items()):
        of_data = [run for of_name in configurations.values() for run in of_name]
        candidates = [run for run in of_data if run.run_id in choices]
        reason = "most accurate in the comparison"
        if chosen:
            candidates, reason = of_data, "the best that the search found"
        elif not candidates:
            reason = "best mean validation score"
            candidates = max(
                configurations.values(),
                key=lambda of_name: statistics.fmean(_score(run, monitor) for run in of_name),
            )
            if len(configurations) == 1:
                reason = "the only configuration"
        best = max(candidates, key=lambda run: _score(run, monitor))
        metric = validation_metric(monitor, best.metrics)
        deployments.append(Deployment(data, best, metric, reason))
    return deployments


def deploy(deployments: Sequence[Deployment], folder: Path, sweep_id: str) -> list[str]:
    """Copy the recommended classifier, and return what the end of the sweep says about it.

    If there are classifiers of several data sets, none is copied.

    Parameters
    ----------
    deployments : sequence of Deployment
        The recommended classifiers.
    folder : Path
        Folder of the sweep. The classifier is copied to its subfolder `classifier`.
    sweep_id : str
        Id of the sweep.
    """
    lines = []
    for deployment in deployments:
        run = deployment.run
        source, single = _folder(run), len(deployments) == 1
        location = str(source) if (source / CONFIG).is_file() else f"runs:/{run.run_id}"
        if single and (source / CONFIG).is_file():
            location = str(folder / CLASSIFIER)
            shutil.rmtree(location, ignore_errors=True)
            shutil.copytree(source, location)
        registered = sweep_id if single else run.run_id[:8]
        lines += [
            f"deploy        {run.name} ({deployment.reason}; of its seeds, the best "
            f"{deployment.metric}, {run.metrics[deployment.metric]:.4f})",
            f"classifier    {location}",
            f"register it   nlp-rnn register {registered} --name {_model_name(deployment.data)}",
        ]
    return lines


def _choice(comparison: Comparison) -> list[str]:
    """Return the ids of the runs of the configuration that is recommended as most accurate."""
    name = next(
        (one.choice for one in comparison.recommendations if one.use == MOST_ACCURATE), None
    )
    return [
        run.run_id
        for configuration in (comparison.deployed or comparison.configurations)
        for run in configuration.runs
        if configuration.name == name
    ]


def _score(run: FinishedRun, monitor: Monitor) -> float:
    value = run.metrics.get(validation_metric(monitor, run.metrics), math.nan)
    return -value if monitor is Monitor.loss else value


def _folder(run: FinishedRun) -> Path:
    return Path(run.tags.get("run_folder", "")) / CLASSIFIER


def _model_name(data: str) -> str:
    """Return the name of the data as a name that the shell and the registry accept."""
    name = "".join(c if c.isalnum() or c in "._-" else "-" for c in data).strip("-.")
    return name or "NAME"
