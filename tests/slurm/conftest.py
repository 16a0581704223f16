"""A Slurm of one node, on loopback, in a scratch folder: started for the tests, stopped after them."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

pytest.importorskip("submitit", reason="submitit is not installed: nox -s slurm")

ROOT = Path(__file__).parents[2]
DAEMONS = ("munged", "slurmctld", "slurmd")

# No cgroups and no systemd: it is to start in a container, too. A requeued job waits for `cred_expire` to pass.
CONFIG = """
ClusterName=malbench
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={home}/munge/socket,cred_expire=5
CredType=cred/munge
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
StateSaveLocation={home}/state
SlurmdSpoolDir={home}/spool
SlurmctldPidFile={home}/slurmctld.pid
SlurmdPidFile={home}/slurmd.pid
SlurmctldLogFile={home}/slurmctld.log
SlurmdLogFile={home}/slurmd.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=20
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=low Nodes={host} Default=YES PriorityTier=1 PreemptMode=REQUEUE GraceTime=30
PartitionName=high Nodes={host} PriorityTier=10 PreemptMode=OFF
"""


class Cluster:
    """The running Slurm cluster, with the queries of the tests."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.node = socket.gethostname().split(".")[0]
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(("MALBENCH_", "SLURM_"))}
        self.environment["SLURM_CONF"] = str(home / "slurm.conf")

    def call(self, *command: str) -> str:
        done = subprocess.run(
            command, env=self.environment, cwd=ROOT, capture_output=True, text=True, timeout=1000, check=False
        )
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def malbench(self, *arguments: str | Path) -> str:
        return self.call(sys.executable, "-m", "benchmark.cli", *map(str, arguments))

    def jobs(self) -> dict[str, str]:
        """State of every job in the queue, by its id."""
        listed = self.call("squeue", "--array", "--noheader", "--format=%i %T")
        return dict(row.split() for row in listed.splitlines())

    def set_node(self, state: str) -> None:
        self.call("scontrol", "update", f"nodename={self.node}", f"state={state}", "reason=test")

    def node_state(self) -> str:
        return self.call("sinfo", "--noheader", "--nodes", self.node, "--partition=low", "--format=%T").strip()

    def until(self, what: str, true: Callable[[], bool], seconds: float = 600) -> None:
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, f"{what}: not within {seconds:.0f} s; {self.node_state()}; {self.jobs()}"
            time.sleep(0.5)


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@contextmanager
def daemon(cluster: Cluster, *command: str) -> Iterator[None]:
    """A process that is stopped whatever happens."""
    with (cluster.home / f"{command[0]}.out").open("wb") as output:
        running = subprocess.Popen(command, env=cluster.environment, stdout=output, stderr=subprocess.STDOUT)
        try:
            yield
        finally:
            running.terminate()
            try:
                running.wait(20)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait()


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    missing = [name for name in DAEMONS if shutil.which(name) is None]
    if missing or os.geteuid() != 0:
        pytest.skip(f"no {', '.join(missing)} on the path" if missing else "the daemons need root")
    # munge wants folders that all may enter, and a socket has a short path: no folder of pytest's.
    with tempfile.TemporaryDirectory(prefix="malbench-slurm-") as folder, ExitStack() as stack:
        home = Path(folder)
        for path in (home, home / "munge", home / "state", home / "spool"):
            path.mkdir(exist_ok=True)
            path.chmod(0o755)
        key = home / "munge" / "key"
        key.touch(0o600)
        key.write_bytes(secrets.token_bytes(128))
        found = Cluster(home)
        config = home / "slurm.conf"
        config.write_text(CONFIG.format(host=found.node, home=home, ports=free_ports(2)))
        own = [f"--{name}={home}/munge/{name}" for name in ("socket", "log-file", "pid-file", "seed-file")]
        stack.enter_context(daemon(found, "munged", "--foreground", f"--key-file={key}", *own))
        wait_for(home / "munge" / "socket")
        stack.enter_context(daemon(found, "slurmctld", "-D", "-c", "-f", str(config)))
        stack.enter_context(daemon(found, "slurmd", "-D", "-f", str(config)))
        wait_for_node(found)
        try:
            yield found
        finally:
            found.call("scancel", "--me")
            found.until("the last jobs are gone", lambda: not found.jobs(), 60)


def wait_for(file: Path, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not file.exists():
        assert time.monotonic() < end, f"no {file}"
        time.sleep(0.1)


def wait_for_node(cluster: Cluster, seconds: float = 60) -> None:
    """Until the controller answers and knows the node."""
    end = time.monotonic() + seconds
    while True:
        said = subprocess.run(
            ["sinfo", "--noheader", "--format=%T"], env=cluster.environment, capture_output=True, check=False
        )
        if re.search(rb"^idle\n", said.stdout):
            return
        logs = "\n".join(path.read_text()[-2000:] for path in sorted(cluster.home.glob("*.log")))
        assert time.monotonic() < end, f"Slurm does not start: {said.stderr.decode()}\n{logs}"
        time.sleep(0.5)
