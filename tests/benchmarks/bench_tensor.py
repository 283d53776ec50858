"""CPU seconds of tensor maps and the region table of a real scan, beside dipy's unmasked fit."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "workflow" / "lib"))

import numpy as np  # noqa: E402
from cordcohort.images.diffusion import dilated, tensor_maps  # noqa: E402
from cordcohort.images.gradients import B0_THRESHOLD_S_PER_MM2, read_gradients  # noqa: E402
from cordcohort.images.motion import find_motion, without_motion  # noqa: E402
from cordcohort.images.preprocess import cord_centres, mean_b0  # noqa: E402
from cordcohort.measures.options import MeasureOptions  # noqa: E402
from cordcohort.measures.regions import measure_regions  # noqa: E402
from cordcohort.nifti import Image, read_image, read_mask, write_image  # noqa: E402
from cordcohort.scan import SCAN_KEY  # noqa: E402
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


def eight_parts(mask: Image) -> np.ndarray:
    """A map with eight codes, for timing only: sides by depth; nobody's regions."""
    cord = mask.canonical().data > 0
    codes = np.zeros(cord.shape, np.uint8)
    for k in np.flatnonzero(cord.any(axis=(0, 1))):
        x, y = np.nonzero(cord[..., k])
        depth = np.argsort(np.argsort(y)) * 4 // len(y)
        codes[x, y, k] = 1 + depth + 4 * (x > np.median(x))
    return mask.to_native(codes)


def region_table(image: Image, mask: Image, maps: dict, folder: Path) -> Callable[[], object]:
    """Work that makes the region table of maps written to a folder."""
    files: dict[str, str] = {}
    volumes = {**maps, "cord": mask.data, "regions": eight_parts(mask)}
    for name, data in volumes.items():
        files[name] = str(folder / f"{name}.nii.gz")
        write_image(files[name], data, image.affine, dtype=data.dtype, like=image)
    common = {"method": "manual", "path": "", "status": "ok", "reason": ""}
    masks = [
        common | {"structure": "cord", "kind": "seg", "path": files["cord"]},
        common | {"structure": "regions", "kind": "dseg", "path": files["regions"]},
    ]
    key = dict.fromkeys(SCAN_KEY, "") | {"dataset": "a", "subject": "01", "contrast": "dwi"}
    chosen = {name: files[name] for name in maps}
    return lambda: measure_regions(key, masks, chosen, MeasureOptions(), image=str(image.path))


def main() -> None:
    """Print the times and their ratios."""
    if not DATA.is_dir():
        print("bench_tensor: the real scan is not here (set CORDCOHORT_DATA)")
        return
    image = read_image(DATA / f"{SCAN}.nii.gz", ndim=4)
    table = read_gradients(DATA / f"{SCAN}.bval", DATA / f"{SCAN}.bvec", image.data.shape[3])
    labels = DATA / "sct-example" / "derivatives" / "labels" / "sub-example01" / "dwi"
    mask = read_mask(labels / MASK, image)
    inside = dilated(mask, 1.0)
    whole = dti.TensorModel(
        gradient_table(table.bvals, bvecs=table.bvecs, b0_threshold=50), fit_method="WLS"
    )
    fit = cpu_seconds(lambda: tensor_maps(image, table, inside))
    with tempfile.TemporaryDirectory() as folder:
        maps = tensor_maps(image, table, inside).maps
        regions = cpu_seconds(region_table(image, mask, maps, Path(folder)))
    theirs = cpu_seconds(lambda: whole.fit(image.data).fa)
    print(f"tensor maps in the dilated cord:  {fit:.3f} CPU s")
    print(f"table of cord and eight regions:  {regions:.3f} CPU s")
    print(f"dipy, whole volume, FA only:      {theirs:.3f} CPU s")
    print(f"ratio of dipy to the fit: {theirs / fit:.1f}; to both: {theirs / (fit + regions):.1f}")
    print_motion(image, table.bvals)


def print_motion(image: Image, bvals: np.ndarray) -> None:
    """Print the time and the size of the motion of the scan."""
    scan = image.canonical()
    spacing, is_b0 = scan.spacing_mm[:2], bvals <= B0_THRESHOLD_S_PER_MM2
    centres = cord_centres(mean_b0(scan, bvals))
    if centres is None:
        print("motion: the cord was not found")
        return
    began = time.process_time()
    motion = find_motion(scan.data, spacing, is_b0, centres)
    without_motion(scan.data, spacing, motion)
    way = motion.framewise_displacement_mm[1:]
    print(f"motion found and taken back:      {time.process_time() - began:.2f} CPU s; framewise")
    print(f"displacement: mean {way.mean():.2f} mm, largest {way.max():.2f} mm")


if __name__ == "__main__":
    main()
