"""Scans of the index through one network: which file it sees, and what failed before it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cordcohort import scan as paths
from cordcohort.files import read_record, write_if_changed, write_json
from cordcohort.segmentation.batch import Task, empty_record, remove_old, segment_batch
from cordcohort.segmentation.registry import Model

_DESCRIPTION = b"""{
 "Name": "Cord masks drawn by cordcohort",
 "BIDSVersion": "1.9.0",
 "DatasetType": "derivative",
 "GeneratedBy": [{"Name": "cordcohort"}]
}
"""


def segment_scans(
    scans: Iterable[paths.Row], model: Model, *, mirror: bool = False
) -> list[dict[str, Any]]:
    """Segment scans of the index; each gets a mask, or a record that says why not.

    A diffusion series is seen through its mean b=0 image; where that could not be made, its reason
    becomes the mask's.

    Parameters
    ----------
    scans : iterable of index rows
    model : Model
        Loaded once.
    mirror : bool
        Average with the left-right mirrored scan.

    Returns
    -------
    list of dict
        The records, in the order of ``scans``.
    """
    tasks: list[Task] = []
    records: list[dict[str, Any]] = []
    for scan in scans:
        stem = Path(paths.mask_stem(scan, model.name))
        root = Path(paths.RESULTS) / "segmentation" / str(scan["dataset"]) / model.name
        write_if_changed(root / "dataset_description.json", _DESCRIPTION)
        image, reason = _network_image(scan)
        task = Task(Path(image), stem)
        if reason:
            remove_old(task)
            record = empty_record(task, model) | {"reason": reason}
            write_json(task.record, record)
            records.append(record)
        else:
            tasks.append(task)
    return records + segment_batch(tasks, model, mirror=mirror)


def _network_image(scan: paths.Row) -> tuple[str, str]:
    """File that a network sees, and why there is none."""
    if scan["status"] != "ok":
        return "", str(scan["reason"])
    if not paths.is_series(scan):
        return str(scan["image"]), ""
    record = read_record(paths.image_record(scan, "b0"), paths.RECORD_SCHEMA)
    return paths.image_file(scan, "b0"), str(record["reason"])
