"""A real SLURM on one machine, for tests: controller, node and keys in a folder of its own, a partition `cpu`
and a partition `gpu`.

The node claims CPUs, memory and two GPUs that it need not have (the GPUs are /dev/null and /dev/zero). There
is no accounting database: the controller remembers all jobs itself. It kills a job that holds more memory
than it asked for.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import venv
from dataclasses import dataclass
from pathlib import Path

from tests.deploy import apt

SETTINGS = Path("/etc/slurm")  # `srun` within a job looks nowhere else
FILES = ("slurm.conf", "gres.conf", "cgroup.conf")
PACKAGES = ("slurm-wlm", "munge")
PLUGINS = ["snakemake-executor-plugin-slurm==2.8.0", "snakemake-executor-plugin-slurm-jobstep==0.6.1"]
# Snakemake's options where SLURM answers at once.
QUICK = [
    "--slurm-init-seconds-before-status-checks",
    "2",
    "--seconds-between-status-checks",
    "1",
    "--max-status-checks-per-second",
    "1",
]
START_SECONDS = 30
CPUS, MEMORY_MB = 8, 65536

CONTROLLER = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort=16817
SlurmdPort=16818
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill,UsePss
MpiDefault=none
ReturnToService=2
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
KillWait=2
MinJobAge=3600
GresTypes=gpu
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:2 State=UNKNOWN
PartitionName=cpu Nodes={host} Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes={host} MaxTime=INFINITE State=UP
"""


class NoCluster(Exception):
    """Why there can be no SLURM on this machine."""


@dataclass(frozen=True)
class Job:
    """What the controller knows of a job."""

    number: int
    name: str  # the rule or group, from the comment that the plugin gives a job
    state: str  # RUNNING, COMPLETED, FAILED, ...
    partition: str
    memory_mb: int
    gpus: int


def install() -> None:
    """Install SLURM's packages where they are missing.

    Raises:
        NoCluster: this is not root, there is no apt, the packages cannot be had, or the machine belongs to a
        SLURM cluster.
    """
    if os.geteuid() != 0:
        raise NoCluster("a SLURM of one's own needs root")
    if any((SETTINGS / name).exists() for name in FILES):
        raise NoCluster(f"{SETTINGS} already describes a cluster")
    if all(shutil.which(name) for name in ("slurmctld", "slurmd", "munged")):
        return
    try:
        apt.install(*PACKAGES)
    except apt.NotInstalled as reason:
        raise NoCluster(f"slurmctld is not installed: {reason}") from None


def python_with_plugin(folder: Path) -> Path:
    """A Python in `folder` with all that this one has and Snakemake's plugin for SLURM.

    Raises:
        NoCluster: the plugin cannot be installed.
    """
    venv.create(folder, with_pip=True)
    packages = next(folder.glob("lib/python*/site-packages"))
    (packages / "project.pth").write_text(
        "\n".join(path for path in sys.path if path.endswith("site-packages"))
    )
    command = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-deps", *PLUGINS]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoCluster(f"the SLURM plugin of Snakemake cannot be installed: {done.stderr.strip()[-300:]}")
    return folder / "bin" / "python"


def read_job(line: str) -> Job:
    """A job from a line of `scontrol --oneliner show job`."""
    record = dict(one.split("=", 1) for one in line.split() if "=" in one)
    amount = re.fullmatch(r"([0-9.]+)([MG])", record["MinMemoryNode"])
    memory_mb = round(float(amount[1]) * {"M": 1, "G": 1024}[amount[2]])
    gpus = int(record.get("TresPerJob", "gres:gpu:0").rpartition(":")[2])
    name = re.sub(r"^rule_(.*?)(_wildcards_.*)?$", r"\1", record["Comment"])
    return Job(int(record["JobId"]), name, record["JobState"], record["Partition"], memory_mb, gpus)


class Cluster:
    """A controller and a node below `folder`; a context manager that stops what it started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.host = socket.gethostname().split(".")[0]

    def __enter__(self) -> "Cluster":
        for name in ("state", "spool", "munge"):
            (self.folder / name).mkdir(parents=True)
        # munged refuses a socket that others cannot reach.
        for folder in (self.folder, *self.folder.parents):
            if folder.stat().st_mode & 0o055 != 0o055 and folder.is_relative_to(self.folder.parents[1]):
                folder.chmod(0o755)
        self._write_settings()
        try:
            self._start_munge()
            self.start_controller()
            subprocess.run(["slurmd", "-N", self.host], check=True)
            self._wait_for_node()
        except Exception:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for partition in ("cpu", "gpu"):
            subprocess.run(["scancel", f"--partition={partition}"], check=False, capture_output=True)
        for name in ("slurmd", "slurmctld", "munged"):
            self._stop(name)
        for name in FILES:
            (SETTINGS / name).unlink(missing_ok=True)

    def start_controller(self) -> None:
        """Start the controller with the jobs that it knew when it was stopped."""
        subprocess.run(["slurmctld"], check=True)

    def stop_controller(self) -> None:
        """Stop the controller; jobs at work go on."""
        self._stop("slurmctld")

    def jobs(self) -> list[Job]:
        """All jobs since the cluster was set up, in the order in which they were submitted."""
        answer = subprocess.run(
            ["scontrol", "--oneliner", "show", "job"], capture_output=True, text=True, check=True
        )
        return [read_job(line) for line in answer.stdout.splitlines() if line.startswith("JobId=")]

    def logs(self) -> str:
        """The ends of the daemons' logs."""
        return "\n".join(path.read_text()[-2000:] for path in sorted(self.folder.glob("slurm*.log")))

    def _write_settings(self) -> None:
        texts = {
            "slurm.conf": CONTROLLER.format(host=self.host, folder=self.folder, cpus=CPUS, memory=MEMORY_MB),
            # A GPU without File= is left out.
            "gres.conf": "".join(
                f"NodeName={self.host} Name=gpu File={device}\n" for device in ("/dev/null", "/dev/zero")
            ),
            "cgroup.conf": "CgroupAutomount=no\n",
        }
        SETTINGS.mkdir(exist_ok=True)
        for name, text in texts.items():
            (self.folder / name).write_text(text)
            (SETTINGS / name).unlink(missing_ok=True)  # a link to nothing, left by a test that was killed
            (SETTINGS / name).symlink_to(self.folder / name)

    def _start_munge(self) -> None:
        folder = self.folder / "munge"
        (folder / "key").write_bytes(os.urandom(1024))
        (folder / "key").chmod(0o400)
        command = [
            "munged",
            "--force",
            f"--key-file={folder}/key",
            f"--socket={folder}/socket",
            f"--seed-file={folder}/seed",
        ]
        subprocess.run(
            [*command, f"--pid-file={self.folder}/munged.pid", f"--log-file={folder}/log"],
            check=True,
            capture_output=True,
        )

    def _wait_for_node(self) -> None:
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            answer = subprocess.run(
                ["sinfo", "-h", "-o", "%T", "-p", "cpu"], capture_output=True, text=True, check=False
            )
            if answer.stdout.strip() == "idle":
                return
            time.sleep(0.3)
        raise TimeoutError(f"SLURM did not start within {START_SECONDS} s:\n{self.logs()}")

    def _stop(self, name: str) -> None:
        path = self.folder / f"{name}.pid"
        if not path.exists():
            return
        process = int(path.read_text())
        try:
            os.kill(process, signal.SIGTERM)
            while True:
                os.kill(process, 0)
                time.sleep(0.1)
        except ProcessLookupError:
            return
