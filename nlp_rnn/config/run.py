"""The shape and limits of one run: what YAML and the command line may say, as typed schemas.

Hydra composes `conf/` onto these dataclasses, so a misspelt key, a wrong type and an unknown
cell are refused while the config is composed.
"""

from dataclasses import dataclass, field
from enum import Enum

from nlp_rnn.config.data import DataConfig
from nlp_rnn.config.model import ModelConfig
from nlp_rnn.config.option import MISSING
from nlp_rnn.config.pretraining import PretrainingConfig
from nlp_rnn.config.tokenizer import TokenizerConfig
from nlp_rnn.config.training import OptimizerConfig, TrainerConfig

__all__ = [
    "RunConfig",
    "Speed",
    "TrackingConfig",
]

Speed = Enum("Speed", ["none", "quick", "full"])


@dataclass
class TrackingConfig:
    """Where the run is written in MLflow; null means the environment's, else the default.

    `speed` is how long the finished classifier is timed: `quick` (3 seconds) or `full` (minutes).
    """

    uri: str | None = None
    experiment: str | None = None
    run_name: str | None = None
    system_metrics: bool = True
    speed: Speed = Speed.quick


@dataclass
class RunConfig:
    """One run, whole."""

    data: DataConfig = MISSING
    tokenizer: TokenizerConfig = MISSING
    model: ModelConfig = MISSING
    optimizer: OptimizerConfig = MISSING
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    pretraining: PretrainingConfig = field(default_factory=PretrainingConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    seed: int = 1
