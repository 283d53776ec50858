"""Files that cannot be used, one fault each: to see that a study goes on and says why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cordcohort.files import write_bytes, write_json, write_text
from cordcohort.nifti import write_image
from cordcohort.phantom.acquisition import Pose, acquire
from cordcohort.phantom.config import PhantomStudy
from cordcohort.phantom.imaging import Noise, rician, structural_image
from cordcohort.phantom.person import draw_person
from cordcohort.phantom.rater import Rater, draw
from cordcohort.phantom.signals import stream, tissue_signals

Array = NDArray[Any]

SHAPE = (48, 48, 24)
SPACING_MM = (1.2, 1.2, 2.0)
KEPT_SHARE = 0.6
NOISE_SIGNAL = 30.0
POINTER = "/annex/objects/MD5E-s4194304--0123456789abcdef0123456789abcdef.nii.gz\n"


def _truncated(path: Path, image: Array, affine: Array) -> None:
    write_image(path, image, affine, dtype=np.int16)
    raw = path.read_bytes()
    write_bytes(path, raw[: int(len(raw) * KEPT_SHARE)])


def _empty(path: Path, image: Array, affine: Array) -> None:
    del image, affine
    write_bytes(path, b"")


def _pointer(path: Path, image: Array, affine: Array) -> None:
    del image, affine
    write_text(path, POINTER)


def _not_finite(path: Path, image: Array, affine: Array) -> None:
    spoiled = image.astype(np.float32)
    spoiled[::7, ::5, ::3] = np.nan
    write_image(path, spoiled, affine, dtype=np.float32)


def _four_dimensional(path: Path, image: Array, affine: Array) -> None:
    write_image(path, np.stack([image, image], axis=-1), affine, dtype=np.int16)


def _noise(path: Path, image: Array, affine: Array) -> None:
    empty = rician(np.zeros(image.shape, dtype=np.float32), NOISE_SIGNAL, stream(0, path.name))
    write_image(path, np.rint(empty), affine, dtype=np.int16)


def _whole(path: Path, image: Array, affine: Array) -> None:
    write_image(path, image, affine, dtype=np.int16)


FAULTS: Final[dict[str, Callable[[Path, Array, Array], None]]] = {
    "badTruncated": _truncated,
    "badEmpty": _empty,
    "badPointer": _pointer,
    "badOtherGrid": _whole,
    "badNaN": _not_finite,
    "bad4D": _four_dimensional,
    "badNoCord": _noise,
}
"""Subject label to how its T2w image is spoiled; `badOtherGrid` has a mask on another grid."""


def write_bad_subjects(study: PhantomStudy, dataset: Path) -> None:
    """Write one subject a fault into a dataset.

    Parameters
    ----------
    study : PhantomStudy
        Gives the seed and the last site's vendor.
    dataset : Path
        Folder of the dataset.
    """
    site = study.sites[-1]
    person = draw_person(stream(study.seed, "bad person"))
    grid = acquire(person, SHAPE, SPACING_MM, centre_level=study.centre_level, pose=Pose())
    signals = tissue_signals("T2w", site.manufacturer, study.seed, "bad")
    image = structural_image(
        person, grid, signals, contrast="T2w", noise=Noise(), rng=stream(study.seed, "bad noise")
    )
    mask = draw(person, grid, Rater(), stream(study.seed, "bad rater")).cord
    for subject, spoil in FAULTS.items():
        folder, stem = f"sub-{subject}/ses-1/anat", f"sub-{subject}_ses-1_T2w"
        spoil(dataset / folder / f"{stem}.nii.gz", np.rint(image), grid.affine)
        write_json(
            dataset / folder / f"{stem}.json",
            {"Manufacturer": site.manufacturer, "MagneticFieldStrength": site.field_strength_t},
        )
        if subject == "badNoCord":
            continue
        affine = grid.affine.copy()
        if subject == "badOtherGrid":
            affine[:3, 3] += SPACING_MM
        label = dataset / "derivatives" / "labels" / folder / f"{stem}_label-SC_seg.nii.gz"
        write_image(label, mask, affine, dtype=np.uint8)
