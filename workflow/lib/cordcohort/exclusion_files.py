"""Exclusion lists as files: our own, and the list that the Spinal Cord Toolbox's report saves.

``sct_qc`` gives its readers a button that saves ``qc_fail.yml``: blocks named after what was looked
at (``FILES_SEG``, ``FILES_GMSEG``, ``FILES_LABEL`` ...), each a list of image names, often those of
processed images (``sub-amu01_T1w_RPI_r.nii.gz``). Such a file is read as it is: each name becomes
the entry that excludes its scan, or, where the block says that only one thing failed, the rows that
rest on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from cordcohort.bids.names import NameFaultError, parse_name, scan_name, split_extension
from cordcohort.errors import ConfigError
from cordcohort.scan import CONFIG_PATH, LISTED
from cordcohort.validation import nearest, read_strict_yaml, validated

# Which rows of a scan rest on what a block of the list names; every other block excludes the scan.
FAILED_PARTS: dict[str, tuple[dict[str, str], ...]] = {
    "FILES_GMSEG": ({"structure": "gm"}, {"structure": "wm"}),
    "FILES_LESION": ({"structure": "lesion"},),
    "FILES_LABEL": ({"level_kind": "vertebral"}, {"level_kind": "vertebral_detected"}),
    "FILES_PMJ": ({"level_kind": "pmj_mm"},),
}
QC_BLOCK = "FILES_"
QC_NAMES = "NAME"


def read_exclusions(path: Path, dataset: str = "") -> list[dict[str, str]]:
    """Entries of an exclusion list, every value as text; none where the file is absent or empty.

    Parameters
    ----------
    path : Path
        Our own list, or a ``qc_fail.yml`` of the Spinal Cord Toolbox.
    dataset : str
        The data set that the entries are about, where the file does not say it.

    Raises
    ------
    ConfigError
        For an unknown key, a missing reason, or a name that tells no scan.
    """
    if not path.is_file():
        return []
    entries = read_strict_yaml(path, text_only=True)
    if not entries:
        return []
    if is_qc_list(entries):
        return _within(qc_entries(entries, path.name), dataset)
    given = [_without_empty(e) for e in entries] if isinstance(entries, list) else entries
    return _within(list(validated(given, "exclude", path.name)), dataset)


def require_lists(paths: Iterable[Path]) -> None:
    """Refuse a named exclusion list that is absent: what it excludes would be used.

    Raises
    ------
    ConfigError
        With the nearest file names of the folder.
    """
    for path in paths:
        if not path.is_file():
            found = {p.name for p in path.parent.glob("*.y*ml")} - {CONFIG_PATH.name}
            way_out = f"{nearest(path.name, found)} (looked for {path})"
            raise ConfigError("exclude", path.name, "a file that exists", way_out)


def _within(entries: list[dict[str, str]], dataset: str) -> list[dict[str, str]]:
    return [{"dataset": dataset, **entry} if dataset else entry for entry in entries]


def _without_empty(entry: Any) -> Any:
    """Drop keys that are left blank: they match all, as missing ones do."""
    if not isinstance(entry, dict):
        return entry
    return {k: v for k, v in entry.items() if v not in ("", "null", "~")}


def is_qc_list(content: Any) -> bool:
    """Whether a file's content is a list as ``sct_qc`` saves it.

    Examples
    --------
    >>> is_qc_list({"FILES_SEG": ["sub-01_T2w.nii.gz"]}), is_qc_list([{"reason": "motion"}])
    (True, False)
    """
    return isinstance(content, Mapping) and any(str(k).startswith(QC_BLOCK) for k in content)


def qc_entries(content: Mapping[str, Any], where: str) -> list[dict[str, str]]:
    """The exclusion entries that a ``qc_fail.yml`` stands for.

    Parameters
    ----------
    content : mapping
        Block name to list of file names, as read from the file.
    where : str
        The file's name, for reasons and messages.

    Returns
    -------
    list of dict
        Entries with every key of the scan that a name tells, so that ``sub-01_T2w`` is never
        ``sub-01_acq-sag_T2w``; a subject's name alone stands for all of its scans.

    Raises
    ------
    ConfigError
        For a block that is no list, or a name that tells no scan.

    Examples
    --------
    >>> qc_entries({"FILES_GMSEG": ["sub-01_T2star_rms.nii.gz"]}, "qc_fail.yml")[0]["structure"]
    'gm'
    """
    by = _listed_names(content.get(QC_NAMES))
    entries: list[dict[str, str]] = []
    for block, names in content.items():
        if block == QC_NAMES or names in ("", "null", "~", None):
            continue
        if not block.startswith(QC_BLOCK) or not isinstance(names, list):
            expected = f"blocks {QC_BLOCK}SEG, {QC_BLOCK}GMSEG ... each with a list of file names"
            raise ConfigError(block, names, expected, "remove or correct the block", where)
        told = {"reason": f"failed quality control ({where}, {block})"} | ({"by": by} if by else {})
        for name in names:
            scan = _scan_of(str(name), f"{block} {name}", where)
            parts = FAILED_PARTS.get(block, ({},))
            entries += [{**scan, **part, **told, LISTED: str(name)} for part in parts]
    return entries


def _listed_names(value: Any) -> str:
    names = value if isinstance(value, list) else [value]
    return ", ".join(str(n) for n in names if n)


def _scan_of(listed: str, key: str, where: str) -> dict[str, str]:
    """Keys of the scan that a file name tells, empty ones too; of a subject alone the subject."""
    name = PurePosixPath(listed.strip().replace("\\", "/")).name
    stem, _ = split_extension(name)
    subject, _, rest = stem.partition("_")
    if not rest and subject.startswith("sub-") and len(subject) > len("sub-"):
        return {"subject": subject.removeprefix("sub-")}
    expected = "the name of an image, as sub-01_T2w.nii.gz"
    try:
        parsed = parse_name(stem)
        scan = scan_name(parsed, also=[parsed.suffix])
    except NameFaultError as fault:
        raise ConfigError(key, listed, expected, str(fault), where) from None
    if not scan.subject:
        raise ConfigError(key, listed, expected, "name the subject", where)
    return {
        "subject": scan.subject, "session": scan.session, "acquisition": scan.acquisition,
        "run": scan.run, "contrast": scan.contrast,
    }  # fmt: skip
