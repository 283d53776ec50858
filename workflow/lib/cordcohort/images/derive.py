"""Derived images of one scan, each with a record that is written whatever happened.

A record is a small JSON file beside the image: ``status`` (``ok`` or ``failed``), ``reason``, the
files made and their SHA-256, and what was counted. A later step reads the record first, so a scan
that could not be derived costs its neighbours nothing and is never silently missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cordcohort import scan as paths
from cordcohort.errors import CordcohortError, DamagedError, ImageError
from cordcohort.files import read_record, recorded_file, sha256_of, write_json, write_record
from cordcohort.images import tensor_quality
from cordcohort.images.diffusion import TensorMaps, dilated, tensor_maps
from cordcohort.images.gradients import read_bvals, read_gradients
from cordcohort.images.motion import Motion
from cordcohort.images.preprocess import mean_b0, preprocess
from cordcohort.images.tensor_quality import SeriesQuality
from cordcohort.measures.catalogue import measures_of
from cordcohort.nifti import Image, read_image, read_mask, write_image
from cordcohort.scan import RECORD_SCHEMA
from cordcohort.table import write_tsv

MOTION_TABLES = ("shifts", "motion")
DIRECTION = "v1"


def derive_mean_b0(scan: paths.Row, options: Mapping[str, Any]) -> dict[str, Any]:
    """Denoise a diffusion series, take its motion back, and make its mean b=0 image and a record.

    Parameters
    ----------
    scan : mapping
        Row of the index.
    options : mapping
        ``b0_threshold_s_per_mm2`` (largest b-value that counts as b=0), ``denoise`` and
        ``motion_correction`` (:func:`cordcohort.images.preprocess.preprocess`).

    Returns
    -------
    dict
        The record, as written. Beside the image there are, as far as made, the series as it is
        measured (``desc-preproc``), the shift of every slice (``desc-shifts``, TSV) and the
        framewise displacement (``desc-motion``, TSV).
    """
    record = paths.image_record(scan, "b0")
    _remove_old(scan, ["b0", "preproc"])
    for name in MOTION_TABLES:
        for path in (_table_path(scan, name), _table_path(scan, name).with_suffix(".json")):
            path.unlink(missing_ok=True)

    def derive() -> dict[str, Any]:
        series = _series(scan)
        bvals = read_bvals(_gradient_file(scan, "bval"), series.data.shape[3])
        threshold = options["b0_threshold_s_per_mm2"]
        found = preprocess(series, bvals, options)
        mean = mean_b0(found.series, bvals, threshold)
        target = paths.image_file(scan, "b0")
        write_image(target, mean.data, mean.affine, dtype=np.float32, like=series)
        files = {"b0": _file(target)}
        if found.changed:
            target = paths.image_file(scan, "preproc")
            write_image(target, found.series.data, series.affine, dtype=np.float32, like=series)
            files["preproc"] = _file(target)
        if found.motion is not None:
            files |= _write_motion(scan, found.motion, bvals)
        return {
            "files": files,
            "counts": {"b0_volumes": int((bvals <= threshold).sum())},
            "steps": found.steps,
            "warnings": found.warnings,
            "quality": _motion_quality(found.motion),
        }

    return _recorded(record, derive)


def derive_tensor(
    scan: paths.Row, models: Sequence[str], options: Mapping[str, Any]
) -> dict[str, Any]:
    """Fit the tensor inside the dilated cord, and write its maps and a record.

    Parameters
    ----------
    scan : mapping
        Row of the index.
    models : sequence of str
        Models whose cord masks are looked for, besides the masks of the index.
    options : mapping
        ``fit`` (WLS, OLS, NLLS, RESTORE), ``dilate_mm``, ``b0_threshold_s_per_mm2``.

    Returns
    -------
    dict
        The record, as written; ``mask_methods`` says whose masks were united, ``quality`` and
        ``warnings`` how far the maps can be trusted.
    """
    record = paths.image_record(scan, "tensor")
    _remove_old(scan, (*paths.DIFFUSION_MAPS, DIRECTION))

    def derive() -> dict[str, Any]:
        series, before = _measured_series(scan)
        gradients = read_gradients(
            _gradient_file(scan, "bval"),
            _gradient_file(scan, "bvec"),
            series.data.shape[3],
            options["b0_threshold_s_per_mm2"],
        )
        methods, region = cord_region(scan, models, series)
        inside = dilated(region, options["dilate_mm"])
        fitted = tensor_maps(series, gradients, inside, options["fit"])
        files: dict[str, Any] = {}
        for name, values in {**fitted.maps, DIRECTION: fitted.direction}.items():
            target = paths.image_file(scan, name)
            write_image(target, values, series.affine, dtype=np.float32, like=series)
            files[name] = _file(target)
        return {
            "files": files,
            "counts": fitted.counts,
            "mask_methods": methods,
            "fit": options["fit"],
            "quality": _fit_quality(fitted, before.get("quality", {})),
            "warnings": [*before.get("warnings", []), *fitted.warnings],
        }

    return _recorded(record, derive)


def _measured_series(scan: paths.Row) -> tuple[Image, dict[str, Any]]:
    """The series as preprocessing left it, and what its record says."""
    path = Path(paths.image_record(scan, "b0"))
    before = read_record(path, RECORD_SCHEMA) if path.is_file() else {"files": {}}
    if "preproc" not in before["files"]:
        return _series(scan), before
    return read_image(recorded_file(path, **before["files"]["preproc"]), ndim=4), before


def _fit_quality(fitted: TensorMaps, before: Mapping[str, float]) -> dict[str, float | None]:
    """Numbers for the long table; one that is not known is null."""
    motion_mm = before.get("framewise_displacement_mm", float("nan"))
    series = SeriesQuality(fitted.quality, fitted.counts["beyond_bounds"], motion_mm)
    values = {
        m.name: getattr(tensor_quality, m.function)(series) for m in measures_of("fit_quality")
    }
    return {name: value if np.isfinite(value) else None for name, value in values.items()}


def _motion_quality(motion: Motion | None) -> dict[str, float]:
    if motion is None:
        return {}
    return {"framewise_displacement_mm": float(motion.framewise_displacement_mm[1:].mean())}


def _write_motion(scan: paths.Row, motion: Motion, bvals: Any) -> dict[str, Any]:
    """The shift of every slice and the displacement from volume to volume."""
    n_volumes, n_slices, _ = motion.shifts_mm.shape
    volume, number = np.divmod(np.arange(n_volumes * n_slices), n_slices)
    right, front = motion.shifts_mm.reshape(-1, 2).T
    shifts = {"volume": volume, "slice": number, "right_mm": right, "front_mm": front}
    steps = {
        "volume": np.arange(n_volumes), "b_value_s_per_mm2": bvals,
        "framewise_displacement_mm": motion.framewise_displacement_mm,
    }  # fmt: skip
    files: dict[str, Any] = {}
    for name, columns in zip(MOTION_TABLES, (shifts, steps), strict=True):
        target = _table_path(scan, name)
        write_tsv(target, pd.DataFrame(columns).round(5))
        write_json(target.with_suffix(".json"), {"schema": RECORD_SCHEMA, "columns": list(columns)})
        files[name] = _file(str(target))
    return files


def _table_path(scan: paths.Row, name: str) -> Path:
    return Path(paths.image_file(scan, name).removesuffix(".nii.gz") + ".tsv")


def cord_region(scan: paths.Row, models: Sequence[str], image: Image) -> tuple[list[str], Image]:
    """Unite all readable cord masks of a scan, so that every method's voxels get a tensor.

    Returns
    -------
    methods : list of str
        Whose masks were united.
    region : Image
        The union, on the grid of ``image``.

    Raises
    ------
    ImageError
        If there is none; the reasons of all are in the message.
    """
    methods: list[str] = []
    refusals: list[str] = []
    region = np.zeros(image.data.shape[:3], dtype=bool)
    for method, path, reason in _cord_masks(scan, models):
        if not path:
            refusals.append(f"{method}: {reason}")
            continue
        try:
            region |= read_mask(path, image).data > 0
            methods.append(method)
        except CordcohortError as error:
            refusals.append(f"{method}: {getattr(error, 'reason', error)}")
    if not methods:
        raise ImageError(
            scan["image"], "no_mask", "a cord mask", "; ".join(refusals) or "none",
            "draw one, or name a model under segmentation.models",
        )  # fmt: skip
    return methods, replace(image, data=region)


def _cord_masks(scan: paths.Row, models: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Give method, file and, where there is no file, the reason of every binary cord mask."""
    for mask in paths.masks_of(scan):
        if mask["structure"] == "cord" and mask["kind"] == "seg":
            path = mask["path"] if mask["status"] == "ok" else ""
            yield str(mask["method"]), str(path), str(mask["reason"])
    for model in models:
        record = Path(paths.mask_record(scan, model))
        if record.is_file():
            found = read_record(record, RECORD_SCHEMA)
            ok = found["status"] == "ok"
            mask = recorded_file(record, found["mask"], found.get("mask_sha256", "")) if ok else ""
            yield model, str(mask), str(found["reason"])


def _remove_old(scan: paths.Row, names: Iterable[str]) -> None:
    """Remove earlier images: they must not outlive a scan that now fails."""
    for name in names:
        Path(paths.image_file(scan, name)).unlink(missing_ok=True)


def _series(scan: paths.Row) -> Image:
    if scan["status"] != "ok":
        raise CordcohortError(scan["reason"])
    return read_image(scan["image"], ndim=4)


def _gradient_file(scan: paths.Row, kind: str) -> str:
    if not scan[kind]:
        raise ImageError(
            scan["image"], f"{kind}_missing", f"a .{kind} file beside the series", "none",
            "export the gradients with the images",
        )  # fmt: skip
    return str(scan[kind])


def _file(path: str) -> dict[str, str]:
    return {"name": Path(path).name, "sha256": sha256_of(path)}


def _recorded(path: str, derive: Any) -> dict[str, Any]:
    """Run one derivation; its faults become the record's reason."""
    record: dict[str, Any] = {"schema": RECORD_SCHEMA, "status": "ok", "reason": "", "files": {}}
    try:
        record |= derive()
    except DamagedError:
        raise
    except ImageError as error:
        record |= {"status": "failed", "reason": error.reason}
    except CordcohortError as error:
        record |= {"status": "failed", "reason": str(error)}
    write_record(path, record)
    return record
