"""Every data set at hand trains with one command."""

import json
from pathlib import Path

import pytest

from nlp_rnn.cli import main

SHARED = Path(__file__).parents[1].parent / "shared" / "data"
SETS = sorted({path.parent.name for path in SHARED.glob("*/train*.parquet")})

pytestmark = [
    pytest.mark.slow,
    pytest.mark.shared,
    pytest.mark.skipif(not SETS, reason="the shared data sets are not here"),
]


@pytest.mark.parametrize("name", SETS)
def test_a_set_trains_with_one_command(name: str, store_uri: str, tmp_path: Path) -> None:
    words = ["data=files", f"data.path={SHARED / name}"]
    if name == "goemotions":
        words.append("data.label=labels")
    # few texts and updates, where a user would let it go on
    words += ["data.limit=600", "trainer.max_updates=3", "tracking.speed=none"]
    words += [f"tracking.uri={store_uri}", f"hydra.run.dir={tmp_path / 'run'}"]
    assert main(["train", *words]) == 0
    metrics = json.loads((tmp_path / "run" / "result.json").read_text())["metrics"]
    score = "test/micro_f1" if name == "goemotions" else "test/accuracy"
    assert 0 <= metrics[score] <= 1
