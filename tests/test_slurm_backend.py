"""What the Slurm backend makes of the output of Slurm's programs, which short scripts print here.

The real programs are those of `tests/test_slurm_slow.py`.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from nlp_rnn.config.sweep import SlurmConfig
from nlp_rnn.sweeps.backends import Kind
from nlp_rnn.sweeps.job_records import JobRecords
from nlp_rnn.sweeps.slurm_backend import SlurmBackend

Program = Callable[[str, str], None]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Write a program of Slurm, a shell script."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def write(name: str, script: str) -> None:
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    return write


def test_states_are_those_of_squeue_and_then_of_sacct(tmp_path: Path, program: Program) -> None:
    program(
        "squeue",
        """case "$*" in *"-o %i|%T|%r") ;; *) exit 2 ;; esac
echo '12_0|RUNNING|None'
echo '12_1|PENDING|Resources'
echo '12_2|PENDING|BeginTime'
echo '12_3|OUT_OF_MEMORY|OutOfMemory'""",
    )
    program("sacct", "echo '12_4|CANCELLED by 0'; echo '12_5|TIMEOUT'; echo '12_6|COMPLETED'")
    backend = SlurmBackend(SlurmConfig(), JobRecords(tmp_path), None)
    ids = [f"12_{number}" for number in range(8)]
    states = backend.poll(ids)
    assert [states[task_id].kind if task_id in states else None for task_id in ids] == [
        Kind.running,
        Kind.waiting,
        Kind.waiting,
        Kind.died,
        Kind.cancelled,
        Kind.timed_out,
        Kind.ended,
        None,  # nothing knows it
    ]
    assert states["12_1"].reason == "Resources"
    assert states["12_3"].reason == "OUT_OF_MEMORY"


def test_a_controller_that_does_not_respond_changes_nothing(
    tmp_path: Path, program: Program
) -> None:
    program(
        "squeue", "echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1"
    )
    backend = SlurmBackend(SlurmConfig(), JobRecords(tmp_path), None)
    assert {state.kind for state in backend.poll(["1_0", "1_1"]).values()} == {Kind.waiting}


def test_without_accounting_forgotten_jobs_are_unknown(tmp_path: Path, program: Program) -> None:
    program("squeue", "true")
    program("sacct", "echo 'Slurm accounting storage is disabled' >&2; exit 1")
    backend = SlurmBackend(SlurmConfig(), JobRecords(tmp_path), None)
    assert backend.poll(["1_0"]) == {}


def test_arrays_are_halved_until_the_limit_of_the_user_accepts_them(
    tmp_path: Path, program: Program
) -> None:
    program("scontrol", "echo 'MaxArraySize            = 1001'")
    program(
        "sbatch",
        f"""cat > /dev/null
for option; do case $option in --array=0-[0-3]) echo $option >> {tmp_path}/arrays
echo $(wc -l < {tmp_path}/arrays); exit ;; esac; done
echo 'sbatch: error: QOSMaxSubmitJobPerUserLimit' >&2
echo 'sbatch: error: Batch job submission failed: Job violates accounting/QOS policy' >&2
exit 1""",
    )
    backend = SlurmBackend(SlurmConfig(), JobRecords(tmp_path), None)
    ids = backend.submit([f"key{number}" for number in range(10)])
    assert (tmp_path / "arrays").read_text().split() == ["--array=0-1"] * 5
    assert [ids[f"key{number}"] for number in (0, 1, 2, 9)] == ["1_0", "1_1", "2_0", "5_1"]
