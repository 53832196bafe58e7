"""What `nlp-rnn train` may be told besides one run: how a sweep makes many of it."""

from dataclasses import dataclass, field
from enum import Enum

from nlp_rnn.config.run import RunConfig

__all__ = ["CommandConfig", "OnFailure", "Pruner", "SearchConfig", "SweepConfig"]

OnFailure = Enum("OnFailure", ["continue", "stop"])
Pruner = Enum("Pruner", ["none", "median", "hyperband"])


@dataclass
class SweepConfig:
    """How the jobs of a sweep are run, and what is made of them.

    `jobs` run at a time on this machine and share its cores. `resume` names a sweep that was
    interrupted: its id, or `last`. `compare=false` leaves out the controls and the comparison at
    the end. `parent` and `words` (for its name) are given to every job by its sweep.
    """

    jobs: int = 1
    on_failure: OnFailure = OnFailure["continue"]
    resume: str | None = None
    compare: bool = True
    parent: str | None = None
    words: list[str] = field(default_factory=list)


@dataclass
class SearchConfig:
    """How a sweep searches instead of trying every combination.

    `trials_per_cell` is the budget of every combination of the swept groups (`model=lstm,gru`);
    the swept keys (`model.head_dropout=interval(0,0.7)`) are what is tuned. The best of each is
    then trained with `seeds` seeds, 0 for none. `storage` is a database address, default a file
    in the sweep's folder; `seed` is the search's own. `study` and `trial` are given to every job.
    """

    trials_per_cell: int | None = None
    pruner: Pruner = Pruner.median
    seeds: int = 5
    storage: str | None = None
    seed: int = 1
    study: str | None = None
    trial: int | None = None


@dataclass
class CommandConfig(RunConfig):
    """The whole configuration of the command; a job of a sweep keeps the part of one run."""

    sweep: SweepConfig = field(default_factory=SweepConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
