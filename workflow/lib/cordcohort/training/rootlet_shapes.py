"""Label maps of rootlets, of an atlas or a scan, as blocks along the cord.

A block follows the cord as that of a phantom person does (:mod:`.rootlet_painter`), so that one
sampler shows both. What lies beyond the labelled levels says nothing and is never shown: above them
unless the pontomedullary junction (PMJ) is labelled, below them unless T1, the last one, is.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cordcohort.errors import ConfigError, ImageError
from cordcohort.measures.discs import labelled_centre
from cordcohort.measures.rootlet_maps import class_numbers, lacking, rootlet_codes
from cordcohort.nifti import Image, read_mask
from cordcohort.phantom.tissues import Tissue
from cordcohort.segmentation.rootlet_block import CordAxis
from cordcohort.spinal_names import ROOTLET_CODES, VENTRAL_CODES
from cordcohort.training.rootlet_painter import (
    ABOVE_PMJ_MM,
    FINE_MM,
    HALF_X_MM,
    HALF_Y_MM,
    PersonBlock,
    nearest_level,
)
from cordcohort.training.sources import slice_centres

Floats = NDArray[np.floating[Any]]

BEYOND_LABELS_MM = 3.0
"""How far a block is shown beyond labelled levels that are not the last ones."""
BELOW_MM = 70.0
USUAL_PMJ_MM = 25.0
"""Height of the PMJ above the uppermost rootlets where it is not labelled: only places blocks."""
SAC_MM, DURA_MM = 3.5, 4.0
"""Where an atlas has no map of CSF: width of the sac round the cord, and of what bounds it."""
VERTEBRA_MM, DISC_MM = 16.0, 4.0
LAST = (ROOTLET_CODES[-1], VENTRAL_CODES[-1])
HALF = 0.5


@dataclass(frozen=True)
class Maps:
    """Label maps of one scan or atlas, axes ``(z, y, x)``, canonical.

    Attributes
    ----------
    cord
        Binary.
    rootlets
        Codes (:mod:`cordcohort.spinal_names`).
    spacing_mm
        Along z, y, x.
    pmj_mm
        Place of the PMJ, mm from voxel 0 along z, y, x; None where it is not labelled.
    image
        Brightness, or None.
    grey, csf
        Binary, or None.
    """

    cord: NDArray[Any]
    rootlets: NDArray[np.uint8]
    spacing_mm: tuple[float, float, float]
    pmj_mm: Floats | None = None
    image: NDArray[np.float32] | None = None
    grey: NDArray[Any] | None = None
    csf: NDArray[Any] | None = None


@dataclass(frozen=True)
class ShapeBlock(PersonBlock):
    """A block of label maps: as of a person, and what is known of it.

    Attributes
    ----------
    inside
        1 where the scan and its labels say something.
    image
        Brightness of the scan itself; None for an atlas.
    has_pmj
        False: ``pmj`` is a guess that only says where blocks lie.
    painted
        Share of the draws whose brightness is painted.
    """

    inside: NDArray[np.uint8]
    image: NDArray[np.float16] | None = None
    has_pmj: bool = True
    painted: float = 1.0


def shape_block(maps: Maps, classes: str, painted: float = 1.0) -> ShapeBlock:
    """Straighten label maps slice by slice along the cord, voxels of 0.5 mm.

    Parameters
    ----------
    maps
        With a cord and some rootlets of the classes.
    classes
        Key of :data:`cordcohort.spinal_names.ROOTLET_CLASSES`; others are left out.
    painted
        Share of the draws that are painted; 1 without an image.
    """
    rootlets = np.where(class_numbers(maps.rootlets, classes) > 0, maps.rootlets, 0)
    held = np.flatnonzero(rootlets.any((1, 2))) * maps.spacing_mm[0]
    junction = _junction(maps, float(held[-1]))
    top = min(max(junction[0], held[-1]) + ABOVE_PMJ_MM, (len(rootlets) - 1) * maps.spacing_mm[0])
    z = np.arange(max(0.0, held[0] - BELOW_MM), top + FINE_MM / 2, FINE_MM)
    axis = _axis(maps)
    places = _places(maps, axis, z)
    codes = _sampled(rootlets, places, order=0)
    share = _sampled((rootlets > 0).astype(np.float32), places, order=1)
    near = tuple(2 * int(np.ceil(mm / FINE_MM / 2)) + 3 for mm in maps.spacing_mm)
    level = nearest_level(codes, (near[0], near[1], near[2]))
    y, x = axis.at(np.array([junction[0]]))
    pmj = (np.array([junction[0] - z[0], junction[1] - y[0] + HALF_Y_MM,
                     junction[2] - x[0] + HALF_X_MM]) / FINE_MM)  # fmt: skip
    image = None if maps.image is None else _sampled(maps.image, places, order=1)
    return ShapeBlock(
        _tissues(maps, places, share), share.astype(np.float16), level, pmj,
        _inside(maps, places, z, held), None if image is None else image.astype(np.float16),
        maps.pmj_mm is not None, painted if image is not None else 1.0,
    )  # fmt: skip


def _junction(maps: Maps, highest_mm: float) -> Floats:
    """The PMJ, or a place where it usually is."""
    if maps.pmj_mm is not None:
        return np.asarray(maps.pmj_mm, float)
    above = highest_mm + USUAL_PMJ_MM
    y, x = _axis(maps).at(np.array([above]))
    return np.array([above, y[0], x[0]])


def _axis(maps: Maps) -> CordAxis:
    """The cord's smoothed path."""
    step, *pixel = maps.spacing_mm
    held = np.flatnonzero(maps.cord.any((1, 2)))
    slab = slice(int(held[0]), int(held[-1]) + 1)
    centres = slice_centres(maps.cord[slab].astype(np.float32), step) * pixel
    return CordAxis(np.arange(held[0], held[-1] + 1) * step, centres[:, 0], centres[:, 1])


def _places(maps: Maps, axis: CordAxis, z: Floats) -> NDArray[np.float32]:
    """Voxel (z, y, x) of the scan at every voxel of the block, shape (3, z, y, x)."""
    y = np.arange(-HALF_Y_MM, HALF_Y_MM, FINE_MM)
    x = np.arange(-HALF_X_MM, HALF_X_MM, FINE_MM)
    middle_y, middle_x = axis.at(z)
    out = np.empty((3, len(z), len(y), len(x)), np.float32)
    out[0] = z[:, None, None] / maps.spacing_mm[0]
    out[1] = (middle_y[:, None, None] + y[:, None]) / maps.spacing_mm[1]
    out[2] = (middle_x[:, None, None] + x) / maps.spacing_mm[2]
    return out


def _sampled(values: NDArray[Any], places: NDArray[np.float32], order: int) -> NDArray[Any]:
    """Values at places; 0, or of an image its edge, outside."""
    mode = "nearest" if values.dtype == np.float32 else "constant"
    return ndimage.map_coordinates(values, places, order=order, mode=mode, prefilter=False)


def _inside(maps: Maps, places: NDArray[np.float32], z: Floats, held: Floats) -> NDArray[np.uint8]:
    """1 inside the scan and where its labels are known to be complete."""
    shape = np.array(maps.cord.shape).reshape(3, 1, 1, 1)
    inside = np.asarray(((places >= -HALF) & (places <= shape - HALF)).all(0))
    if maps.pmj_mm is None:
        inside[z > held[-1] + BEYOND_LABELS_MM] = False
    if not np.isin(maps.rootlets, LAST).any():
        inside[z < held[0] - BEYOND_LABELS_MM] = False
    return inside.astype(np.uint8)


def _tissues(maps: Maps, places: NDArray[np.float32], share: Floats) -> NDArray[np.uint8]:
    """Tissues of the phantom round a cord: grey matter and CSF of the maps, else a plain sac."""
    cord = _sampled(maps.cord.astype(np.float32), places, order=1) >= HALF
    away = np.asarray(ndimage.distance_transform_edt(~cord, sampling=FINE_MM))
    out = _spine(places, maps.spacing_mm[0], away)
    if maps.csf is None:
        out[away <= DURA_MM] = Tissue.DURA
        out[away <= SAC_MM] = Tissue.CSF
    else:
        out[_sampled(maps.csf.astype(np.float32), places, order=1) >= HALF] = Tissue.CSF
    out[cord] = Tissue.LEFT_LATERAL_WM
    if maps.grey is not None:
        grey = _sampled(maps.grey.astype(np.float32), places, order=1) >= HALF
        out[cord & grey] = Tissue.LEFT_GM
    out[~cord & (share >= HALF)] = Tissue.NERVE_ROOT
    return out


def _spine(places: NDArray[np.float32], slice_mm: float, away: Floats) -> NDArray[np.uint8]:
    """Vertebrae and discs in front of the sac, arches and ligaments behind it."""
    n_y = away.shape[1]
    front = (np.arange(n_y) >= n_y // 2)[None, :, None]
    disc = places[0] * slice_mm % VERTEBRA_MM < DISC_MM
    body = np.where(disc, Tissue.DISC_ANNULUS, Tissue.MARROW)
    arch = np.where(disc, Tissue.LIGAMENT, Tissue.POSTERIOR_ARCH)
    return np.where(front, body, arch).astype(np.uint8)


def atlas_block(folder: Path, classes: str) -> ShapeBlock:
    """Block of an atlas: ``*_rootlets`` and ``*_cord``, where there are ``*_gm``, ``*_csf``, a PMJ.

    No image of the folder is read; a file with ``pmj`` in its name is the PMJ.

    Raises
    ------
    ConfigError
        One of the two maps is missing, or there are no rootlets of the classes.
    """
    found = {part: _file(folder, part) for part in ("rootlets", "cord", "gm", "csf")}
    for part in ("rootlets", "cord"):
        if found[part] is None:
            raise ConfigError("sources.atlas", str(folder), f"a file *_{part}.nii.gz in it",
                              "name an atlas folder", "recipe")  # fmt: skip
    cord = _label(found["cord"], "softseg")
    maps = Maps(
        _upwards(cord) >= HALF, rootlet_codes(_upwards(_label(found["rootlets"], "dseg"))),
        _spacing(cord), _atlas_pmj(folder),
        grey=None if found["gm"] is None else _upwards(_label(found["gm"], "softseg")) >= HALF,
        csf=None if found["csf"] is None else _upwards(_label(found["csf"], "softseg")) >= HALF,
    )  # fmt: skip
    came = lacking(maps.rootlets, classes)
    if came:
        raise ConfigError("sources.atlas", f"{folder}: {came}",
                          f"rootlets of the classes '{classes}'",
                          "name an atlas that has them, or other classes", "recipe")  # fmt: skip
    return shape_block(maps, classes)


def _file(folder: Path, part: str) -> Path | None:
    return next(iter(sorted(folder.rglob(f"*_{part}.nii*"))), None)


def _label(path: Path | None, kind: str) -> Image:
    assert path is not None  # noqa: S101 - asked for above
    return read_mask(path, kind=kind).canonical()


def _atlas_pmj(folder: Path) -> Floats | None:
    """The PMJ of an atlas, from a file whose name holds it."""
    path = next((p for p in sorted(folder.rglob("*.nii*")) if "pmj" in p.name.lower()), None)
    return None if path is None else pmj_of(_label(path, "dseg"))


def pmj_of(label: Image) -> Floats:
    """Place of a labelled PMJ, mm from voxel 0 along z, y, x.

    Raises
    ------
    ImageError
        It is labelled at no or at several places.
    """
    place, wrong = labelled_centre(np.asarray(label.data), label.spacing_mm, "PMJ")
    if place is None:
        raise ImageError(label.path, "no_point", "one labelled place", wrong, "mend the label")
    return place[::-1]


def _upwards(image: Image) -> NDArray[Any]:
    return np.ascontiguousarray(np.asarray(image.data).transpose(2, 1, 0))


def _spacing(image: Image) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in image.spacing_mm)
    return z, y, x
