"""A sweep on a local Ray cluster, in a separate environment because of the versions Ray needs."""

import os
import site
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

ROOT = Path(__file__).parent.parent
OVERRIDES = [
    "data.train_rows=200",
    "data.test_rows=60",
    "data.train_sentences=2",
    "model.hidden_size=8",
    "model.embedding_size=8",
    "trainer.max_epochs=2",
    "tracking.system_metrics=false",
    "tracking.speed=none",
    "sweep.compare=false",
]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ray_gives_the_same_parent_and_children(
    tmp_path: Path, store_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "ray"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    (packages,) = folder.glob("lib/python*/site-packages")
    # what is installed here, but for what Ray wants otherwise
    (packages / "zz_here.pth").write_text("\n".join([*site.getsitepackages(), str(ROOT)]))
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(
        [*install, "hydra-ray-launcher>=1.2,<2", "ray>=2.40"], capture_output=True, text=True
    )
    if not list(packages.glob("ray")):
        pytest.skip(f"Ray cannot be installed here: {done.stderr[-200:]}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NLP_RNN_CACHE", str(tmp_path / "cache"))
    command = [python, "-m", "nlp_rnn", "train", "-m", "model=lstm,gru", "seed=1,2"]
    done = subprocess.run(
        [*command, *OVERRIDES, "hydra/launcher=ray"],
        capture_output=True,
        text=True,
        env=os.environ | {"RAY_DISABLE_IMPORT_WARNING": "1"},
    )
    assert done.returncode == 0, done.stderr
    all_runs = MlflowClient(tracking_uri=store_uri).search_runs(["1"])
    (parent,) = (run for run in all_runs if run.data.tags["kind"] == "sweep")
    children = [run for run in all_runs if run.data.tags["kind"] == "train"]
    assert sorted(run.info.run_name for run in children) == [
        "gru h8 seed1",
        "gru h8 seed2",
        "lstm h8 seed1",
        "lstm h8 seed2",
    ]
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    assert {run.info.status for run in all_runs} == {"FINISHED"}
    assert parent.data.tags["progress"] == "4/0/4"
