"""CPU of agreement and lesion biomarkers: one scan of 0.8 mm; a cohort and single processes.

Run: python tests/benchmarks/bench_lesions.py [N_SCANS]

The cohort is measured in this process, scan after scan, as a batch of the workflow does; beside it
one scan in a process of its own, which most pipelines start for every scan. Prints both with their
ratio, and ends with an error where a bound is missed.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nibabel as nib
import numpy as np
from cordcohort.measures.agreement import pair_rows
from cordcohort.measures.kinds import measure
from cordcohort.measures.lesion import measure_lesions
from cordcohort.measures.options import MeasureOptions
from cordcohort.measures.task import Task
from cordcohort.nifti import read_mask
from cordcohort.scan import SCAN_KEY

ONE_SCAN = (192, 260, 320)  # voxels of 0.8 mm: 15 x 21 x 26 cm
SMALL = (64, 64, 60)
MAX_SECONDS = 0.5
MAX_RATIO = 0.1
N_SCANS = 200
N_ALONE = 3
KINDS = ("agreement", "lesion")
NAMES = ("cord", "cord_b", "lesion", "lesion_b")


def drawn(shape: tuple[int, int, int], seed: int) -> dict[str, np.ndarray]:
    """A cord through the whole image with three lesions, twice: a reference and a method."""
    rng = np.random.default_rng(seed)
    x, y, z = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij", sparse=True)
    middle = [n / 2 for n in shape]
    cord = ((x - middle[0]) / 8) ** 2 + ((y - middle[1] - 4 * np.sin(z / 40)) / 5) ** 2 < 1
    masks = {"cord": cord, "cord_b": np.roll(cord, 1, axis=0)}
    for name in ("lesion", "lesion_b"):
        lesion = np.zeros(shape, dtype=bool)
        for place in rng.uniform(0.2, 0.8, 3):
            far = ((x - middle[0]) / 3) ** 2 + ((y - middle[1]) / 2) ** 2
            lesion |= far + ((z - place * shape[2]) / 9) ** 2 < 1
        masks[name] = lesion & cord
    return masks


def write(folder: Path, number: int) -> Task:
    """One small scan with its masks as files."""
    for name, data in drawn(SMALL, number).items():
        image = nib.Nifti1Image(data.astype(np.uint8), np.diag([0.8, 0.8, 0.8, 1.0]))
        nib.save(image, folder / f"{number}_{name}.nii.gz")
    return task_of(folder, number)


def task_of(folder: Path, number: int) -> Task:
    """A scan whose masks lie in a folder."""
    masks = []
    for name in NAMES:
        structure, _, other = name.partition("_")
        method, path = "m" if other else "manual", str(folder / f"{number}_{name}.nii.gz")
        masks.append({"method": method, "structure": structure, "kind": "seg", "path": path,
                      "status": "ok", "reason": ""})  # fmt: skip
    scan = dict.fromkeys(SCAN_KEY, "") | {"dataset": "a", "subject": f"{number:04d}"}
    return Task(scan=scan, masks=masks, output="")


def measured(task: Task) -> None:
    """All metrics and biomarkers of a scan."""
    for kind in KINDS:
        measure(kind, task, MeasureOptions())


def cpu_s() -> float:
    """CPU seconds of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def seconds_of_one_scan() -> float:
    """Computing, without reading files, of all numbers of one scan of 0.8 mm."""
    masks = {name: data.astype(np.uint8) for name, data in drawn(ONE_SCAN, 0).items()}
    with tempfile.TemporaryDirectory() as folder:
        references = {}
        for name in ("cord", "lesion"):
            path = Path(folder) / f"{name}.nii.gz"
            nib.save(nib.Nifti1Image(masks[name], np.diag([0.8, 0.8, 0.8, 1.0])), path)
            references[name] = read_mask(path).canonical()
    start = time.process_time()
    for name, reference in references.items():
        pair_rows(masks[f"{name}_b"], reference, name)
    for ending in ("", "_b"):
        measure_lesions(masks[f"lesion{ending}"], masks[f"cord{ending}"], (0.8, 0.8, 0.8))
    return time.process_time() - start


def main() -> int:
    """Print both figures; 1 where a bound is missed."""
    n_scans = int(sys.argv[1]) if len(sys.argv) > 1 else N_SCANS
    one = min(seconds_of_one_scan() for _ in range(3))
    print(f"one scan of 0.8 mm, {ONE_SCAN} voxels: {one:.3f} CPU s (bound {MAX_SECONDS})")
    with tempfile.TemporaryDirectory() as folder:
        tasks = [write(Path(folder), number) for number in range(n_scans)]
        start = cpu_s()
        for task in tasks:
            measured(task)
        together = (cpu_s() - start) / n_scans
        start = cpu_s()
        for _ in range(N_ALONE):
            subprocess.run([sys.executable, __file__, "--alone", folder], check=True)
        alone = (cpu_s() - start) / N_ALONE
    print(f"{n_scans} scans in one process: {1e3 * together:.0f} ms of CPU each")
    print(f"one scan a process: {1e3 * alone:.0f} ms each")
    print(f"ratio {together / alone:.3f} (bound {MAX_RATIO})")
    return int(one > MAX_SECONDS or together > MAX_RATIO * alone)


if __name__ == "__main__":
    if "--alone" in sys.argv:
        measured(task_of(Path(sys.argv[-1]), 0))
        sys.exit(0)
    sys.exit(main())
