"""What a rootlet model reaches in the study `rootlets`: figures beside targets, never a failure.

Reads the cohort table of a study that has run (`make study-rootlets`), or (`--data`) runs the model
on phantom datasets; and, where a folder with a template T2w is given, runs the model on it: levels,
midpoints and PMJ against the template's own.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from cordcohort.measures.discs import labelled_centre
from cordcohort.measures.spinal import Radius, level_extents
from cordcohort.measures.spinal_place import along_cord, level_places
from cordcohort.nifti import Image, read_image, read_mask
from cordcohort.segmentation.draw import segment_image
from cordcohort.segmentation.registry import Model, load_model, models_folder
from cordcohort.spinal_names import SPINAL_LEVELS
from cordcohort.table import read_parquet
from numpy.typing import NDArray

Array = NDArray[Any]
Spacing = tuple[float, float, float]
Middles = dict[str, float]
LEVELS = SPINAL_LEVELS[1:8]
FACTORS = {"site": "site", "session": "session", "voxel size": "variant"}
SETS = {"session": ["tensessions", "twosessions"], "voxel size": ["resolution"]}
LARGEST_MM = 1.6
TEMPLATE = Path(__file__).resolve().parents[3] / "shared" / "data" / "PAM50_small"


def rows_of(table: pd.DataFrame, measure: str, method: str) -> pd.DataFrame:
    """Values of the levels C2 to C8."""
    own = table[(table["structure"] == "rootlets") & (table["measure"] == measure)]
    return own[(own["method"] == method) & own["level"].isin(LEVELS)]


def cov_by_level(values: pd.DataFrame, factor: str) -> pd.Series:
    """CoV (percent, ddof 1) over a factor within each person, then the mean over persons."""
    cells = values.groupby(["level", "person", factor])["value"].mean()
    spread = cells.groupby(["level", "person"]).agg(["std", "mean", "count"])
    spread = spread[spread["count"] > 1]
    return (100 * spread["std"] / spread["mean"]).groupby("level").mean()


def varied(table: pd.DataFrame, method: str, what: str) -> pd.DataFrame:
    """Midpoints that vary over one factor, everything else held."""
    values = rows_of(table, "pmj_distance_mm", method)
    values = values[np.isfinite(values["value"])]
    if what == "voxel size":
        size = pd.to_numeric(values["variant"].str.extract(r"voxel ([0-9.]+)", expand=False))
        values = values[(values["variant"] == "") | (size <= LARGEST_MM)]
        return values[values["dataset"].isin(SETS[what])]
    values = values[values["variant"] == ""]
    if what == "session":
        return values[values["dataset"].isin(SETS[what])]
    sites = values.groupby("person")["site"].nunique()
    return values[values["person"].isin(sites.index[sites > 1])]


def study(folder: Path, method: str) -> None:
    """Print the figures of a study."""
    table = read_parquet(folder / "results/cohort/measures.parquet")
    usual = table[(table["variant"] == "") & (table["reference"] == "manual")]
    dice = rows_of(usual, "dice", method)["value"]
    print(f"Dice, images and levels: {dice.mean():.3f} ± {dice.std():.3f} (n {dice.count()}; 0.70)")
    error = rows_of(usual, "midpoint_error_mm", method)["value"]
    print(f"Midpoint error: median {error.median():.2f} mm (n {error.count()}, "
          f"without a place {int(error.isna().sum())}; at most 1)")  # fmt: skip
    for what, factor in FACTORS.items():
        found = cov_by_level(varied(table, method, what), factor)
        true = cov_by_level(varied(table, "manual", what), factor)
        both = pd.DataFrame({"found": found, "true": true}).assign(excess=found - true)
        print(f"CoV over {what} [%] (excess at most 0.5; voxel size: found at most 2)")
        print(both.round(2).to_string() if len(both) else "  nothing to compare")


def middles_mm(labels: Array, cord: Array, spacing: Spacing, pmj: list[float] | None) -> Middles:
    """Distance of each level's middle from the PMJ along the cord."""
    extents = level_extents(labels.astype(int), cord, spacing, Radius())
    places = level_places(extents, along_cord(cord, spacing, pmj))
    return {SPINAL_LEVELS[c - 1]: p.midpoint_mm for c, p in places.items()}


def compared(
    model: Model, image: Image, true: Image, cord: Image, mark: Image
) -> tuple[pd.DataFrame, float, float]:
    """Middles and Dice of each level, found and true; error of the PMJ in mm, and its confidence.

    Both are placed from the true PMJ, as a study does where a person labelled one.
    """
    found = segment_image(model, image, mirror=True)
    cord, true, mark = (one.canonical() for one in (cord, true, mark))
    drawn = np.asarray(Image(found["rootlets"].mask, image.affine).canonical().data)
    place, _ = labelled_centre(np.asarray(mark.data), mark.spacing_mm, "PMJ")
    pmj = None if place is None else place.tolist()
    data, maps = np.asarray(cord.data), {"true": np.asarray(true.data), "found": drawn}
    both = pd.DataFrame({k: middles_mm(v, data, cord.spacing_mm, pmj) for k, v in maps.items()})
    codes = {SPINAL_LEVELS[c - 1]: c for c in range(1, len(SPINAL_LEVELS) + 1)}
    both = both.reindex(LEVELS)
    both["dice"] = [dice(drawn == codes[x], maps["true"] == codes[x]) for x in LEVELS]
    peak = Image(found["pmj"].mask, image.affine).canonical()
    away = np.nan
    if place is not None and peak.data.any():
        at = np.argwhere(peak.data)[0] * np.asarray(peak.spacing_mm)
        away = float(np.linalg.norm(at - place))
    return both, away, float(found["pmj"].confidence or 0.0)


def dice(one: Array, other: Array) -> float:
    """Overlap of two masks; NaN where both are empty."""
    total = int(one.sum() + other.sum())
    return 2.0 * int((one & other).sum()) / total if total else np.nan


def scans(folders: list[Path], method: str) -> None:
    """Print what the model does on phantom datasets: overlap, errors, CoV over a person's scans."""
    model, parts, pmj = load_model(method), [], []
    for path in sorted(p for f in folders for p in f.glob("sub-*/ses-*/anat/*_T2w.nii.gz")):
        root, name = path.parents[3], path.name.removesuffix(".nii.gz")
        labels = root / "derivatives" / "labels" / path.parent.relative_to(root)
        image = read_image(path)
        both, away, sure = compared(
            model, image,
            read_mask(labels / f"{name}_label-rootlets_dseg.nii.gz", image, kind="dseg"),
            read_mask(labels / f"{name}_label-SC_seg.nii.gz", image),
            read_mask(labels / f"{name}_pmj.nii.gz", image, kind="dseg"),
        )  # fmt: skip
        people = pd.read_csv(root / "participants.tsv", sep="\t").set_index("participant_id")
        person = people.loc[path.parents[2].name, "person_id"]
        parts.append(both.assign(scan=f"{root.name}/{name}", person=person))
        pmj.append((away, sure))
        print(f"{root.name}/{name}: Dice {both['dice'].mean():.3f}, PMJ {away:.1f} mm off "
              f"({sure:.2f})", flush=True)  # fmt: skip
    tell(pd.concat(parts).rename_axis("level").reset_index(), np.array(pmj))


def tell(rows: pd.DataFrame, pmj: Array) -> None:
    """Print the figures of some scans."""
    seen = rows[rows["true"].notna()]
    error = (seen["found"] - seen["true"]).abs()
    print(f"{rows['scan'].nunique()} scans of {rows['person'].nunique()} persons")
    print(f"Dice, images and levels: {seen['dice'].mean():.3f} ± {seen['dice'].std():.3f} (0.70)")
    print(f"Midpoint error: median {error.median():.2f} mm, largest {error.max():.1f} "
          f"(n {error.count()}, without a place {int(error.isna().sum())}; at most 1)")  # fmt: skip
    print(f"PMJ error: median {np.nanmedian(pmj[:, 0]):.2f} mm, largest {np.nanmax(pmj[:, 0]):.1f} "
          f"(n {np.isfinite(pmj[:, 0]).sum()} of {len(pmj)}; at most 2)")  # fmt: skip
    each = rows.groupby("level")["dice"].mean().to_frame()
    cells = rows.groupby(["level", "person"])
    for name in ("found", "true"):
        spread = 100 * cells[name].std() / cells[name].mean()
        each[f"CoV {name}"] = spread.groupby("level").mean()
    each["excess"] = each["CoV found"] - each["CoV true"]
    print("Per level; CoV [%] over the scans of a person (excess at most 0.5)")
    print(each.round(2).to_string())


def template(folder: Path, method: str) -> None:
    """Print what the model finds on a template whose rootlets and PMJ are known."""
    image = read_image(folder / "PAM50_small_t2.nii.gz")
    both, away, sure = compared(
        load_model(method), image,
        read_mask(folder / "PAM50_small_rootlets.nii.gz", image, kind="dseg"),
        read_mask(folder / "PAM50_small_cord.nii.gz", image),
        read_mask(folder / "PAM50_small_t2_pmj_manual.nii.gz", image, kind="dseg"),
    )  # fmt: skip
    both["error"] = (both["found"] - both["true"]).abs()
    print("Template T2w, midpoints [mm] (C3 to C7 found, median error at most 4)")
    print(both.round(2).to_string())
    print(f"median error C3 to C7: {both.loc['C3':'C7', 'error'].median():.1f} mm")
    print(f"PMJ {away:.1f} mm off (at most 5), confidence {sure:.2f}")


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", type=Path, default=Path("rootlets"))
    parser.add_argument("--data", type=Path, nargs="+", help="phantom datasets, instead of a study")
    parser.add_argument("--method", default="rootlets-v1")
    parser.add_argument("--template", type=Path, default=TEMPLATE)
    given = parser.parse_args()
    if given.data:
        scans(given.data, given.method)
    elif given.study.is_dir():
        study(given.study, given.method)
    if given.template.is_dir() and (models_folder() / given.method).is_dir():
        template(given.template, given.method)


if __name__ == "__main__":
    main()
