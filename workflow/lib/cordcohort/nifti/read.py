"""From a file to a verified image."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import DTypeLike

from cordcohort.errors import ImageError
from cordcohort.nifti.container import (
    COPY,
    HEADER_BYTES,
    check_claim,
    header_of,
    read_verified,
)
from cordcohort.nifti.geometry import checked_affine
from cordcohort.nifti.image import Array, Image

HEADER_1_BYTES = 348
_SINGLE_FILE = (b"n+1", b"n+2")
_CONVERT = "convert it to one .nii.gz file"


def read_image(path: Path | str, *, ndim: int | None = 3, dtype: DTypeLike = np.float32) -> Image:
    """Read and verify one image.

    Parameters
    ----------
    path : path
        ``.nii`` or ``.nii.gz``.
    ndim : {3, 4} or None
        Wanted number of dimensions; trailing axes of length one are dropped first. ``None`` takes
        three or four.
    dtype : numpy type
        Floating type of the returned values.

    Raises
    ------
    ImageError
        For every fault: missing, pointer, empty, truncated, checksum, header, geometry, values.
    """
    path = Path(path)
    raw = read_verified(path)
    scaling = _scaling_notes(path, raw)
    image = _parse(path, raw)
    affine, notes = checked_affine(path, image)
    try:
        data = image.get_fdata(dtype=np.dtype(dtype), caching="unchanged")
    except (ValueError, OSError, TypeError, OverflowError) as error:
        raise ImageError(path, "values", "readable voxel values", str(error), COPY) from error
    data = _squeezed(path, data, ndim)
    if not np.isfinite(data).all():
        n_bad = int((~np.isfinite(data)).sum())
        raise ImageError(
            path, "not_finite", "finite values", f"{n_bad} NaN or infinite voxels",
            "export the image again or set them to 0",
        )  # fmt: skip
    return Image(data, affine, path, image.header, (*scaling, *notes))


def read_grid(path: Path | str) -> Image:
    """Read only the shape and geometry of an image, to compare masks with it.

    Returns
    -------
    Image
        Its data are zeros that take no memory; the values of the file are not looked at.

    Raises
    ------
    ImageError
        If there is no readable header.
    """
    path = Path(path)
    try:
        opened = gzip.open(path) if path.suffix == ".gz" else path.open("rb")
        with opened as handle:
            header = header_of(path, handle.read(HEADER_BYTES))  # a prefix: nothing is allocated
        shape = tuple(int(n) for n in header.get_data_shape())
        geometry = header.get_best_affine()
    except ImageError:
        raise
    except Exception as error:
        raise ImageError(path, "header", "a NIfTI header", str(error), COPY) from error
    if len(shape) < 3 or min(shape) < 1:  # noqa: PLR2004
        raise ImageError(path, "dimensions", "3 or 4 dimensions", f"shape {shape}", COPY)
    kind = nib.Nifti1Image if header.sizeof_hdr == HEADER_1_BYTES else nib.Nifti2Image
    data = np.broadcast_to(np.float32(0), shape)
    affine, notes = checked_affine(path, kind(data, geometry, header))
    return Image(data, affine, path, header, tuple(notes))


def _parse(path: Path, raw: bytes) -> Any:
    """A nibabel image of bytes that are all there."""
    start = raw[:HEADER_BYTES]
    header = header_of(path, start)
    check_claim(path, start, len(raw))
    kind = (
        nib.Nifti1Image
        if int(header["sizeof_hdr"]) == nib.Nifti1Header.sizeof_hdr
        else nib.Nifti2Image
    )
    if bytes(header["magic"])[:3] not in _SINGLE_FILE:
        came = "the header of a pair (.hdr and .img)"
        raise ImageError(path, "header", "header and voxels in one file", came, _CONVERT)
    try:
        image = kind.from_bytes(raw)
    except Exception as error:
        raise ImageError(path, "header", "a NIfTI image", str(error), COPY) from error
    dtype: Any = image.get_data_dtype()
    if dtype.fields is not None or dtype.kind not in "iuf":
        raise ImageError(path, "data_type", "real numbers", f"{dtype}", "export as a scalar image")
    return image


def _scaling_notes(path: Path, raw: bytes) -> list[str]:
    """Check the scaling of stored values: a slope of 0 or NaN means none, an infinite one nothing.

    nibabel takes an infinite slope for none, so stored values would pass for real ones.
    """
    header = header_of(path, raw[:HEADER_BYTES])
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if np.isinf(slope) or (np.isfinite(slope) and slope != 0 and not np.isfinite(intercept)):
        came = f"slope {slope:g}, intercept {intercept:g}"
        raise ImageError(path, "scaling", "a finite slope and intercept", came, COPY)
    return ["a slope that is no number: values taken as stored"] if np.isnan(slope) else []


def _squeezed(path: Path, data: Array, ndim: int | None) -> Array:
    """Drop trailing axes of length one and check what is left."""
    while data.ndim > 3 and data.shape[-1] == 1:  # noqa: PLR2004
        data = data[..., 0]
    allowed = (3, 4) if ndim is None else (ndim,)
    if data.ndim == 3 and 4 in allowed and ndim == 4:  # noqa: PLR2004
        data = data[..., None]
    if data.ndim not in allowed:
        wanted = " or ".join(f"{n}" for n in allowed)
        raise ImageError(
            path, "dimensions", f"{wanted} dimensions", f"shape {data.shape}",
            "give one volume, or list the scan under a contrast of that kind",
        )  # fmt: skip
    return data
