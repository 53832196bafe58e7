"""Schemas of a sweep, and of the whole configuration of `nlp-rnn train`."""

from dataclasses import dataclass, field
from enum import Enum

from nlp_rnn.config.option import option
from nlp_rnn.config.run import RunConfig

__all__ = ["CommandConfig", "OnFailure", "Pruner", "SearchConfig", "SweepConfig"]

OnFailure = Enum("OnFailure", ["continue", "stop"])
Pruner = Enum("Pruner", ["none", "median", "hyperband"])


@dataclass
class SweepConfig:
    """How the jobs of a sweep are run, and what follows them."""

    jobs: int = option(1, "Jobs that run at a time on this machine and share its cores.")
    on_failure: OnFailure = option(
        OnFailure["continue"], "Continue with the other jobs, or stop, when a job fails."
    )
    resume: str | None = option(None, "Id of an interrupted sweep to resume, or last.")
    compare: bool = option(True, "Train the baselines and compare the runs at the end.")
    parent: str | None = option(None, "Run id of the sweep; set by the sweep for each of its jobs.")
    words: list[str] = option(
        [], "Parts of a job's run name; set by the sweep for each of its jobs."
    )


@dataclass
class SearchConfig:
    """How a sweep searches hyperparameters instead of trying every combination."""

    trials_per_cell: int | None = option(
        None, "Trials for each combination of the swept groups, such as model=lstm,gru."
    )
    pruner: Pruner = option(Pruner.median, "Rule that ends unpromising trials early.")
    seeds: int = option(5, "Seeds with which the best trial of each is trained again (0: none).")
    storage: str | None = option(
        None, "Database URL of the study (null: a file in the folder of the sweep)."
    )
    seed: int = option(1, "Seed of the search.")
    study: str | None = option(None, "Name of the study; set by the sweep for each of its jobs.")
    trial: int | None = option(None, "Number of the trial; set by the sweep for each of its jobs.")


@dataclass
class CommandConfig(RunConfig):
    """All options of the command; a job of a sweep uses those of one run."""

    sweep: SweepConfig = field(default_factory=SweepConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
