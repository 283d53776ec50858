"""A small made-up study on disk: tables of every stage, a few images with masks."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from cordcohort.files import sha256_of, write_record, write_text
from cordcohort.nifti import write_image
from cordcohort.table import SCAN_KEY, as_long, write_parquet, write_tsv

SITES = {"montreal": "Siemens", "leipzig": "Philips", "tokyo": "GE"}
CONTRASTS = ("T1w", "T2w")
SESSIONS = ("1", "2")
METHODS = ("manual", "cord-v1")
NO_CORD = "[no_cord] expected a spinal cord, got no voxel above 0.5; look at the picture"
SUSPICIOUS = "cord-v1: 3 of 20 slices between its ends are empty"
SHAPE = (40, 44, 24)


@dataclass
class Wanted:
    """What the study should be like."""

    n_subjects: int = 12
    failed_share: float = 0.1
    sites: dict[str, str] = field(default_factory=lambda: dict(SITES))
    reason: str = NO_CORD
    with_images: bool = False
    with_statistics: bool = True
    age: str = "34"
    title: str = "A small study"


def make_study(folder: Path, wanted: Wanted | None = None) -> dict[str, Any]:
    """Write the study's tables and give its configuration."""
    wanted = wanted or Wanted()
    rng = np.random.default_rng(7)
    scans = _scans(wanted)
    results = folder / "results"
    index = _index(scans, folder, with_images=wanted.with_images)
    write_parquet(results / "bids" / "index.parquet", index)
    write_parquet(results / "bids" / "scores.parquet", _scores(scans, wanted, rng))
    write_tsv(
        results / "bids" / "unmatched.tsv",
        pd.DataFrame([{"dataset": "alpha", "path": "JohnDoe.nii", "reason": "no BIDS name"}]),
    )
    write_parquet(results / "cohort" / "scans.parquet", scans)
    write_parquet(results / "cohort" / "measures.parquet", _measures(scans, rng))
    if wanted.with_statistics:
        _statistics(results / "statistics")
    return {
        "study": {"name": "small", "title": wanted.title, "authors": ["A. Author"]},
        "segmentation": {"models": ["cord-v1"]},
        "measures": {"reference": "manual", "angle_correction": True},
        "analyses": [
            {"name": "csa_agreement", "kind": "agreement", "title": "Area against manual"},
            {"name": "csa_lems", "kind": "correlation", "title": "Area and motor score"},
        ],
        "report": {"pictures": True, "contact": ""},
    }


def _scans(wanted: Wanted) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    names = list(wanted.sites)
    for n in range(wanted.n_subjects):
        site = names[n % len(names)] if names else ""
        dataset, subject = (
            ("beta", f"{n // 2 + 1:02d}") if n % 2 else ("alpha", f"{n // 2 + 1:02d}")
        )
        for session in SESSIONS:
            for contrast in CONTRASTS:
                rows.append(
                    {
                        "dataset": dataset, "subject": subject, "session": session,
                        "acquisition": "", "run": "", "contrast": contrast, "site": site,
                        "vendor": wanted.sites[site], "person": "p1" if n in (0, 1) else subject,
                        "resolution": "", "split": "", "status": "ok", "reason": "", "n_values": 9,
                        "warning": "", "failures": "",
                    }
                )  # fmt: skip
    frame = pd.DataFrame(rows, columns=[*SCAN_KEY, "site", "vendor", "person", "resolution",
                                        "split", "status", "reason", "warning",
                                        "failures", "n_values"])  # fmt: skip
    n_failed = round(wanted.failed_share * len(frame))
    failed = np.random.default_rng(3).permutation(len(frame))[:n_failed]
    frame.loc[failed, ["status", "reason"]] = ["failed", wanted.reason]
    frame.loc[failed, "n_values"] = 0
    frame.loc[~frame.index.isin(failed) & (frame.index % 7 == 1), "warning"] = SUSPICIOUS
    return frame.astype({c: "str" for c in frame.columns if c != "n_values"})


def _index(scans: pd.DataFrame, folder: Path, *, with_images: bool) -> pd.DataFrame:
    index = scans.copy()
    index["datatype"], index["suffix"] = "anat", index["contrast"]
    index["folder"] = "sub-" + index["subject"] + "/ses-" + index["session"] + "/anat"
    index["stem"] = "sub-" + index["subject"] + "_ses-" + index["session"] + "_" + index["contrast"]
    for column in ("sidecar", "bval", "bvec"):
        index[column] = ""
    index["image"], index["masks"] = "", "[]"
    if with_images:
        for i in index.index:
            row = index.loc[i]
            image, masks = _images(folder, row)
            index.loc[i, ["image", "masks"]] = [str(image), json.dumps(masks)]
    return index


def _images(folder: Path, row: pd.Series) -> tuple[Path, list[dict[str, str]]]:
    """An image with a bright disc, its manual mask, and the mask and record of a model."""
    affine = np.diag([1.0, 1.0, 2.0, 1.0])
    x, y, z = np.meshgrid(*[np.arange(n) for n in SHAPE], indexing="ij")
    radius = np.hypot((x - 19) / 1.4, y - 22 - 0.1 * z)
    image = np.where(radius < 5, 150.0, np.where(radius < 8, 300.0, 40.0))
    base = folder / "bids" / row["dataset"] / row["folder"]
    write_image(base / f"{row['stem']}.nii.gz", image, affine, dtype=np.int16)
    manual = base / f"{row['stem']}_label-SC_seg.nii.gz"
    write_image(manual, radius < 5, affine, dtype=np.uint8)
    made = folder / "results" / "segmentation" / row["dataset"] / "cord-v1" / row["folder"]
    name = f"{row['stem']}_label-SC_seg"
    failed = row["status"] == "failed"
    if not failed:
        write_image(made / f"{name}.nii.gz", radius < 5.6, affine, dtype=np.uint8)
    record = {
        "schema": 1, "status": "no_cord" if failed else "ok", "method": "cord-v1",
        "reason": row["reason"], "structure": "cord", "mask": "" if failed else f"{name}.nii.gz",
        "mask_sha256": "" if failed else sha256_of(made / f"{name}.nii.gz"),
        "device": "cpu", "seconds": 1.25,
    }  # fmt: skip
    write_record(made / f"{name}.json", record)
    mask = {"method": "manual", "structure": "cord", "kind": "seg", "path": str(manual),
            "status": "ok", "reason": ""}  # fmt: skip
    return base / f"{row['stem']}.nii.gz", [mask]


def _scores(scans: pd.DataFrame, wanted: Wanted, rng: np.random.Generator) -> pd.DataFrame:
    rows: list[dict[str, str]] = []
    people = scans[["dataset", "subject", "person"]].drop_duplicates()
    for n, person in enumerate(people.to_dict("records")):
        values = {
            "age": wanted.age if n == 0 else str(30 + n), "sex": "F" if n % 2 else "M",
            "field_strength_t": "3", "lems": str(int(rng.integers(20, 50))),
            "researcher": "Jane Roe", "notes": "=HYPERLINK('x')",
        }  # fmt: skip
        rows += [person | {"session": "", "time_point": "", "variable": k, "value": v}
                 for k, v in values.items()]  # fmt: skip
    columns = ["dataset", "subject", "person", "session", "time_point", "variable", "value"]
    return pd.DataFrame(rows, columns=columns).astype("str")


def _measures(scans: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for scan in scans.drop(columns=["status", "reason", "n_values", "warning", "failures"]).to_dict(
        "records"
    ):
        failed = scans.loc[(scans[SCAN_KEY] == [scan[c] for c in SCAN_KEY]).all(axis=1)].iloc[0]
        truth = 70 + 6 * rng.standard_normal()
        for method in METHODS:
            bad = failed["status"] == "failed" and method == "cord-v1"
            flag = {"flag": "failed", "reason": failed["reason"]} if bad else {}
            value = np.nan if bad else truth + rng.standard_normal() + 0.8 * (method == "cord-v1")
            whole = {"method": method, "structure": "cord", "measure": "csa_mm2", "unit": "mm2",
                     "statistic": "mean", "value": value, **flag}  # fmt: skip
            rows.append(scan | whole)
            if not bad:
                rows += [scan | whole | {"statistic": "", "slice": k,
                                         "value": value - 4 * np.cos(k / 4)}
                         for k in range(2, 22)]  # fmt: skip
        dice = {"method": "cord-v1", "reference": "manual", "structure": "cord", "measure": "dice",
                "unit": "1", "statistic": ""}  # fmt: skip
        bad = failed["status"] == "failed"
        rows.append(scan | dice | ({"value": np.nan, "flag": "failed", "reason": failed["reason"]}
                                   if bad else {"value": 0.93 - 0.03 * rng.random()}))  # fmt: skip
    return as_long(pd.DataFrame(rows))


def _statistics(folder: Path) -> None:
    table = pd.DataFrame(
        {
            "contrast": ["T1w", "T2w"], "structure": ["cord", "cord"], "measure": ["csa_mm2"] * 2,
            "unit": ["mm2"] * 2, "method": ["cord-v1"] * 2, "site": ["all", "all"],
            "n_scans": [23, 24], "mean": [0.8123, 0.7012], "p": [0.00001, 0.2],
            "n_found": [24, 24], "n_used": [23, 24], "flag": ["", ""], "reason": ["", ""],
        }
    )  # fmt: skip
    counts = table[["contrast", "n_found", "n_used"]].assign(site="montreal")
    write_tsv(folder / "csa_agreement.tsv", table)
    write_tsv(folder / "csa_agreement.counts.tsv", counts)
    text = "Bland-Altman agreement over scans; SD with n - 1."
    write_record(folder / "csa_agreement.json", {"schema": 1, "method_text": text})
    write_text(folder / "csa_lems.tsv", "contrast\tmeasure\twith\tn\trho\tflag\treason\n"
               "T2w\tcsa_mm2\tlems\t2\tn/a\tundefined\t2 complete pairs: needs 4\n")  # fmt: skip
