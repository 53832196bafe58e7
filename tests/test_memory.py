"""Too little memory is told in two lines, whichever library ran out of it."""

import pytest
import torch

from nlp_rnn.errors import TrainingError
from nlp_rnn.training.memory import memory_errors


def test_what_torch_cannot_have_is_told() -> None:
    words = r"memory: 4,194,304.0 GiB more .*\nType a smaller trainer.batch_size, model"
    with pytest.raises(TrainingError, match=words), memory_errors("trainer.batch_size"):
        torch.empty(2**50)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MemoryError("Unable to allocate 16.0 PiB for an array"), "not enough memory.\nType"),
        (
            RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total"),
            "memory: 20.00 GiB more were asked for.\nType",
        ),
    ],
)
def test_others_are_told_too(error: Exception, told: str) -> None:
    with pytest.raises(TrainingError, match=told), memory_errors("trainer.batch_size"):
        raise error


def test_any_other_error_stays_as_it_is() -> None:
    with pytest.raises(RuntimeError, match="shape"), memory_errors("trainer.batch_size"):
        raise RuntimeError("shape mismatch")
