"""Schemas of a sweep, and of the whole configuration of `nlp-rnn train`."""

from dataclasses import dataclass, field
from enum import Enum

from nlp_rnn.config.option import POSITIVE, at_least, option
from nlp_rnn.config.run import RunConfig

__all__ = [
    "Backend",
    "CommandConfig",
    "OnFailure",
    "Pruner",
    "RayConfig",
    "SearchConfig",
    "SlurmConfig",
    "SweepConfig",
]

Backend = Enum("Backend", ["processes", "slurm", "ray"])
OnFailure = Enum("OnFailure", ["continue", "stop"])
Pruner = Enum("Pruner", ["none", "median", "hyperband"])


@dataclass
class SweepConfig:
    """How the jobs of a sweep are run, and what follows them."""

    backend: Backend = option(
        Backend.processes, "Where the jobs run: on this machine, on Slurm or on Ray."
    )
    jobs: int | None = option(
        None,
        "Jobs that run at the same time. On this machine they share the cores (null: one). On Ray "
        "and in each job array of Slurm, of up to 1,000 jobs, it is a limit (null: none).",
        at_least(1),
    )
    max_minutes: float | None = option(
        None,
        "Minutes in which the most accurate classifier is looked for, as with sweep=best (null: "
        "every combination is trained).",
        POSITIVE,
    )
    restarts: int = option(
        1,
        "How often a job is started again if its process dies, for example without memory.",
        at_least(0),
    )
    on_failure: OnFailure = option(
        OnFailure["continue"], "Continue with the other jobs, or stop, when a job fails."
    )
    detach: bool = option(False, "Start the jobs and return; nlp-rnn sweep attach follows them.")
    resume: str | None = option(
        None, "Id of an interrupted sweep to resume, or last (null: a new one)."
    )
    compare: bool = option(True, "Train the baselines and compare the runs at the end.")


@dataclass
class SlurmConfig:
    """What a job requests from Slurm, for `sweep.backend=slurm`."""

    partition: str | None = option(None, "Partition (null: the default of the cluster).")
    time: str | None = option(
        None, "Time limit of a job, such as 90 (minutes) or 4:00:00 (null: that of the partition)."
    )
    margin: int = option(
        60,
        "Seconds before the time limit at which a job is stopped, to end its run and to keep its "
        "checkpoint.",
        at_least(1),
    )
    cpus_per_task: int = option(1, "CPU cores of a job.", at_least(1))
    mem: str | None = option(None, "Memory of a job, such as 8G (null: that of the partition).")
    gpus: str | None = option(None, "GPUs of a job, such as 1 or a100:1 (null: none).")
    account: str | None = option(None, "Account that is charged (null: that of the user).")
    qos: str | None = option(None, "Quality of service (null: that of the cluster).")
    setup: str | None = option(
        None, "Shell code before each job, such as module load cuda (null: none)."
    )
    options: str | None = option(
        None, "Further options of sbatch, such as --constraint=avx512 (null: none)."
    )


@dataclass
class RayConfig:
    """Where a job runs on Ray, and with what, for `sweep.backend=ray`."""

    address: str | None = option(
        None, "Address of the cluster, or auto (null: Ray is started on this machine)."
    )
    num_cpus: float = option(1.0, "CPU cores of a job.", POSITIVE)
    num_gpus: float = option(0.0, "GPUs of a job.", at_least(0))


@dataclass
class SearchConfig:
    """How a sweep searches hyperparameters instead of trying every combination."""

    trials_per_cell: int | None = option(
        None,
        "Trials for each combination of the swept groups, such as model=lstm,gru (null: no "
        "search).",
    )
    pruner: Pruner = option(Pruner.median, "Rule that ends unpromising trials early.")
    seeds: int = option(5, "Seeds with which the best trial of each is trained again (0: none).")
    storage: str | None = option(
        None, "Database URL of the study (null: a file in the folder of the sweep)."
    )
    seed: int = option(1, "Seed of the search.")
    study: str | None = option(
        None, "Name of the study; a sweep sets it for each of its jobs (null: no search)."
    )
    trial: int | None = option(
        None, "Number of the trial; a sweep sets it for each of its jobs (null: no search)."
    )


@dataclass
class CommandConfig(RunConfig):
    """All options of the command; a job of a sweep uses those of one run."""

    sweep: SweepConfig = field(default_factory=SweepConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    slurm: SlurmConfig = field(default_factory=SlurmConfig)
    ray: RayConfig = field(default_factory=RayConfig)
