"""Metrics, prediction tables and figures for single-label and multi-label tasks; no MLflow.

`metrics` computes scores and thresholds, `predictions` holds and stores the predictions for a
split, `plots` draws the figures of a run.
"""
