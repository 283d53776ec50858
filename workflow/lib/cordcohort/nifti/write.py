"""Writing images: atomic, clean headers, the same bytes for the same values."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import DTypeLike

from cordcohort.files import atomic_path
from cordcohort.nifti.image import Array, Image

COMPRESSION_LEVEL = 4
_GEOMETRY_FIELDS = (
    "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d",
    "qoffset_x", "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z",
)  # fmt: skip


def write_image(
    path: Path | str, data: Array, affine: Array, *, dtype: DTypeLike, like: Image | None = None
) -> None:
    """Write an image atomically, with a clean header and the same bytes for the same values.

    The header is made anew: of another image's header only the geometry is taken, never its
    description, names or extensions, which may say who was scanned.

    Parameters
    ----------
    path : path
        ``.nii`` or ``.nii.gz``.
    data : array
        On the axes that ``affine`` describes.
    affine : array, shape (4, 4)
        Voxel index to RAS+ millimetres.
    dtype : numpy type
        Type on disk; stored without scaling.
    like : Image, optional
        Copy this image's qform and sform to the bit (the result lies on its grid).
    """
    image = nib.Nifti1Image(np.ascontiguousarray(data, dtype=dtype), affine)
    header = image.header
    header.set_xyzt_units("mm", "sec" if data.ndim > 3 else None)  # noqa: PLR2004
    if like is not None and like.header is not None:
        for name in _GEOMETRY_FIELDS:
            header[name] = like.header[name]
        header["pixdim"][:4] = like.header["pixdim"][:4]
    else:
        image.set_sform(affine, code=1)
        image.set_qform(affine, code=1)
    raw = image.to_bytes()
    with atomic_path(path) as tmp:
        if str(path).endswith(".gz"):
            raw = gzip.compress(raw, compresslevel=COMPRESSION_LEVEL, mtime=0)
        tmp.write_bytes(raw)
