"""What a rootlet model reaches in the study `rootlets`: figures beside targets, never a failure.

Reads the cohort table of a study that has run (`make study-rootlets`), and, where a folder with a
template T2w is given, runs the model on it: levels, midpoints and PMJ against the template's own.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from cordcohort.measures.discs import labelled_centre
from cordcohort.measures.spinal import Radius, level_extents
from cordcohort.measures.spinal_place import along_cord, level_places
from cordcohort.nifti import read_image, read_mask
from cordcohort.segmentation.draw import segment_image
from cordcohort.segmentation.registry import load_model, models_folder
from cordcohort.spinal_names import SPINAL_LEVELS
from cordcohort.table import read_parquet

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


def template(folder: Path, method: str) -> None:
    """Print what the model finds on a template whose rootlets and PMJ are known."""
    image = read_image(folder / "PAM50_small_t2.nii.gz")
    cord = read_mask(folder / "PAM50_small_cord.nii.gz", image).canonical()
    true = read_mask(folder / "PAM50_small_rootlets.nii.gz", image, kind="dseg").canonical()
    mark = read_mask(folder / "PAM50_small_t2_pmj_manual.nii.gz", image, kind="dseg").canonical()
    place, _ = labelled_centre(np.asarray(mark.data), mark.spacing_mm, "PMJ")
    found = segment_image(load_model(method), image)
    data = np.asarray(cord.data)
    along = along_cord(data, cord.spacing_mm, None if place is None else place.tolist())
    maps = {"true": np.asarray(true.data), "found": found["rootlets"].mask}
    maps["found"] = type(image)(maps["found"], image.affine).canonical().data
    middles = {}
    for name, labels in maps.items():
        extents = level_extents(np.asarray(labels, int), data, cord.spacing_mm, Radius())
        places = level_places(extents, along)
        middles[name] = {SPINAL_LEVELS[c - 1]: p.midpoint_mm for c, p in places.items()}
    both = pd.DataFrame(middles).reindex(LEVELS)
    both["error"] = (both["found"] - both["true"]).abs()
    print("Template T2w, midpoints [mm] (C3 to C7 found, median error at most 4)")
    print(both.round(1).to_string())
    print(f"median error C3 to C7: {both.loc['C3':'C7', 'error'].median():.1f} mm")
    peak = type(image)(found["pmj"].mask, image.affine).canonical()
    if place is not None and found["pmj"].mask.any():
        away = np.argwhere(peak.data)[0] * np.asarray(peak.spacing_mm) - place
        print(f"PMJ {np.linalg.norm(away):.1f} mm off (at most 5), "
              f"confidence {found['pmj'].confidence:.2f}")  # fmt: skip
    else:
        print(f"PMJ: {found['pmj'].reason or 'none'}")


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", type=Path, default=Path("rootlets"))
    parser.add_argument("--method", default="rootlets-v1")
    parser.add_argument("--template", type=Path, default=TEMPLATE)
    given = parser.parse_args()
    study(given.study, given.method)
    if given.template.is_dir() and (models_folder() / given.method).is_dir():
        template(given.template, given.method)


if __name__ == "__main__":
    main()
