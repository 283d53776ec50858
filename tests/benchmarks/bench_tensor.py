"""CPU seconds of tensor maps and the region table of a real scan, beside dipy's unmasked fit."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "workflow" / "lib"))

from cordcohort.images.diffusion import dilated, tensor_maps  # noqa: E402
from cordcohort.images.gradients import read_gradients  # noqa: E402
from cordcohort.nifti import read_image, read_mask  # noqa: E402
from dipy.core.gradients import gradient_table  # noqa: E402
from dipy.reconst import dti  # noqa: E402

REPEATS = 3
DATA = Path(os.environ.get("CORDCOHORT_DATA", ROOT.parent / "shared" / "data"))
SCAN = "sct-example/sub-example01/dwi/sub-example01_dwi"
MASK = "sub-example01_dwi_desc-thresholded_label-SC_seg.nii.gz"


def cpu_seconds(work: Callable[[], object]) -> float:
    """Best CPU time of a few runs, after one that imports and warms up."""
    work()
    times: list[float] = []
    for _ in range(REPEATS):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times)


def main() -> None:
    """Print both times and their ratio."""
    if not DATA.is_dir():
        print("bench_tensor: the real scan is not here (set CORDCOHORT_DATA)")
        return
    image = read_image(DATA / f"{SCAN}.nii.gz", ndim=4)
    table = read_gradients(DATA / f"{SCAN}.bval", DATA / f"{SCAN}.bvec", image.data.shape[3])
    labels = DATA / "sct-example" / "derivatives" / "labels" / "sub-example01" / "dwi"
    mask = dilated(read_mask(labels / MASK, image), 1.0)
    whole = dti.TensorModel(
        gradient_table(table.bvals, bvecs=table.bvecs, b0_threshold=50), fit_method="WLS"
    )
    ours = cpu_seconds(lambda: tensor_maps(image, table, mask))
    theirs = cpu_seconds(lambda: whole.fit(image.data).fa)
    print(f"tensor maps in the dilated cord: {ours:.3f} CPU s")
    print(f"dipy, whole volume, FA only:     {theirs:.3f} CPU s")
    print(f"ratio: {theirs / ours:.1f}")


if __name__ == "__main__":
    main()
