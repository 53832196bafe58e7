"""A Slurm cluster of one node on this machine, with files and ports of its own."""

import os
import platform
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.servers import free_port

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel")
SBIN = "/usr/sbin:/sbin"


def require_slurm() -> None:
    """Skip the test if Slurm is not installed, or not run by root."""
    path = f"{os.environ['PATH']}:{SBIN}"
    missing = [name for name in PROGRAMS if shutil.which(name, path=path) is None]
    if missing or os.geteuid() != 0:
        why = f"{', '.join(missing)} missing" if missing else "slurmd needs root"
        pytest.skip(f"{why}; as root on Debian, run scripts/install_slurm")


@contextmanager
def slurm_cluster(accounting: bool = False, cpus: int = 4) -> Iterator[dict[str, str]]:
    """Run a cluster until the end of the block, and yield the environment of its users."""
    require_slurm()
    folder = Path(tempfile.mkdtemp(prefix="nlp_rnn-slurm-"))
    folder.chmod(0o755)
    processes: list[psutil.Popen] = []
    path = f"{os.environ['PATH']}:{SBIN}"
    environment = {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": path}

    def start(*command: str, **more: str) -> None:
        with (folder / f"{command[0]}.out").open("w") as out:
            processes.append(
                psutil.Popen(
                    command,
                    stdout=out,
                    stderr=out,
                    stdin=subprocess.DEVNULL,
                    env=os.environ | environment | more,
                    start_new_session=True,
                )
            )

    try:
        (folder / "munge.key").write_bytes(os.urandom(128))
        (folder / "munge.key").chmod(0o600)
        start(
            "munged", "-F", "-f", f"--key-file={folder}/munge.key",
            f"--socket={folder}/munge.socket",
            f"--pid-file={folder}/munged.pid", f"--log-file={folder}/munged.log",
            f"--seed-file={folder}/munged.seed",
        )  # fmt: skip
        _wait(lambda: (folder / "munge.socket").exists(), folder)
        database_port = _start_accounting(folder, start) if accounting else None
        _write_configuration(folder, cpus, database_port)
        if accounting:
            _wait(lambda: _run("sacctmgr", "-i", "add", "cluster", "test", env=environment), folder)
        start("slurmctld", "-D")
        start("slurmd", "-D", "-N", platform.node())
        _wait(lambda: "idle" in _output("sinfo", "-h", "-o", "%T", env=environment), folder)
        yield environment
    finally:
        _run("scancel", "--me", env=environment)
        for process in reversed(processes):
            with suppress(psutil.NoSuchProcess):
                group = [process, *process.children(recursive=True)]
                for member in group:
                    with suppress(psutil.NoSuchProcess):
                        member.terminate()
                _, alive = psutil.wait_procs(group, timeout=10)
                for member in alive:
                    member.kill()
        shutil.rmtree(folder, ignore_errors=True)


def _write_configuration(folder: Path, cpus: int, database_port: int | None) -> None:
    (folder / "state").mkdir()
    (folder / "spool").mkdir()
    host = platform.node()
    storage = (
        f"AccountingStorageType=accounting_storage/slurmdbd\nAccountingStorageHost=localhost\n"
        f"AccountingStoragePort={database_port}\n"
        f"AccountingStoragePass={folder}/munge.socket\nJobAcctGatherType=jobacct_gather/none\n"
        if database_port
        else "AccountingStorageType=accounting_storage/none\n"
    )
    (folder / "slurm.conf").write_text(
        f"""ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={free_port()}
SlurmdPort={free_port()}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
KillWait=15
MinJobAge=20
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=2,bf_interval=2
MaxArraySize=1001
{storage}NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=4000 State=UNKNOWN
PartitionName=cpu Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
    )


def _start_accounting(folder: Path, start: object) -> int:
    """Start MariaDB and slurmdbd; return the port of slurmdbd."""
    path = f"{os.environ['PATH']}:{SBIN}"
    for name in ("mariadbd", "mariadb-install-db", "slurmdbd", "sacctmgr"):
        if shutil.which(name, path=path) is None:
            pytest.skip(f"{name} is missing; as root on Debian, run scripts/install_slurm")
    assert callable(start)
    database, port = free_port(), free_port()
    (folder / "mysql").mkdir()
    shutil.chown(folder / "mysql", "mysql")
    subprocess.run(
        ["mariadb-install-db", "--no-defaults", f"--tmpdir={folder}/mysql",
         f"--datadir={folder}/mysql", "--user=mysql",
         "--auth-root-authentication-method=normal"],
        check=True, capture_output=True,
    )  # fmt: skip
    start(
        "mariadbd", "--no-defaults", f"--datadir={folder}/mysql", "--user=mysql",
        f"--tmpdir={folder}/mysql",
        f"--port={database}", "--bind-address=127.0.0.1", f"--socket={folder}/mysql/m.sock",
    )  # fmt: skip
    users = ("slurm@localhost", "slurm@'127.0.0.1'")
    sql = "CREATE DATABASE acct;"
    for user in users:
        sql += f"CREATE USER {user} IDENTIFIED BY 'a'; GRANT ALL ON acct.* TO {user};"
    _wait(
        lambda: _run("mariadb", "--no-defaults", f"--socket={folder}/mysql/m.sock", "-e", sql),
        folder,
    )
    (folder / "slurmdbd.conf").write_text(
        f"""AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
DbdHost=localhost
DbdPort={port}
SlurmUser=root
LogFile={folder}/slurmdbd.log
PidFile={folder}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database}
StorageUser=slurm
StoragePass=a
StorageLoc=acct
"""
    )
    (folder / "slurmdbd.conf").chmod(0o600)
    start("slurmdbd", "-D")
    time.sleep(2)
    return port


def _run(*command: str, env: dict[str, str] | None = None) -> bool:
    done = subprocess.run(
        command, env=os.environ | (env or {}), capture_output=True, timeout=60, text=True
    )
    return done.returncode == 0


def _output(*command: str, env: dict[str, str]) -> str:
    return subprocess.run(
        command, env=os.environ | env, capture_output=True, timeout=60, text=True
    ).stdout


def _wait(condition: object, folder: Path, seconds: float = 90) -> None:
    assert callable(condition)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.3)
    logs = [
        path.read_text(errors="replace")[-2000:] for path in sorted(folder.glob("*.[lo][ou][gt]"))
    ]
    raise AssertionError("\n".join(logs))
