"""HTTP service for saved classifiers: predictions in micro-batches, streams, metrics and a page.

Modules in order: `options`, `bad_request`, `served_classifier`, `batcher` (requests that arrive
together are predicted together), `predict_request` and `invocations` (bodies of requests),
`explanation` (for the page), `service` (state of a process), `streams`, `page_files`, `openapi`,
`boundary` (what all requests pass) and `application` (routes), `http_server` (connections),
`worker` (one process), `registry_watch` and `supervisor` (all processes). The package does not
import torch. The page is in `page/`.
"""
