"""Baselines that a recurrent classifier must beat: the majority label and linear models."""
