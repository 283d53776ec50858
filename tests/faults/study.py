"""A study small enough to be run a hundred times, and how a run of it is started and looked at."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import yaml
from cordcohort.phantom.config import PhantomStudy, Protocol, Site
from cordcohort.phantom.study import write_study

ROOT = Path(__file__).resolve().parents[2]
ANALYSIS = "area_over_sites"
TARGET = f"results/statistics/{ANALYSIS}.tsv"
TABLES = (
    "results/cohort/measures.parquet", "results/cohort/measures.tsv",
    "results/cohort/scans.parquet", TARGET, f"results/statistics/{ANALYSIS}.counts.tsv",
)  # fmt: skip
PROTOCOLS = {
    "T2w": Protocol("T2w", (36, 40, 12), (1.2, 1.2, 4.0)),
    "dwi": Protocol("dwi", (32, 32, 4), (1.1, 1.1, 5.0), sessions=1),
}
STUCK_S = 1800.0
JOB_MARK = b".snakemake/scripts/"
ENGINE_MARK = b"snakemake\0--snakefile"


def write_base(folder: Path, kind: str) -> Path:
    """Write data and config of the study with scans of one kind: one site, one person."""
    if folder.is_dir():
        return folder
    half = folder.with_name(f"{folder.name}.half")
    shutil.rmtree(half, ignore_errors=True)
    site = Site("north", "Siemens", "Prisma", subjects=1)
    protocols = (PROTOCOLS[kind],)
    study = PhantomStudy(sites=(site,), protocols=protocols, sessions=1, missing=())
    write_study(study, half / "data")
    select = {"measure": "csa_mm2", "structure": "cord", "statistic": "mean"}
    analysis = {"name": ANALYSIS, "kind": "variability", "select": select, "over": "site"}
    content = {
        "study": {"name": "faults"},
        # Not relative: the folder is copied about, and other paths would rerun everything.
        "datasets": [{"name": "north", "path": str(folder / "data" / "north")}],
        "segmentation": {"models": ["cord-v1"], "device": "cpu"},
        "report": {"pictures": False},
        "analyses": [analysis],
    }
    (half / "config").mkdir()
    (half / "config" / "config.yaml").write_text(yaml.safe_dump(content))
    half.rename(folder)
    return folder


def take_data_in(study: Path) -> None:
    """Give a study data of its own, which may be harmed."""
    path = study / "config" / "config.yaml"
    content = yaml.safe_load(path.read_text())
    for dataset in content["datasets"]:
        shutil.copytree(dataset["path"], study / "data" / dataset["name"])
        dataset["path"] = f"data/{dataset['name']}"
    path.write_text(yaml.safe_dump(content))


@dataclass
class Run:
    """A run of the command in a session of its own."""

    process: subprocess.Popen[str]
    study: Path
    output: Path

    def processes(self) -> dict[int, bytes]:
        """Living processes of the session and their command lines."""
        found: dict[int, bytes] = {}
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit():
                continue
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                if int(fields[3]) == self.process.pid and fields[0] != "Z":
                    found[int(folder.name)] = (folder / "cmdline").read_bytes()
            except (OSError, ValueError, IndexError):
                continue
        return found

    def started(self) -> int:
        """Jobs that the engine has started so far."""
        logs = sorted((self.study / ".snakemake" / "log").glob("*.log"))
        text = logs[-1].read_text(errors="replace") if logs else ""
        return sum(line.startswith(("rule ", "localrule ")) for line in text.splitlines())

    def ended(self) -> bool:
        """Whether the command itself has ended."""
        return self.process.poll() is not None

    def kill(self, pids: list[int], number: int = signal.SIGKILL) -> None:
        """Send a signal to some processes."""
        for pid in pids:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue

    def wait(self) -> tuple[int, str]:
        """Exit status and all that the command said; a run that hangs is ended and said so."""
        try:
            status = self.process.wait(timeout=STUCK_S)
        except subprocess.TimeoutExpired:
            self.kill(list(self.processes()))
            return 124, f"hung for {STUCK_S:.0f} s"
        return status, self.output.read_text(errors="replace")


def start(study: Path, *targets: str) -> Run:
    """Start `cordcohort run`."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow" / "lib")}
    output = study.parent / f"{study.name}.output"
    command = [sys.executable, "-m", "cordcohort", "run", str(study), "--cores", "2",
               *(targets or (TARGET,))]  # fmt: skip
    with output.open("w") as kept:
        process = subprocess.Popen(
            command, env=environment, start_new_session=True, stdout=kept,
            stderr=subprocess.STDOUT, text=True, cwd=study.parent,
        )  # fmt: skip
    return Run(process, study, output)


def run(study: Path, *targets: str) -> tuple[int, str]:
    """Run the study to its end."""
    return start(study, *targets).wait()


def resumed(study: Path) -> tuple[int, str]:
    """Run again until nothing of the killed run is at work any more."""
    end = time.monotonic() + STUCK_S
    while True:
        status, said = run(study)
        if "at work" not in said or time.monotonic() > end:
            return status, said
        time.sleep(2.0)


def results_of(study: Path) -> dict[str, bytes]:
    """Bytes of the final tables and of every mask and derived image."""
    names = [name for name in TABLES if (study / name).is_file()]
    for folder in ("segmentation", "images"):
        found = (study / "results" / folder).rglob("*.nii.gz")
        names += sorted(str(path.relative_to(study)) for path in found)
    return {name: (study / name).read_bytes() for name in names}


def difference(study: Path, wanted: dict[str, bytes]) -> str:
    """In what the results differ from those of the undisturbed run; empty where they do not."""
    found = results_of(study)
    for name in sorted({*found, *wanted}):
        if name not in found:
            return f"{name} is missing"
        if name not in wanted:
            return f"{name} should not be there"
        if found[name] != wanted[name]:
            return f"{name} has other bytes"
    left = list((study / "results").rglob(".tmp-*"))
    return f"{left[0].name} is left over" if left else ""
