"""Sweeps: many jobs as child runs of one run in MLflow.

The modules in the order of the steps:

1. `sweep_arguments`: compose the command-line arguments with Hydra; find the swept space.
2. `jobs`: make a job for every combination. `search` chooses trials with Optuna instead, with
   `pruning` and `search_plots`. `forecast` lists the jobs for `--dry-run`.
3. `sweep`: open the parent run, or resume it, and go through the other steps.
4. `launcher`: pass the jobs to Hydra's launcher. It calls `job_run` for each of them.
5. `child_runs`: read the runs of the jobs from MLflow. `progress` prints them.
6. `conclusion`: compare the finished children, with the baselines of `baseline_runs`.
"""
