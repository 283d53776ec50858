"""Detect intervertebral discs along a cord that is already segmented.

The scan is straightened along the cord (:mod:`.disc_strip`), a small network draws heat along it,
and a chain of discs is read from the heat (:mod:`.disc_reading`). The result is a label file like a
rater's, with a confidence for the scan and for each disc. Whether a confidence is high enough is
decided where the levels are used.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cordcohort import scan as paths
from cordcohort.errors import CordcohortError, DamagedError, GpuFullError, ImageError
from cordcohort.files import (
    read_record,
    recorded_file,
    sha256_of,
    write_if_changed,
    write_record,
)
from cordcohort.nifti import Array, Image, read_image, read_mask, write_image
from cordcohort.segmentation.device import room_for_scan
from cordcohort.segmentation.disc_reading import DiscReading, read_discs
from cordcohort.segmentation.disc_strip import COLUMNS, Strip, cord_strip
from cordcohort.segmentation.registry import Model
from cordcohort.segmentation.scans import DESCRIPTION

STAGE = "discs"
ROW_MULTIPLE = 16
OK, NOT_FOUND, FAILED = "ok", "no_discs", "failed"
NO_CORD_MASK = "no cord mask to follow"
LEAST_SPREAD = 1e-4


@dataclass(frozen=True)
class DetectedDiscs:
    """Discs of one scan.

    Attributes
    ----------
    places_mm : dict
        Code (2 is the joint C1/C2, 3 the disc C2/C3) to place in mm from the centre of voxel 0 of
        the canonical scan: on the front wall of the canal.
    confidence : dict
        Code to confidence, 0 to 1.
    overall : float
        Confidence in the names, 0 to 1.
    reason : str
        Why there are none; else empty.
    """

    places_mm: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    confidence: dict[int, float] = field(default_factory=dict)
    overall: float = 0.0
    reason: str = ""


def find_discs(image: Image, cord: Array, model: Model) -> DetectedDiscs:
    """Detect the discs of a scan.

    Parameters
    ----------
    image : Image
        Canonical axes.
    cord : array
        Cord mask on the same axes.
    model : Model
        With a stage ``discs``.
    """
    try:
        strip = cord_strip(image, cord)
    except ValueError as error:
        return DetectedDiscs(reason=str(error))
    if not np.any(strip.values[strip.valid]):
        return DetectedDiscs(reason="the image is empty along the cord")
    reading = read_discs(strip_heat(strip, model))
    places = {code: strip.edge_mm(row) for code, row in reading.rows.items()}
    return _inside(image, reading, places)


def _inside(
    image: Image, reading: DiscReading, places: dict[int, NDArray[np.float64]]
) -> DetectedDiscs:
    """Drop discs whose place lies outside the scan; too few are none."""
    shape, spacing = np.array(np.shape(image.data)), np.asarray(image.spacing_mm)
    kept = {
        code: place
        for code, place in sorted(places.items())
        if np.all((np.rint(place / spacing) >= 0) & (np.rint(place / spacing) < shape))
    }
    if reading.reason or len(kept) < 2:  # noqa: PLR2004 - one disc bounds no vertebra
        reason = reading.reason or "the discs lie outside the field of view"
        return DetectedDiscs(overall=reading.overall, reason=reason)
    confidence = {code: reading.confidence[code] for code in kept}
    return DetectedDiscs(kept, confidence, reading.overall)


def strip_heat(strip: Strip, model: Model) -> NDArray[np.float32]:
    """Heat of the landmarks, 0 to 1, shape (3, rows)."""
    stage = model.stages[STAGE]
    n_rows = len(strip.values)
    size = max(-(-n_rows // ROW_MULTIPLE) * ROW_MULTIPLE, stage.patch)
    shown = np.zeros((1, 2, size, COLUMNS), np.float32)
    inside = strip.values[strip.valid]
    spread = max(float(inside.std()), LEAST_SPREAD)
    shown[0, 0, :n_rows] = np.where(strip.valid, (strip.values - inside.mean()) / spread, 0.0)
    shown[0, 1, :n_rows] = strip.valid
    with torch.inference_mode():
        logits = stage.network(torch.from_numpy(shown).to(model.device))
    return stage.probability(logits)[0, :, :n_rows].cpu().numpy()


def detect_scans(
    scans: Iterable[paths.Row], model: Model, cord_models: list[str]
) -> list[dict[str, Any]]:
    """Detect discs on scans of the index; each gets a label file, or a record that says why not.

    The cord is the manual mask or, where there is none, that of the first model that drew one.

    Returns
    -------
    list of dict
        The records: ``status`` (ok, no_discs, failed), ``reason``, ``confidence`` of the scan,
        ``discs`` (code to confidence), ``cord`` (whose mask was followed), ``mask`` and hashes.
    """
    records: list[dict[str, Any]] = []
    for scan in scans:
        path = Path(paths.disc_record(scan, model.name))
        mask = path.with_name(path.name.removesuffix(".json") + ".nii.gz")
        mask.unlink(missing_ok=True)
        root = Path(paths.RESULTS) / "segmentation" / str(scan["dataset"]) / model.name
        write_if_changed(root / "dataset_description.json", DESCRIPTION)
        record = _empty_record(model)
        try:
            with room_for_scan(str(scan["image"]), STAGE):
                _detect_one(scan, model, cord_models, mask, record)
        except (DamagedError, GpuFullError):
            raise
        except ImageError as error:
            record.update(status=FAILED, reason=error.reason)
        except CordcohortError as error:
            record.update(status=FAILED, reason=str(error))
        write_record(path, record)
        records.append(record)
    return records


def _empty_record(model: Model) -> dict[str, Any]:
    return {
        "schema": paths.RECORD_SCHEMA, "status": FAILED, "reason": "", "method": model.name,
        "structure": STAGE, "mask": "", "mask_sha256": "", "model_sha256": model.sha256,
        "image_sha256": "", "cord": "", "confidence": 0.0, "discs": {},
    }  # fmt: skip


def _detect_one(
    scan: paths.Row, model: Model, cord_models: list[str], mask: Path, record: dict[str, Any]
) -> None:
    method, cord_path = cord_mask_of(scan, cord_models)
    if not cord_path:
        record.update(reason=NO_CORD_MASK)
        return
    image = read_image(str(scan["image"]))
    cord = read_mask(cord_path, image).canonical()
    record.update(cord=method, image_sha256=sha256_of(str(scan["image"])))
    found = find_discs(image.canonical(), np.asarray(cord.data), model)
    record.update(
        status=NOT_FOUND if found.reason else OK, reason=found.reason,
        confidence=round(found.overall, 4),
        discs={str(code): round(value, 4) for code, value in found.confidence.items()},
    )  # fmt: skip
    if not found.reason:
        mask.parent.mkdir(parents=True, exist_ok=True)
        labels = image.to_native(disc_volume(found, image.canonical()))
        write_image(mask, labels, image.affine, dtype=np.uint8, like=image)
        record.update(mask=mask.name, mask_sha256=sha256_of(mask))


def cord_mask_of(scan: paths.Row, models: list[str]) -> tuple[str, str]:
    """Method and file of the cord mask that discs are looked for along; empty where none is."""
    for mask in paths.masks_of(scan):
        if (mask["method"], mask["structure"], mask["kind"]) == ("manual", "cord", "seg"):
            if mask["status"] == OK:
                return "manual", str(mask["path"])
    for name in models:
        path = Path(paths.mask_record(scan, name))
        record = read_record(path, paths.RECORD_SCHEMA) if path.is_file() else {"status": FAILED}
        if record["status"] == OK:
            return name, str(recorded_file(path, record["mask"], record.get("mask_sha256", "")))
    return "", ""


def disc_volume(found: DetectedDiscs, image: Image) -> NDArray[np.uint8]:
    """One voxel for each disc, with its code, on the grid of a canonical scan."""
    out = np.zeros(np.shape(image.data), np.uint8)
    for code, place in found.places_mm.items():
        x, y, z = (int(v) for v in np.rint(place / np.asarray(image.spacing_mm)))
        out[x, y, z] = code
    return out
