"""Threads by default: the cores of the affinity, fewer where a container limits the CPU time."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nlp_rnn import cores
from nlp_rnn.classifier.batched_network import usable_threads
from nlp_rnn.cores import available_cores
from nlp_rnn.tracking.machine import machine_tags


@pytest.fixture(autouse=True)
def eight_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    monkeypatch.setattr(cores, "CGROUP_ROOT", tmp_path / "cgroup")
    monkeypatch.setattr(cores, "MEMBERSHIP", tmp_path / "membership")


def write_groups(folder: Path, membership: str, files: dict[str, str]) -> None:
    (folder / "membership").write_text(membership)
    for name, content in files.items():
        path = folder / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("200000 100000\n", 2),
        ("150000 100000\n", 2),
        ("50000 100000\n", 1),
        ("1000 100000\n", 1),
        ("1600000 100000\n", 8),
        ("max 100000\n", 8),
        ("", 8),
        ("0 100000\n", 8),
        ("nonsense\n", 8),
    ],
)
def test_the_limit_of_a_container_is_rounded_up(tmp_path: Path, limit: str, expected: int) -> None:
    write_groups(tmp_path, "0::/\n", {"cpu.max": limit})
    assert available_cores() == usable_threads(None) == expected
    assert machine_tags()["cores"] == str(expected)
    assert usable_threads(20) == 20


def test_the_limits_of_all_groups_above_count(tmp_path: Path) -> None:
    files = {
        "a/b/cpu.max": "max 100000",
        "a/cpu.max": "300000 100000",
        "other/cpu.max": "100000 100000",
    }
    write_groups(tmp_path, "0::/a/b\n", files)
    assert available_cores() == 3
    write_groups(tmp_path, "0::/a/b\n", {"a/b/cpu.max": "250000 125000"})
    assert available_cores() == 2


@pytest.mark.parametrize("folder", ["cpu,cpuacct/docker/1f", "cpu,cpuacct", "cpu/docker/1f", "cpu"])
def test_version_1_has_quota_and_period_in_two_files(tmp_path: Path, folder: str) -> None:
    membership = "12:cpuset:/x\n4:cpu,cpuacct:/docker/1f\n1:name=systemd:/docker/1f\n0::/y\n"
    files = {
        f"{folder}/cpu.cfs_quota_us": "350000\n",
        f"{folder}/cpu.cfs_period_us": "100000\n",
        "cpuset/x/cpu.cfs_quota_us": "100000\n",
        "cpuset/x/cpu.cfs_period_us": "100000\n",
    }
    write_groups(tmp_path, membership, files)
    assert available_cores() == 4
    write_groups(tmp_path, membership, {f"{folder}/cpu.cfs_quota_us": "-1\n"})
    assert available_cores() == 8


def test_without_control_groups_the_affinity_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert available_cores() == 8
    (tmp_path / "membership").write_bytes(b"\xff\n")
    assert available_cores() == 8
    (tmp_path / "membership").write_text("nonsense\n0::/missing\n")
    assert available_cores() == 8
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert available_cores() == 1


@pytest.mark.parametrize(("requested", "expected"), [("2", 2), ("16", 8), ("", 8), ("2(x3)", 8)])
def test_the_cores_that_a_slurm_job_requests_count(
    monkeypatch: pytest.MonkeyPatch, requested: str, expected: int
) -> None:
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", requested)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert available_cores() == 8  # of no job
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    assert available_cores() == expected


def test_counting_cores_does_not_load_torch() -> None:
    code = "import sys, nlp_rnn.cores; assert not {'torch', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
