"""Training of a network on tokenized texts: objective, optimizer, updates, checkpoints, trainer.

The order of the modules: `processes` and `device`; `prefetch` → `inference` → `objective` →
`perturbation` → `loss` → `optim` → `step` → `cuda_graphs` make one update; `training_state`,
`checkpoint`, `clock` and `events` describe a training; `trainer` runs it.
"""
