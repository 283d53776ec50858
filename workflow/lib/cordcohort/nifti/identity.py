"""What a NIfTI header says besides numbers: texts and extensions that may name a person."""

from __future__ import annotations

import gzip
import re
import zlib
from pathlib import Path

from cordcohort.errors import ImageError
from cordcohort.nifti.container import HEADER_BYTES, header_of

TEXT_FIELDS = ("descrip", "aux_file", "db_name", "intent_name")
# What programs write about themselves, and colour tables of viewers.
_HARMLESS = re.compile(
    r"(FSL|SPM|FreeSurfer|ANTs|ITK|nibabel|dcm2niix|AFNI|mrtrix|MRtrix|BrainSuite|TORTOISE|"
    r"spm_|TE=[\d.]+$|none$|Red-Yellow|Greyscale|Blue|Hot|Cool)",
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
        Of ``descrip``, ``aux_file``, ``db_name``, ``intent_name``, ``extensions``; empty also where
        there is no readable header, which is reported elsewhere.
    """
    path = Path(path)
    try:
        opened = gzip.open(path) if path.suffix == ".gz" else path.open("rb")
        with opened as handle:
            start = handle.read(HEADER_BYTES + 1)
        header = header_of(path, start)
        texts = {name: _text(header[name].tobytes()) for name in TEXT_FIELDS}
    except (OSError, EOFError, zlib.error, ImageError, KeyError, ValueError):
        return []
    found = [name for name, text in texts.items() if text and not _HARMLESS.match(text)]
    n_bytes = int(header["sizeof_hdr"])
    flag = start[n_bytes : n_bytes + 1]  # not zero where extensions follow the header
    return [*found, *(["extensions"] if flag.strip(b"\0") else [])]


def _text(raw: bytes) -> str:
    """Text up to its first zero byte; bytes behind it are old memory and count as well."""
    return " ".join(raw.replace(b"\0", b" ").decode("latin-1").split())
