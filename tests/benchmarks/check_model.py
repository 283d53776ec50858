"""What a cord model does on phantoms: six contrasts, and what makes a cord hard to see.

Run: ``make check-model`` (``python tests/benchmarks/check_model.py --model cord-v1``). Each row is
a group of scans: Dice to the true shares cut at one half, error of the soft area in % of the truth,
and the difference of the median Dice to healthy persons of the same contrasts. The same seed gives
the same phantoms; no group is used for training.

* ``healthy``: the six contrasts (dwi: the b=0 image), three vendors.
* ``compression``, ``lesions``: patients with either, T2w and T2starw.
* ``unseen vendor``: signals of a vendor that no other group has.
* ``unseen contrast``: grey values of the tissues drawn anew for each scan, like no known contrast.
* ``off centre``: the cord 40 mm beside the middle of the field of view.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "workflow" / "lib"))

from cordcohort.binary import binarised
from cordcohort.nifti import Image
from cordcohort.phantom.acquisition import Acquisition, Pose, acquire
from cordcohort.phantom.imaging import Noise, structural_image
from cordcohort.phantom.person import Person, draw_person
from cordcohort.phantom.signals import CONTRASTS, stream, tissue_signals
from cordcohort.phantom.slices import true_shares
from cordcohort.phantom.tissues import CORD, N_TISSUES, REGIONS, Tissue
from cordcohort.segmentation.draw import segment_image
from cordcohort.segmentation.registry import Model, load_model

SEED = 4711
VENDORS = ("Siemens", "Philips", "GE")
UNSEEN_VENDOR = "no other group has this vendor"
GRIDS = {
    "T1w": ((64, 80, 64), (1.0, 1.0, 1.0)),
    "T2w": ((72, 90, 80), (0.8, 0.8, 0.8)),
    "T2starw": ((112, 112, 12), (0.5, 0.5, 5.0)),
    "MTon": ((80, 80, 12), (0.9, 0.9, 5.0)),
    "MToff": ((80, 80, 12), (0.9, 0.9, 5.0)),
    "dwi": ((64, 64, 12), (0.9, 0.9, 5.0)),
}
HARD_CONTRASTS = ("T2w", "T2starw")
CENTRE_LEVEL = 4.5
DAMAGE_LEVELS = (3.5, 5.5)
SNR = 20.0
SMALLEST_SEEN_CONTRAST = 0.25
"""Cord and fluid of an unseen contrast differ by at least this share of the brighter one."""
OFF_CENTRE_MM = 40.0
LARGEST_DROP = 0.03


@dataclass(frozen=True)
class Scan:
    """One phantom scan to segment."""

    group: str
    contrast: str
    person: Person
    vendor: str
    name: str
    off_centre_mm: float = 0.0
    grey_values: bool = False

    @property
    def grid(self) -> Acquisition:
        """Field of view, wider where the cord lies off its centre."""
        shape, spacing = GRIDS[self.contrast]
        wider = round(2 * self.off_centre_mm / spacing[0])
        return acquire(
            self.person, (shape[0] + wider, *shape[1:]), spacing, centre_level=CENTRE_LEVEL,
            pose=Pose((2.0, -1.0, 0.0), (0.0, 0.0, 0.0)), off_centre_mm=(self.off_centre_mm, 0.0),
        )  # fmt: skip


def scans(persons: int) -> Iterator[Scan]:
    """All scans: every group has the same number of persons."""
    for n in range(persons):
        vendor = VENDORS[n % len(VENDORS)]
        healthy = draw_person(stream(SEED, "healthy", n), distractors=4)
        pressed = draw_person(
            stream(SEED, "compression", n), compression=True, levels=DAMAGE_LEVELS
        )
        injured = draw_person(stream(SEED, "lesion", n), lesion=True, levels=DAMAGE_LEVELS)
        for contrast in CONTRASTS:
            yield Scan("healthy", contrast, healthy, vendor, f"healthy {n} {contrast}")
        for contrast in HARD_CONTRASTS:
            yield Scan("compression", contrast, pressed, vendor, f"compression {n} {contrast}")
            yield Scan("lesions", contrast, injured, vendor, f"lesion {n} {contrast}")
            yield Scan("unseen vendor", contrast, healthy, UNSEEN_VENDOR, f"vendor {n} {contrast}")
            yield Scan(
                "unseen contrast", contrast, healthy, vendor, f"contrast {n} {contrast}",
                grey_values=True,
            )  # fmt: skip
        yield Scan("off centre", "T2w", healthy, vendor, f"healthy {n} T2w", OFF_CENTRE_MM)


def signals_of(scan: Scan) -> np.ndarray:
    """Signal of every tissue; of an unseen contrast at random, cord and fluid told apart."""
    if not scan.grey_values:
        return tissue_signals(scan.contrast, scan.vendor, SEED, scan.name)
    rng = stream(SEED, "grey values", scan.name)
    while True:
        out = rng.uniform(50.0, 1000.0, N_TISSUES).astype(np.float32)
        out[[int(t) for t in CORD]] = rng.uniform(200.0, 900.0)
        out[[Tissue.AIR, Tissue.AIRWAY, Tissue.LUNG]] = 5.0
        cord, fluid = float(out[int(CORD[0])]), float(out[Tissue.CSF])
        if abs(cord - fluid) > SMALLEST_SEEN_CONTRAST * max(cord, fluid):
            return out


def measured(scan: Scan, model: Model) -> dict[str, object]:
    """Dice to the truth and error of the soft area of one scan."""
    grid = scan.grid
    image = structural_image(
        scan.person, grid, signals_of(scan), contrast=scan.contrast, noise=Noise(snr=SNR),
        rng=stream(SEED, "noise", scan.name),
    )  # fmt: skip
    share = true_shares(scan.person, grid)[..., : len(REGIONS)].sum(axis=-1)
    found = segment_image(model, Image(image.astype(np.float32), grid.affine))["cord"]
    mask, truth = found.mask > 0, binarised(share)
    soft = found.mask if found.soft is None else found.soft
    both = mask.sum() + truth.sum()
    return {
        "group": scan.group, "contrast": scan.contrast, "name": scan.name, "status": found.status,
        "dice": 2.0 * float((mask & truth).sum()) / float(both),
        "area_error_percent": 100.0 * (float(soft.sum()) / float(share.sum()) - 1.0),
    }  # fmt: skip


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """One row a group (and a contrast of the healthy) with its difference to the healthy."""
    healthy = table[table["group"] == "healthy"]
    named = table.assign(row=table["group"])
    each = healthy.assign(row="healthy, " + healthy["contrast"])
    rows = pd.concat([named, each]).groupby("row", sort=False)
    out = rows.agg(
        scans=("dice", "size"), dice_median=("dice", "median"), dice_min=("dice", "min"),
        area_error_percent=("area_error_percent", "mean"),
        no_cord=("status", lambda s: int((s != "ok").sum())),
    )  # fmt: skip
    for row, part in rows:
        same = healthy[healthy["contrast"].isin(set(part["contrast"]))]
        out.loc[row, "against_healthy"] = part["dice"].median() - same["dice"].median()
    out["within"] = np.where(out["against_healthy"] >= -LARGEST_DROP, "yes", "NO")
    return out


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="cord-v1")
    parser.add_argument("--persons", type=int, default=6, help="persons of each group")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="also write every scan's values (TSV)")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model = load_model(arguments.model)
    table = pd.DataFrame([measured(scan, model) for scan in scans(arguments.persons)])
    if arguments.out:
        table.to_csv(arguments.out, sep="\t", index=False)
    print(f"model {model.name}, weights {model.sha256[:12] or 'none'}, seed {SEED}")
    print(summary(table).round(3).to_string())
    areas = table[table["group"] == "healthy"].copy()
    areas["person"] = areas["name"].str.split().str[1]
    spread = areas.groupby("person")["area_error_percent"].std(ddof=1)
    print(f"SD of the soft area's error over six contrasts: {spread.mean():.2f} % of the truth")


if __name__ == "__main__":
    main()
