"""What the sidecars of images say of the scanner."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from cordcohort.errors import CordcohortError
from cordcohort.files import MAX_SIDECAR_BYTES, read_json

MAX_TESLA = 25.0  # more than any magnet for people; numbers beyond it are of another unit


def manufacturer(sidecar: str) -> str:
    """Manufacturer as the scanner wrote it; empty where the sidecar has none or is no JSON."""
    value = _read(sidecar).get("Manufacturer", "")
    return value.strip() if isinstance(value, str) else ""


def field_strength(sidecar: str) -> str:
    """Field strength in tesla as the scanner wrote it; empty where none that can be is there."""
    value = _read(sidecar).get("MagneticFieldStrength")
    try:
        tesla = float("nan" if value is None or isinstance(value, bool) else value)
    except (TypeError, ValueError):
        return ""
    return f"{tesla:g}" if math.isfinite(tesla) and 0 < tesla <= MAX_TESLA else ""


def field_strengths(scans: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], str]:
    """Field strengths of the scanners that each subject was in, as their sidecars name them.

    Of a session the first sidecar that names one is read: opening all files of a large study on a
    network disk would take minutes.

    Parameters
    ----------
    scans : sequence of mappings
        ``dataset``, ``subject``, ``session``, ``sidecar``, in the order of the index.

    Returns
    -------
    dict
        ``(dataset, subject)`` to values in tesla, rising and joined by ``, ``; those who have one.
    """
    told: dict[tuple[str, str, str], str] = {}
    for row in scans:
        session = (str(row["dataset"]), str(row["subject"]), str(row["session"]))
        if row["sidecar"] and not told.get(session):
            told[session] = field_strength(str(row["sidecar"]))
    found: dict[tuple[str, str], set[str]] = {}
    for (dataset, subject, _), tesla in told.items():
        if tesla:
            found.setdefault((dataset, subject), set()).add(tesla)
    return {who: ", ".join(sorted(values, key=float)) for who, values in found.items()}


def _read(sidecar: str) -> dict[str, Any]:
    if not sidecar:
        return {}
    try:
        content = read_json(sidecar, MAX_SIDECAR_BYTES)
    except (CordcohortError, OSError):
        return {}
    return content if isinstance(content, dict) else {}
