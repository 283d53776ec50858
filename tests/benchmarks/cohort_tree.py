"""Multi-centre BIDS trees of any size: names, gaps and file sizes as in real studies.

Images hold a few bytes and holes, which take no room on the disk: an index looks at sizes, and no
two images of real people have one size and the same bytes.

``python cohort_tree.py FOLDER --subjects 1000`` writes a whole study (data and config).
"""

from __future__ import annotations

import argparse
import hashlib
import random
from pathlib import Path

CONTRASTS = {"T1w": "anat", "T2w": "anat", "T2star": "anat", "dwi": "dwi"}
SESSIONS = ("1", "2")
SUBJECTS_PER_SITE = 50
# Gaps as in a real multi-centre data set: people who did not come back, contrasts not acquired,
# files that were never fetched, manual masks of a part of the scans.
SHARE_ONE_SESSION = 0.05
SHARE_NO_CONTRAST = 0.03
SHARE_POINTER = 0.002
SHARE_MANUAL_MASK = 0.1
IMAGE = b"\x1f\x8b" + bytes(300)
POINTER = b"/annex/objects/MD5E-s1234567--0123456789abcdef0123456789abcdef.nii.gz\n"
SMALLEST_BYTES, LARGEST_BYTES = 300_000, 6_000_000
SIDECAR = '{"Manufacturer": "Siemens", "MagneticFieldStrength": 3}'
GRADIENTS = {"bval": "0 1000 1000\n", "bvec": "0 1 0\n0 0 1\n0 0 0\n"}
CONFIG = """study: {{name: scale}}
datasets:
  - {{name: centres, path: {data}}}
segmentation: {{models: [{model}], device: cpu}}
measures: {{reference: manual}}
analyses:
  - name: csa_by_site
    kind: variability
    over: site
    select: {{measure: csa_mm2}}
"""


def make_data(root: Path, n_subjects: int, seed: int = 0) -> int:
    """Write the tree of one data set.

    Parameters
    ----------
    root : Path
        Folder of the data set, made here.
    n_subjects : int
        People, :data:`SUBJECTS_PER_SITE` a site.
    seed : int
        Decides what is missing.

    Returns
    -------
    int
        Number of scans written.
    """
    draw = random.Random(seed)
    root.mkdir(parents=True)
    lines = ["participant_id\tsite\tsex\tage\tgroup"]
    n_scans = 0
    for number in range(n_subjects):
        site = f"site{number // SUBJECTS_PER_SITE:03d}"
        subject = f"sub-{site}{number:05d}"
        lines.append(f"{subject}\t{site}\tM\t30\tHC")
        n_sessions = 1 if draw.random() < SHARE_ONE_SESSION else len(SESSIONS)
        for session in SESSIONS[:n_sessions]:
            for contrast in CONTRASTS:
                if draw.random() >= SHARE_NO_CONTRAST:
                    _write_scan(root, subject, session, contrast, draw)
                    n_scans += 1
    (root / "participants.tsv").write_text("\n".join(lines) + "\n")
    return n_scans


def _write_scan(root: Path, subject: str, session: str, contrast: str, draw: random.Random) -> None:
    folder = Path(subject, f"ses-{session}", CONTRASTS[contrast])
    stem = f"{subject}_ses-{session}_{contrast}"
    (root / folder).mkdir(parents=True, exist_ok=True)
    if draw.random() < SHARE_POINTER:
        (root / folder / f"{stem}.nii.gz").write_bytes(POINTER)
    else:
        _write_image(root / folder / f"{stem}.nii.gz")
    (root / folder / f"{stem}.json").write_text(SIDECAR)
    if contrast == "dwi":
        for ending, text in GRADIENTS.items():
            (root / folder / f"{stem}.{ending}").write_text(text)
    if draw.random() < SHARE_MANUAL_MASK:
        labels = root / "derivatives" / "labels" / folder
        labels.mkdir(parents=True, exist_ok=True)
        (labels / f"{stem}_label-SC_seg.nii.gz").write_bytes(IMAGE)


def _write_image(path: Path) -> None:
    """Write an image with holes; size and last bytes follow from its name."""
    digest = hashlib.sha256(path.name.encode()).digest()
    size = SMALLEST_BYTES + int.from_bytes(digest[:8], "big") % (LARGEST_BYTES - SMALLEST_BYTES)
    with path.open("wb") as handle:
        handle.write(IMAGE)
        handle.seek(size - len(digest))
        handle.write(digest)


def make_study(folder: Path, n_subjects: int, model: str = "cord-v1") -> int:
    """Write data and a config that asks for every stage; give the number of scans."""
    n_scans = make_data(folder / "data", n_subjects)
    (folder / "config").mkdir()
    (folder / "config" / "config.yaml").write_text(
        CONFIG.format(data=folder.resolve() / "data", model=model)
    )
    return n_scans


def main() -> None:
    """Write a study as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--subjects", type=int, default=100)
    arguments = parser.parse_args()
    print(make_study(arguments.folder, arguments.subjects), "scans")


if __name__ == "__main__":
    main()
