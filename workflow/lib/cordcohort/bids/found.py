"""The scans of one data set while they are found: rows under construction, by key."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from cordcohort.bids.names import BidsName, NameFaultError, ScanName, parse_name, scan_name
from cordcohort.bids.walk import Folder

Key = tuple[str, str, str, str, str]  # subject, session, acquisition, run, contrast
NO_IMAGE = "no image was found, only masks"


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


def parsed(folder: Folder, stem: str, contrasts: Collection[str]) -> tuple[BidsName, ScanName]:
    """Name and scan of a file, which must lie where its name says."""
    name = parse_name(stem)
    scan = scan_name(name, also=contrasts)
    if (scan.subject, scan.session) != (folder.subject, folder.session):
        raise NameFaultError(
            f"the name says another subject or session than the folder {folder.path}"
        )
    if (scan.contrast == "dwi") != (folder.datatype == "dwi"):
        raise NameFaultError(f"a {scan.contrast} image does not belong in {folder.datatype}")
    if contrasts and scan.contrast not in contrasts and name.suffix not in contrasts:
        raise NameFaultError(f"contrast {scan.contrast} is not among the `contrasts` of the config")
    return name, scan


def key_of(scan: ScanName) -> Key:
    """What identifies a scan within its data set."""
    return scan.subject, scan.session, scan.acquisition, scan.run, scan.contrast


def new_row(folder: Folder, stem: str, suffix: str, scan: ScanName) -> dict[str, Any]:
    """A row of the index without image and masks."""
    return {
        "subject": scan.subject, "session": scan.session, "acquisition": scan.acquisition,
        "run": scan.run, "contrast": scan.contrast, "resolution": scan.resolution,
        "datatype": folder.datatype, "suffix": suffix, "stem": stem, "folder": folder.path,
        "image": "", "sidecar": "", "bval": "", "bvec": "", "image_size": None,
        "image_mtime_ns": None, "status": "no_image", "reason": NO_IMAGE, "masks": [],
    }  # fmt: skip
