"""The parts of a classifier folder become a function from token ids to answers: a runtime."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.classifier.classifier_folder import SavedClassifier
from nlp_rnn.classifier.manifest import GRAPH, INT8_GRAPH
from nlp_rnn.classifier.weights import unpack_weights
from nlp_rnn.errors import ClassifierError

__all__ = ["RUNTIMES", "Runtime", "start_runtime"]

Runtime = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float32]]
"""Token ids int64 (B, T) and lengths int64 (B,) become float32 (B, C): logits, or, where
a text may have several labels, probabilities; thread-safe."""

RUNTIMES = ("onnx", "int8", "torch")


def start_runtime(saved: SavedClassifier, runtime: str) -> Runtime:
    """The network of `saved` in the runtime that it was read for, tried on the highest token id.

    Raises:
        ClassifierError: the runtime is not installed, or cannot run what the folder holds.
    """
    return _start_torch(saved) if runtime == "torch" else _start_onnx(saved, runtime)


def _start_onnx(saved: SavedClassifier, runtime: str) -> Runtime:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # Threads inside one batch made every size slower than one; batches run side by side instead.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what fails is raised, not printed
    path = saved.folder / (INT8_GRAPH if runtime == "int8" else GRAPH)
    outputs = ["logits" if saved.thresholds is None else "probabilities"]
    last = np.array([[saved.architecture.vocab_size - 1]], dtype=np.int64)
    try:
        session: Any = onnxruntime.InferenceSession(
            saved.graph, options, providers=["CPUExecutionProvider"]
        )
        inputs = {"input_ids": last, "lengths": np.array([1], dtype=np.int64)}
        (logits,) = session.run(outputs, inputs)
    except Exception as error:  # onnxruntime's errors have no common class
        reason = " ".join(str(error).split())[:160]
        raise ClassifierError(
            f"onnxruntime {onnxruntime.__version__} cannot run {path}: {reason}\n"
            "Install the newest onnxruntime, or fetch the classifier folder again."
        ) from error
    if logits.shape != (1, len(saved.labels)) or logits.dtype != np.float32:
        raise ClassifierError(
            f"{path} answers {logits.dtype} {logits.shape}, not one number for "
            f"each of {len(saved.labels)} labels.\nFetch the classifier folder again."
        )
    # it keeps the whole file for a change of providers, which never comes
    session._model_bytes = None

    def run(input_ids: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.float32]:
        answer: NDArray[np.float32]
        (answer,) = session.run(outputs, {"input_ids": input_ids, "lengths": lengths})
        return answer

    return run


def _start_torch(saved: SavedClassifier) -> Runtime:
    try:
        import torch

        from nlp_rnn.model.network import TextNetwork
    except ImportError as error:
        raise ClassifierError(
            f'runtime="torch" needs the whole of nlp_rnn, and {error.name} is not installed.\n'
            'Type pip install nlp_rnn, or leave runtime at "onnx".'
        ) from error
    network = TextNetwork(saved.architecture).eval()
    network.load_state_dict(
        {name: torch.tensor(value) for name, value in unpack_weights(saved.weights).items()}
    )

    def run(input_ids: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.float32]:
        with torch.inference_mode():
            logits = network(torch.from_numpy(input_ids), torch.from_numpy(lengths))
            if saved.thresholds is not None:
                logits = logits.sigmoid()
        answer: NDArray[np.float32] = logits.numpy()
        return answer

    return run
