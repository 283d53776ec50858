#!/usr/bin/env python3
"""Try a cluster profile without a cluster: a real SLURM on this machine's loopback.

up       install what is missing (apt), start accounting, controller, node daemons, stand-in GPUs
down     stop what `up` started, and nothing else
bounce   take the controller away for some seconds
kill     kill a node daemon and start it again
status   which daemons live

Root on Debian or Ubuntu. Programs run, memory limits and GPU numbers are real; the GPUs are not.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ETC = Path("/etc/slurm")
STATE = Path(os.environ.get("CORDCOHORT_SLURM_STATE", "/var/tmp/cordcohort-slurm"))
MARK = "# made by cordcohort's local_slurm.py"
PACKAGES = {
    "slurmctld": "slurmctld", "slurmd": "slurmd", "sbatch": "slurm-client",
    "slurmdbd": "slurmdbd", "munged": "munge", "mariadbd": "mariadb-server",
}  # fmt: skip
CONFIG_FILES = ("slurm.conf", "slurmdbd.conf", "gres.conf")
STOP_ORDER = ("slurmctld", "slurmd", "slurmdbd", "mariadbd", "munged")
CLUSTER = "cordcohort"
POLL_S = 0.25
PATIENCE_S = 60.0
DATABASE_GRANTS = """create database if not exists slurm_acct_db;
create user if not exists slurm@'127.0.0.1'; alter user slurm@'127.0.0.1' identified by '{secret}';
create user if not exists slurm@localhost; alter user slurm@localhost identified by '{secret}';
grant all on slurm_acct_db.* to slurm@'127.0.0.1', slurm@localhost;"""


class SlurmError(RuntimeError):
    """The cluster could not be brought up."""


def command(*words: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; its output is kept, its status is the caller's business."""
    return subprocess.run(words, capture_output=True, text=True, input=text, check=False)


def wait_for(what: str, ready: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
    """Ask again and again; give up with one line."""
    end = time.monotonic() + patience_s
    while not ready():
        if time.monotonic() > end:
            raise SlurmError(f"{what}: not ready after {patience_s:.0f} s; logs are in {STATE}")
        time.sleep(POLL_S)


def install() -> None:
    """Install missing Debian packages without letting them start services of their own."""
    missing = [package for program, package in PACKAGES.items() if not shutil.which(program)]
    if not missing:
        return
    print(f"installing {' '.join(missing)}", flush=True)
    policy = Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists()
    if ours:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    try:
        update = command("apt-get", "update", "-qq")
        apt = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing]
        done = command("env", "DEBIAN_FRONTEND=noninteractive", *apt)
    except FileNotFoundError as error:
        raise SlurmError("SLURM cannot be installed here: no apt-get") from error
    finally:
        if ours:
            policy.unlink()
    if done.returncode:
        last = (update.stderr + done.stderr).strip().splitlines()[-1:]
        raise SlurmError(f"SLURM cannot be installed here: {' '.join(last)}")


def birth(pid: int) -> str:
    """When a process started, so that a recycled number is not taken for ours."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except OSError:
        return ""


def daemons() -> dict[str, tuple[int, str]]:
    """Our daemons as they were recorded: name to (pid, birth)."""
    record = STATE / "daemons.json"
    return json.loads(record.read_text()) if record.is_file() else {}


def alive(name: str) -> int:
    """Pid of one of our daemons, or 0."""
    pid, born = daemons().get(name, (0, "?"))
    return pid if pid and birth(pid) == born else 0


def start(name: str, *words: str) -> None:
    """Start a daemon in the foreground of a session of its own, and record it."""
    with (STATE / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            words, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
        )
    known = daemons() | {name: (process.pid, birth(process.pid))}
    (STATE / "daemons.json").write_text(json.dumps(known))


def stop(name: str, how: int = signal.SIGTERM) -> None:
    """End one of our daemons."""
    pid = alive(name)
    if not pid:
        return
    os.kill(pid, how)
    try:
        wait_for(name, lambda: not alive(name) or _is_zombie(pid), 15)
    except SlurmError:
        os.kill(pid, signal.SIGKILL)


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that nobody listens on; consecutive, since node daemons need that."""
    for first in range(26817, 60000, 7):
        found = range(first, first + count)
        if all(_is_free(port) for port in found):
            return list(found)
    raise SlurmError("no free ports on the loopback")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def stand_in_gpus(count: int) -> list[Path]:
    """Character devices, since slurmd drops a GPU that is no device: copies of the null device."""
    found = [STATE / f"gpu{number}" for number in range(count)]
    for path in found:
        if not path.exists():
            os.mknod(path, 0o020666, os.makedev(1, 3))
    return found


def start_munge() -> None:
    """Use the machine's munge where it answers, else start one."""
    if command("munge", "-n").returncode == 0:
        return
    for name, mode in (("/etc/munge", 0o700), ("/var/log/munge", 0o700), ("/var/lib/munge", 0o711),
                       ("/run/munge", 0o755)):  # fmt: skip
        Path(name).mkdir(parents=True, exist_ok=True)
        shutil.chown(name, "munge", "munge")
        Path(name).chmod(mode)
    key = Path("/etc/munge/munge.key")
    if not key.is_file():
        key.write_bytes(secrets.token_bytes(1024))
        shutil.chown(key, "munge", "munge")
        key.chmod(0o400)
    start("munged", "runuser", "-u", "munge", "--", "munged", "--foreground", "--force")
    wait_for("munge", lambda: command("munge", "-n").returncode == 0)


def start_accounting(port: int, database_port: int) -> None:
    """MariaDB of our own and slurmdbd on top of it."""
    data = STATE / "database"
    if not (data / "mysql").is_dir():
        data.mkdir(exist_ok=True)
        shutil.chown(data, "mysql", "mysql")
        done = command(
            "mariadb-install-db", "--no-defaults", "--user=mysql", f"--datadir={data}",
            "--skip-test-db", "--auth-root-authentication-method=socket",
        )  # fmt: skip
        if done.returncode:
            raise SlurmError(
                f"the accounting database cannot be made: {done.stderr.strip()[-200:]}"
            )
    door = data / "socket"
    start(
        "mariadbd", "mariadbd", "--no-defaults", "--user=mysql", f"--datadir={data}",
        "--bind-address=127.0.0.1", f"--port={database_port}", f"--socket={door}",
        "--innodb-lock-wait-timeout=900", "--innodb-buffer-pool-size=64M",
    )  # fmt: skip
    client = ["mariadb", "--no-defaults", "-uroot", f"--socket={door}", "-e"]
    wait_for("MariaDB", lambda: command(*client, "select 1").returncode == 0)
    secret = secrets.token_hex(12)
    command(*client, DATABASE_GRANTS.format(secret=secret))
    lines = {
        "AuthType": "auth/munge", "DbdHost": "localhost", "DbdPort": port, "SlurmUser": "root",
        "PidFile": STATE / "slurmdbd.pid", "StorageType": "accounting_storage/mysql",
        "StorageHost": "127.0.0.1", "StoragePort": database_port, "StorageUser": "slurm",
        "StoragePass": secret, "StorageLoc": "slurm_acct_db",
    }  # fmt: skip
    write_config("slurmdbd.conf", [f"{key}={value}" for key, value in lines.items()], mode=0o600)
    start("slurmdbd", "slurmdbd", "-D")
    wait_for("slurmdbd", lambda: command("sacctmgr", "-n", "show", "cluster").returncode == 0)


def write_config(name: str, lines: list[str], mode: int = 0o644) -> None:
    """Write one file of /etc/slurm unless somebody else's stands there."""
    path = ETC / name
    if path.is_file() and not path.read_text().startswith(MARK):
        raise SlurmError(f"{path} belongs to another SLURM; it is left alone")
    path.write_text("\n".join([MARK, *lines]) + "\n")
    path.chmod(mode)


def slurm_conf(
    controller: int, accounting: int, first_node: int, shape: argparse.Namespace
) -> list[str]:
    """Return the lines of slurm.conf: several daemons on one host, memory limits by polling."""
    last_node = first_node + shape.nodes - 1
    ports = f"[{first_node}-{last_node}]" if shape.nodes > 1 else str(first_node)
    settings = {
        "ClusterName": CLUSTER, "SlurmctldHost": "localhost(127.0.0.1)",
        "SlurmctldPort": controller, "SlurmUser": "root",
        "SlurmdUser": "root", "AuthType": "auth/munge",
        "StateSaveLocation": STATE / "controller", "SlurmdSpoolDir": STATE / "spool-%n",
        "SlurmctldPidFile": STATE / "slurmctld.pid", "SlurmdPidFile": STATE / "slurmd-%n.pid",
        # Without cgroups: processes are followed by parent, memory is polled and enforced.
        "ProctrackType": "proctrack/linuxproc", "TaskPlugin": "task/none",
        "JobAcctGatherType": "jobacct_gather/linux", "JobAcctGatherFrequency": "task=2",
        "JobAcctGatherParams": "OverMemoryKill,NoShared",
        "SlurmdParameters": "config_overrides", "SelectType": "select/cons_tres",
        "SelectTypeParameters": "CR_Core_Memory", "GresTypes": "gpu",
        "SchedulerParameters": "sched_interval=2,bf_interval=2,sched_min_interval=0",
        "AccountingStorageType": "accounting_storage/slurmdbd",
        "AccountingStorageHost": "localhost", "AccountingStoragePort": accounting,
        "AccountingStorageTRES": "gres/gpu", "ReturnToService": 2, "MpiDefault": "none",
        "KillWait": 3, "SlurmctldTimeout": 30, "SlurmdTimeout": 30, "MaxArraySize": 10001,
        "DefMemPerCPU": 500, "InactiveLimit": 0,
    }  # fmt: skip
    node = (
        f"NodeName=n[1-{shape.nodes}] NodeHostname=localhost NodeAddr=127.0.0.1 Port={ports} "
        f"CPUs={shape.cpus} RealMemory={shape.memory_mb} Gres=gpu:{shape.gpus} State=UNKNOWN"
    )
    partition = "PartitionName=main Nodes=ALL Default=YES MaxTime=1-0 DefaultTime=10 State=UP"
    return [*(f"{key}={value}" for key, value in settings.items()), node, partition]


def node_states() -> list[str]:
    """Return the state of every node, as sinfo says it."""
    return command("sinfo", "-h", "-N", "-o", "%t").stdout.split()


def _all_nodes_serve(count: int) -> bool:
    states = node_states()
    return len(states) == count and all(s in {"idle", "mix", "alloc", "comp"} for s in states)


def up(shape: argparse.Namespace) -> None:
    """Bring the cluster up and prove it with a job that accounting knows."""
    if os.geteuid():
        raise SlurmError("needs root, to start SLURM's daemons")
    install()
    down(shape)
    for folder in (ETC, STATE, STATE / "controller"):
        folder.mkdir(parents=True, exist_ok=True)
    accounting, database, controller, *nodes = free_ports(3 + shape.nodes)
    start_munge()
    gpus = [
        f"NodeName=n[1-{shape.nodes}] Name=gpu File={path}" for path in stand_in_gpus(shape.gpus)
    ]
    write_config("gres.conf", gpus)
    write_config("slurm.conf", slurm_conf(controller, accounting, nodes[0], shape))
    start_accounting(accounting, database)
    for words in (
        ["cluster", CLUSTER],
        ["account", CLUSTER],
        ["user", "root", f"account={CLUSTER}"],
    ):
        command("sacctmgr", "-i", "add", *words)
    start("slurmctld", "slurmctld", "-D")
    for number in range(1, shape.nodes + 1):
        (STATE / f"spool-n{number}").mkdir(exist_ok=True)
        start(f"slurmd-n{number}", "slurmd", "-D", "-N", f"n{number}")
    wait_for("nodes", lambda: _all_nodes_serve(shape.nodes))
    probe = command(
        "sbatch", "--parsable", "-W", "-t1", "--mem=10", "-o/dev/null", "--wrap", "true"
    )
    job = probe.stdout.strip()
    seen = ["sacct", "-n", "-X", "-P", "-j", job, "-o", "state"]
    wait_for("accounting", lambda: "COMPLETED" in command(*seen).stdout)
    print(f"up: {shape.nodes} nodes; partition main, account {CLUSTER}; logs in {STATE}")


def down(_: argparse.Namespace) -> None:
    """Stop what was started; jobs first, since their steps outlive the node daemons."""
    if alive("slurmctld"):
        command("scancel", "--user=root")
        time.sleep(1)
    for kind in STOP_ORDER:
        for name in sorted(daemons()):
            if name.split("-")[0] == kind:
                stop(name)
    for name in CONFIG_FILES:
        path = ETC / name
        if path.is_file() and path.read_text().startswith(MARK):
            path.unlink()
    (STATE / "daemons.json").unlink(missing_ok=True)


def bounce(shape: argparse.Namespace) -> None:
    """Take the controller away for ``shape.seconds``."""
    stop("slurmctld")
    time.sleep(shape.seconds)
    start("slurmctld", "slurmctld", "-D")
    wait_for("controller", lambda: bool(node_states()))


def kill(shape: argparse.Namespace) -> None:
    """Kill a node daemon as a crash would, and start it again."""
    stop(f"slurmd-{shape.node}", signal.SIGKILL)
    time.sleep(shape.seconds)
    start(f"slurmd-{shape.node}", "slurmd", "-D", "-N", shape.node)


def status(_: argparse.Namespace) -> None:
    """Print every daemon with its pid."""
    for name in sorted(daemons()):
        print(name, alive(name) or "dead")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    actions = {"up": up, "down": down, "bounce": bounce, "kill": kill, "status": status}
    parser.add_argument("action", choices=actions)
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--cpus", type=int, default=4, help="per node")
    parser.add_argument("--memory-mb", type=int, default=8000, help="per node")
    parser.add_argument("--gpus", type=int, default=2, help="stand-ins per node")
    parser.add_argument("--seconds", type=float, default=20.0, help="of the outage")
    parser.add_argument("--node", default="n1", help="whose daemon is killed")
    shape = parser.parse_args()
    try:
        actions[shape.action](shape)
    except SlurmError as error:
        sys.exit(f"local_slurm: {error}")


if __name__ == "__main__":
    main()
