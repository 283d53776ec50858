"""Soft ground truth of every session: masks found, averaged, written, each scan with a record.

The record beside a scan's soft mask is always written. Its ``status`` is

* ``ok``: the scan took part and has a soft truth;
* ``failed``: its mask could not be read or not be aligned (``reason``);
* ``excluded``: the exclusion list says so;
* ``skipped``: there is nothing to average in this session.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cordcohort import scan as paths
from cordcohort.errors import CordcohortError, DamagedError, ImageError
from cordcohort.files import (
    read_record,
    recorded_file,
    sha256_of,
    write_if_changed,
    write_record,
)
from cordcohort.images.registration_quality import RegistrationQuality
from cordcohort.images.soft_truth import SoftTruth, SoftTruthOptions, soft_ground_truth
from cordcohort.nifti import Image, read_image, read_mask, write_image

OK, FAILED, EXCLUDED, SKIPPED = "ok", "failed", "excluded", "skipped"
RIGID = "rigid"
_DESCRIPTION = b"""{
 "Name": "Images derived by cordcohort",
 "BIDSVersion": "1.9.0",
 "DatasetType": "derivative",
 "GeneratedBy": [{"Name": "cordcohort"}]
}
"""


@dataclass(frozen=True)
class Member:
    """One scan of a session and the cord mask that it brings.

    Attributes
    ----------
    scan : mapping
        Row of the index.
    name : str
        Unique in the session: contrast, with acquisition and run where there are any.
    mask : Image or None
        Its cord mask.
    method, path : str
        Who drew it, and the file.
    status, reason : str
        ``ok`` with a mask; else as in the record.
    """

    scan: paths.Row
    name: str
    mask: Image | None = None
    method: str = ""
    path: str = ""
    status: str = OK
    reason: str = ""


def make_soft_truths(
    scans: Iterable[paths.Row], options: Mapping[str, Any], left_out: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Make the soft ground truth of every session among some scans.

    Parameters
    ----------
    scans : iterable of index rows
        All scans of each session must be among them.
    options : mapping
        ``masks`` (methods in order of preference), ``reference_contrast``, ``alignment``
        (``centre_of_mass`` or ``rigid``), ``edge_mm`` by contrast, ``min_dice``.
    left_out : mapping
        Scan (:func:`cordcohort.scan.scan_id`) to the reason of its exclusion.

    Returns
    -------
    list of dict
        The records, as written beside each soft mask.
    """
    sessions: dict[str, list[paths.Row]] = {}
    for scan in scans:
        sessions.setdefault(paths.session_id(scan), []).append(scan)
        root = Path(paths.RESULTS) / "images" / str(scan["dataset"])
        write_if_changed(root / "dataset_description.json", _DESCRIPTION)
    return [
        record
        for session in sorted(sessions)
        for record in _one_session(sessions[session], options, left_out)
    ]


def mask_candidates(scan: paths.Row, methods: Sequence[str]) -> list[tuple[str, str, str]]:
    """Cord masks of a scan in order of preference.

    Returns
    -------
    list of (method, kind, path)
        ``path`` is the file of the index, or the record of a model's mask.
    """
    found: list[tuple[str, str, str]] = []
    for method in methods:
        own = [
            (method, str(mask["kind"]), str(mask["path"]))
            for mask in paths.masks_of(scan)
            if mask["method"] == method and mask["structure"] == "cord" and mask["status"] == "ok"
        ]
        found += sorted(own, key=_kind_of) or [(method, "record", paths.mask_record(scan, method))]
    return found


def _kind_of(candidate: tuple[str, str, str]) -> str:
    return candidate[1]


def _one_session(
    scans: Sequence[paths.Row], options: Mapping[str, Any], left_out: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Write masks and records of one session."""
    for scan in scans:
        for path in paths.soft_truth_files(scan).values():
            Path(path).unlink(missing_ok=True)
    members = [_member(scan, options["masks"], left_out) for scan in sorted(scans, key=_order)]
    usable = [one for one in members if one.mask is not None]
    contrast = options["reference_contrast"]
    reference = next((one for one in usable if one.scan["contrast"] == contrast), None)
    if reference is None or len(usable) == 1:
        missing = f"no cord mask of the reference contrast {contrast} in this session"
        reason = missing if reference is None else "no other contrast of this session has a mask"
        return [
            _written(one, {}, one.status, one.reason)
            if one.mask is None
            else _written(one, {}, SKIPPED, reason)
            for one in members
        ]
    try:
        truth = _average(usable, reference, options)
    except ImageError as error:
        return [_written(one, {}, FAILED, error.reason) for one in members]
    if truth.carried and (own := reference.mask) is not None:
        # It may lie anywhere, and records name no folder.
        fixed = paths.soft_truth_files(reference.scan)["carried"]
        write_image(fixed, own.data, own.affine, dtype=np.float32, like=own)
    return [_share(one, reference, truth, members) for one in members]


def _order(scan: paths.Row) -> tuple[str, str, str]:
    return str(scan["contrast"]), str(scan["acquisition"]), str(scan["run"])


def _member(scan: paths.Row, methods: Sequence[str], left_out: Mapping[str, str]) -> Member:
    """A scan with the first of its masks that can be read, or why it has none."""
    words = [str(scan["contrast"])]
    words += [f"{k}-{scan[c]}" for k, c in (("acq", "acquisition"), ("run", "run")) if scan[c]]
    one = Member(scan, " ".join(words))
    excluded = left_out.get(paths.scan_id(scan))
    if excluded is not None:
        return Member(scan, one.name, status=EXCLUDED, reason=excluded)
    reasons: list[str] = []
    for method, kind, path in mask_candidates(scan, methods):
        try:
            file, kind_read = _file_of(kind, path)
            mask = read_mask(file, kind="softseg" if kind_read == "softseg" else "seg")
        except DamagedError:
            raise
        except (ImageError, CordcohortError) as error:
            reasons.append(f"{method}: {getattr(error, 'reason', error)}")
            continue
        if mask.data.any():
            return Member(scan, one.name, mask, method, str(file))
        reasons.append(f"{method}: the mask is empty")
    return Member(scan, one.name, status=FAILED, reason="; ".join(reasons) or "no cord mask")


def _file_of(kind: str, path: str) -> tuple[Path, str]:
    """The file of a mask; of a model's record, the mask that it names."""
    if kind != "record":
        return Path(path), kind
    if not Path(path).is_file():
        raise CordcohortError("no mask")
    record = read_record(path, paths.RECORD_SCHEMA)
    if record["status"] != OK:
        raise CordcohortError(record["reason"])
    return recorded_file(path, record["mask"], record.get("mask_sha256", "")), "seg"


def _average(usable: Sequence[Member], reference: Member, options: Mapping[str, Any]) -> SoftTruth:
    rigid = options["alignment"] == RIGID
    masks = {one.name: one.mask for one in usable if one.mask is not None}
    chosen = SoftTruthOptions(
        edge_mm=options["edge_mm"], contrast_of={m.name: m.scan["contrast"] for m in usable},
        rigid=rigid, min_dice=options["min_dice"],
    )  # fmt: skip
    images = {one.name: scan for one in usable if rigid and (scan := _scan_of(one)) is not None}
    return soft_ground_truth(masks, reference.name, chosen, images)


def _scan_of(one: Member) -> Image | None:
    """The image of a scan for registration; a scan without one is registered by its mask."""
    path = _image_of(one.scan)
    try:
        return read_image(path) if path else None
    except ImageError:
        return None


def _image_of(scan: paths.Row) -> str:
    """The image that shows the cord of a scan: itself, or the mean b=0 image of a series."""
    if scan["status"] != OK:
        return ""
    return paths.image_file(scan, "b0") if paths.is_series(scan) else str(scan["image"])


def _place_of(scan: paths.Row) -> str:
    """Where the image lies in its data set, or in the study if it is derived; empty if none."""
    path = _image_of(scan)
    given = bool(path) and not paths.is_series(scan)
    return f"{scan['folder']}/{Path(path).name}" if given else path


def _share(
    one: Member, reference: Member, truth: SoftTruth, members: Sequence[Member]
) -> dict[str, Any]:
    """Masks and record of one scan of a session that has a soft truth."""
    refused = dict(truth.exclusions)
    left_out = {m.name: m.reason for m in members if m.status != OK} | refused
    used = sorted(truth.soft)
    told: dict[str, Any] = {
        "reference": {"name": reference.name, "scan": paths.scan_id(reference.scan)},
        "contrasts": [{"name": m.name, "method": m.method} for m in members if m.name in used],
        "left_out": [{"name": name, "reason": left_out[name]} for name in sorted(left_out)],
    }
    told |= _registration(one, reference, truth)
    if one.mask is None:
        return _written(one, told, one.status, one.reason)
    if one.name in refused:
        return _written(one, told, FAILED, refused[one.name])
    if len(used) == 1:
        return _written(one, told, FAILED, "every other contrast of this session was left out")
    files = paths.soft_truth_files(one.scan)
    soft, binary = truth.soft[one.name], truth.binary[one.name]
    write_image(files["soft"], soft.data, soft.affine, dtype=np.float32, like=one.mask)
    write_image(files["mask"], binary.data, binary.affine, dtype=np.uint8, like=one.mask)
    known = np.flatnonzero(truth.covered[one.name])
    told |= {
        "soft": Path(files["soft"]).name, "mask": Path(files["mask"]).name,
        "soft_sha256": sha256_of(files["soft"]), "mask_sha256": sha256_of(files["mask"]),
        "covered_slices": known.tolist(),
    }  # fmt: skip
    return _written(one, told, OK, "")


def _registration(one: Member, reference: Member, truth: SoftTruth) -> dict[str, Any]:
    """What is known of the alignment of one scan, with its mask carried onto the reference."""
    if one.name not in truth.carried or reference.mask is None:
        return {}
    carried = truth.carried[one.name]
    path, fixed = (paths.soft_truth_files(m.scan)["carried"] for m in (one, reference))
    write_image(path, carried.data, carried.affine, dtype=np.float32, like=reference.mask)
    quality = truth.quality[one.name]
    shifts = truth.shifts[truth.shifts["contrast"] == one.name].drop(columns="contrast")
    world = truth.rigid.get(one.name)
    return {
        "registration": {
            **_told(quality),
            "carried": Path(path).name, "carried_sha256": sha256_of(path),
            "reference_mask": os.path.relpath(fixed, Path(path).parent),
            "reference_mask_sha256": sha256_of(fixed),
            "reference_image": _place_of(reference.scan),
            "shifts": shifts.round(4).to_dict("records"),
            "rigid": None if world is None else np.round(world, 6).tolist(),
        },
        "warnings": list(quality.warnings),
    }  # fmt: skip


def _told(quality: RegistrationQuality) -> dict[str, float | None]:
    """Numbers for JSON, which has no NaN."""
    return {key: None if np.isnan(value) else value for key, value in asdict(quality).items()}


def _written(one: Member, told: Mapping[str, Any], status: str, reason: str) -> dict[str, Any]:
    record: dict[str, Any] = {
        "schema": paths.RECORD_SCHEMA, "status": status, "reason": reason,
        "method": paths.SOFT_TRUTH,
        "structure": "cord", "name": one.name, "mask_method": one.method, "soft": "", "mask": "",
        "reference": {}, "contrasts": [], "left_out": [], "registration": {}, "warnings": [],
    } | dict(told)  # fmt: skip
    write_record(paths.soft_truth_record(one.scan), record)
    return record
