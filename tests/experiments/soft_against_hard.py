"""Soft average targets with a regression loss against hard targets: CSA over six contrasts.

The ablation of the published study on phantoms, small enough for a laptop: a cohort of healthy
people in six contrasts, soft ground truth from the six manual masks of each person, one small
network a recipe, and the cord areas of people who neither trained nor validated.

    python tests/experiments/soft_against_hard.py FOLDER [--recipes soft-all hard-all ...]

FOLDER keeps the data, the runs (they go on where they were stopped), the masks and `table.tsv`.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from cordcohort.bids.single import rows_of_folders
from cordcohort.binary import binarised
from cordcohort.files import read_yaml, write_text
from cordcohort.images.soft_truth import soft_ground_truth
from cordcohort.measures.geometry import slice_geometry
from cordcohort.nifti import Image, read_image, read_mask, write_image
from cordcohort.phantom.study import study_from_dict, write_study
from cordcohort.root import workflow_root
from cordcohort.scan import masks_of
from cordcohort.segmentation.infer import segment_volume
from cordcohort.segmentation.registry import load_model
from cordcohort.training.cohort import Candidate, check_entries, scan_image
from cordcohort.training.engine import train
from cordcohort.training.publish import publish
from scipy.stats import wilcoxon

RECIPES = workflow_root() / "config" / "training" / "ablation"
LEVELS = (4, 5)  # vertebral levels that every contrast shows whole
REFERENCE = "T2w"


def data_of(folder: Path) -> list[dict[str, Any]]:
    """Scans of the cohort with soft ground truth; made on the first call."""
    data = folder / "data"
    if not (data / "people.tsv").is_file():
        study = study_from_dict(read_yaml(RECIPES / "cohort.yaml"))
        write_study(study, data, lambda done, total, name: print(done, total, name, flush=True))
    sites = {p.name: p for p in sorted(data.iterdir()) if p.is_dir()}

    def rows() -> list[dict[str, Any]]:
        return [row for site in rows_of_folders(sites).values() for row in site]

    found = rows()
    if not any(m["method"] == "softseg" for row in found for m in masks_of(row)):
        for person in sorted({row["person"] for row in found}):
            write_soft_truth([row for row in found if row["person"] == person])
        found = rows()
    return found


def write_soft_truth(rows: list[dict[str, Any]]) -> None:
    """Soft average of a person's manual masks, in the folder where a cohort publishes them."""
    masks = {row["contrast"]: manual_mask(row) for row in rows}
    truth = soft_ground_truth(masks, REFERENCE)
    if truth.exclusions:
        print("left out of the average:", rows[0]["person"], truth.exclusions, file=sys.stderr)
    for contrast, soft in truth.soft.items():
        manual = masks[contrast]
        path = Path(str(manual.path).replace("/labels/", "/labels_softseg/"))
        path = path.with_name(path.name.replace("_seg.nii", "_softseg.nii"))
        path.parent.mkdir(parents=True, exist_ok=True)
        write_image(path, soft.data, soft.affine, dtype=np.float32, like=manual)


def manual_mask(row: dict[str, Any]) -> Image:
    """Mask of the first rater."""
    (path,) = (
        m["path"] for m in masks_of(row) if m["method"] == "manual" and m["structure"] == "cord"
    )
    return read_mask(path)


def trained(folder: Path, name: str, rows: list[dict[str, Any]]) -> None:
    """Train a recipe and make a model of it."""
    sources = {site: [r for r in rows if r["dataset"] == site] for site in datasets(rows)}
    run = folder / "runs" / name
    train(RECIPES / f"{name}.yaml", run, {}, rows=sources, threads=1, device="auto")
    publish(folder / "models" / name, {"cord": run}, name=name, localiser_of="cord-v1")


def datasets(rows: Iterable[dict[str, Any]]) -> list[str]:
    return sorted({str(row["dataset"]) for row in rows})


def split_of(folder: Path, name: str) -> dict[str, str]:
    """Person to train, validation or test."""
    with (folder / "runs" / name / "split.tsv").open(newline="") as handle:
        return {r["person"]: r["split"] for r in csv.DictReader(handle, delimiter="\t")}


def area_mm2(mask: Image, levels: Image) -> float:
    """Mean angle-corrected CSA of the slices of the wanted levels, mm2."""
    if not mask.data.any():
        return float("nan")
    canonical, labels = mask.canonical(), levels.canonical().data
    geometry = slice_geometry(canonical.data, canonical.spacing_mm)
    wanted = [k for k in range(labels.shape[2]) if _level(labels[..., k]) in LEVELS]
    chosen = np.isin(geometry.index, wanted) & geometry.has_outline
    areas = geometry.raw_area_mm2 * geometry.cosine
    return float(areas[chosen].mean()) if chosen.any() else float("nan")


def _level(plane: np.ndarray) -> int:
    values = plane[plane > 0].astype(int)
    return int(np.bincount(values).argmax()) if values.size else 0


def measured(folder: Path, name: str, rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Areas and overlap of one model on the scans of its test persons."""
    path = folder / f"scans_{name}.tsv"
    if not path.is_file():
        test = [r for r in rows if split_of(folder, name)[r["person"]] == "test"]
        frame = pd.DataFrame(list(_measure(folder / "models" / name, name, test)))
        write_text(path, frame.to_csv(sep="\t", index=False))
    return pd.read_csv(path, sep="\t", dtype={"person": str})


def _measure(model_folder: Path, name: str, rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    model = load_model(model_folder)
    entry = check_entries([{"folder": "cohort"}])[0]
    for row in rows:
        scan = scan_image(Candidate(row, entry))
        result = segment_volume(model, scan)
        soft = np.zeros(scan.data.shape, np.float32) if result.soft is None else result.soft
        manual = manual_mask(row)
        base = str(manual.path).replace("_label-SC_seg.nii.gz", "")
        levels = read_mask(f"{base}_label-vertebrae_dseg.nii.gz", kind="dseg")
        truth = read_image(base.replace("/labels/", "/truth/") + "_label-SC_softseg.nii.gz")
        binary = binarised(soft).astype(np.float32)
        true = binarised(truth.data)
        overlap = 2 * (binary * true).sum() / max(binary.sum() + true.sum(), 1)
        yield {
            "model": name, "person": row["person"], "contrast": row["contrast"],
            "status": result.status, "dice": float(overlap),
            "csa_soft": area_mm2(_like(scan, soft), levels),
            "csa_binary": area_mm2(_like(scan, binary), levels),
            "csa_true": area_mm2(truth, levels),
        }  # fmt: skip


def _like(scan: Image, data: np.ndarray) -> Image:
    return Image(data, scan.affine, scan.path, scan.header)


def summary(table: pd.DataFrame, first: str) -> pd.DataFrame:
    """Spread over contrasts per model, and Wilcoxon's test of each against the first."""
    rows: list[dict[str, Any]] = []
    for column in ("csa_binary", "csa_soft"):
        spread = table.pivot_table(index="person", columns="model", values=column, aggfunc="std")
        mean = table.pivot_table(index="person", columns="model", values=column)
        truth = table.pivot_table(index="person", columns="model", values="csa_true")
        for model in spread:
            pairs = spread[[first, model]].dropna()
            rows.append({
                "measure": column, "model": model, "persons": len(pairs),
                "scans": int(table.loc[table["model"] == model, column].notna().sum()),
                "dice": table.loc[table["model"] == model, "dice"].mean(),
                "std_mm2": spread[model].mean(), "std_mm2_sd": spread[model].std(),
                "std_percent": float((100 * spread[model] / mean[model]).mean()),
                "bias_percent": float((100 * (mean[model] / truth[model] - 1)).mean()),
                "lower_in": int((pairs[first] < pairs[model]).sum()) if model != first else pd.NA,
                "p": _p(pairs[first], pairs[model]) if model != first else float("nan"),
            })  # fmt: skip
    return pd.DataFrame(rows)


def _p(one: pd.Series, other: pd.Series) -> float:
    """Two-sided p of the signed-rank test."""
    test: Any = wilcoxon(one, other)
    return float(test.pvalue)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--recipes", nargs="+", default=["soft-all", "hard-all"])
    given = parser.parse_args()
    rows = data_of(given.folder)
    for name in given.recipes:
        trained(given.folder, name, rows)
    table = pd.concat(measured(given.folder, name, rows) for name in given.recipes)
    result = summary(table, given.recipes[0])
    for path, frame in (("scans.tsv", table), ("table.tsv", result)):
        write_text(given.folder / path, frame.to_csv(sep="\t", index=False, float_format="%.4g"))
    print(result.to_string(float_format="%.3f"))


if __name__ == "__main__":
    main()
