"""The one reader and writer of NIfTI images.

nibabel alone reads as many bytes as it needs and never reaches the checksum of a gzip file, so a
flipped bit gives wrong voxels without an error. Here a file is read to its end, its checksum is
verified, what the header claims is compared with the file's real size *before* memory is asked
for, and geometry and values are checked. Every fault is one :class:`~cordcohort.errors.ImageError`.

Arrays are given on the file's own axes (:attr:`Image.data`) or in RAS+ order
(:meth:`Image.canonical`): x to the right, y to the front, z upwards.

The way of a file: ``container`` (bytes), ``geometry`` (affine), ``read`` (values), ``masks``
(meaning of the values of a mask), ``grids`` (whether a mask belongs to its image); ``write`` makes
files.
"""

from cordcohort.nifti.grids import MAX_GRID_SHIFT_VOXELS, check_same_grid, on_grid_of
from cordcohort.nifti.image import Array, Image
from cordcohort.nifti.masks import read_mask, read_shares
from cordcohort.nifti.read import read_grid, read_image
from cordcohort.nifti.write import write_image

__all__ = [
    "MAX_GRID_SHIFT_VOXELS", "Array", "Image", "check_same_grid", "on_grid_of", "read_grid",
    "read_image", "read_mask", "read_shares", "write_image",
]  # fmt: skip
