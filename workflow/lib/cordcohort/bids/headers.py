"""What a NIfTI header says besides numbers: texts and extensions that may name a person.

The bytes are looked at without an image library, so that ``cordcohort check`` starts quickly.
"""

from __future__ import annotations

import gzip
import re
import zlib
from pathlib import Path

# First byte and length of each text, by the size of the header (NIfTI-1, NIfTI-2).
TEXT_FIELDS: dict[int, dict[str, tuple[int, int]]] = {
    348: {
        "db_name": (14, 18),
        "descrip": (148, 80),
        "aux_file": (228, 24),
        "intent_name": (328, 16),
    },
    540: {"descrip": (240, 80), "aux_file": (320, 24), "intent_name": (508, 16)},
}
_LONGEST = max(TEXT_FIELDS)
# What programs write about themselves, and colour tables of viewers.
_HARMLESS = re.compile(
    r"(FSL|SPM|FreeSurfer|ANTs|ITK|nibabel|dcm2niix|AFNI|mrtrix|BrainSuite|TE=[\d.]+$|none$|"
    r"Red-Yellow|Greyscale|Blue|Hot|Cool)",
    re.IGNORECASE,
)


def telling_fields(path: Path | str) -> list[str]:
    """Names of the header's fields that hold text of unknown origin; values are not given.

    Parameters
    ----------
    path : path
        ``.nii`` or ``.nii.gz``; only its first bytes are read.

    Returns
    -------
    list of str
        Of ``aux_file``, ``db_name``, ``descrip``, ``intent_name``, ``extensions``; empty also where
        there is no readable header, which is reported elsewhere.
    """
    path = Path(path)
    try:
        opened = gzip.open(path) if path.suffix == ".gz" else path.open("rb")
        with opened as handle:
            start = handle.read(_LONGEST + 1)
    except (OSError, EOFError, zlib.error):
        return []
    n_bytes = int.from_bytes(start[:4], "little")
    if n_bytes not in TEXT_FIELDS:
        n_bytes = int.from_bytes(start[:4], "big")
    found = [
        name
        for name, (first, length) in TEXT_FIELDS.get(n_bytes, {}).items()
        if _tells(start[first : first + length])
    ]
    # The byte behind the header is not zero where extensions follow.
    extended = n_bytes in TEXT_FIELDS and start[n_bytes : n_bytes + 1].strip(b"\0")
    return [*sorted(found), *(["extensions"] if extended else [])]


def _tells(raw: bytes) -> bool:
    """Whether there is text; what stands behind its first zero byte is old memory and counts."""
    text = " ".join(raw.replace(b"\0", b" ").decode("latin-1").split())
    return bool(text) and not _HARMLESS.match(text)
