"""A small cohort on disk: bright oval cords in a grey field, manual and soft masks, as BIDS."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np

SHAPES = {
    "T1w": ((24, 24, 24), (1.0, 1.0, 1.0)),
    "T2w": ((24, 24, 24), (1.0, 1.0, 1.0)),
    "T2starw": ((40, 40, 6), (0.6, 0.6, 4.0)),
}
CORD_MM = (5.0, 4.0)  # half axes right-left, front-back
LEVELS = {"T1w": (40.0, 90.0), "T2w": (60.0, 30.0), "T2starw": (50.0, 70.0)}


def fraction(
    shape: Sequence[int], spacing: Sequence[float], centre_mm: Sequence[float]
) -> np.ndarray:
    """Fraction of an upright oval cord in each voxel (x, y, z), from 5 x 5 points a voxel."""
    steps = (np.arange(5) - 2) / 5
    x, y = (
        (np.arange(n)[:, None] + steps[None]).ravel() * mm - c
        for n, mm, c in zip(shape[:2], spacing[:2], centre_mm, strict=True)
    )
    fine = (x[:, None] / CORD_MM[0]) ** 2 + (y[None] / CORD_MM[1]) ** 2 < 1
    plane = fine.reshape(shape[0], 5, shape[1], 5).mean((1, 3))
    return np.repeat(plane[..., None], shape[2], axis=2).astype(np.float32)


def write_cohort(
    root: Path, persons: Sequence[str], contrasts: Sequence[str] = ("T1w", "T2w"), seed: int = 0
) -> Path:
    """Write images, `labels` (binary) and `labels_softseg`; returns the data set."""
    rng = np.random.default_rng(seed)
    root.mkdir(parents=True, exist_ok=True)
    (root / "dataset_description.json").write_text(json.dumps({"Name": "a", "BIDSVersion": "1.9"}))
    for person in persons:
        aside = rng.uniform(-2, 2, 2)
        for contrast in contrasts:
            shape, spacing = SHAPES[contrast]
            middle = [(n - 1) / 2 * mm + a for n, mm, a in zip(shape, spacing, aside, strict=False)]
            cord = fraction(shape, spacing, middle)
            around, inside = LEVELS[contrast]
            image = around + (inside - around) * cord + rng.normal(0, 2, shape)
            stem = f"sub-{person}/anat/sub-{person}_{contrast}"
            put(root / f"{stem}.nii.gz", np.rint(image).astype(np.int16), spacing)
            for folder, end, mask in (
                ("labels", "seg", (cord >= 0.5).astype(np.uint8)),
                ("labels_softseg", "softseg", cord),
            ):
                put(root / f"derivatives/{folder}/{stem}_label-SC_{end}.nii.gz", mask, spacing)
    return root


def put(path: Path, data: np.ndarray, spacing: Sequence[float]) -> None:
    """Write a volume on RAS axes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(data, np.diag([*spacing, 1.0]))
    image.header.set_xyzt_units("mm")
    nib.save(image, path)
