"""Segment many scans with one loaded model; each scan ends in a record, whatever happens to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cordcohort.errors import CordcohortError, ImageError
from cordcohort.files import sha256_of, write_record
from cordcohort.nifti import Image, read_image, write_image
from cordcohort.scan import RECORD_SCHEMA
from cordcohort.segmentation.draw import segment_image
from cordcohort.segmentation.infer import Segmentation
from cordcohort.segmentation.quality import Quality, as_record, mask_quality
from cordcohort.segmentation.registry import Model

MASK_END, SOFT_END = "_seg", "_softseg"


@dataclass(frozen=True)
class Task:
    """One scan to segment.

    Attributes
    ----------
    image
        The scan.
    stem
        Output path without extension, ending in ``_seg``: mask ``<stem>.nii.gz``, soft mask with
        ``_softseg`` in its place, record ``<stem>.json``.
    structure
        Name for the record.
    """

    image: Path
    stem: Path
    structure: str = "cord"

    @property
    def mask(self) -> Path:
        """Path of the binary mask."""
        return self.stem.with_name(self.stem.name + ".nii.gz")

    @property
    def soft(self) -> Path:
        """Path of the soft mask."""
        return self.stem.with_name(self.stem.name.removesuffix(MASK_END) + SOFT_END + ".nii.gz")

    @property
    def record(self) -> Path:
        """Path of the record."""
        return self.stem.with_name(self.stem.name + ".json")


def segment_batch(
    tasks: Iterable[Task], model: Model, *, batch_size: int = 32, mirror: bool = False,
    progress: Callable[[Task, dict[str, Any]], None] | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    """Segment scans one after the other; a scan that fails never costs its neighbours.

    Parameters
    ----------
    tasks
        Scans and where their results go.
    model
        Loaded once by the caller.
    progress
        Called after each scan with its record.

    Returns
    -------
    list of dict
        The records, as written beside each mask: ``status`` is ``ok``, ``no_cord`` or ``failed``.
    """
    records: list[dict[str, Any]] = []
    for task in tasks:
        began = time.perf_counter()
        record = _segment_one(task, model, batch_size, mirror)
        record["seconds"] = round(time.perf_counter() - began, 2)
        write_record(task.record, record)
        records.append(record)
        if progress is not None:
            progress(task, record)
    return records


def _segment_one(task: Task, model: Model, batch_size: int, mirror: bool) -> dict[str, Any]:
    """Read, segment, write; a fault of the data becomes the record's reason.

    A full disk, a lack of memory or a fault of ours stops the job instead, to be tried again.
    """
    record = empty_record(task, model)
    remove_old(task)
    try:
        image = read_image(task.image)
        record["image_sha256"] = sha256_of(task.image)
        found = segment_image(model, image, batch_size=batch_size, mirror=mirror)
        record.update(status=found.status, reason=found.reason)
        if found.status == "ok":
            _write(task, image, found, record)
    except ImageError as error:
        record.update(status="failed", reason=error.reason)
    except CordcohortError as error:
        record.update(status="failed", reason=str(error))
    return record


def empty_record(task: Task, model: Model) -> dict[str, Any]:
    """Record of a scan that has not been segmented yet."""
    return {
        "schema": RECORD_SCHEMA, "status": "failed", "reason": "", "method": model.name,
        "structure": task.structure, "mask": "", "soft": "", "mask_sha256": "",
        "soft_sha256": "",
        "model_sha256": model.sha256, "image_sha256": "", "device": model.device.type,
        "seconds": 0.0, "volume_mm3": 0.0, "n_slices": 0, **as_record(Quality()),
    }  # fmt: skip


def remove_old(task: Task) -> None:
    """An earlier mask must not outlive a scan that now fails."""
    for path in (task.mask, task.soft):
        path.unlink(missing_ok=True)


def _write(task: Task, image: Image, found: Segmentation, record: dict[str, Any]) -> None:
    """Write both masks and fill the record."""
    task.mask.parent.mkdir(parents=True, exist_ok=True)
    if found.soft is not None:
        write_image(task.soft, found.soft, image.affine, dtype=np.float32, like=image)
    write_image(task.mask, found.mask, image.affine, dtype=np.uint8, like=image)
    record.update(as_record(mask_quality(replace(image, data=found.mask))))
    record.update(
        mask=task.mask.name, soft="" if found.soft is None else task.soft.name,
        mask_sha256=sha256_of(task.mask),
        soft_sha256="" if found.soft is None else sha256_of(task.soft),
        volume_mm3=round(float(found.mask.sum()) * image.voxel_mm3, 3), n_slices=found.n_slices,
    )  # fmt: skip
