"""The one reader and writer of NIfTI images.

nibabel alone reads as many bytes as it needs and never reaches the checksum of a gzip file, so a
flipped bit gives wrong voxels without an error. Here a file is read to its end, its checksum is
verified, what the header claims is compared with the file's real size *before* memory is asked
for, and geometry and values are checked. Every fault is one :class:`~cordcohort.errors.ImageError`.

Arrays are given on the file's own axes (:attr:`Image.data`) or in RAS+ order
(:meth:`Image.canonical`): x to the right, y to the front, z upwards.
"""

from __future__ import annotations

import gzip
import io
import zlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.orientations import (
    apply_orientation,
    inv_ornt_aff,
    io_orientation,
    ornt_transform,
)
from numpy.typing import DTypeLike, NDArray

from cordcohort.errors import ImageError
from cordcohort.files import atomic_path

Array = NDArray[Any]

HEADER_BYTES = 540  # NIfTI-2; a NIfTI-1 header takes 348
HEADER_1_BYTES = 348
POINTER_BYTES = 1024  # git-annex pointers are about 105 bytes of text
MAX_DEFLATE_RATIO = 1040  # deflate cannot expand more than 1032 : 1
MAX_VOXELS = 4_000_000_000
# Below a fifth of a voxel every voxel centre lies well inside the voxel of the same index, and the
# overlap of two cords 24 voxels wide changes by less than 1 %; real label headers are off by 0.14.
MAX_GRID_SHIFT_VOXELS = 0.2
SPACE_UNIT_BITS, MILLIMETRE = 7, 2  # of the header field xyzt_units; 0 says nothing
MAX_SHEAR_COSINE = 1e-3
_CHUNK_BYTES = 1 << 20
_GEOMETRY_FIELDS = (
    "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d",
    "qoffset_x", "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z",
)  # fmt: skip


@dataclass(frozen=True)
class Image:
    """A verified image.

    Attributes
    ----------
    data : array, shape (X, Y, Z) or (X, Y, Z, T)
        Values after scaling, on the file's own axes.
    affine : array, shape (4, 4)
        Voxel index to RAS+ millimetres.
    path : Path
        Where it came from.
    header : nibabel header or None
        The file's header, kept for writing results on the very same grid.
    notes : tuple of str
        Legal oddities that a person may want to know.
    """

    data: Array
    affine: NDArray[np.float64]
    path: Path = Path()
    header: Any = field(default=None, repr=False, compare=False)
    notes: tuple[str, ...] = ()

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance of neighbouring voxel centres along the three array axes, in mm."""
        x, y, z = np.sqrt((self.affine[:3, :3] ** 2).sum(axis=0))
        return float(x), float(y), float(z)

    @property
    def voxel_mm3(self) -> float:
        """Volume of one voxel in mm3."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    def canonical(self) -> Image:
        """The same image with axes permuted and flipped to the nearest RAS+ order (a view)."""
        orientation = io_orientation(self.affine)
        affine = self.affine @ inv_ornt_aff(orientation, self.data.shape[:3])
        return replace(self, data=apply_orientation(self.data, orientation), affine=affine)

    def to_native(self, canonical_data: Array) -> Array:
        """Bring an array that lies on this image's canonical grid back to the file's own axes."""
        orientation = io_orientation(self.affine)
        ras = np.array([[0, 1], [1, 1], [2, 1]], dtype=float)
        return apply_orientation(canonical_data, ornt_transform(ras, orientation))


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
    raw = _read_verified(path)
    image = _parse(path, raw)
    affine, notes = _checked_affine(path, image)
    try:
        data = image.get_fdata(dtype=np.dtype(dtype), caching="unchanged")
    except (ValueError, OSError, TypeError, OverflowError) as error:
        raise ImageError(path, "values", "readable voxel values", str(error), _COPY) from error
    data = _squeezed(path, data, ndim)
    if not np.isfinite(data).all():
        n_bad = int((~np.isfinite(data)).sum())
        raise ImageError(
            path, "not_finite", "finite values", f"{n_bad} NaN or infinite voxels",
            "export the image again or set them to 0",
        )  # fmt: skip
    return Image(data, affine, path, image.header, tuple(notes))


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
            header = _header_of(path, handle.read(HEADER_BYTES))
        shape = tuple(int(n) for n in header.get_data_shape())
        geometry = header.get_best_affine()
    except ImageError:
        raise
    except Exception as error:
        raise ImageError(path, "header", "a NIfTI header", str(error), _COPY) from error
    if len(shape) < 3 or min(shape) < 1:  # noqa: PLR2004
        raise ImageError(path, "dimensions", "3 or 4 dimensions", f"shape {shape}", _COPY)
    kind = nib.Nifti1Image if header.sizeof_hdr == HEADER_1_BYTES else nib.Nifti2Image
    data = np.broadcast_to(np.float32(0), shape)
    affine, notes = _checked_affine(path, kind(data, geometry, header))
    return Image(data, affine, path, header, tuple(notes))


def read_mask(path: Path | str, like: Image | None = None, *, kind: str = "seg") -> Image:
    """Read a mask or label map and check that it belongs to its image.

    Parameters
    ----------
    path : path
        The mask.
    like : Image, optional
        The image that it was drawn on: shape and affine must agree (:func:`check_same_grid`).
    kind : {"seg", "softseg", "dseg"}
        Binary mask (0/1, also 0/255 or 0/constant; result uint8), soft mask (0 to 1; float32), or
        label map (integers from 0; int32).

    Raises
    ------
    ImageError
        As :func:`read_image`, and ``other_grid``, ``not_binary``, ``not_soft``, ``not_labels``.
    """
    mask = read_image(path, ndim=3, dtype=np.float32)
    if like is not None:
        check_same_grid(mask, like)
    check = {"seg": _as_binary, "softseg": _as_soft, "dseg": _as_labels}[kind]
    return replace(mask, data=check(mask.path, mask.data))


def check_same_grid(mask: Image, image: Image) -> None:
    """Refuse a mask whose grid is not its image's.

    Raises
    ------
    ImageError
        If the shapes differ, or a corner of the volume lies more than 20 % of the smallest voxel
        side away from where the image has it.
    """
    if mask.data.shape[:3] != image.data.shape[:3]:
        raise ImageError(
            mask.path, "other_grid", f"shape {image.data.shape[:3]} as {image.path.name}",
            f"{mask.data.shape[:3]}", "resample the mask to its image or name the right image",
        )  # fmt: skip
    shift = max_corner_shift_mm(mask.affine, image.affine, image.data.shape[:3])
    if shift > MAX_GRID_SHIFT_VOXELS * min(image.spacing_mm):
        raise ImageError(
            mask.path, "other_grid", f"the grid of {image.path.name}",
            f"corners up to {shift:.3g} mm away", "resample the mask to its image",
        )  # fmt: skip


def max_corner_shift_mm(a: Array, b: Array, shape: tuple[int, ...]) -> float:
    """Largest distance, in mm, between where two affines put the corners of a volume."""
    ends = np.array(np.meshgrid(*[(0, n - 1) for n in shape[:3]])).reshape(3, -1)
    corners = np.vstack([ends, np.ones(ends.shape[1])])
    return float(np.linalg.norm(((a - b) @ corners)[:3], axis=0).max())


def write_image(
    path: Path | str, data: Array, affine: Array, *, dtype: DTypeLike, like: Image | None = None
) -> None:
    """Write an image atomically, with a clean header and the same bytes for the same values.

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
            raw = gzip.compress(raw, compresslevel=4, mtime=0)
        tmp.write_bytes(raw)


_COPY = "copy or export the file again"


def _read_verified(path: Path) -> bytes:
    """All bytes of the file, unpacked, after the cheap checks that need no allocation."""
    if not path.exists():
        came = "a broken link" if path.is_symlink() else "no such file"
        raise ImageError(
            path, "missing", "a file", came, "fetch it (git annex get) or mend the path"
        )
    try:
        size = path.stat().st_size
        with path.open("rb") as handle:
            start = handle.read(POINTER_BYTES)
            if size < POINTER_BYTES and b"annex/objects" in start:
                raise ImageError(
                    path, "pointer", "an image", "an unfetched git-annex pointer",
                    "fetch it: git annex get",
                )  # fmt: skip
            if size == 0:
                raise ImageError(path, "empty", "an image", "a file of 0 bytes", _COPY)
            handle.seek(0)
            if start[:2] == b"\x1f\x8b":
                return _gunzip(path, handle, size)
            _check_claim(path, start, size)
            return handle.read()
    except OSError as error:
        raise ImageError(path, "unreadable", "a readable file", str(error), _COPY) from error


def _gunzip(path: Path, handle: io.BufferedReader, size: int) -> bytes:
    """Unpack a gzip file to its end; zlib verifies checksum and length of every member."""
    out = bytearray()
    limit = -1
    inflate = zlib.decompressobj(wbits=31)
    try:
        while chunk := handle.read(_CHUNK_BYTES):
            while chunk:
                out += inflate.decompress(chunk, _CHUNK_BYTES * 8)
                chunk = inflate.unconsumed_tail
                if limit < 0 and len(out) >= HEADER_BYTES:
                    limit = _check_claim(path, bytes(out[:HEADER_BYTES]), size * MAX_DEFLATE_RATIO)
                if 0 <= limit < len(out):
                    came = f"more than {limit} bytes of content"
                    raise ImageError(path, "size", f"{limit} bytes", came, _COPY)
                if inflate.eof:
                    chunk = inflate.unused_data.lstrip(b"\0")
                    inflate = zlib.decompressobj(wbits=31)
    except zlib.error as error:
        raise ImageError(path, "checksum", "an intact gzip file", str(error), _COPY) from error
    # A fresh inflater means that the last member ended as it should.
    if inflate.unconsumed_tail or not _is_fresh(inflate):
        raise ImageError(
            path, "truncated", "a whole gzip file", f"an early end at {size} bytes", _COPY
        )
    return bytes(out)


def _is_fresh(inflate: Any) -> bool:
    """Whether an inflater stands at the start of a member."""
    probe = inflate.copy()
    try:
        probe.decompress(gzip.compress(b"", mtime=0))
    except zlib.error:
        return False
    return bool(probe.eof)


def _header_of(path: Path, start: bytes) -> Any:
    """Parse a NIfTI-1 or NIfTI-2 header."""
    for kind in (nib.Nifti1Header, nib.Nifti2Header):
        try:
            header = kind.from_fileobj(io.BytesIO(start), check=False)
            if int(header["sizeof_hdr"]) == kind.sizeof_hdr:
                return header
        except Exception:  # noqa: S112 - nibabel raises many types on arbitrary bytes
            continue
    raise ImageError(path, "header", "a NIfTI header", f"bytes {start[:4].hex(' ')}", _COPY)


def _check_claim(path: Path, start: bytes, available_bytes: int) -> int:
    """Compare what the header claims with what the file can hold; give the claimed size."""
    header = _header_of(path, start)
    try:
        # The number of bytes is computed with Python integers, which cannot overflow.
        n_dims = int(header["dim"][0])
        shape = [int(n) for n in header["dim"][1 : n_dims + 1]]
        item_bytes = int(header.get_data_dtype().itemsize)
        offset = int(header["vox_offset"])
    except Exception as error:
        raise ImageError(path, "header", "a NIfTI header", str(error), _COPY) from error
    n_voxels = int(np.prod([max(n, 0) for n in shape], dtype=object)) if shape else 0
    if not 1 <= n_dims <= 7 or min(shape, default=0) < 1 or n_voxels > MAX_VOXELS:  # noqa: PLR2004
        raise ImageError(path, "dimensions", "1 to 7 positive dimensions", f"{shape}", _COPY)
    claimed = max(offset, 0) + n_voxels * item_bytes
    if claimed > available_bytes:
        came = f"at most {available_bytes}"
        raise ImageError(path, "truncated", f"{claimed} bytes as the header claims", came, _COPY)
    return claimed + _CHUNK_BYTES  # some writers pad the end


def _parse(path: Path, raw: bytes) -> Any:
    """A nibabel image of bytes that are all there."""
    start = raw[:HEADER_BYTES]
    header = _header_of(path, start)
    _check_claim(path, start, len(raw))
    kind = (
        nib.Nifti1Image
        if int(header["sizeof_hdr"]) == nib.Nifti1Header.sizeof_hdr
        else nib.Nifti2Image
    )
    try:
        image = kind.from_bytes(raw)
    except Exception as error:
        raise ImageError(path, "header", "a NIfTI image", str(error), _COPY) from error
    dtype: Any = image.get_data_dtype()
    if dtype.fields is not None or dtype.kind not in "iuf":
        raise ImageError(path, "data_type", "real numbers", f"{dtype}", "export as a scalar image")
    return image


def _checked_affine(path: Path, image: Any) -> tuple[NDArray[np.float64], list[str]]:
    """The affine, after spacing, rank, shear and the agreement of its two descriptions."""
    header = image.header
    spacing = np.asarray(header.get_zooms()[:3], dtype=float)
    if len(spacing) < 3 or not np.isfinite(spacing).all() or (spacing <= 0).any():  # noqa: PLR2004
        raise ImageError(path, "spacing", "three positive voxel sizes", f"{spacing}", _COPY)
    unit = int(header["xyzt_units"]) & SPACE_UNIT_BITS
    if unit not in (0, MILLIMETRE):
        came = {1: "metres", 3: "micrometres"}.get(unit, f"unit code {unit}")
        raise ImageError(path, "units", "millimetres", came, "scale the affine and set the unit")
    with np.errstate(all="ignore"):
        affine = np.asarray(image.affine, dtype=np.float64)
    if not np.isfinite(affine).all():
        raise ImageError(path, "geometry", "a finite affine", "NaN or infinite entries", _COPY)
    axes = affine[:3, :3]
    lengths = np.linalg.norm(axes, axis=0)
    if (lengths <= 0).any() or abs(np.linalg.det(axes / np.where(lengths > 0, lengths, 1))) < 0.5:  # noqa: PLR2004
        raise ImageError(path, "geometry", "three independent axes", "a singular affine", _COPY)
    return affine, _geometry_notes(path, image, affine)


def _geometry_notes(path: Path, image: Any, affine: Array) -> list[str]:
    """What is legal but worth telling; two geometries that contradict each other are a fault."""
    header = image.header
    q_code, s_code = int(header["qform_code"]), int(header["sform_code"])
    notes: list[str] = []
    if q_code == 0 and s_code == 0:
        notes.append("no qform and no sform: orientation taken from the voxel order")
    if q_code > 0 and s_code > 0:
        try:
            qform = header.get_qform()
        except Exception as error:
            raise ImageError(path, "geometry", "a valid qform", str(error), _COPY) from error
        shape = image.shape[:3] + (1,) * (3 - len(image.shape[:3]))
        shift = max_corner_shift_mm(affine, qform, shape)
        spacing = np.linalg.norm(affine[:3, :3], axis=0)
        if not shift <= max(0.5 * float(spacing.min()), 0.0):
            raise ImageError(
                path, "two_geometries", "qform and sform that agree",
                f"corners up to {shift:.3g} mm apart", "set the wrong one's code to 0",
            )  # fmt: skip
    cosines = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    shear = float(np.abs(cosines.T @ cosines - np.eye(3)).max())
    if shear > MAX_SHEAR_COSINE:
        raise ImageError(
            path, "geometry", "perpendicular axes", f"a sheared affine (cosine {shear:.3g})",
            "resample the image to a grid without shear",
        )  # fmt: skip
    return notes


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


def _as_binary(path: Path, data: Array) -> NDArray[np.uint8]:
    top = float(data.max()) if data.size else 0.0
    inside = data == top if top > 0 else np.zeros(data.shape, dtype=bool)
    if np.count_nonzero(inside) + np.count_nonzero(data == 0) == data.size:
        return inside.view(np.uint8)  # two values to the bit, as nearly always
    scaled = data / top if top > 0 else data
    rounded = np.rint(scaled)
    if data.min() < 0 or float(np.abs(scaled - rounded).max(initial=0.0)) > 1e-3:  # noqa: PLR2004
        raise ImageError(
            path, "not_binary", "a mask of two values", f"values from {data.min():g} to {top:g}",
            "binarise it, or name it as a soft mask (label-SC_softseg)",
        )  # fmt: skip
    return rounded.astype(np.uint8)


def _as_soft(path: Path, data: Array) -> NDArray[np.float32]:
    low, high = float(data.min(initial=0.0)), float(data.max(initial=0.0))
    if low < -1e-3 or high > 1 + 1e-3:  # noqa: PLR2004
        raise ImageError(
            path, "not_soft", "values from 0 to 1", f"{low:g} to {high:g}", "rescale the soft mask"
        )
    return np.clip(data, 0.0, 1.0).astype(np.float32, copy=False)


def _as_labels(path: Path, data: Array) -> NDArray[np.int32]:
    with np.errstate(invalid="ignore"):  # a number that is too large is not equal afterwards
        whole = data.astype(np.int32)
    if data.min(initial=0.0) >= 0 and np.array_equal(whole, data):
        return whole
    rounded = np.rint(data)
    if data.min(initial=0.0) < 0 or float(np.abs(data - rounded).max(initial=0.0)) > 1e-3:  # noqa: PLR2004
        raise ImageError(
            path, "not_labels", "whole label numbers from 0", f"{data.min():g} to {data.max():g}",
            "save the label map without interpolation",
        )  # fmt: skip
    return rounded.astype(np.int32)
