"""Scans and masks of one data set, from its raw tree and its label folders."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from cordcohort.bids.found import Found, key_of, new_row, parsed
from cordcohort.bids.labels import method_of_folder
from cordcohort.bids.masks import add_masks
from cordcohort.bids.names import BidsName, NameFaultError, ScanName, split_extension
from cordcohort.bids.walk import Folder, Stray, state_of, walk

SIDECARS = {"sidecar": ".json", "bval": ".bval", "bvec": ".bvec"}
BOTH_FORMATS = "both .nii and .nii.gz are there; .nii.gz is used"


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
                add_masks(found, item, contrasts, method, str(place))
    _drop_lonely_sidecars(found)
    _note_unread_derivatives(found, root, labels, external)
    return found


def label_folders(root: Path, labels: str, external: dict[str, str]) -> Iterator[tuple[str, Path]]:
    """Method and path of each folder with masks that is there, sorted by name."""
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
    read = [path for _, path in label_folders(root, labels, external)]
    for folder in sorted(parent.iterdir()):
        if folder.is_dir() and not any(p.is_relative_to(folder) for p in read):
            reason = "derivative folder not read; name it under `external` if it holds masks"
            found.unmatched.append((f"derivatives/{folder.name}", reason))


def _root_sidecars(root: Path) -> dict[str, str]:
    """Sidecars at the root of a data set, which hold for every image of that suffix."""
    endings = tuple(SIDECARS.values())
    return {p.name: str(p) for p in root.iterdir() if p.name.endswith(endings)}


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
            name, scan = parsed(folder, stem, contrasts)
            _refuse_second_image(found, folder, file_name, name, scan)
        except NameFaultError as fault:
            found.unmatched.append((f"{folder.path}/{file_name}", str(fault)))
            continue
        row = new_row(folder, stem, name.suffix, scan)
        found.scans[key_of(scan)] = row | _image_columns(folder, file_name, inherited)
    _add_lonely_sidecars(found, folder, suffixes)


def _refuse_second_image(
    found: Found, folder: Folder, file_name: str, name: BidsName, scan: ScanName
) -> None:
    """Refuse a file that is not the one image of its scan."""
    stem, extension = split_extension(file_name)
    if name.rest:
        raise NameFaultError("a label beside the raw images; move it to the label folder")
    if extension == ".nii" and f"{stem}.nii.gz" in folder.files:
        raise NameFaultError("the same scan is there as .nii.gz, which is used")
    twin = found.scans.get(key_of(scan))
    if twin is not None:
        raise NameFaultError(f"the same scan as {twin['stem']}, which is used")


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
            name, scan = parsed(folder, stem, ())
        except NameFaultError:
            continue
        if not name.rest:
            row = new_row(folder, stem, name.suffix, scan) | {"sidecar": entry.path}
            found.scans.setdefault(key_of(scan), row)


def _drop_lonely_sidecars(found: Found) -> None:
    """A scan with neither image nor mask is no scan, but a person should hear of it."""
    for key, row in list(found.scans.items()):
        if row["status"] == "no_image" and not row["masks"]:
            del found.scans[key]
            found.unmatched.append((f"{row['folder']}/{row['stem']}.json", "its image is missing"))
