"""Choice of the backend that runs the jobs of a sweep."""

import shutil

from nlp_rnn.config.sweep import Backend, CommandConfig
from nlp_rnn.errors import ConfigError
from nlp_rnn.sweeps.backends import JobBackend
from nlp_rnn.sweeps.job_records import JobRecords

__all__ = ["make_backend"]


def make_backend(options: CommandConfig, records: JobRecords) -> JobBackend:
    """Return the backend that `sweep.backend` names.

    Parameters
    ----------
    options : CommandConfig
        Options of the sweep.
    records : JobRecords
        Records of its jobs.

    Raises
    ------
    ConfigError
        The backend is not installed.
    """
    sweep = options.sweep
    if sweep.backend is Backend.slurm:
        if shutil.which("sbatch") is None:
            raise ConfigError(
                "sweep.backend=slurm needs Slurm's commands, and there is no sbatch on the PATH.\n"
                "Run the sweep on a machine of the cluster, or set sweep.backend=processes."
            )
        from nlp_rnn.sweeps.slurm_backend import SlurmBackend

        return SlurmBackend(options.slurm, records, sweep.jobs)
    if sweep.backend is Backend.ray:
        from nlp_rnn.sweeps.ray_backend import RayBackend

        return RayBackend(options.ray, records, sweep.jobs)
    from nlp_rnn.sweeps.process_backend import InlineBackend, WorkerBackend

    # a job that runs in this process cannot be started again by it
    if (sweep.jobs or 1) == 1 and sweep.restarts <= 1:
        return InlineBackend(records)
    return WorkerBackend(records, sweep.jobs or 1)
