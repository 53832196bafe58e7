"""Out-of-memory errors have two lines; training on long texts limits the cache of oneDNN."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from nlp_rnn.errors import TrainingError
from nlp_rnn.training.device import memory_errors


def test_memory_that_torch_cannot_allocate_is_reported() -> None:
    message = r"memory: allocating 4,194,304.0 GiB more .*\nSet a smaller trainer.batch_size, model"
    with pytest.raises(TrainingError, match=message), memory_errors("trainer.batch_size"):
        torch.empty(2**50)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError("Unable to allocate 16.0 PiB for an array"), "not enough memory.\nSet"),
        (
            RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total"),
            "memory: allocating 20.00 GiB more failed.\nSet",
        ),
    ],
)
def test_other_memory_errors_are_reported_too(error: Exception, message: str) -> None:
    with pytest.raises(TrainingError, match=message), memory_errors("trainer.batch_size"):
        raise error


def test_any_other_error_stays_as_it_is() -> None:
    with pytest.raises(RuntimeError, match="shape"), memory_errors("trainer.batch_size"):
        raise RuntimeError("shape mismatch")


TRAINING = """
from datasets import Dataset
from nlp_rnn.config.model import GatedConfig
from nlp_rnn.tokens.batches import TokenizedTexts
from nlp_rnn.model.network import make_network
from nlp_rnn.training.trainer import Trainer

ids = [[2 + i % 9 for i in range(LONGEST - 24 + row)] for row in range(24)]
texts = TokenizedTexts(Dataset.from_dict({"input_ids": ids, "label": [0, 1] * 12}))
model = GatedConfig(
    name="lstm", cell="lstm", embedding_size=8, hidden_size=8, bidirectional=False
)
from tests.resolved_options import optimizer_options, trainer_options
options = trainer_options(batch_size=1, max_epochs=2, threads=1, device="cpu", precision="fp32")
trainer = Trainer(make_network(model, 12, 2, 1), options, optimizer_options(), seed=1)
trainer.fit(texts, texts)
"""


@pytest.mark.parametrize(
    ("longest", "set_by_user", "made"),
    [
        pytest.param(150, {}, 48, id="long texts"),
        pytest.param(60, {}, 24, id="short texts", marks=pytest.mark.slow),
        pytest.param(
            150,
            {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "1000"},
            24,
            id="set by the user",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_an_lstm_of_long_texts_caches_few_operations(
    longest: int, set_by_user: dict[str, str], made: int, tmp_path: Path
) -> None:
    # a training in this process may have set it
    environment = {k: v for k, v in os.environ.items() if k != "ONEDNN_PRIMITIVE_CACHE_CAPACITY"}
    output = subprocess.run(
        [sys.executable, "-c", TRAINING.replace("LONGEST", str(longest))],
        env=environment | {"ONEDNN_VERBOSE": "2"} | set_by_user,
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    ).stdout.splitlines()
    backward = [line for line in output if ",rnn," in line and ",backward," in line]
    creations = [line for line in backward if "create:cache" in line]
    if not creations:
        pytest.skip("oneDNN does not report its operations here")
    assert sum("cache_miss" in line for line in creations) == made
