"""CPU time of indexing a generated tree of 267 subjects and 24,476 files, 11,682 of them pointers.

Prints CPU seconds, their ratio to the budget and to a bare walk of the same tree. Never fails.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "workflow" / "lib"))

N_SUBJECTS = 267
N_FILES = 24_476
N_POINTERS = 11_682
BUDGET_S = 2.0
POINTER = (
    b"/annex/objects/MD5E-s1234567--0123456789abcdef0123456789abcdef.nii.gz".ljust(104) + b"\n"
)
IMAGE = b"\x1f\x8b" + bytes(1200)
RAW = {
    "anat": ["T1w", "T2w", "T2star", "acq-T1w_MTS", "acq-MTon_MTS", "acq-MToff_MTS"],
    "dwi": ["rec-average_dwi"],
}
LABELS = {
    "labels": [
        "T1w_label-SC_seg", "T2w_label-SC_seg", "T2star_label-SC_seg", "T2star_label-GM_seg",
        "T1w_label-discs_dlabel", "T2w_label-discs_dlabel", "T2w_label-canal_seg",
        "acq-T1w_MTS_label-SC_seg", "acq-MTon_MTS_label-SC_seg", "T2w_pmj",
        "T2w_label-rootlets_dseg",
    ],
    "labels_softseg": [f"{c}_label-SC_softseg" for c in ("T1w", "T2w", "T2star")],
    "labels_softseg_bin": [f"{c}_desc-softseg_label-SC_seg" for c in ("T1w", "T2w", "T2star")],
    "labels_rater-2": ["T2w_label-SC_seg", "T2star_label-GM_seg"],
}  # fmt: skip


def make_tree(root: Path) -> int:
    """Write the tree; give the number of files."""
    pointers = count = 0

    def put(path: Path, *, image: bool) -> None:
        nonlocal pointers, count
        if image:
            pointer = pointers < N_POINTERS
            pointers += pointer
            path.write_bytes(POINTER if pointer else IMAGE)
        else:
            path.write_text('{"Manufacturer": "Siemens"}')
        count += 1

    sites = [f"site{number % 43:02d}" for number in range(N_SUBJECTS)]
    (root / "participants.tsv").parent.mkdir(parents=True)
    lines = [f"sub-{s}{n:03d}\t{s}\tM\t30\tHC" for n, s in enumerate(sites)]
    (root / "participants.tsv").write_text(
        "participant_id\tsite\tsex\tage\tgroup\n" + "\n".join(lines) + "\n"
    )
    count += 1
    for number, site in enumerate(sites):
        subject = f"sub-{site}{number:03d}"
        folders = [(root / subject, RAW)]
        folders += [
            (root / "derivatives" / name / subject, {"anat": labels})
            for name, labels in LABELS.items()
        ]
        for folder, content in folders:
            for datatype, names in content.items():
                (folder / datatype).mkdir(parents=True)
                for name in names:
                    put(folder / datatype / f"{subject}_{name}.nii.gz", image=True)
                    put(folder / datatype / f"{subject}_{name}.json", image=False)
        for ending in ("bval", "bvec"):
            put(root / subject / "dwi" / f"{subject}_rec-average_dwi.{ending}", image=False)
    filler = 0
    while count < N_FILES:  # maps of another derivative and copies under sourcedata
        parent = "sourcedata" if filler % 4 == 0 else "derivatives/maps"
        folder = (
            root / parent / f"sub-{sites[filler % N_SUBJECTS]}{filler % N_SUBJECTS:03d}" / "anat"
        )
        folder.mkdir(parents=True, exist_ok=True)
        put(folder / f"{folder.parent.name}_map-{filler // N_SUBJECTS}_T2w.nii.gz", image=True)
        filler += 1
    return count


def walk_only(root: Path) -> float:
    """CPU seconds of listing the tree and asking for the size of every file."""
    start = time.process_time()
    waiting = [str(root)]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir():
                    waiting.append(entry.path)
                else:
                    entry.stat()
    return time.process_time() - start


def main() -> None:
    """Make the tree, index it, print."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "data"
        n_files = make_tree(root)
        bare_s = walk_only(root)
        start = time.process_time()
        from cordcohort.bids.index import build_index, write_index  # noqa: PLC0415
        from cordcohort.config import make_config  # noqa: PLC0415

        import_s = time.process_time() - start
        content = {
            "study": {"name": "bench"},
            "datasets": [{"name": "bench", "path": str(root)}],
            "segmentation": {"models": []},
        }
        config = make_config(content, folder)
        start = time.process_time()
        index = build_index(config)
        build_s = time.process_time() - start
        write_index(index, folder)
        total_s = time.process_time() - start
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        failed = (index.scans["status"] == "failed").sum()
        print(f"files {n_files}, scans {len(index.scans)} ({failed} pointers)")
        print(f"bare walk    {bare_s:.2f} CPU s")
        print(f"import       {import_s:.2f} CPU s")
        print(f"index        {build_s:.2f} CPU s, {build_s / bare_s:.1f} x the bare walk")
        print(f"and written  {total_s:.2f} CPU s, {total_s / BUDGET_S:.2f} of the budget of 2 s")
        print(f"peak memory  {peak_mb:.0f} MB")


if __name__ == "__main__":
    main()
