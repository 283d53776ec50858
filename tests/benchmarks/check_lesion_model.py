"""What the lesion model does on held-out phantom patients, on healthy ones and on real scans.

Run: ``make check-lesion-model`` (``python tests/benchmarks/check_lesion_model.py``). The difficulty
is fixed here and was before any trained network saw these people: compression in half of the
patients, implants in a third, one or two lesions of 2 to 9 mm across, contrast-to-noise 1 to 6, T2w
at 0.8 mm, noise of 5 % of white matter, three vendors. ``--seed`` names the people; ``FINAL`` ones
are only reported, all choices were made on the people of the ``TUNING`` seeds. ``--grid axial`` or
``sagittal`` shows the same people in thick slices. ``--real FOLDER`` adds the healthy scans of a
folder of BIDS datasets.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "workflow" / "lib"))

from cordcohort.binary import binarised
from cordcohort.measures.detection import detect, lesion_f1, lesion_ppv, lesion_sensitivity
from cordcohort.measures.lesion import measure_lesions
from cordcohort.nifti import Image, read_image
from cordcohort.phantom.acquisition import Acquisition, Pose, acquire
from cordcohort.phantom.central_canal import draw_central_canal
from cordcohort.phantom.imaging import Noise, lesion_fraction, structural_image
from cordcohort.phantom.person import Person, draw_person, height_of_level
from cordcohort.phantom.signals import stream, tissue_signals
from cordcohort.phantom.slices import true_shares
from cordcohort.phantom.tissues import REGIONS
from cordcohort.segmentation.lesion import CORD, LESION, segment_lesions
from cordcohort.segmentation.registry import Model, load_model
from cordcohort.statistics.comparison import tost

FINAL, TUNING = 4242, (2718, 3141)
VENDORS = ("Siemens", "Philips", "GE")
GRIDS = {
    "isotropic": ((72, 90, 144), (0.8, 0.8, 0.8)),
    "axial": ((112, 128, 36), (0.5, 0.5, 3.5)),
    "sagittal": ((20, 120, 180), (3.0, 0.65, 0.65)),
}
DAMAGE_LEVELS = (3.5, 8.0)
CENTRE_LEVEL = 5.75
DIAMETER_MM = (2.0, 9.0)
CONTRAST_TO_NOISE = (1.0, 6.0)
SNR = 20.0
ROTATION_SD_DEG, SHIFT_SD_MM, DISTRACTORS = 2.0, 3.0, 4
MARGIN = 0.10
HEALTHY = {
    "sct-example": ["acq-T1w_MTS", "acq-MTon_MTS", "acq-MToff_MTS"],
    "sct-testing": ["sub-t1demo_T1w", "sub-mtdemo_acq-MTon_MTS", "sub-mtdemo_acq-MToff_MTS"],
    "sct-tutorial": ["sub-01_", "sub-03_", "sub-05_", "sub-lumbar01_T2w"],
    "PAM50_small": ["PAM50_small_t2.nii"],
}
"""Real scans of people without lesions; sub-ms01 has multiple sclerosis."""


@dataclass(frozen=True)
class Subject:
    """One phantom person with a scan to come."""

    name: str
    group: str
    person: Person
    vendor: str
    contrast_to_noise: float
    seed: int

    def grid(self, kind: str) -> Acquisition:
        """Field of view over the whole neck, the person lying a little turned."""
        rng = stream(self.seed, "pose", self.name)
        turn, shift = (rng.standard_normal(3) * sd for sd in (ROTATION_SD_DEG, SHIFT_SD_MM))
        x, y, z = (float(v) for v in turn)
        a, b, c = (float(v) for v in shift)
        pose = Pose((x, y, z), (a, b, c))
        shape, spacing = GRIDS[kind]
        return acquire(self.person, shape, spacing, centre_level=CENTRE_LEVEL, pose=pose)

    def image(self, grid: Acquisition) -> np.ndarray:
        """T2w scan, float32 on canonical axes."""
        signals = tissue_signals("T2w", self.vendor, self.seed, self.name)
        noise = Noise(snr=SNR, lesion_cnr=self.contrast_to_noise)
        rng = stream(self.seed, "noise", self.name)
        return structural_image(
            self.person, grid, signals, contrast="T2w", noise=noise, rng=rng
        )  # fmt: skip


def patients(number: int, seed: int) -> Iterator[Subject]:
    """People with lesions; every second is compressed, every third has an implant."""
    for n in range(number):
        name = f"patient {n}"
        person = draw_person(
            stream(seed, "patient", n), compression=n % 2 == 0, lesion=True, implant=n % 3 == 0,
            distractors=DISTRACTORS, lesion_diameter_mm=DIAMETER_MM, levels=DAMAGE_LEVELS,
        )  # fmt: skip
        contrast = float(stream(seed, "cnr", n).uniform(*CONTRAST_TO_NOISE))
        yield Subject(name, "patients", person, VENDORS[n % 3], contrast, seed)


def controls(number: int, seed: int) -> Iterator[Subject]:
    """People without lesions; in every second the central canal shows."""
    for n in range(number):
        person = draw_person(stream(seed, "control", n), distractors=DISTRACTORS)
        group = "healthy"
        if n % 2:
            middle = height_of_level(person.vertebra_mm, CENTRE_LEVEL)
            canal = draw_central_canal(stream(seed, "canal", n), middle)
            person, group = replace(person, central_canal=canal), "central canal"
        yield Subject(f"control {n}", group, person, VENDORS[n % 3], 1.0, seed)


def dice(mask: np.ndarray, truth: np.ndarray) -> float:
    """Overlap; 1 where both are empty."""
    both = float(mask.sum() + truth.sum())
    return 2.0 * float((mask & truth).sum()) / both if both else 1.0


def measured(subject: Subject, model: Model, kind: str) -> dict[str, object]:
    """Scores of one phantom scan."""
    grid = subject.grid(kind)
    image = Image(subject.image(grid).astype(np.float32), grid.affine)
    cord_truth = binarised(true_shares(subject.person, grid)[..., : len(REGIONS)].sum(axis=-1))
    lesion_truth = binarised(lesion_fraction(subject.person, grid)) & cord_truth
    found = segment_lesions(model, image)
    cord, lesion = (found[name].mask > 0 for name in (CORD, LESION))
    spacing = image.spacing_mm
    voxel = float(np.prod(spacing))
    rule = detect(lesion, lesion_truth, voxel)
    row: dict[str, object] = {
        "name": subject.name, "group": subject.group, "status": found[CORD].status,
        "cnr": subject.contrast_to_noise, "implant": bool(subject.person.implant_levels),
        "compression": bool(subject.person.compressions),
        "cord_dice": dice(cord, cord_truth), "lesion_dice": dice(lesion, lesion_truth),
        "f1": lesion_f1(rule), "sensitivity": lesion_sensitivity(rule), "ppv": lesion_ppv(rule),
        "found_mm3": float(lesion.sum()) * voxel, "true_mm3": float(lesion_truth.sum()) * voxel,
        "n_found": rule.n_mask, "n_true": rule.n_reference,
    }  # fmt: skip
    for what, mask, inside in (("true", lesion_truth, cord_truth), ("found", lesion, cord)):
        scan = measure_lesions(mask, inside if inside.any() else None, spacing)
        row[f"{what}_length_mm"] = sum(one.length_mm for one in scan.lesions)
        row[f"{what}_damage_ratio"] = scan.max_axial_damage_ratio if scan.lesions else 0.0
    # A lesion is as easy to see as its signal stands out of the noise of all its voxels.
    row["ease"] = subject.contrast_to_noise * float(np.sqrt(row["true_mm3"] / 0.8**3))
    return row


def healthy_scans(folder: Path) -> Iterator[Path]:
    """Real scans of people without lesions."""
    for dataset, names in HEALTHY.items():
        for path in sorted((folder / dataset).rglob("*.nii.gz")):
            if "derivatives" not in path.parts and any(name in path.name for name in names):
                yield path


def line(name: str, value: float, target: float) -> None:
    """One figure beside what was asked."""
    print(f"{name:46s} {value:7.3f}   asked {target:.2f}   {'yes' if value >= target else 'NO'}")


def tell_patients(table: pd.DataFrame) -> None:
    """Print the scores of patients: all, by third of difficulty, equivalence of biomarkers."""
    print(f"\n{len(table)} patients, {int(table['n_true'].sum())} lesions above 3 mm3")
    for column, target in (("cord_dice", 0.95), ("lesion_dice", 0.70), ("f1", 0.80)):
        line(f"{column}, mean", table[column].mean(), target)
    ranks = table["ease"].rank(method="first")
    thirds = pd.qcut(
        ranks, min(3, len(table)), labels=["hardest", "middle", "easiest"][-len(table) :]
    )
    columns = ["cord_dice", "lesion_dice", "f1", "sensitivity", "ppv"]
    groups = [("third", thirds), *((c, table[c]) for c in ("compression", "implant"))]
    for name, by in groups:
        parts = table.groupby(by, observed=True)[columns].mean()
        print(f"\nby {name} ({', '.join(str(n) for n in by.value_counts(sort=False))} patients)")
        print(parts.round(3).to_string())
    for name in ("length_mm", "damage_ratio"):
        true, found = (table[f"{w}_{name}"].to_numpy(float) for w in ("true", "found"))
        margin = MARGIN * true.mean()
        result = tost(found - true, -margin, margin)
        low, high = (100 * v / true.mean() for v in (result.interval.low, result.interval.high))
        said = "equivalent" if result.p < 0.05 else "NOT equivalent"
        bias = 100 * (found.mean() / true.mean() - 1)
        print(f"{name}: true mean {true.mean():.3g}, found {bias:+.1f} %, 90 % interval "
              f"{low:+.1f} to {high:+.1f} % of the mean, p {result.p:.3g}: {said}")  # fmt: skip


def tell_controls(table: pd.DataFrame) -> None:
    """Print how often nothing is found where nothing is."""
    print(f"\n{len(table)} people without lesions; cord Dice {table['cord_dice'].mean():.3f}")
    line("share without a lesion found", float((table["found_mm3"] == 0).mean()), 0.95)
    print(
        table.assign(clean=table["found_mm3"] == 0)
        .groupby("group")["clean"]
        .agg(["mean", "sum", "size"])
        .round(3)
        .to_string()
    )


def tell_real(folder: Path, model: Model) -> None:
    """Print what is found in healthy real scans."""
    rows = []
    for path in healthy_scans(folder):
        found = segment_lesions(model, read_image(path))
        mask = found[LESION].mask
        voxel = float(np.prod(read_image(path).spacing_mm))
        rows.append((path.name, found[CORD].status, int(found[CORD].n_slices),
                     float(mask.sum()) * voxel))  # fmt: skip
    table = pd.DataFrame(rows, columns=["scan", "status", "cord_slices", "lesion_mm3"])
    print("\n" + table.round(1).to_string(index=False))
    line("healthy real scans without a lesion found", float((table["lesion_mm3"] == 0).mean()), 0.8)


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="sciseg-v1")
    parser.add_argument("--seed", type=int, default=FINAL)
    parser.add_argument("--patients", type=int, default=42)
    parser.add_argument("--controls", type=int, default=40)
    parser.add_argument("--grid", choices=list(GRIDS), default="isotropic")
    parser.add_argument("--real", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="also write every scan's values (TSV)")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model = load_model(arguments.model)
    print(f"model {model.name}, weights {model.sha256[:12]}, seed {arguments.seed}, "
          f"{arguments.grid}")  # fmt: skip
    people = [*patients(arguments.patients, arguments.seed),
              *controls(arguments.controls, arguments.seed)]  # fmt: skip
    table = pd.DataFrame([measured(one, model, arguments.grid) for one in people])
    if arguments.out:
        table.to_csv(arguments.out, sep="\t", index=False)
    damaged = table["group"] == "patients"
    if damaged.any():
        tell_patients(table[damaged])
    if (~damaged).any():
        tell_controls(table[~damaged])
    if arguments.real:
        tell_real(arguments.real, model)


if __name__ == "__main__":
    main()
