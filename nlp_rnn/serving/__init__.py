"""HTTP service for saved classifiers: predictions in micro-batches, streams, metrics and a page.

Modules in order: `options`, `bad_request`, `served_classifier`, `batcher` (requests that arrive
together are predicted together), `predict_request` and `invocations` (bodies of requests),
`application` (routes), `http_server` (connections), `worker` (one process) and `supervisor` (all
processes). The package does not import torch.
"""
