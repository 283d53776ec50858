"""Scans and masks of one data set, from its raw tree and its label folders."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cordcohort.bids.labels import LABEL_NAMES, label_of, method_of_folder
from cordcohort.bids.names import (
    BidsName,
    NameFault,
    ScanName,
    parse_name,
    scan_name,
    split_extension,
)
from cordcohort.bids.walk import Folder, Stray, state_of, walk

Key = tuple[str, str, str, str, str]  # subject, session, acquisition, run, contrast
SIDECARS = {"sidecar": ".json", "bval": ".bval", "bvec": ".bvec"}
NO_IMAGE = "no image was found, only masks"
BOTH_FORMATS = "both .nii and .nii.gz are there; .nii.gz is used"


@dataclass
class Found:
    """Scans and leftovers of one data set.

    Attributes
    ----------
    scans : dict
        Key to the row of the index, ``masks`` still a list.
    unmatched : list of (path, reason)
        Paths relative to the data set.
    subjects : set of str
        Subjects with a folder in the raw tree.
    sessions : set of (subject, session)
        Sessions with a folder in the raw tree.
    """

    scans: dict[Key, dict[str, Any]] = field(default_factory=dict)
    unmatched: list[tuple[str, str]] = field(default_factory=list)
    subjects: set[str] = field(default_factory=set)
    sessions: set[tuple[str, str]] = field(default_factory=set)


def find_scans(
    root: Path, labels: str, external: dict[str, str], contrasts: Collection[str]
) -> Found:
    """Find every image and mask of a data set.

    Parameters
    ----------
    root : Path
        Folder of the data set.
    labels : str
        Label folder relative to ``root``; its siblings ``<labels>_*`` are read too.
    external : dict
        Method to a further derivative folder.
    contrasts : collection of str
        Contrasts of the study; empty for all.

    Returns
    -------
    Found
    """
    found = Found()
    inherited = _root_sidecars(root)
    for item in walk(root):
        if isinstance(item, Stray):
            found.unmatched.append((item.path, item.reason))
            continue
        found.subjects.add(item.subject)
        found.sessions.add((item.subject, item.session))
        _add_images(found, item, contrasts, inherited)
    for method, folder in label_folders(root, labels, external):
        for item in walk(folder):
            place = folder.relative_to(root) if folder.is_relative_to(root) else folder
            if isinstance(item, Stray):
                found.unmatched.append((f"{place}/{item.path}", item.reason))
            else:
                _add_masks(found, item, contrasts, method, str(place))
    _drop_lonely_sidecars(found)
    _note_unread_derivatives(found, root, labels, external)
    return found


def label_folders(root: Path, labels: str, external: dict[str, str]) -> Iterator[tuple[str, Path]]:
    """Method and path of each folder with masks, sorted; folders that are not there are left out."""
    base = root / labels
    if base.parent.is_dir():
        for folder in sorted(base.parent.iterdir()):
            method = method_of_folder(folder.name, base.name)
            if method is not None and folder.is_dir() and str(folder) not in _paths(root, external):
                yield method, folder
    for method in sorted(external):
        folder = root / external[method]
        if folder.is_dir():
            yield method, folder


def _paths(root: Path, external: dict[str, str]) -> set[str]:
    return {str(root / folder) for folder in external.values()}


def _note_unread_derivatives(
    found: Found, root: Path, labels: str, external: dict[str, str]
) -> None:
    """Name the derivative folders that nobody asked for, so that none is overlooked."""
    parent = root / "derivatives"
    if not parent.is_dir():
        return
    read = {str(path) for _, path in label_folders(root, labels, external)}
    for folder in sorted(parent.iterdir()):
        if folder.is_dir() and not any(path.startswith(str(folder)) for path in read):
            reason = "derivative folder not read; name it under `external` if it holds masks"
            found.unmatched.append((f"derivatives/{folder.name}", reason))


def _root_sidecars(root: Path) -> dict[str, str]:
    """Sidecars at the root of a data set, which hold for every image of that suffix."""
    endings = tuple(SIDECARS.values())
    return {p.name: str(p) for p in root.iterdir() if p.name.endswith(endings)}


def _parsed(folder: Folder, stem: str, contrasts: Collection[str]) -> tuple[BidsName, ScanName]:
    """Name and scan of a file, which must lie where its name says."""
    name = parse_name(stem)
    scan = scan_name(name, also=contrasts)
    if (scan.subject, scan.session) != (folder.subject, folder.session):
        raise NameFault(f"the name says another subject or session than the folder {folder.path}")
    if (scan.contrast == "dwi") != (folder.datatype == "dwi"):
        raise NameFault(f"a {scan.contrast} image does not belong in a {folder.datatype} folder")
    if contrasts and scan.contrast not in contrasts and name.suffix not in contrasts:
        raise NameFault(f"contrast {scan.contrast} is not among the `contrasts` of the config")
    return name, scan


def _key(scan: ScanName) -> Key:
    return scan.subject, scan.session, scan.acquisition, scan.run, scan.contrast


def _add_images(
    found: Found, folder: Folder, contrasts: Collection[str], inherited: dict[str, str]
) -> None:
    suffixes: set[str] = set()
    for file_name in folder.files:
        stem, extension = split_extension(file_name)
        if not extension:
            continue
        suffixes.add(stem.rsplit("_", 1)[-1])
        try:
            name, scan = _parsed(folder, stem, contrasts)
            if name.rest:
                raise NameFault("a label beside the raw images; move it to the label folder")
            if extension == ".nii" and f"{stem}.nii.gz" in folder.files:
                raise NameFault("the same scan is there as .nii.gz, which is used")
            twin = found.scans.get(_key(scan))
            if twin is not None:
                raise NameFault(f"the same scan as {twin['stem']}, which is used")
        except NameFault as fault:
            found.unmatched.append((f"{folder.path}/{file_name}", str(fault)))
            continue
        row = _row(folder, stem, name.suffix, scan)
        found.scans[_key(scan)] = row | _image_columns(folder, file_name, inherited)
    _add_lonely_sidecars(found, folder, suffixes)


def _image_columns(folder: Folder, file_name: str, inherited: dict[str, str]) -> dict[str, Any]:
    """The columns of a row that tell of its image and of the files beside it."""
    stem, extension = split_extension(file_name)
    suffix = stem.rsplit("_", 1)[-1]
    entry = folder.files[file_name]
    state = state_of(entry)
    twice = extension == ".nii.gz" and f"{stem}.nii" in folder.files
    columns: dict[str, Any] = {
        "image": entry.path, "image_size": state.size, "image_mtime_ns": state.mtime_ns,
        "status": state.status, "reason": state.reason or (BOTH_FORMATS if twice else ""),
    }  # fmt: skip
    for column, ending in SIDECARS.items():
        own = folder.files.get(stem + ending)
        columns[column] = own.path if own else inherited.get(suffix + ending, "")
    return columns


def _add_lonely_sidecars(found: Found, folder: Folder, suffixes: set[str]) -> None:
    """Keep sidecars whose image is not there: their scan is missing, or is known by its masks.

    A sidecar of a suffix that has an image holds for that image, as BIDS lets it.
    """
    for file_name, entry in folder.files.items():
        stem = file_name.removesuffix(".json")
        if stem == file_name or stem.rsplit("_", 1)[-1] in suffixes:
            continue
        try:
            name, scan = _parsed(folder, stem, ())
        except NameFault:
            continue
        if not name.rest:
            row = _row(folder, stem, name.suffix, scan) | {"sidecar": entry.path}
            found.scans.setdefault(_key(scan), row)


def _drop_lonely_sidecars(found: Found) -> None:
    """A scan with neither image nor mask is no scan, but a person should hear of it."""
    for key, row in list(found.scans.items()):
        if row["status"] == "no_image" and not row["masks"]:
            del found.scans[key]
            found.unmatched.append((f"{row['folder']}/{row['stem']}.json", "its image is missing"))


def _row(folder: Folder, stem: str, suffix: str, scan: ScanName) -> dict[str, Any]:
    """A row of the index without image and masks."""
    return {
        "subject": scan.subject, "session": scan.session, "acquisition": scan.acquisition,
        "run": scan.run, "contrast": scan.contrast, "resolution": scan.resolution,
        "datatype": folder.datatype, "suffix": suffix, "stem": stem, "folder": folder.path,
        "image": "", "sidecar": "", "bval": "", "bvec": "", "image_size": None,
        "image_mtime_ns": None, "status": "no_image", "reason": NO_IMAGE, "masks": [],
    }  # fmt: skip


def _add_masks(
    found: Found, folder: Folder, contrasts: Collection[str], method: str, place: str
) -> None:
    for file_name, entry in folder.files.items():
        stem, extension = split_extension(file_name)
        if not extension:
            continue
        path = f"{place}/{folder.path}/{file_name}"
        try:
            mask, scan, image_stem = _mask_name(found, folder, stem, contrasts, method)
        except NameFault as fault:
            found.unmatched.append((path, str(fault)))
            continue
        state = state_of(entry)
        mask |= {
            "path": entry.path, "size": state.size, "mtime_ns": state.mtime_ns,
            "status": state.status, "reason": state.reason,
        }  # fmt: skip
        suffix = image_stem.rsplit("_", 1)[-1]
        row = found.scans.setdefault(_key(scan), _row(folder, image_stem, suffix, scan))
        _attach(found, row["masks"], mask, path)


def _mask_name(
    found: Found, folder: Folder, stem: str, contrasts: Collection[str], method: str
) -> tuple[dict[str, Any], ScanName, str]:
    """What a mask shows, the scan that it was drawn on, and that scan's stem."""
    name, scan = _parsed(folder, stem, contrasts)
    if "space" in name.entities or any(part.startswith("space-") for part in name.rest):
        raise NameFault("drawn in another space (space-...), not on the image")
    rest = name.rest
    if "desc" in name.entities and _key(scan) not in found.scans:
        others = {k: v for k, v in name.entities.items() if k != "desc"}
        rest = (f"desc-{name.entities['desc']}", *rest)
        name = BidsName(others, name.suffix, rest)
        scan = scan_name(name, also=contrasts)
    label = label_of(rest, method)
    if label is None:
        known = ", ".join(n for n, meaning in LABEL_NAMES.items() if not meaning.older)
        what = "_".join(rest) or "nothing behind the contrast"
        raise NameFault(f"label name {what!r} is not known; use one of {known}")
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
