"""Compare runs that differ in one thing, and conclude no more than their data supports.

The steps, one module each; `compare` runs them in this order:

1. `read`: runs from an MLflow store, and their predictions for the test split.
2. `select`: the usable runs, sorted into configurations (runs that differ only in the seed).
3. `pair`: the pairs of configurations that can be compared.
4. `score`: scores, and paired differences with bootstrap intervals.
5. `decide`: better, equivalent or inconclusive, after Holm's correction.
6. `recommend`: a configuration for each use.

`rules` has the thresholds, `differing_keys` the keys in which a pair may differ, `compared_run` and
`records` what the steps pass on. `external_predictions` reads those of other models as runs.
`labels` has the differences on the labels of multi-label data, and `data_sets` the conclusion over
several data sets. `resampling` and `statistics` are
the mathematics, `verdict` and `notes` the sentences, `table` the text for the terminal. `probes`
compares accuracies on the diagnostic probe tasks.
"""
