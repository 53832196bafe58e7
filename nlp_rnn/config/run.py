"""Schema of one run: everything that YAML files and the command line can set.

Hydra composes `conf/` onto these dataclasses. A misspelt key, a value of the wrong type and an
unknown cell therefore raise an error before anything is run.
"""

from dataclasses import dataclass, field
from enum import Enum

from nlp_rnn.config.data import DataConfig
from nlp_rnn.config.model import ModelConfig, NetworkConfig
from nlp_rnn.config.option import MISSING, SEED, option
from nlp_rnn.config.pretraining import PretrainingConfig
from nlp_rnn.config.teacher import TeacherConfig
from nlp_rnn.config.tokenizer import TokenizerConfig
from nlp_rnn.config.training import OptimizerConfig, TrainerConfig

__all__ = ["RunConfig", "Speed", "TrackingConfig"]

Speed = Enum("Speed", ["none", "quick", "full"])


@dataclass
class TrackingConfig:
    """Where and how a run is logged to MLflow."""

    uri: str | None = option(
        None, "Tracking URI (null: MLFLOW_TRACKING_URI, else mlflow.db in the working directory)."
    )
    experiment: str | None = option(
        None, "Experiment (null: MLFLOW_EXPERIMENT_NAME or MLFLOW_EXPERIMENT_ID, else nlp_rnn)."
    )
    run_name: str | None = option(
        None, "Name of the run (null: MLFLOW_RUN_NAME, else made from the model and the seed)."
    )
    system_metrics: bool = option(True, "Log the use of processor, memory, disk and GPU.")
    speed: Speed = option(
        Speed.quick, "How long the classifier is timed: none, quick (3 seconds) or full (minutes)."
    )


@dataclass
class RunConfig:
    """The configuration of one run."""

    data: DataConfig = MISSING
    tokenizer: TokenizerConfig = MISSING
    model: ModelConfig = MISSING
    optimizer: OptimizerConfig = MISSING
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    pretraining: PretrainingConfig = field(default_factory=PretrainingConfig)
    teacher: TeacherConfig = field(default_factory=TeacherConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    seed: int = option(1, "Seed of the initial weights, the order of the texts and dropout.", SEED)

    @property
    def network(self) -> NetworkConfig:
        """The options of the network, which `model=ngrams` does not have."""
        assert isinstance(self.model, NetworkConfig)
        return self.model
