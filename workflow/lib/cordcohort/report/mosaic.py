"""A mosaic of views of one scan in grey, and outlines of masks drawn over it, as PNG."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from cordcohort.report.palette import Look
from cordcohort.report.views import GAP_PX, N_COLUMNS, TILE_PX, View, outlines, sample

Bytes2D = NDArray[np.uint8]

FONT_PX = 13
OVERSAMPLING = 3  # outlines are drawn this much larger and then averaged, so that they are smooth
LINE_PX = 1.5
DASH_PX, DASH_GAP_PX = 6.0, 4.0
POINTS_A_DASH = 5
SHOWN_PERCENTILES = (1.0, 99.5)
# One palette of 256 colours makes a third of the size of full colour: greys first, then for each
# colour its thin and thick ink on dark to light (fewer steps where there are many), and full ink.
N_COLOURS = 256
N_GREYS = 64
N_INKS = 3
N_BLENDS = 12
_BLACK, _WHITE = 0, 255


@dataclass(frozen=True)
class Mosaic:
    """Views of one scan side by side: the sagittal strip on the left, axial tiles in rows.

    Attributes
    ----------
    views : sequence of View
        The strip first.
    volume : array, shape (X, Y, Z)
        The image on its canonical grid.
    """

    views: Sequence[View]
    volume: NDArray[Any]

    @cached_property
    def corners(self) -> list[tuple[int, int]]:
        """Upper left corner (row, column) of each view."""
        left = self.views[0].shape[1] + 2 * GAP_PX
        step = TILE_PX + GAP_PX
        tiles = range(len(self.views) - 1)
        return [(0, 0)] + [(i // N_COLUMNS * step, left + i % N_COLUMNS * step) for i in tiles]

    @cached_property
    def greys(self) -> Bytes2D:
        """The picture without outlines, shape (H, W), with slice numbers and the right side."""
        ends = [
            (row + view.shape[0], column + view.shape[1])
            for (row, column), view in zip(self.corners, self.views, strict=True)
        ]
        canvas = np.zeros((max(r for r, _ in ends), max(c for _, c in ends)), dtype=np.uint8)
        for tile, (row, column) in zip(self._tiles(), self.corners, strict=True):
            canvas[row : row + tile.shape[0], column : column + tile.shape[1]] = tile
        return self._lettered(canvas)

    def _tiles(self) -> list[Bytes2D]:
        """The image on every view, with one grey scale for all."""
        tiles = [sample(self.volume, view) for view in self.views]
        values = np.concatenate([tile.ravel() for tile in tiles])
        low, high = np.percentile(values, SHOWN_PERCENTILES)
        scale = _WHITE / max(float(high - low), 1e-6)
        return [np.clip((tile - low) * scale, 0, _WHITE).astype(np.uint8) for tile in tiles]

    def _lettered(self, canvas: Bytes2D) -> Bytes2D:
        picture = Pillow.fromarray(canvas)
        pen = ImageDraw.Draw(picture)
        font = ImageFont.load_default(size=FONT_PX)
        texts = [
            (row + GAP_PX // 2, column + GAP_PX, view.label)
            for view, (row, column) in zip(self.views, self.corners, strict=True)
        ]
        for row, column in self.corners[1:2]:
            texts.append((row + (TILE_PX - FONT_PX) // 2, column + GAP_PX, "R"))
        for row, column, text in texts:
            pen.text((column, row), text, _WHITE, font=font, stroke_width=1, stroke_fill=_BLACK)
        return np.asarray(picture)

    def png(self, masks: Mapping[Look, Sequence[NDArray[Any]]]) -> bytes:
        """The picture with the outlines of every method's masks.

        Parameters
        ----------
        masks : mapping
            From a method's look to its masks on the same grid; later ones lie on earlier ones.
        """
        table = bytearray(np.repeat(np.linspace(0, _WHITE, N_GREYS).astype(np.uint8), 3).tobytes())
        picture = (self.greys.astype(np.uint16) * (N_GREYS - 1) // _WHITE).astype(np.uint8)
        colours = list(dict.fromkeys(look.rgb for look in masks))
        blends = _n_blends(len(colours))
        size = (N_INKS - 1) * blends + 1
        under = self.greys.astype(np.uint16) * (blends - 1) // _WHITE
        for colour in colours:
            table += _blends(colour, blends)
        for look, parts in masks.items():
            first = N_GREYS + colours.index(look.rgb) * size
            level = np.rint(self._ink(parts, dashed=look.dashed) * N_INKS).astype(np.uint16)
            blend = np.where(level == N_INKS, size - 1, (level - 1) * blends + under)
            picture = np.where(level > 0, first + blend, picture).astype(np.uint8)
        indexed = Pillow.fromarray(picture)
        indexed.putpalette(bytes(table))
        buffer = io.BytesIO()
        indexed.save(buffer, format="PNG", compress_level=6)
        return buffer.getvalue()

    def _ink(self, parts: Sequence[NDArray[Any]], *, dashed: bool) -> NDArray[np.float32]:
        """How much of each pixel is covered by outlines, 0 to 1, shape (H, W)."""
        height, width = self.greys.shape
        large = Pillow.new("L", (width * OVERSAMPLING, height * OVERSAMPLING), _BLACK)
        pen = ImageDraw.Draw(large)
        thickness = round(LINE_PX * OVERSAMPLING)
        for part in parts:
            for view, corner in zip(self.views, self.corners, strict=True):
                for line in outlines(part, view):
                    for piece in _dashes(line) if dashed else [line]:
                        # from (row, column) to the pen's (x, y); pixel centres lie at halves
                        points = ((piece + corner + 0.5) * OVERSAMPLING)[:, ::-1]
                        pen.line(points.ravel().tolist(), fill=_WHITE, width=thickness)
        return np.asarray(large.reduce(OVERSAMPLING)).astype(np.float32) / np.float32(_WHITE)


def _n_blends(n_colours: int) -> int:
    """Steps from dark to light under each ink, so that all colours fit into one palette.

    Examples
    --------
    >>> _n_blends(1), _n_blends(7), _n_blends(8)
    (12, 12, 11)
    """
    free = (N_COLOURS - N_GREYS) // max(n_colours, 1)
    return min(N_BLENDS, (free - 1) // (N_INKS - 1))


def _blends(colour: tuple[int, int, int], n_steps: int) -> bytes:
    """One colour's outline: thin and thick ink on dark to light, and full ink."""
    ink = np.array(colour, dtype=float)
    greys = np.linspace(0, _WHITE, n_steps)[:, None]
    shares = [i / N_INKS for i in range(1, N_INKS)]
    rows = [greys + share * (ink - greys) for share in shares]
    return np.vstack([*rows, ink[None]]).round().astype(np.uint8).tobytes()


def _dashes(line: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """A polyline cut into dashes of a fixed length along it."""
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    starts = np.arange(0.0, along[-1], DASH_PX + DASH_GAP_PX)
    ends = np.minimum(starts + DASH_PX, along[-1])
    places = np.linspace(starts, ends, POINTS_A_DASH, axis=1)
    points = np.stack([np.interp(places, along, line[:, i]) for i in (0, 1)], axis=2)
    return list(points)
