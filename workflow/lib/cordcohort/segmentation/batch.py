"""Segment many scans with one loaded model; each scan ends in a record, whatever happens to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cordcohort.errors import CordcohortError, GpuFullError, ImageError
from cordcohort.files import sha256_of, write_record
from cordcohort.nifti import Image, read_image, write_image
from cordcohort.scan import RECORD_SCHEMA
from cordcohort.segmentation.device import room_for_scan
from cordcohort.segmentation.draw import segment_image
from cordcohort.segmentation.infer import Segmentation
from cordcohort.segmentation.quality import Quality, as_record, mask_quality
from cordcohort.segmentation.registry import Model

CORD = "cord"
STAGE = "segment"
SOFT_END = {"seg": "softseg", "dseg": "probseg", "dlabel": "softdlabel"}


@dataclass(frozen=True)
class Output:
    """Where one structure of one scan goes.

    Attributes
    ----------
    stem
        Path without extension, ending in ``_seg``, ``_dseg`` or ``_dlabel``: mask
        ``<stem>.nii.gz``, fractions with ``_softseg`` or ``_probseg`` in its place, record
        ``<stem>.json``.
    structure
        What is drawn.
    """

    stem: Path
    structure: str = CORD

    @property
    def mask(self) -> Path:
        """Path of the binary mask or label map."""
        return self.stem.with_name(self.stem.name + ".nii.gz")

    @property
    def soft(self) -> Path:
        """Path of the fractions."""
        name, _, end = self.stem.name.rpartition("_")
        return self.stem.with_name(f"{name}_{SOFT_END[end]}.nii.gz")

    @property
    def record(self) -> Path:
        """Path of the record."""
        return self.stem.with_name(self.stem.name + ".json")


@dataclass(frozen=True)
class Task:
    """One scan to segment.

    Attributes
    ----------
    image
        The scan.
    outputs
        Where each structure that the model draws goes.
    """

    image: Path
    outputs: tuple[Output, ...]


def segment_batch(
    tasks: Iterable[Task], model: Model, *, batch_size: int = 32, mirror: bool = False,
    progress: Callable[[Task, list[dict[str, Any]]], None] | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    """Segment scans one after the other; a scan that fails never costs its neighbours.

    Parameters
    ----------
    tasks
        Scans and where their results go.
    model
        Loaded once by the caller.
    progress
        Called after each scan with its records.

    Returns
    -------
    list of dict
        The records, scan by scan and structure by structure, as written beside each mask:
        ``status`` is ``ok``, ``no_cord`` or ``failed``.
    """
    records: list[dict[str, Any]] = []
    for task in tasks:
        began = time.perf_counter()
        made = _segment_one(task, model, batch_size, mirror)
        seconds = round(time.perf_counter() - began, 2)
        for output, record in zip(task.outputs, made, strict=True):
            record["seconds"] = seconds
            write_record(output.record, record)
        records += made
        if progress is not None:
            progress(task, made)
    return records


def _segment_one(task: Task, model: Model, batch_size: int, mirror: bool) -> list[dict[str, Any]]:
    """Read, segment, write; a fault of the data becomes the records' reason.

    So does a scan for which memory has no room. A full disk, a GPU that others fill, or a fault of
    ours stops the job instead, to be tried again.
    """
    records = empty_records(task, model)
    remove_old(task)
    try:
        with room_for_scan(task.image, STAGE):
            _draw(task, model, records, batch_size, mirror)
    except GpuFullError:
        raise
    except ImageError as error:
        fail(records, error.reason)
    except CordcohortError as error:
        fail(records, str(error))
    return records


def _draw(
    task: Task, model: Model, records: list[dict[str, Any]], batch_size: int, mirror: bool
) -> None:
    image = read_image(task.image)
    digest = sha256_of(task.image)
    found = segment_image(model, image, batch_size=batch_size, mirror=mirror)
    for output, record in zip(task.outputs, records, strict=True):
        one = found[output.structure]
        record.update(status=one.status, reason=one.reason, image_sha256=digest)
        record.update({} if one.confidence is None else {"confidence": one.confidence})
        if one.status == "ok":
            _write(output, image, one, record)


def fail(records: Iterable[dict[str, Any]], reason: str) -> None:
    """Say in every record of a scan why it has no mask."""
    for record in records:
        record.update(status="failed", reason=reason)


def empty_records(task: Task, model: Model) -> list[dict[str, Any]]:
    """Records of a scan that has not been segmented yet, one a structure."""
    return [_empty_record(output.structure, model) for output in task.outputs]


def _empty_record(structure: str, model: Model) -> dict[str, Any]:
    return {
        "schema": RECORD_SCHEMA, "status": "failed", "reason": "", "method": model.name,
        "structure": structure, "mask": "", "soft": "", "mask_sha256": "",
        "soft_sha256": "",
        "model_sha256": model.sha256, "image_sha256": "", "device": model.device.type,
        "seconds": 0.0, "volume_mm3": 0.0, "n_slices": 0, **as_record(Quality()),
    }  # fmt: skip


def remove_old(task: Task) -> None:
    """An earlier mask must not outlive a scan that now fails."""
    for output in task.outputs:
        for path in (output.mask, output.soft):
            path.unlink(missing_ok=True)


def _write(output: Output, image: Image, found: Segmentation, record: dict[str, Any]) -> None:
    """Write a mask and its fractions and fill the record; only a cord's shape is judged."""
    output.mask.parent.mkdir(parents=True, exist_ok=True)
    if found.soft is not None:
        write_image(output.soft, found.soft, image.affine, dtype=np.float32, like=image)
    write_image(output.mask, found.mask, image.affine, dtype=np.uint8, like=image)
    if output.structure == CORD:
        record.update(as_record(mask_quality(replace(image, data=found.mask))))
    record["warnings"] = [*record["warnings"], *found.warnings]
    n_voxels = int(np.count_nonzero(found.mask))
    record.update(
        mask=output.mask.name, soft="" if found.soft is None else output.soft.name,
        mask_sha256=sha256_of(output.mask),
        soft_sha256="" if found.soft is None else sha256_of(output.soft),
        volume_mm3=round(float(n_voxels) * image.voxel_mm3, 3), n_slices=found.n_slices,
    )  # fmt: skip
