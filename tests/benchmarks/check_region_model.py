"""What a model of the eight cord regions reaches: patients, held-out atlas levels, a real scan.

Run: ``make check-region-model``. Slow; not part of the continuous integration.

* **Patients**: drawn by the phantom's imaging model (never by the training painter), three vendors,
  0.9 x 0.9 x 5 mm, SNR 15 at b=0, compression in half of them, implants in a third, FA spread
  within regions 0.06, scale error of sites 1 %. Dice of each region, and the error of its mean FA,
  ``100 |F(model) - F(true)| / F(true)``, both on the tensor that ``images/diffusion.py`` fits to
  the same noisy series. Beside it the errors of the true regions shifted by half a voxel and
  dilated by one voxel in the slice, and the published errors. A model of FA maps sees the map that
  is fitted round the cord of `cord-v1`, as in a study.
* **Atlas levels** (``--atlas FOLDER --upper MODEL --lower MODEL``): a model trained on C2-C4 only
  sees C5-C7 and the other way round. The atlas' regions get tensors, signals and noise by the
  functions of the imaging model; only the shapes are the atlas'.
* **Real scan** (``--real FOLDER`` with one diffusion series): regions against the cord model,
  sides, white against grey matter, and a picture.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "workflow" / "lib"))

from cordcohort.binary import binarised
from cordcohort.images.diffusion import dilated, tensor_maps
from cordcohort.images.gradients import Gradients, read_gradients
from cordcohort.images.preprocess import mean_b0
from cordcohort.measures.regions import REGION_CODES
from cordcohort.nifti import Image, read_image
from cordcohort.phantom.cohort import PlannedScan, planned_scans
from cordcohort.phantom.config import study_from_dict
from cordcohort.phantom.diffusion import directions, simulate
from cordcohort.phantom.imaging import rician
from cordcohort.phantom.scan import grid_of
from cordcohort.phantom.signals import stream, tissue_signals
from cordcohort.phantom.tensors import (
    REGION_FA,
    REGION_MD,
    Protocol,
    TensorTruth,
    eigenvalues,
    tensor_truth,
)
from cordcohort.phantom.tissues import REGIONS, Tissue
from cordcohort.segmentation.draw import segment_image
from cordcohort.segmentation.networks import build_network
from cordcohort.segmentation.region_networks import (
    RECONSTRUCTION,
    multiply_adds,
    parameters_of,
)
from cordcohort.segmentation.registry import Model, load_model
from cordcohort.training.region_sources import PIXEL_MM, WHOLE, RegionStack, atlas_regions

Array = NDArray[Any]

SEED = 520117
SPACING_MM = (0.9, 0.9, 5.0)
SHAPE = (72, 72, 12)
SNR = 15.0
FIT_MARGIN_MM = 1.0
STUDY_MARGIN_MM = 1.0
"""Default of `images.dilate_mm`."""
N_REGIONS = len(REGIONS)
NAMES = {code: name for name, code in REGION_CODES.items()}
PUBLISHED = {
    "left_lateral_wm": 5.32, "left_dorsal_wm": 10.14, "left_ventral_wm": 7.37, "left_gm": 5.70,
    "right_lateral_wm": 4.60, "right_dorsal_wm": 9.60, "right_ventral_wm": 8.74, "right_gm": 6.27,
}  # fmt: skip
"""Error rate of FA, %, of SCS-Net (Bioengineering 2025;12:709), by the order of its abstract."""
SITES = [
    {"name": "one", "manufacturer": "Siemens", "model": "a", "tilt": True},
    {"name": "two", "manufacturer": "Philips", "model": "b", "axes": "LAS"},
    {"name": "three", "manufacturer": "GE", "model": "c", "axes": "LPS"},
]


@dataclass(frozen=True)
class Case:
    """One simulated series with its true regions.

    Attributes
    ----------
    series : array, shape (X, Y, Z, T)
    share : array, shape (X, Y, Z, 8)
        True share of each region.
    """

    name: str
    compressed: bool
    series: Array
    affine: Array
    bvals: Array
    vectors: Array
    share: Array

    @property
    def b0(self) -> Image:
        """Mean of the volumes without weighting."""
        data = self.series[..., self.bvals == 0].mean(axis=3)
        return Image(data.astype(np.float32), self.affine)

    def fa(self, region: Array | None = None, reach_mm: float | None = None) -> Array:
        """FA map of a region and its rim, 0 elsewhere; of the true cord by default."""
        axes = self.affine[:3, :3] / np.linalg.norm(self.affine[:3, :3], axis=0)
        table = self.vectors @ axes
        if np.linalg.det(axes) > 0:
            table[:, 0] *= -1
        cord = binarised(self.share.sum(axis=-1)) if region is None else region
        reach = max(SPACING_MM[:2]) + FIT_MARGIN_MM if reach_mm is None else reach_mm
        mask = dilated(Image(cord.astype(np.uint8), self.affine), reach)
        series = Image(self.series, self.affine)
        return tensor_maps(series, Gradients(self.bvals, table), mask).maps["fa"]

    def seen_fa(self) -> Image:
        """FA map that a network sees: round the cord of `cord-v1`, as a study fits it.

        Round the true cord the map's edge would tell the network where the cord is.
        """
        cord = segment_image(cord_model(), self.b0)["cord"].mask
        shown = self.fa(cord, STUDY_MARGIN_MM) if cord.any() else np.zeros(cord.shape, np.float32)
        return Image(shown, self.affine)


@cache
def cord_model() -> Model:
    """The cord model whose masks say where a study fits the tensor."""
    return load_model("cord-v1")


def sees_fa(model: Model) -> bool:
    """Whether a model sees FA maps: such a one borrows no localiser."""
    return "localiser" not in model.stages


def patients(seed: int, per_site: int) -> Iterator[Case]:
    """Patients of the imaging model."""
    study = study_from_dict({
        "seed": seed, "patient_share": 1.0, "traveller": False, "sessions": 1, "missing": [],
        "sites": [site | {"subjects": per_site} for site in SITES],
        "protocols": [{"contrast": "dwi", "shape": SHAPE, "spacing_mm": SPACING_MM, "snr": SNR}],
    })  # fmt: skip
    for scan in planned_scans(study):
        yield _simulated(study, scan)


def _simulated(study: Any, scan: PlannedScan) -> Case:
    """As :mod:`cordcohort.phantom.scan` writes it, in memory and before storage order."""
    grid, person = grid_of(study, scan), scan.participant.person
    protocol = Protocol(fa_sd=study.difficulty.fa_sd)
    seed = int(stream(study.seed, "person tensor", scan.participant.person_id).integers(2**31))
    truth = tensor_truth(person, grid, protocol, seed)
    signals = tissue_signals("dwi", scan.participant.site.manufacturer, study.seed, scan.key)
    rng = stream(study.seed, "noise", scan.key)
    made = simulate(person, grid, truth, signals, protocol=protocol, snr=SNR, rng=rng)
    share = truth.fraction[..., :N_REGIONS]
    return Case(scan.key, bool(person.compressions), made.data, grid.affine, made.bvals,
                made.directions, share)  # fmt: skip


def atlas_cases(stack: RegionStack, levels: tuple[int, int], count: int) -> Iterator[Case]:
    """Volumes whose regions are the atlas' at some levels, with the imaging model's physics."""
    rows = np.flatnonzero((stack.level >= levels[0]) & (stack.level <= levels[1]))
    thick = round(SPACING_MM[2] / stack.step_mm)
    n_z = len(rows) // thick
    for number in range(count):
        rng = stream(SEED, "atlas", levels, number)
        vendor = str(SITES[number % len(SITES)]["manufacturer"])
        signals = tissue_signals("dwi", vendor, SEED, f"atlas {number}")
        start = int(rng.integers(0, len(rows) - n_z * thick + 1))
        maps = stack.maps[:, rows[start : start + n_z * thick]].astype(np.float32) / WHOLE
        maps = maps.reshape(len(maps), n_z, thick, *maps.shape[2:]).mean(axis=2)
        yield _atlas_case(maps, signals, rng, f"atlas C{levels[0]}-C{levels[1]} {number}")


def _atlas_case(maps: Array, signals: Array, rng: np.random.Generator, name: str) -> Case:
    """One volume: regions, fluid round them, dark tissue elsewhere; shifted and turned a little."""
    n = round(maps.shape[2] * PIXEL_MM / SPACING_MM[0]) + 24
    turn, scale = np.radians(rng.normal(0, 4)), np.exp(rng.normal(0, 0.06, 2))
    offset, middle = rng.uniform(-3, 3, 2), (maps.shape[2] - 1) / 2
    fine = (np.arange(n * 3) - (n * 3 - 1) / 2) * SPACING_MM[0] / 3
    y, x = np.meshgrid(fine - offset[0], fine - offset[1], indexing="ij")
    turned = (np.cos(turn) * y - np.sin(turn) * x, np.sin(turn) * y + np.cos(turn) * x)
    at = [place / size for place, size in zip(turned, scale, strict=True)]
    places = [middle + a / PIXEL_MM for a in at]
    planes = np.stack([[ndimage.map_coordinates(p, places, order=1) for p in c] for c in maps])
    share = planes.reshape(*planes.shape[:2], n, 3, n, 3).mean((3, 5)).transpose(3, 2, 1, 0)
    regions, canal = share[..., :N_REGIONS], share[..., N_REGIONS]
    fluid = np.clip(canal - regions.sum(-1), 0, 1)
    truth = _atlas_tensors(regions, rng)
    bvals = np.r_[np.zeros(4), np.full(12, 800.0)]
    vectors = np.vstack([np.zeros((4, 3)), directions(12)])
    rest = np.clip(1 - canal, 0, 1) * signals[Tissue.MUSCLE_DEEP] * rng.uniform(0.3, 1.0)
    clean = np.empty((*fluid.shape, len(bvals)), np.float32)
    along, across = eigenvalues(truth.fa, truth.md)
    levels = np.array([float(signals[int(r)]) for r in REGIONS])
    for k, (b, vector) in enumerate(zip(bvals, vectors, strict=True)):
        decay = np.exp(-b * (across + (along - across) * vector[2] ** 2))
        clean[..., k] = (regions * levels * decay).sum(-1) + rest * np.exp(-b * 1.2e-3)
        clean[..., k] += fluid * signals[Tissue.CSF] * np.exp(-b * 3.0e-3)
    series = rician(clean, float(levels[0]) / SNR, rng)
    affine = np.diag([*SPACING_MM, 1.0])
    return Case(name, False, series, affine, bvals, vectors, regions)


def _atlas_tensors(regions: Array, rng: np.random.Generator) -> TensorTruth:
    """FA and MD of each region with a smooth spread inside of it."""
    fa, md = np.empty(regions.shape, np.float32), np.empty(regions.shape, np.float32)
    for k, region in enumerate(REGIONS):
        kind = region.name.split("_", 1)[1]
        field = ndimage.gaussian_filter(rng.standard_normal(regions.shape[:3]), (2, 2, 0.7))
        fa[..., k] = np.clip(REGION_FA[kind] + 0.06 * field / field.std(), 0.05, 0.92)
        md[..., k] = REGION_MD[kind]
    return TensorTruth(regions, fa, md)


def codes_of(share: Array) -> Array:
    """Region of each voxel that is at least half cord, by the largest share."""
    return np.where(binarised(share.sum(-1)), share.argmax(-1) + 1, 0)


def shifted_means(share: Array, fa: Array, code: int) -> list[float]:
    """Mean FA of a true region moved by half a voxel, to each of four sides."""
    found = []
    for axis in (0, 1):
        for step in (-1, 1):
            moved = (share + np.roll(share, step, axis)) / 2
            found.append(_mean(fa, codes_of(moved) == code))
    return found


def grown(region: Array) -> Array:
    """A region dilated by one voxel within its slices."""
    cross = ndimage.generate_binary_structure(2, 1)[:, :, None]
    return ndimage.binary_dilation(region, cross)


def _mean(fa: Array, region: Array) -> float:
    inside = region & (fa > 0)
    return float(fa[inside].mean()) if inside.any() else float("nan")


def measured(case: Case, model: Model) -> list[dict[str, Any]]:
    """Rows of one case: Dice and errors of FA of each region."""
    fa, true = case.fa(), codes_of(case.share)
    image = case.seen_fa() if sees_fa(model) else case.b0
    found = segment_image(model, image)["regions"]
    area = (true > 0).sum((0, 1)) * SPACING_MM[0] * SPACING_MM[1]
    rows = []
    for code, name in NAMES.items():
        mine, theirs = found.mask == code, true == code
        wanted = _mean(fa, theirs)

        def error(value: float, wanted: float = wanted) -> float:
            return 100 * abs(value - wanted) / wanted

        both = mine.sum() + theirs.sum()
        rows.append({
            "case": case.name, "region": name, "status": found.status,
            "compressed": case.compressed, "smallest_area_mm2": float(area[area > 0].min()),
            "dice": 2 * float((mine & theirs).sum()) / float(both),
            "error": error(_mean(fa, mine)),
            "shifted": float(np.mean([error(v) for v in shifted_means(case.share, fa, code)])),
            "dilated": error(_mean(fa, grown(theirs))), "n_voxels": int(theirs.sum()),
        })  # fmt: skip
    return rows


def by_region(table: pd.DataFrame) -> pd.DataFrame:
    """Median Dice and mean errors of each region beside the published ones."""
    out = table.groupby("region", sort=False).agg(
        dice=("dice", "median"), dice_lowest=("dice", "min"), error=("error", "mean"),
        error_median=("error", "median"), undefined=("error", lambda e: int(e.isna().sum())),
        shifted=("shifted", "mean"), dilated=("dilated", "mean"), n_voxels=("n_voxels", "mean"),
    )  # fmt: skip
    out.insert(5, "published", pd.Series(PUBLISHED))
    out["below_published"] = np.where(out["error"] < out["published"], "yes", "NO")
    out["below_dilated"] = np.where(out["error"] < out["dilated"], "yes", "NO")
    return out


def by_difficulty(table: pd.DataFrame) -> pd.DataFrame:
    """The same by thirds of the narrowest true cord, and with and without compression."""
    third = pd.qcut(table["smallest_area_mm2"].rank(method="dense"), 3,
                    labels=["narrowest third", "middle third", "widest third"])  # fmt: skip
    pressed = np.where(table["compressed"], "compressed", "not compressed")
    both = pd.concat([table.assign(group=third.astype(str)), table.assign(group=pressed)])
    return both.groupby("group", sort=False).agg(
        cases=("case", "nunique"), dice=("dice", "median"), error=("error", "mean"),
        shifted=("shifted", "mean"), dilated=("dilated", "mean"),
        least_area_mm2=("smallest_area_mm2", "min"),
    )  # fmt: skip


def show(title: str, table: pd.DataFrame) -> None:
    """Print the tables of one set of cases."""
    cases = table["case"].nunique()
    failed = table.loc[table["status"] != "ok", "case"].nunique()
    print(f"\n{title}: {cases} cases, {failed} without cord")
    regions = by_region(table)
    print(regions.round(3).to_string())
    print(f"Dice, median of the regions' medians: {regions['dice'].median():.3f}; "
          f"mean error {table['error'].mean():.2f} %, shifted {table['shifted'].mean():.2f} %, "
          f"dilated {table['dilated'].mean():.2f} %")  # fmt: skip


def real_scan(folder: Path, model: Model, picture: Path | None) -> None:
    """Regions of a real series: against the cord model, sides, FA, and a picture."""
    path = next(folder.rglob("*_dwi.nii.gz"))
    series = read_image(path, ndim=4)
    stem = str(path).removesuffix(".nii.gz")
    gradients = read_gradients(stem + ".bval", stem + ".bvec", series.data.shape[3])
    b0 = mean_b0(series, gradients.bvals)
    weighted = replace(series, data=series.data[..., ~gradients.is_b0].mean(axis=3))
    seen = b0
    if sees_fa(model):
        cord = segment_image(cord_model(), b0)["cord"].mask
        fitted = tensor_maps(series, gradients, dilated(replace(b0, data=cord), STUDY_MARGIN_MM))
        seen = replace(b0, data=fitted.maps["fa"])
    found = segment_image(model, seen)["regions"]
    print(f"\nreal scan {path.name}: {found.status} {found.reason}")
    union = found.mask > 0
    cords = {
        f"cord-v1 on the {name}": segment_image(cord_model(), image)["cord"].mask > 0
        for name, image in (("mean b=0", b0), ("mean of the weighted volumes", weighted))
    }
    for mask in folder.rglob("*dwi*label-SC_seg.nii.gz"):
        cords[mask.name] = read_image(mask).data > 0
    for name, cord in cords.items():
        print(f"union against {name}: {_overlaps(replace(b0, data=union), replace(b0, data=cord))}")
    first, second, *others = cords.values()
    for name, other in zip(list(cords)[2:], others, strict=True):
        for k, cord in zip(list(cords)[:2], (first, second), strict=True):
            both = _overlaps(replace(b0, data=cord), replace(b0, data=other))
            print(f"{k} against {name}: {both}")
    maps = tensor_maps(series, gradients, dilated(replace(b0, data=union.astype(np.uint8)), 0.0))
    codes = replace(b0, data=found.mask).canonical().data
    fa = replace(b0, data=maps.maps["fa"]).canonical().data
    rows = []
    for z in range(codes.shape[2]):
        count = np.bincount(codes[:, :, z].ravel(), minlength=9)[1:]
        left, right = int(count[:4].sum()), int(count[4:].sum())
        ratio = (left - right) / max((left + right) / 2, 1)
        rows.append([z, *count, left, right, round(100 * ratio, 1)])
    print(pd.DataFrame(rows, columns=["slice", *NAMES.values(), "left", "right", "difference_%"])
          .to_string(index=False))  # fmt: skip
    left, right = (int(sum(row[i] for row in rows)) for i in (9, 10))
    print(
        f"left {left}, right {right} voxels in all: {200 * (left - right) / (left + right):+.1f} %"
    )
    means = {name: _mean(fa, codes == code) for code, name in NAMES.items()}
    print("FA: " + ", ".join(f"{name} {value:.3f}" for name, value in means.items()))
    white, grey = _mean(fa, np.isin(codes, (1, 2, 3, 5, 6, 7))), _mean(fa, np.isin(codes, (4, 8)))
    print(f"FA of white matter {white:.3f}, of grey matter {grey:.3f}")
    if picture is not None:
        _picture(b0.canonical().data, codes, picture)


def _overlaps(a: Image, b: Image) -> str:
    """Dice over all slices, and over the lower and the upper half of them."""
    one, two = (image.canonical().data > 0 for image in (a, b))
    half = one.shape[2] // 2
    parts = (slice(None), slice(0, half), slice(half, None))
    found = [
        2 * float((one[..., p] & two[..., p]).sum()) / float(one[..., p].sum() + two[..., p].sum())
        for p in parts
    ]
    return f"Dice {found[0]:.3f} (lower half {found[1]:.3f}, upper half {found[2]:.3f})"


def _picture(image: Array, codes: Array, path: Path) -> None:
    """Every slice beside its regions, seen from below (the person's left is on the right)."""
    columns = 5
    rows = -(-codes.shape[2] // columns)
    figure = Figure(figsize=(4 * columns, 1.9 * rows), layout="constrained")
    axes = figure.subplots(rows, 2 * columns)
    inside = np.argwhere(codes > 0)
    low, high = inside.min(0) - 8, inside.max(0) + 9
    box = tuple(slice(max(int(a), 0), int(b)) for a, b in zip(low[:2], high[:2], strict=True))
    for axis in axes.ravel():
        axis.axis("off")
    for z in range(codes.shape[2]):
        part, label = image[(*box, z)].T, codes[(*box, z)].T
        for k in (0, 1):
            axis = axes[z // columns, 2 * (z % columns) + k]
            axis.imshow(part, origin="lower", cmap="gray", vmax=np.percentile(part, 99))
        shown = np.ma.masked_equal(label, 0)
        axis.imshow(shown, origin="lower", cmap="tab10", vmin=0, vmax=9, alpha=0.6)
        axis.set_title(f"slice {z}", fontsize=8)
        for k in (0, 1):
            axes[z // columns, 2 * (z % columns) + k].invert_xaxis()
    figure.savefig(path, dpi=90)


def print_sizes() -> None:
    """Parameters and multiply-adds of the networks of the eight regions."""
    for name, options in (("scs_net", {"width": 16}), ("vgg16_unet", {})):
        network = build_network(name, options)
        work = ", ".join(
            f"{multiply_adds(network, n) / 1e6:.0f} million at {n} x {n}" for n in (64, 128)
        )
        print(f"{name}: {parameters_of(network)} parameters; multiply-adds {work}")
    print(RECONSTRUCTION)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", default="scsnet-v1")
    parser.add_argument("--per-site", type=int, default=14, help="patients of each of three sites")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="also write every value (TSV)")
    parser.add_argument("--atlas", type=Path, help="tract atlas for the held-out levels")
    parser.add_argument("--upper", help="model trained on C2-C4 only")
    parser.add_argument("--lower", help="model trained on C5-C7 only")
    parser.add_argument("--real", type=Path, help="folder with one diffusion series")
    parser.add_argument("--picture", type=Path, help="picture of the real scan")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    model = load_model(given.model)
    print_sizes()
    print(f"model {model.name}, weights {model.sha256[:12]}, seed {given.seed}")
    if given.per_site:
        cases = patients(given.seed, given.per_site)
        rows = [row for case in cases for row in measured(case, model)]
        table = pd.DataFrame(rows)
        show("phantom patients", table)
        print(by_difficulty(table).round(3).to_string())
        if given.out:
            table.to_csv(given.out, sep="\t", index=False)
    if given.atlas:
        stack = atlas_regions(given.atlas)
        for name, levels in ((given.upper, (5, 7)), (given.lower, (2, 4))):
            held = load_model(name)
            cases = atlas_cases(stack, levels, 9)
            rows = [row for case in cases for row in measured(case, held)]
            show(f"{held.name} on C{levels[0]}-C{levels[1]}, held out", pd.DataFrame(rows))
    if given.real:
        real_scan(given.real, model, given.picture)


if __name__ == "__main__":
    main()
