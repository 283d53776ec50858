"""Memory that a job asks for: of its largest image, and doubled with every attempt."""

from __future__ import annotations

import math

MB = 10**6
# Voxels in a byte of compressed image. Real scans hold 0.6 to 1; smooth or masked ones up to 2.
VOXELS_PER_BYTE = 2.0
# Working memory, in bytes a voxel of the largest image: float32 copies that live at one time.
BYTES_PER_VOXEL = {
    "mean_b0": 32, "segment": 48, "discs": 24, "soft_truth": 160, "tensor": 40, "measure": 40,
    "pictures": 24, "nnunet": 160,
}  # fmt: skip
# Two engine processes of a cluster job, the libraries, and a margin; networks add torch.
BASE_MB = {
    "mean_b0": 1000, "segment": 2500, "discs": 2500, "soft_truth": 1200, "tensor": 1500,
    "measure": 1200, "pictures": 1500, "nnunet": 4000,
}  # fmt: skip


def job_memory_mb(stage: str, largest_image_bytes: int, attempt: int = 1) -> int:
    """Memory for a batch of scans, which are worked on one after the other.

    The size on disk stands for the number of voxels, so that no image is opened to plan a run.

    Parameters
    ----------
    stage : str
        A key of :data:`BASE_MB`.
    largest_image_bytes : int
        Compressed size of the largest image of the batch, >= 0.
    attempt : int
        1 for the first; a job that was killed for memory is tried again with twice as much.

    Returns
    -------
    int
        Megabytes (10**6 bytes).

    Examples
    --------
    >>> job_memory_mb("segment", 0), job_memory_mb("segment", 10_000_000)
    (2500, 3460)
    >>> job_memory_mb("segment", 0, attempt=3)
    10000
    """
    voxels = largest_image_bytes * VOXELS_PER_BYTE
    needed_mb = BASE_MB[stage] + voxels * BYTES_PER_VOXEL[stage] / MB
    return math.ceil(needed_mb * 2 ** (attempt - 1))
