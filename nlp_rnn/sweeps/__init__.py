"""Sweeps: many jobs as child runs of one run in MLflow.

The modules in the order of the steps:

1. `sweep_arguments`: compose the command-line arguments with Hydra; find the swept space.
2. `jobs`: make a job for every combination. `search` chooses trials with Optuna instead, with
   `pruning` and `search_plots`. `forecast` lists the jobs for `--dry-run`.
3. `sweep`: open the parent run, or resume it, and go through the other steps.
4. `supervisor`: start the jobs on one of the `backends` (`process_backend`, `slurm_backend`,
   `ray_backend`), and decide what became of them. `detached` leaves this to another process.
5. `job_run`: run one job, in any process (`worker`). `job_records` and `attempts` are the files
   from which the state of a job follows; `completion` logs a result that was accepted before.
6. `child_runs`: read the runs of the jobs from MLflow. `progress` prints how they ended.
7. `conclusion`: compare the finished children, with the baselines of `baseline_runs`.
"""
