"""Saved classifiers: their folder, ONNX graph, predictions, streams, speed and MLflow model."""
