"""Runtimes: onnxruntime or torch as a function from a batch of token ids to its logits."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.classifier.classifier_folder import SavedClassifier, SavedNetwork
from nlp_rnn.classifier.manifest import GRAPH, INT8_GRAPH
from nlp_rnn.classifier.weights import unpack_weights
from nlp_rnn.errors import ClassifierError

__all__ = ["RUNTIMES", "Runtime", "start_runtime"]

Runtime = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float32]]
"""Thread-safe function of token ids int64 (B, T) and lengths int64 (B,) that returns float32
(B, C): the logits, or for multi-label networks without n-gram models the probabilities."""

RUNTIMES = ("onnx", "int8", "torch")


def start_runtime(saved: SavedClassifier, network: SavedNetwork, runtime: str) -> Runtime:
    """Load the network of a classifier in a runtime, and check it on one text.

    The text is the token with the highest id, which fails if the embedding is too small.

    Parameters
    ----------
    saved : SavedClassifier
        Contents of the classifier folder, read for the same `runtime`.
    network : SavedNetwork
        Its network.
    runtime : {"onnx", "int8", "torch"}
        The runtime.

    Raises
    ------
    ClassifierError
        The runtime is not installed, or cannot run the network.
    """
    if runtime == "torch":
        return _start_torch(saved, network)
    return _start_onnx(saved, network, runtime)


def _returns_logits(saved: SavedClassifier) -> bool:
    # graphs that were saved before there were n-gram models have one output
    return saved.thresholds is None or saved.ngrams is not None


def _start_onnx(saved: SavedClassifier, network: SavedNetwork, runtime: str) -> Runtime:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # Several threads inside one batch were slower at every size; batches run in parallel instead.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # failures raise an error, so nothing needs to be printed
    path = saved.folder / (INT8_GRAPH if runtime == "int8" else GRAPH)
    outputs = ["logits" if _returns_logits(saved) else "probabilities"]
    last = np.array([[network.architecture.vocab_size - 1]], dtype=np.int64)
    try:
        session: Any = onnxruntime.InferenceSession(
            network.graph, options, providers=["CPUExecutionProvider"]
        )
        inputs = {"input_ids": last, "lengths": np.array([1], dtype=np.int64)}
        (logits,) = session.run(outputs, inputs)
    except Exception as error:  # onnxruntime's errors have no common class
        reason = " ".join(str(error).split())[:160]
        raise ClassifierError(
            f"onnxruntime {onnxruntime.__version__} cannot run {path}: {reason}\n"
            "Install the newest onnxruntime, or copy the classifier folder again."
        ) from error
    if logits.shape != (1, len(saved.labels)) or logits.dtype != np.float32:
        raise ClassifierError(
            f"{path} returns {logits.dtype} {logits.shape} for one text, not one float32 for "
            f"each of {len(saved.labels)} labels.\nCopy the classifier folder again."
        )
    # a session holds a copy of the file for a change of providers, which never happens here
    session._model_bytes = None

    def run(input_ids: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.float32]:
        output: NDArray[np.float32]
        (output,) = session.run(outputs, {"input_ids": input_ids, "lengths": lengths})
        return output

    return run


def _start_torch(saved: SavedClassifier, saved_network: SavedNetwork) -> Runtime:
    try:
        import torch

        from nlp_rnn.model.network import TextNetwork
    except ImportError as error:
        raise ClassifierError(
            f'runtime="torch" needs {error.name}, which is not installed.\n'
            "Run pip install 'nlp_rnn[train]', or set runtime=\"onnx\"."
        ) from error
    saved_network.check_layers(saved.folder, 'runtime="torch"')
    network = TextNetwork(saved_network.architecture).eval()
    network.load_state_dict(
        {name: torch.tensor(value) for name, value in unpack_weights(saved_network.weights).items()}
    )

    def run(input_ids: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.float32]:
        with torch.inference_mode():
            logits = network(torch.from_numpy(input_ids), torch.from_numpy(lengths))
            if not _returns_logits(saved):
                logits = logits.sigmoid()
        output: NDArray[np.float32] = logits.numpy()
        return output

    return run
