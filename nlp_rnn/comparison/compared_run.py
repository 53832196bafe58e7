"""Record of one run that is compared: a run in MLflow, or predictions from a file."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from nlp_rnn.scoring.predictions import Predictions
from nlp_rnn.tracking.tags import KIND

__all__ = ["EXTERNAL", "Run"]

EXTERNAL = "external"
"""Kind of a run whose predictions were read from a file: that of another library or a service."""

WITHOUT_RECURRENCE = ("average", "ngrams")
"""Values of `model.cell` of models that have no recurrence, which are baselines."""


@dataclass(frozen=True)
class Run:
    """One MLflow run.

    Attributes
    ----------
    run_id, name, experiment_id : str
        As in MLflow.
    configuration_name, signature, cell : str
        Tags of the run; empty where it has none.
    seed : int or None
        None for a run without a seed, such as a deterministic baseline.
    kind : str
        `train` or `baseline`. A run without the tag `kind` is `train`. `external` for predictions
        that were read from a file and are not in MLflow.
    status : str
        FINISHED, FAILED, KILLED or RUNNING.
    config : mapping of str to str
        The requested configuration: dotted keys and their values as MLflow prints them.
    metrics : mapping of str to float
        The last value of each metric.
    tags : mapping of str to str
        All tags.
    machine : str
        Host and processor on which the run was timed.
    digest : str
        Digest of the data set; empty where none was logged.
    started : int
        Start time, milliseconds since 1970.
    artifacts : str
        URI of the artifacts.
    predictions : Predictions or None
        Predictions for the test split; None before they are read, or where none were saved.
    resolved : mapping of str to str
        The configuration as resolved for the data and machine of the run.
    part : str
        `network` for the network alone of an ensemble, empty for the saved classifier.
    """

    run_id: str
    name: str
    experiment_id: str
    configuration_name: str
    signature: str
    cell: str
    seed: int | None
    kind: str
    status: str
    config: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    machine: str
    digest: str
    started: int
    artifacts: str
    predictions: Predictions | None = field(default=None, repr=False)
    resolved: Mapping[str, str] = field(default_factory=dict, repr=False)
    part: str = ""

    @property
    def is_baseline(self) -> bool:
        """Whether the run is a baseline: tagged as one, or a model without recurrence."""
        return self.kind == KIND or self.cell in WITHOUT_RECURRENCE

    @property
    def is_external(self) -> bool:
        """Whether the predictions were read from a file."""
        return self.kind == EXTERNAL

    @property
    def is_multi_label(self) -> bool:
        """Whether the run was trained on multi-label data."""
        return self.tags.get("task") == "multi_label"

    def level(self, by: str) -> str:
        """Return the value of the compared key `by`, from the configuration or a tag.

        That of external predictions is their name.
        """
        if self.is_external:
            return self.configuration_name
        return self.config.get(by, self.tags.get(by, ""))
