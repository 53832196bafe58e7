"""MLflow tracking: stores, runs that are logged in the background, and the model registry.

The modules in the order of their use: `uri`, `environment`, `sqlite_store` and `store` prepare a
store. `run_lifecycle` opens and closes a run, and `tracked_run` logs to it; values go through
`logged_values`, `outbox`, `journal` and `delivery` to MLflow. `interruption`, `liveness` and
`ended_runs` keep the status true when a process is stopped or dies. `machine` and `tags` name the
tags, `note` writes the description, `registry` compares models, and `ui_server` shows the store.
"""
