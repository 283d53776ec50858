"""Label maps of the eight cord regions to paint: stacks of an atlas and of phantom people.

A stack is cut round the cord's axis slice by slice. No image is ever read here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cordcohort.errors import ConfigError
from cordcohort.nifti import read_image
from cordcohort.phantom.anatomy import codes_at, mean_values
from cordcohort.phantom.frame import build_frame
from cordcohort.phantom.person import Person, draw_person
from cordcohort.phantom.tissues import CANAL, N_TISSUES, REGIONS
from cordcohort.training.phantom_sources import tissue_codes

PIXEL_MM = 0.5
MAP_PIXELS = 72
AROUND_PIXELS = 112
ATLAS_STEP_MM = 1.0
PHANTOM_STEP_MM = 2.0
PHANTOM_LEVELS = (1.3, 9.5)
"""Upper and lower end of the phantom's slab, in level units (3 is the disc C2/C3)."""
SUPERSAMPLE = (2, 2, 2)
WHOLE = 255
LEAST_CORD = 0.5
CENTRE_SIGMA_MM = 8.0
ATLAS_LIST = "info_label.txt"
ATLAS_SECTION = "IndivLabels"
N_MAPS = len(REGIONS) + 1

_WHITE = {
    "dorsal": ("fasciculus gracilis", "fasciculus cuneatus"),
    "lateral": (
        "lateral corticospinal", "ventral spinocerebellar", "rubrospinal",
        "lateral reticulospinal", "spinal lemniscus",
    ),
    "ventral": (
        "spino-olivary", "ventrolateral reticulospinal", "lateral vestibulospinal",
        "ventral reticulospinal", "ventral corticospinal", "tectospinal",
        "medial reticulospinal", "medial longitudinal fasciculus",
    ),
}  # fmt: skip
"""Tracts of each white matter region, by name."""


@dataclass(frozen=True)
class RegionStack:
    """Straightened region maps of one person or atlas.

    Attributes
    ----------
    name
        Source and person.
    maps
        uint8 ``(9, z, y, x)``: the eight regions in the order of their codes, then the canal (cord
        and CSF), 255 for a pixel that is wholly so; 72 x 72 pixels of 0.5 mm round the cord.
    step_mm
        Distance of the slices.
    level
        ``(z,)`` vertebral level (2 is C2), 0 where not known.
    codes
        uint8 ``(z, y, x)`` painter's tissue codes of 112 x 112 pixels round the cord, or None.
    """

    name: str
    maps: NDArray[np.uint8]
    step_mm: float
    level: NDArray[np.int64]
    codes: NDArray[np.uint8] | None = None


def region_of_tract(name: str) -> int:
    """Region code of an atlas map, by its name; 0 of CSF.

    Raises
    ------
    ConfigError
        A name that no region is known for.

    Examples
    --------
    >>> region_of_tract("WM left ventrolateral reticulospinal tract")
    3
    >>> region_of_tract("GM right dorsal horn"), region_of_tract("CSF contour")
    (8, 0)
    """
    words = name.split("(", maxsplit=1)[0].split()
    kind, side = words[0].upper(), words[1].lower() if len(words) > 1 else ""
    if kind == "CSF":
        return 0
    tract = " ".join(words[2:]).removesuffix(" tract").lower()
    region = "gm" if kind == "GM" else next((r for r, t in _WHITE.items() if tract in t), "")
    if side not in {"left", "right"} or kind not in {"WM", "GM"} or not region:
        raise ConfigError("sources.atlas", name, "WM or GM, left or right, and a known tract",
                          "name the maps as the PAM50 atlas does", ATLAS_LIST)  # fmt: skip
    wanted = f"{side}_{region}" + ("" if region == "gm" else "_wm")
    return next(int(r) for r in REGIONS if r.name.lower() == wanted)


def atlas_regions(folder: Path) -> RegionStack:
    """Regions of an atlas: one map a tract, listed by name in ``info_label.txt``.

    Parameters
    ----------
    folder
        Holds, at any depth, the list and its maps (fractions), and ``*_levels.nii.gz`` with
        vertebral levels where these are known. ``CSF`` in the list makes the canal.

    Raises
    ------
    ConfigError
        No list, a map that is not there, or a tract that no region is known for.
    """
    regions, step = None, ATLAS_STEP_MM
    for name, path in _listed(folder).items():
        image = read_image(path).canonical()
        every = max(1, round(ATLAS_STEP_MM / float(image.spacing_mm[2])))
        values = np.asarray(image.data, np.float32).T[::every]
        if regions is None:
            step = every * float(image.spacing_mm[2])
            pixel = (float(image.spacing_mm[1]), float(image.spacing_mm[0]))
            regions = np.zeros((N_MAPS, *values.shape), np.float32)
        regions[region_of_tract(name) - 1] += values
    if regions is None:
        raise ConfigError("sources.atlas", str(folder), f"maps in {ATLAS_LIST}", "name an atlas")
    cord = regions[:-1].sum(0)
    regions[-1] = np.clip(regions[-1] + cord, 0, 1)
    drawn = np.flatnonzero((cord > LEAST_CORD).any((1, 2)))
    slab = slice(int(drawn[0]), int(drawn[-1]) + 1)
    level = _atlas_levels(folder, len(cord))[slab]
    maps = _centred(regions[:, slab], pixel, step)  # pyright: ignore[reportPossiblyUnboundVariable]
    return RegionStack("atlas", _stored(maps), step, level)


def _listed(folder: Path) -> dict[str, Path]:
    """Name and file of each map of the atlas' list."""
    for path in sorted(folder.rglob(ATLAS_LIST)):
        text = path.read_text(encoding="utf-8")
        if "atlas" not in path.parent.name and "_atlas_" not in text:
            continue
        section = text.partition(ATLAS_SECTION)[2].partition("Keyword")[0]
        rows = [line.split(",") for line in section.splitlines() if line[:1].isdigit()]
        found = {row[1].strip(): path.parent / row[-1].strip() for row in rows}
        missing = [str(p) for p in found.values() if not p.is_file()]
        if missing:
            raise ConfigError("sources.atlas", missing[0], "a file of the atlas' list",
                              "complete the atlas folder", str(path))  # fmt: skip
        return found
    raise ConfigError("sources.atlas", str(folder), f"a tract atlas with {ATLAS_LIST}",
                      "name the folder of an atlas")  # fmt: skip


def _atlas_levels(folder: Path, n_slices: int) -> NDArray[np.int64]:
    """Vertebral level of each stored slice; 0 where there is no map of levels."""
    paths = [p for p in sorted(folder.rglob("*_levels.nii*")) if "spinal" not in p.name]
    if not paths:
        return np.zeros(n_slices, np.int64)
    image = read_image(paths[0]).canonical()
    every = max(1, round(ATLAS_STEP_MM / float(image.spacing_mm[2])))
    values = np.asarray(image.data).T[::every][:n_slices].reshape(n_slices, -1)
    return np.array([int(np.median(v[v > 0])) if (v > 0).any() else 0 for v in values])


def _centred(
    maps: NDArray[np.float32], pixel_mm: tuple[float, float], step_mm: float
) -> NDArray[np.float32]:
    """Maps ``(c, z, y, x)`` on the stack's grid, each slice round the cord's smoothed centre."""
    cord = maps[:-1].sum(0)
    mass = cord.sum((1, 2))
    y, x = (np.arange(n, dtype=np.float32) for n in cord.shape[1:])
    centre = np.stack([cord.sum(2) @ y / mass, cord.sum(1) @ x / mass], 1)
    centre = ndimage.gaussian_filter1d(centre, CENTRE_SIGMA_MM / step_mm, axis=0, mode="nearest")
    offset = (np.arange(MAP_PIXELS) - (MAP_PIXELS - 1) / 2) * PIXEL_MM
    out = np.zeros((*maps.shape[:2], MAP_PIXELS, MAP_PIXELS), np.float32)
    for z in range(len(centre)):
        cy, cx = float(centre[z, 0]), float(centre[z, 1])
        grid = np.meshgrid(cy + offset / pixel_mm[0], cx + offset / pixel_mm[1], indexing="ij")
        for c in range(len(maps)):
            ndimage.map_coordinates(maps[c, z], grid, order=1, output=out[c, z], mode="constant")
    return out


def _stored(fractions: NDArray[Any]) -> NDArray[np.uint8]:
    return np.rint(np.clip(fractions, 0, 1) * WHOLE).astype(np.uint8)


def phantom_regions(persons: int, seed: int) -> list[RegionStack]:
    """Necks of drawn people; half of them have compressions.

    Parameters
    ----------
    persons
        How many.
    seed
        Of their shapes.

    Examples
    --------
    >>> stack = phantom_regions(1, seed=1)[0]
    >>> stack.maps.shape[0], set(stack.level.tolist()) >= {2, 5, 7}
    (9, True)
    """
    rng = np.random.default_rng(seed)
    return [
        person_stack(draw_person(rng, compression=i % 2 == 0), f"phantom-{seed}-{i:02d}")
        for i in range(persons)
    ]


def person_stack(person: Person, name: str) -> RegionStack:
    """Straightened regions and surroundings of one person's neck."""
    frame = build_frame(person)
    top, bottom = (float(frame.z_of_level(level)) for level in PHANTOM_LEVELS)
    z = np.arange(bottom, top, PHANTOM_STEP_MM)
    table = np.zeros((N_TISSUES, N_MAPS), np.float32)
    table[[int(r) for r in REGIONS], range(len(REGIONS))] = 1.0
    table[[int(t) for t in CANAL], -1] = 1.0
    affine = np.diag([PIXEL_MM, PIXEL_MM, PHANTOM_STEP_MM, 1.0])
    affine[:3, 3] = (0.0, 0.0, bottom)
    corner = (MAP_PIXELS - 1) / 2
    seen = np.ones((len(z), 4))
    seen[:, 1], seen[:, 3] = (frame.at(axis, z) / PIXEL_MM - corner for axis in ("x", "y"))
    maps = mean_values(
        person, (MAP_PIXELS, MAP_PIXELS, len(z)), affine, table,
        supersample=SUPERSAMPLE, canal_only=True, seen=seen,
    )  # fmt: skip
    level = np.floor(frame.at("level", z)).astype(np.int64)
    return RegionStack(
        name, np.ascontiguousarray(_stored(maps).T), PHANTOM_STEP_MM, level, _around(person, z)
    )


def _around(person: Person, z: NDArray[Any]) -> NDArray[np.uint8]:
    """Painter's tissue codes ``(z, y, x)`` round the cord's axis."""
    frame = build_frame(person)
    offset = (np.arange(AROUND_PIXELS) - (AROUND_PIXELS - 1) / 2) * PIXEL_MM
    points = np.empty((3, len(z), AROUND_PIXELS, AROUND_PIXELS), np.float32)
    points[0] = frame.at("x", z)[:, None, None] + offset
    points[1] = frame.at("y", z)[:, None, None] + offset[:, None]
    points[2] = z[:, None, None]
    return tissue_codes()[codes_at(person, points.reshape(3, -1))].reshape(points.shape[1:])


def region_stacks(entries: Mapping[str, Any], roots: Mapping[str, Path]) -> list[RegionStack]:
    """All stacks of a recipe's ``sources``: ``atlas`` (a key of ``roots``) and ``phantom``.

    Raises
    ------
    ConfigError
        A folder that the recipe names was not given.
    """
    stacks: list[RegionStack] = []
    key = entries.get("atlas")
    if key:
        if key not in roots:
            raise ConfigError("sources.atlas", key, f"a folder for '{key}'",
                              f"add --source {key}=FOLDER", "recipe")  # fmt: skip
        stacks.append(atlas_regions(roots[key]))
    people = entries.get("phantom") or {}
    if people:
        stacks += phantom_regions(int(people["persons"]), int(people["seed"]))
    return stacks
