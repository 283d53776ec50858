"""Detected discs against the truth of phantoms that no training saw: errors, flags, wrong names.

    python tests/benchmarks/bench_discs.py --persons 12 [--model FOLDER] [--cache FOLDER]

Every person is imaged on each of the grids below, by the phantom's imaging model (training strips
are painted by another). An error is the distance along the cord's axis of a detected disc from the
true one of the same name.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "workflow" / "lib"))

from cordcohort.level_choice import DISC_MODEL
from cordcohort.nifti import Image
from cordcohort.phantom.acquisition import Pose, acquire
from cordcohort.phantom.anatomy import label_volume
from cordcohort.phantom.frame import build_frame
from cordcohort.phantom.imaging import Noise, structural_image
from cordcohort.phantom.person import Person, draw_person
from cordcohort.phantom.signals import tissue_signals
from cordcohort.phantom.tissues import CORD
from cordcohort.segmentation.discs import DetectedDiscs, find_discs
from cordcohort.segmentation.registry import load_model

FIRST_SEED = 770_000
GRIDS: dict[str, tuple[str, tuple[int, int, int], tuple[float, float, float], float]] = {
    "T1w isotropic 1.0": ("T1w", (12, 90, 220), (1.0, 1.0, 1.0), 5.2),
    "T2w isotropic 0.8": ("T2w", (14, 112, 280), (0.8, 0.8, 0.8), 5.2),
    "T2w sagittal 3.3 x 0.8 x 0.8": ("T2w", (5, 112, 280), (3.3, 0.8, 0.8), 5.2),
    "T2starw isotropic 0.9": ("T2starw", (12, 100, 240), (0.9, 0.9, 0.9), 5.2),
    "T2starw axial 0.5 x 0.5 x 5": ("T2starw", (30, 160, 30), (0.5, 0.5, 5.0), 5.2),
    "T2w isotropic 1.0, below T3": ("T2w", (12, 90, 200), (1.0, 1.0, 1.0), 15.0),
}
HALF_A_VERTEBRA_MM = 7.0
VENDORS = ("Siemens", "Philips", "GE")


def phantom_scan(name: str, seed: int) -> tuple[Image, NDArray[Any], dict[int, Any], NDArray[Any]]:
    """Image, cord mask, and for each disc its point on the cord's axis with the direction there."""
    contrast, shape, spacing, level = GRIDS[name]
    rng = np.random.default_rng((seed, len(name)))
    person = draw_person(np.random.default_rng(seed), compression=seed % 3 == 0)
    pose = Pose(tuple(rng.normal(0, 3, 3)), tuple(rng.normal(0, 3, 3)))
    middle = level + float(rng.uniform(-0.6, 0.6))
    grid = acquire(person, shape, spacing, centre_level=middle, pose=pose)
    signals = tissue_signals(contrast, VENDORS[seed % 3], 1, f"{name}-{seed}")
    noise = Noise(snr=float(rng.uniform(10, 25)))
    data = structural_image(person, grid, signals, contrast=contrast, noise=noise, rng=rng)
    cord = np.isin(label_volume(person, grid.shape, grid.to_person), CORD)
    image = Image(data, np.diag([*spacing, 1.0]))
    return image, cord, true_discs(person), grid.to_person


def true_discs(person: Person) -> dict[int, Any]:
    """Code to (point of the axis, direction of the axis), whether or not they are in view."""
    frame = build_frame(person)
    found: dict[int, Any] = {}
    for code in range(2, 26):
        z = float(frame.z_of_level(float(code)))
        point = np.array([frame.at("x", z), frame.at("y", z), z])
        along = np.array([frame.at("dx", z), frame.at("dy", z), 1.0])
        found[code] = (point, along / np.linalg.norm(along))
    return found


def errors_mm(
    found: DetectedDiscs, truth: dict[int, Any], image: Image, to_person: NDArray[Any]
) -> dict[int, float]:
    """Signed distance along the axis of each named disc from the true one of that name."""
    errors: dict[int, float] = {}
    for code, place in found.places_mm.items():
        voxel = np.append(place / np.asarray(image.spacing_mm), 1.0)
        point = (to_person @ voxel)[:3]
        axis, along = truth[code]
        errors[code] = float((point - axis) @ along)
    return errors


def _row(name: str, results: list[tuple[DetectedDiscs, dict[int, float]]], least: float) -> str:
    named = [(f, e) for f, e in results if e and f.overall >= least]
    discs = np.array([abs(v) for _, e in named for c, v in e.items() if c > 2])
    joint = np.array([abs(e[2]) for _, e in named if 2 in e])
    right = sum(max(abs(v) for v in e.values()) < HALF_A_VERTEBRA_MM for _, e in named)
    median = np.median(discs) if discs.size else np.nan
    high = np.percentile(discs, 95) if discs.size else np.nan
    c1c2 = np.median(joint) if joint.size else np.nan
    return (
        f"{name:32s} n {len(results):3d}  used {len(named):3d}  all names right {right:3d}  "
        f"median {median:5.2f} mm  95 % {high:5.2f} mm  C1/C2 {c1c2:5.2f} mm  discs {discs.size}"
    )


def main() -> None:
    """Print one line for each grid, at each of some least confidences."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--persons", type=int, default=12)
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--model", default=DISC_MODEL)
    parser.add_argument("--cache", type=Path)
    options = parser.parse_args()
    path = Path(options.model)
    model = load_model(path if path.is_dir() else options.model)
    results: dict[str, list[tuple[DetectedDiscs, dict[int, float]]]] = {}
    for name in GRIDS:
        for seed in range(options.first_seed, options.first_seed + options.persons):
            image, cord, truth, to_person = _cached(name, seed, options.cache)
            found = find_discs(image, cord, model)
            errors = errors_mm(found, truth, image, to_person)
            results.setdefault(name, []).append((found, errors))
            shown = {c: round(v, 1) for c, v in errors.items()}
            print(f"{name:32s} {seed} {found.overall:.2f} {found.reason} {shown}", flush=True)
    for least in (0.0, 0.3, 0.5, 0.7):
        print(f"least confidence {least}")
        for name, rows in results.items():
            print("  " + _row(name, rows, least))


def _cached(
    name: str, seed: int, folder: Path | None
) -> tuple[Image, NDArray[Any], dict[int, Any], NDArray[Any]]:
    if folder is None:
        return phantom_scan(name, seed)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name.replace(' ', '_')}-{seed}.npz"
    if not path.is_file():
        image, cord, truth, to_person = phantom_scan(name, seed)
        codes = np.array(sorted(truth))
        axes = np.array([np.stack(truth[c]) for c in sorted(truth)]).reshape(-1, 2, 3)
        np.savez_compressed(
            path, data=image.data, affine=image.affine, cord=cord, codes=codes, axes=axes,
            to_person=to_person,
        )  # fmt: skip
    kept = np.load(path)
    truth = {int(c): (a[0], a[1]) for c, a in zip(kept["codes"], kept["axes"], strict=True)}
    return Image(kept["data"], kept["affine"]), kept["cord"], truth, kept["to_person"]


if __name__ == "__main__":
    main()
