"""From a row of the index to a measuring task: every mask of the scan, whoever drew it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cordcohort import scan as paths
from cordcohort.files import read_record, recorded_file
from cordcohort.level_choice import DISC_MODEL
from cordcohort.measures.masks import FAILED, OK
from cordcohort.measures.options import MANUAL
from cordcohort.measures.task import Task
from cordcohort.model_uses import ModelUse
from cordcohort.scan import RECORD_SCHEMA

Matrix = NDArray[np.float64]
TRUTH_KINDS = ("shape", "agreement", "threshold")
SOFT_KIND = {"seg": "softseg", "dseg": "probseg", "dlabel": "softdlabel"}


def measuring_task(
    kind: str, scan: paths.Row, models: Sequence[ModelUse], *, soft_truth: bool = False
) -> Task:
    """Gather what a scan is measured from.

    Parameters
    ----------
    kind : str
        Kind of measure.
    scan : mapping
        Row of the index.
    models : sequence of ModelUse
        Models whose masks are looked for, of those that take the scan.
    soft_truth : bool
        Whether the soft ground truth of the session is looked for.
    """
    models = [use for use in models if use.takes(scan)]
    masks = paths.masks_of(scan)
    for model in () if kind == "resolution" else models:  # those are segmented at each voxel size
        masks += model_masks(scan, model)
    if soft_truth and kind in TRUTH_KINDS:
        masks += truth_masks(scan)
    masks += level_labels(scan, registered=soft_truth)
    maps, fit = _maps(scan) if kind == "regions" else ({}, {})
    return Task(
        scan=scan,
        masks=masks,
        output=paths.measure_table(scan, kind),
        image=str(scan["image"]) if scan["status"] == "ok" else "",
        maps=maps,
        maps_reason=str(fit.get("reason", "")),
        maps_values=fit.get("quality", {}),
        maps_warnings=fit.get("warnings", ()),
        models=tuple(models),
    )


def truth_masks(scan: paths.Row, study: Path = Path()) -> list[dict[str, Any]]:
    """Soft ground truth of a scan and its binary version, or why a mask could not be used.

    A scan that was left out by the exclusion list, or has nothing to be averaged with, has none.
    """
    path = study / paths.soft_truth_record(scan)
    record = read_record(path, RECORD_SCHEMA) if path.is_file() else {"status": ""}
    if record["status"] not in (OK, FAILED):
        return []
    common = {
        "structure": record["structure"], "status": record["status"], "reason": record["reason"],
        "warning": "; ".join(record["warnings"]),
    }  # fmt: skip
    kinds = ((paths.SOFT_TRUTH, "softseg", "soft"), (paths.SOFT_TRUTH_BINARY, "seg", "mask"))
    masks: list[dict[str, Any]] = []
    for method, kind, key in kinds:
        name, digest = record[key], record.get(f"{key}_sha256", "")
        file = str(recorded_file(path, name, digest)) if name else ""
        masks.append(common | {"method": method, "kind": kind, "path": file})
    return masks


def level_labels(scan: paths.Row, *, registered: bool = False) -> list[dict[str, Any]]:
    """Labels that may lend a scan its levels: detected discs, and labels of its session's scans.

    Those of another scan name it (``of``) and, where ``registered`` and the rigid registrations of
    the session's soft ground truth lead from that scan to this one, have a ``world``; detected ones
    have a ``confidence``.
    """
    labels = [*_detected(scan), *_spinal_map(scan)]
    for peer in paths.peers_of(scan):
        lent: dict[str, Any] = {"of": peer["stem"]}
        world = _world_from(peer, scan) if registered else None
        if world is not None:
            lent["world"] = world.tolist()
        given = [label for label in peer["labels"] if label["structure"] != "rootlets"]
        labels += [label | lent for label in [*given, *_detected(peer), *_spinal_map(peer)]]
    return labels


def _world_from(peer: paths.Row, scan: paths.Row) -> Matrix | None:
    """World of a peer to the world of a scan, both registered to one reference."""
    (one, to_peer), (other, to_scan) = _registration(peer), _registration(scan)
    if not one or one != other or to_peer is None or to_scan is None:
        return None
    return to_scan @ np.linalg.inv(to_peer)


def _registration(scan: paths.Row) -> tuple[str, Matrix | None]:
    """Scan that the session was registered to, and its world to the world of a scan."""
    path = Path(paths.soft_truth_record(scan))
    if not path.is_file():
        return "", None
    record = read_record(path, RECORD_SCHEMA)
    reference = str(record["reference"].get("scan", ""))
    if reference == paths.scan_id(scan):
        return reference, np.eye(4)
    rigid = record["registration"].get("rigid")
    return reference, None if rigid is None else np.asarray(rigid, dtype=np.float64)


def _detected(scan: paths.Row) -> list[dict[str, Any]]:
    """Discs that the detector found on a scan, or why it did not; nothing where it was not run."""
    path = Path(paths.disc_record(scan, DISC_MODEL))
    if not path.is_file():
        return []
    record = read_record(path, RECORD_SCHEMA)
    digest = record.get("mask_sha256", "")
    return [
        {
            "method": DISC_MODEL, "structure": "discs", "kind": "dlabel",
            "path": str(recorded_file(path, record["mask"], digest)) if record["mask"] else "",
            "status": record["status"], "reason": record["reason"],
            "confidence": float(record["confidence"]),
        }
    ]  # fmt: skip


def _spinal_map(scan: paths.Row) -> list[dict[str, Any]]:
    """Map of spinal levels that was made from a scan's rootlets, or why it could not be made."""
    path = Path(paths.level_map_record(scan))
    if not path.is_file():
        return []
    record = read_record(path, RECORD_SCHEMA)
    made = str(recorded_file(path, record["mask"], record["mask_sha256"])) if record["mask"] else ""
    lost = "; ".join(f"{level}: {reason}" for level, reason in record["faults"].items())
    told = f"levels: rootlets by {record['method']}" if record["method"] != MANUAL else ""
    return [
        {
            "method": record["method"], "structure": "spinal", "kind": "dseg", "path": made,
            "status": record["status"], "reason": record["reason"],
            "note": "; ".join(text for text in (told, lost) if text),
        }
    ]  # fmt: skip


def model_masks(scan: paths.Row, use: ModelUse) -> list[dict[str, Any]]:
    """Masks and fractions of all that a model draws, or the one line that says why there are none.

    A label map is of kind ``dseg``, its fractions are of kind ``probseg``.
    """
    return [mask for path in use.records(scan) for mask in _recorded_masks(Path(path), use.name)]


def _recorded_masks(path: Path, model: str) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    record = read_record(path, RECORD_SCHEMA)
    common = {
        "method": model,
        "structure": record["structure"],
        "status": record["status"],
        "reason": record["reason"],
        "warning": "; ".join(record.get("warnings", ())),
    }
    common |= {"confidence": record["confidence"]} if "confidence" in record else {}
    kind = path.stem.rpartition("_")[2]
    if record["status"] != "ok":
        return [common | {"kind": kind, "path": ""}]
    files = ((kind, "mask"), (SOFT_KIND[kind], "soft"))
    made = [(kind, record[name], record.get(f"{name}_sha256", "")) for kind, name in files]
    return [
        common | {"kind": kind, "path": str(recorded_file(path, name, digest))}
        for kind, name, digest in made
        if name
    ]


def _maps(scan: paths.Row) -> tuple[dict[str, str], dict[str, Any]]:
    """Files of the maps, and the record of their fit."""
    path = paths.image_record(scan, "tensor")
    record = read_record(path, RECORD_SCHEMA)
    if record["status"] != "ok":
        return {}, record
    return {
        name: str(recorded_file(path, **file)) for name, file in record["files"].items()
    }, record
