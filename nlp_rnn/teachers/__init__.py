"""Teachers: larger models whose predictions a small classifier learns from.

A teacher predicts probabilities for unlabelled texts and, out of sample, for the training texts.
"""
