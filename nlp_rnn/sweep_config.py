"""What `nlp-rnn train` may be told besides one run: how a sweep makes many of it."""

from dataclasses import dataclass, field
from enum import Enum

from nlp_rnn.config import RunConfig

__all__ = ["CommandConfig", "OnFailure", "SweepConfig"]

OnFailure = Enum("OnFailure", ["continue", "stop"])


@dataclass
class SweepConfig:
    """How the jobs of a sweep are run, and what is made of them.

    `jobs` run at a time on this machine and share its cores. `resume` names a sweep that was
    interrupted: its id, or `last`. `compare=false` leaves out the controls and the comparison at
    the end. `parent` and `swept` are given to every job by its sweep.
    """

    jobs: int = 1
    on_failure: OnFailure = OnFailure["continue"]
    resume: str | None = None
    compare: bool = True
    parent: str | None = None
    swept: list[str] = field(default_factory=list)


@dataclass
class CommandConfig(RunConfig):
    """The whole configuration of the command; a job of a sweep keeps the part of one run."""

    sweep: SweepConfig = field(default_factory=SweepConfig)
