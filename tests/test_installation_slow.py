"""Both installations, made by pip: the small one for predictions, and the one for training."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.tiny_classifier import save_tiny

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

ROOT = Path(__file__).parent.parent


def install(folder: Path, extra: str) -> Path:
    """Install the package into a new environment, print time and size, and return its programs."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    started = time.perf_counter()
    command = [folder / "bin" / "pip", "install", "-q", "-c", ROOT / "constraints.txt"]
    done = subprocess.run([*command, f"{ROOT}{extra}"], capture_output=True, text=True)
    if done.returncode and ("ConnectionError" in done.stderr or "retries" in done.stderr):
        pytest.skip(f"pip reaches no package index: {done.stderr[-200:]}")
    assert done.returncode == 0, done.stderr
    seconds = time.perf_counter() - started
    packages = [file for file in (folder / "lib").rglob("*") if file.is_file()]
    size = sum(file.stat().st_size for file in packages) / 1e6
    print(f"nlp_rnn{extra}: {size:,.0f} MB with pip, {seconds:.0f} s")
    return folder / "bin"


def test_an_installation_without_extras_predicts(tmp_path: Path) -> None:
    programs = install(tmp_path / "small", "")
    save_tiny(tmp_path / "classifier")
    command = [programs / "nlp-rnn", "predict", "classifier", "hello"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("\thello\n")
    listed = subprocess.run([programs / "pip", "list"], capture_output=True, text=True).stdout
    assert not {"torch", "mlflow", "pyarrow", "pandas"} & {*listed.split()}
    done = subprocess.run([programs / "nlp-rnn", "train"], capture_output=True, text=True)
    assert done.stderr.endswith("Run pip install 'nlp_rnn[train]'\n")


def test_an_installation_for_training_trains(tmp_path: Path) -> None:
    programs = install(tmp_path / "large", "[train]")
    command = [programs / "nlp-rnn", "train", "experiment=smoke", "output_dir=run"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    command = [programs / "nlp-rnn", "predict", "run/classifier", "hello"]
    assert subprocess.run(command, cwd=tmp_path, stdout=subprocess.DEVNULL).returncode == 0


def test_the_extras_of_a_cluster_and_its_server_are_one_environment(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "dry"], check=True)
    command = [tmp_path / "dry" / "bin" / "pip", "install", "--dry-run", "-q", "--report", "-"]
    constraints = ["-c", ROOT / "constraints.txt", f"{ROOT}[optuna,postgresql,ray,s3]"]
    done = subprocess.run([*command, *constraints], capture_output=True, text=True)
    if done.returncode and ("ConnectionError" in done.stderr or "retries" in done.stderr):
        pytest.skip(f"pip reaches no package index: {done.stderr[-200:]}")
    assert done.returncode == 0, done.stderr
    chosen = {item["metadata"]["name"] for item in json.loads(done.stdout)["install"]}
    assert {"boto3", "mlflow", "optuna", "psycopg", "ray", "torch"} <= chosen
