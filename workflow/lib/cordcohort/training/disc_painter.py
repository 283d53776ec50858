"""Paint straightened sagittal strips of phantom people: discs and their names, without any image.

A strip follows the cord from above the pons downwards (rows) and from the spinous processes to in
front of the vertebral bodies (columns). Its tissues get random brightness and pass through a random
scanner; the people's vertebrae are stretched, tilted and degenerated at random, so that a network
learns the order of things and not one anatomy.
"""

# The numbers below are ranges of chance, not thresholds: a name each would hide the drawing.
# ruff: noqa: PLR2004

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as nnf

from cordcohort.phantom.anatomy import codes_at
from cordcohort.phantom.frame import build_frame
from cordcohort.phantom.person import Person, draw_person
from cordcohort.phantom.tissues import N_TISSUES, Tissue
from cordcohort.phantom.truth import pmj_mm
from cordcohort.segmentation.disc_strip import (
    BACK_MM,
    COLUMNS,
    CURVES,
    EDGE_MM,
    JOINT,
)
from cordcohort.training import acquire
from cordcohort.training.contrast import tissue_means
from cordcohort.training.phantom_sources import tissue_names
from cordcohort.training.recipe import Recipe
from cordcohort.training.surroundings import CODE

Floats = NDArray[np.float64]

DISCS = "discs"
HELD_OUT_PERSONS = 16
MARGIN_COLUMNS = 8
SIDES_MM = np.arange(-4.0, 5.0, 2.0)
N_SIDES = 3
PER_RESOLUTION = 2
ABOVE_PMJ_MM = 45.0
NECK_LEVELS = (13.0, 16.0)
LOWER_LEVELS = (9.5, 25.5)
LOWER_SHARE = 0.25
HEAT_SIGMA_MM = 2.0
CURVE_OF = {0: 1, JOINT: 2}
"""Curve of the junction and the joint; all others are discs."""
DISC_CODES = (int(Tissue.DISC_NUCLEUS), int(Tissue.DISC_ANNULUS))
BONE_CODES = (int(Tissue.MARROW), int(Tissue.POSTERIOR_ARCH))


@dataclass(frozen=True)
class PersonStrip:
    """Tissue codes of one person along the cord, and where the landmarks are.

    Attributes
    ----------
    codes : array of uint8, shape (sides, rows, columns)
        From above to below, from behind to the front.
    rows : dict
        Disc code (3 is C2/C3) or 0 (pontomedullary junction) to row; 1 mm a row.
    """

    codes: NDArray[np.uint8]
    rows: dict[int, float]


def person_strip(person: Person, top_mm: float, bottom_mm: float) -> PersonStrip:
    """Straighten a person between two heights of the cord's axis.

    Examples
    --------
    >>> strip = person_strip(draw_person(np.random.default_rng(0)), 10.0, -30.0)
    >>> 10.0 < strip.rows[3] < 10.5, strip.codes.shape[2] == COLUMNS + 2 * MARGIN_COLUMNS
    (True, True)
    """
    frame = build_frame(person)
    z = np.arange(top_mm, bottom_mm, -0.25)
    x, y = frame.at("x", z), frame.at("y", z)
    length = np.concatenate([[0.0], np.cumsum(np.sqrt(np.diff(x) ** 2 + np.diff(y) ** 2 + 0.0625))])
    row = np.arange(0.0, length[-1])
    height = np.interp(row, length, z)
    slope = frame.at("dy", height)
    column = np.arange(-MARGIN_COLUMNS, COLUMNS + MARGIN_COLUMNS) - BACK_MM
    steep = np.hypot(1.0, slope)[:, None]
    points = np.empty((3, len(SIDES_MM), len(row), len(column)))
    points[0] = frame.at("x", height)[None, :, None] + SIDES_MM[:, None, None]
    points[1] = frame.at("y", height)[:, None] + column / steep
    points[2] = height[:, None] - column * slope[:, None] / steep
    codes = codes_at(person, points.reshape(3, -1)).reshape(points.shape[1:])
    heights = {0: pmj_mm(person)[2]} | {
        k: float(frame.z_of_level(float(k))) for k in range(JOINT, 26)
    }
    rows = {k: float(np.interp(-h, -z, length)) for k, h in heights.items() if z[-1] < h < top_mm}
    return PersonStrip(codes, rows)


def draw_strips(persons: int, seed: int) -> list[PersonStrip]:
    """Strips of some people: necks with the skull base, and a quarter of backs without."""
    rng = np.random.default_rng(seed)
    strips: list[PersonStrip] = []
    for i in range(persons):
        someone = draw_person(rng, compression=i % 3 == 0, implant=i % 12 == 7, distractors=i % 4)
        frame = build_frame(someone)
        if rng.random() < LOWER_SHARE:
            ends = [float(frame.z_of_level(v)) for v in LOWER_LEVELS]
        else:
            low = float(frame.z_of_level(rng.uniform(*NECK_LEVELS)))
            ends = [pmj_mm(someone)[2] + ABOVE_PMJ_MM, low]
        strips.append(person_strip(someone, ends[0], ends[1]))
    return strips


class DiscPainter:
    """Endless batches of painted strips.

    Parameters
    ----------
    people
        ``{persons, seed}``.
    options
        ``grid`` (rows of a strip), ``pixel_mm`` (1).
    seed
        Together with a step number it fixes a batch.

    Examples
    --------
    >>> painter = DiscPainter({"persons": 1, "seed": 1}, {"grid": 64}, seed=1)
    >>> [tuple(t.shape) for t in painter.batch(0, 2)]
    [(2, 2, 64, 48), (2, 3, 64)]
    """

    def __init__(self, people: Mapping[str, Any], options: Mapping[str, Any], seed: int) -> None:
        self.strips = draw_strips(int(people["persons"]), int(people["seed"]))
        self.rows = int(options.get("grid", 240))
        self.seed = seed

    def batch(self, step: int, size: int) -> tuple[Tensor, Tensor]:
        """Batch ``step``: strips (size, 2, rows, columns), targets (size, curves, rows)."""
        rng = np.random.default_rng((self.seed, step))
        generator = torch.Generator()
        generator.manual_seed(int(rng.integers(2**62)))
        means = _brightness(rng, size)
        drawn = [self._one(rng, means[i]) for i in range(size)]
        image = torch.from_numpy(np.stack([d[0] for d in drawn]))[:, None]
        valid = torch.from_numpy(np.stack([d[1] for d in drawn]))[:, None]
        target = torch.from_numpy(np.stack([d[2] for d in drawn]))
        image = _scan(rng, generator, image) * valid
        return torch.cat([acquire.z_score(image, valid), valid], 1), target

    def _one(
        self, rng: np.random.Generator, means: Floats
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Noise-free strip, field of view and target curves of one painted scan."""
        strip = self.strips[int(rng.integers(len(self.strips)))]
        bright = _painted(rng, strip.codes, means)
        first, stretch, tilt, shift = _course(rng, self.rows, bright.shape[0])
        row = np.arange(self.rows, dtype=float)
        along = first + np.concatenate([[0.0], np.cumsum(stretch[:-1])])
        column = np.arange(COLUMNS) - BACK_MM
        scale = float(np.exp(rng.normal(0, 0.08)))
        place_s = along[:, None] + tilt[:, None] * column
        place_v = column * scale + shift[:, None] + BACK_MM + MARGIN_COLUMNS
        image = _sampled(bright, place_s, place_v)
        valid = (place_s >= 0) & (place_s <= bright.shape[0] - 1)
        valid &= _view(rng, self.rows)
        edge = along + tilt * EDGE_MM
        places = {k: float(np.interp(s, edge, row, -99.0, -99.0)) for k, s in strip.rows.items()}
        return image, valid.astype(np.float32), _curves(places, valid, self.rows)


def disc_batches(
    recipe: Recipe, held_out_seed_shift: int
) -> tuple[DiscPainter, list[tuple[Tensor, Tensor]]]:
    """Painter of a recipe of the task ``discs``, and fixed batches of people it never shows."""
    people = recipe.sources["phantom"]
    others = {"persons": HELD_OUT_PERSONS, "seed": int(people["seed"]) + held_out_seed_shift}
    size = int(recipe.schedule["batch_size"])
    count = max(1, int(recipe.validation["samples"]) // size)
    held_out = DiscPainter(others, recipe.painting, recipe.seed + held_out_seed_shift)
    checks = [held_out.batch(i, size) for i in range(count)]
    return DiscPainter(people, recipe.painting, recipe.seed), checks


def _brightness(rng: np.random.Generator, size: int) -> Floats:
    """Mean brightness (size, phantom tissues): the painter's families, each tissue its own."""
    means = tissue_means(rng, size)
    names = tissue_names()
    table = np.stack([means[:, CODE[names[t]]] for t in range(N_TISSUES)], axis=1)
    table = table * np.exp(rng.normal(0, 0.12, table.shape))
    spread = rng.uniform(0.3, 1.1, size)
    table[:, Tissue.DISC_ANNULUS] *= spread
    table[:, Tissue.DISC_NUCLEUS] *= rng.uniform(0.5, 1.5, size)
    table[:, Tissue.CORTICAL_BONE] *= rng.uniform(0.3, 1.5, size)
    return np.maximum(table, 0.0)


def _painted(
    rng: np.random.Generator, codes: NDArray[np.uint8], means: Floats
) -> NDArray[np.float32]:
    """Brightness (rows, columns) of a strip as thick as a slice, discs and bones uneven."""
    thick = rng.uniform(0.0, 4.5)
    centre = rng.normal(0, 1.2)
    sides = centre + rng.uniform(-0.5, 0.5, N_SIDES) * thick + np.array([-2.0, 0.0, 2.0])
    chosen = np.clip(np.rint((sides - SIDES_MM[0]) / 2.0), 0, len(SIDES_MM) - 1).astype(int)
    part = codes[chosen]
    n_rows = codes.shape[1]
    bright = means.astype(np.float32)[part]
    knots = np.arange(0, n_rows + 12, 12)
    rough = rng.uniform(0.0, 0.35)
    for group in (DISC_CODES, BONE_CODES):
        wave = np.exp(rng.normal(0, rough, len(knots))) - 1.0
        factor = np.interp(np.arange(n_rows), knots, wave).astype(np.float32)
        member = np.isin(np.arange(N_TISSUES), group).astype(np.float32)[part]  # a table look-up
        bright *= 1.0 + member * factor[None, :, None]
    return bright.mean(axis=0)


def _course(
    rng: np.random.Generator, rows: int, n_source: int
) -> tuple[float, Floats, Floats, Floats]:
    """First source row; stretch, tilt of the vertebrae and shift of the axis of every row."""
    size = float(np.exp(rng.normal(0, 0.12)))
    knots = np.linspace(0, rows - 1, 12)
    row = np.arange(rows)
    stretch = size * np.exp(np.interp(row, knots, rng.normal(0, 0.06, 12)))
    tilt = np.interp(row, knots[::2], rng.normal(0, 0.10, 6)) + rng.normal(0, 0.05)
    shift = np.interp(row, knots, rng.normal(0, 1.0, 12)) + rng.normal(0, 1.0)
    # Above the mask's end the axis goes on straight, whatever the cord does.
    end = rng.uniform(10, 150)
    shift = shift + rng.normal(0, 6.0) * (np.maximum(end - row, 0.0) / 60.0) ** 2
    first = rng.uniform(-40.0, max(n_source - 140.0 * size, 0.0) if rng.random() < 0.3 else 60.0)
    return float(first), stretch, tilt, shift


def _view(rng: np.random.Generator, rows: int) -> NDArray[np.bool_]:
    """Field of view: rows cut above and below, columns cut in front or behind."""
    top = int(rng.uniform(0, rows * 13 / 24)) if rng.random() < 0.6 else 0
    bottom = rows - (int(rng.uniform(0, rows * 7 / 24)) if rng.random() < 0.5 else 0)
    front = COLUMNS - (int(rng.uniform(0, 26)) if rng.random() < 0.25 else 0)
    back = int(rng.uniform(0, 18)) if rng.random() < 0.2 else 0
    out = np.zeros((rows, COLUMNS), dtype=bool)
    slope = rng.normal(0, 0.15)
    tilt = np.arange(COLUMNS) * slope
    row = np.arange(rows)[:, None]
    out[:, back:front] = True
    return out & (row >= top + tilt) & (row < bottom + tilt)


def _curves(
    places: Mapping[int, float], valid: NDArray[np.bool_], rows: int
) -> NDArray[np.float32]:
    """Heat along the rows: any disc, the pontomedullary junction, the joint C1/C2."""
    seen = valid[:, BACK_MM + int(EDGE_MM)]
    row = np.arange(rows)
    out = np.zeros((len(CURVES), rows), dtype=np.float32)
    for code, place in places.items():
        if not (0 <= place <= rows - 1 and seen[round(place)]):
            continue
        heat = np.exp(-0.5 * ((row - place) / HEAT_SIGMA_MM) ** 2).astype(np.float32)
        curve = CURVE_OF.get(code, 0)
        out[curve] = np.maximum(out[curve], heat)
    return out


def _sampled(image: NDArray[np.float32], rows: Floats, columns: Floats) -> NDArray[np.float32]:
    """Bilinear values of an image at places; the nearest outside."""
    n_rows, n_columns = image.shape
    grid = np.stack(
        [2 * columns / (n_columns - 1) - 1, 2 * rows / (n_rows - 1) - 1], axis=-1
    ).astype(np.float32)
    out = nnf.grid_sample(
        torch.from_numpy(image)[None, None], torch.from_numpy(grid)[None],
        mode="bilinear", padding_mode="border", align_corners=True,
    )  # fmt: skip
    return out[0, 0].numpy()


def _scan(rng: np.random.Generator, generator: torch.Generator, image: Tensor) -> Tensor:
    """Bias, texture, resolution along rows and columns, noise, gamma."""
    b, _, n_rows, n_columns = image.shape
    coarse = torch.randn((b, 1, 6, 3), generator=generator)
    coarse = nnf.interpolate(coarse, size=(30, 9), mode="bicubic", align_corners=True)
    strength = acquire.column(
        np.where(rng.random(b) < 0.8, rng.uniform(0, 0.5, b), 0.0), image.device
    )
    bias = nnf.interpolate(
        torch.exp(strength * coarse), size=(n_rows, n_columns), mode="bilinear", align_corners=True
    )
    fine = torch.randn((b, 1, n_rows // 2, n_columns // 2), generator=generator)
    fine = nnf.interpolate(fine, size=(n_rows, n_columns), mode="bilinear", align_corners=True)
    image = image * bias * (1 + acquire.column(rng.uniform(0, 0.3, b), image.device) * fine)
    axial = rng.random(b) < 0.2
    along = np.where(axial, rng.uniform(2.0, 6.0, b), rng.uniform(1.0, 1.7, b))
    across = rng.uniform(1.0, 1.5, b)
    image = _resolved(rng, image.clamp(min=0), along, across)
    return acquire.clip_and_gamma(rng, acquire.add_noise(rng, generator, image))


def _resolved(rng: np.random.Generator, image: Tensor, along: Floats, across: Floats) -> Tensor:
    """The strip as pixels of a given size (mm) would show it; scans of like pixels share one."""
    n_rows, n_columns = image.shape[2:]
    order = np.argsort(along)
    out = torch.empty_like(image)
    for group in np.array_split(order, max(len(order) // PER_RESOLUTION, 1)):
        size = (
            max(round(n_rows / float(along[group].mean())), 2),
            max(round(n_columns / float(across[group].mean())), 2),
        )
        small = nnf.interpolate(image[group], size=size, mode="area")
        out[group] = nnf.interpolate(
            small, size=(n_rows, n_columns), mode="bilinear", align_corners=False
        )
    return out
