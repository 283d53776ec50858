"""Masks of one data set: whom they belong to, what they show, which of two is used."""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from cordcohort.bids.found import Found, key_of, new_row, parsed
from cordcohort.bids.labels import LABEL_NAMES, MANUAL, label_of
from cordcohort.bids.names import BidsName, NameFaultError, ScanName, scan_name, split_extension
from cordcohort.bids.walk import Folder, state_of
from cordcohort.errors import CordcohortError
from cordcohort.files import MAX_SIDECAR_BYTES, read_json
from cordcohort.validation import nearest

AUTOMATIC = "automatic"


def add_masks(
    found: Found, folder: Folder, contrasts: Collection[str], method: str, place: str
) -> None:
    """Attach every mask of a folder to the scan that it was drawn on.

    Parameters
    ----------
    found : Found
        The scans so far; one is added for a mask whose image is missing.
    folder : Folder
        Folder of masks of one subject and session.
    contrasts : collection of str
        Contrasts of the study; empty for all.
    method : str
        Method that the folder stands for.
    place : str
        Where the label folder lies in the data set, for the list of what was not matched.
    """
    for file_name, entry in folder.files.items():
        stem, extension = split_extension(file_name)
        if not extension:
            continue
        path = f"{place}/{folder.path}/{file_name}"
        try:
            mask, scan, image_stem = _mask_name(found, folder, stem, contrasts, method)
        except NameFaultError as fault:
            found.unmatched.append((path, str(fault)))
            continue
        if mask["method"] == MANUAL and _is_automatic(folder.files.get(f"{stem}.json")):
            mask["method"] = AUTOMATIC
        state = state_of(entry)
        mask |= {
            "path": entry.path, "size": state.size, "mtime_ns": state.mtime_ns,
            "status": state.status, "reason": state.reason,
        }  # fmt: skip
        suffix = image_stem.rsplit("_", 1)[-1]
        row = found.scans.setdefault(key_of(scan), new_row(folder, image_stem, suffix, scan))
        _attach(found, row["masks"], mask, path)


def _is_automatic(sidecar: os.DirEntry[str] | None) -> bool:
    """Whether a mask's sidecar says that nobody drew it (``"Manual": false``)."""
    if sidecar is None:
        return False
    try:
        content = read_json(sidecar.path, MAX_SIDECAR_BYTES)
    except (OSError, CordcohortError):
        return False
    return isinstance(content, dict) and content.get("Manual") is False


def _mask_name(
    found: Found, folder: Folder, stem: str, contrasts: Collection[str], method: str
) -> tuple[dict[str, Any], ScanName, str]:
    """What a mask shows, the scan that it was drawn on, and that scan's stem."""
    name, scan = parsed(folder, stem, contrasts)
    if "space" in name.entities or any(part.startswith("space-") for part in name.rest):
        raise NameFaultError("drawn in another space (space-...), not on the image")
    rest = name.rest
    if "desc" in name.entities and key_of(scan) not in found.scans:
        others = {k: v for k, v in name.entities.items() if k != "desc"}
        rest = (f"desc-{name.entities['desc']}", *rest)
        name = BidsName(others, name.suffix, rest)
        scan = scan_name(name, also=contrasts)
    label = label_of(rest, method)
    if label is None:
        known = [name for name, meaning in LABEL_NAMES.items() if not meaning.older]
        what = "_".join(rest) or "nothing behind the contrast"
        raise NameFaultError(f"label name {what!r} is not known; {nearest(what, known)}")
    mask = {
        "method": label.method, "structure": label.structure, "kind": label.kind,
        "older": label.older,
    }  # fmt: skip
    entities = [f"{key}-{value}" for key, value in name.entities.items()]
    return mask, scan, "_".join([*entities, name.suffix])


def _attach(found: Found, masks: list[dict[str, Any]], mask: dict[str, Any], path: str) -> None:
    """Add a mask to its scan; of two for the same thing the current name, then .nii.gz, wins."""
    for position, other in enumerate(masks):
        if all(other[k] == mask[k] for k in ("method", "structure", "kind")):
            winner, loser = sorted((other, mask), key=_preference)
            masks[position] = winner
            kept = Path(winner["path"]).name
            lost = path if loser is mask else loser["path"]
            found.unmatched.append((lost, f"the same mask as {kept}, which is used"))
            return
    masks.append(mask)


def _preference(mask: dict[str, Any]) -> tuple[bool, bool, str]:
    return bool(mask["older"]), not str(mask["path"]).endswith(".gz"), str(mask["path"])


def masks_text(masks: list[dict[str, Any]]) -> str:
    """Masks as the index keeps them: JSON, sorted by method, structure and kind."""
    kept = [{k: v for k, v in mask.items() if k != "older"} for mask in masks]
    return json.dumps(sorted(kept, key=_mask_order), sort_keys=True)


def _mask_order(mask: dict[str, Any]) -> tuple[str, str, str]:
    return str(mask["method"]), str(mask["structure"]), str(mask["kind"])
