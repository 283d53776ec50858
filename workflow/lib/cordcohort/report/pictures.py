"""Overlay pictures: axial slices around the cord with the outline of every method's mask."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from cordcohort.errors import CordcohortError, ImageError
from cordcohort.files import write_bytes, write_json
from cordcohort.nifti import Image, read_image, read_mask
from cordcohort.report.links import picture_file, picture_record
from cordcohort.report.masks import DRAWN_KINDS, MaskFile, masks_of_scan
from cordcohort.report.palette import Look, looks, method_order
from cordcohort.report.privacy import public_text
from cordcohort.report.views import (
    WINDOW_MM,
    View,
    axial_view,
    centres,
    chosen_slices,
    outlines,
    sagittal_view,
    sample,
)
from cordcohort.report.words import structure_text
from cordcohort.scan import image_file

Grey = NDArray[np.uint8]
Record = dict[str, Any]

RECORD_SCHEMA = 1
N_SLICES = 12
N_COLUMNS = 6
TILE_PX = 150
GAP_PX = 4
OVERSAMPLING = 3  # outlines are drawn this much larger and then averaged, so that they are smooth
LINE_PX = 1.4
DASH_PX, DASH_GAP_PX = 6.0, 4.0
FONT_PX = 12
MAX_LABELS = 16
_BLACK, _WHITE = 0, 255
N_COLOURS = 256
N_GREYS = 64
N_INKS = 3  # steps from no outline to full outline
N_BLENDS = 12  # greys under a partly covered pixel
N_PER_METHOD = (N_INKS - 1) * N_BLENDS + 1
_SHOWN_PERCENTILES = (1.0, 99.5)


def draw_scan(scan: Mapping[str, Any], results: Path, n_slices: int = N_SLICES) -> Record:
    """Draw the masks of one scan and write pictures and record.

    Parameters
    ----------
    scan : mapping
        A row of the index.
    results : Path
        The study's ``results`` folder; pictures go below its ``report``.
    n_slices : int
        Axial slices in a picture.

    Returns
    -------
    dict
        ``pictures`` (file, structure, methods, alternative text), ``masks`` (facts of every mask,
        read or not) and ``reason`` where there is no picture. It is written as JSON as well, and
        never raises for a scan that cannot be read: that is a reason on the page.
    """
    report = results / "report"
    masks = sorted(masks_of_scan(scan, results), key=_drawing_order)
    record: Record = {"schema": RECORD_SCHEMA, "pictures": [], "reason": ""}
    try:
        image = _shown_image(scan, results, masks)
        volumes, masks = _read_masks(masks, image)
        if not volumes:
            record["reason"] = "no mask could be drawn on this image, and without one it is not shown"
        else:
            record["pictures"] = _draw_structures(scan, image, volumes, report, n_slices)
    except ImageError as error:
        record["reason"] = public_text(error.reason)
    except CordcohortError as error:
        record["reason"] = public_text(error)
    record["masks"] = [mask.facts() for mask in masks]
    write_json(report / picture_record(scan), record)
    return record


def _drawing_order(mask: MaskFile) -> tuple[Any, ...]:
    """Cord before other structures; whole outlines first, so that broken ones lie on them."""
    return *_structure_order(mask.structure), *method_order(mask.method), str(mask.path)


def _shown_image(scan: Mapping[str, Any], results: Path, masks: Sequence[MaskFile]) -> Image:
    """The image to look at, canonical: of a diffusion scan its mean image without weighting.

    Where only masks were given, their outlines are drawn on black.
    """
    if scan.get("datatype") == "dwi" and scan["image"]:
        return read_image(results.parent / image_file(scan, "b0"), ndim=3).canonical()
    if scan["image"]:
        return read_image(str(scan["image"]), ndim=3).canonical()
    given = next((m for m in masks if m.path is not None and m.kind in DRAWN_KINDS), None)
    if given is None or given.path is None:
        raise ImageError("", "no_image", "an image or a mask", "neither", "add the image")
    image = read_mask(given.path, kind=given.kind).canonical()
    return replace(image, data=np.zeros(image.data.shape, dtype=np.float32))


Volume = tuple[MaskFile, NDArray[Any]]


def _read_masks(masks: list[MaskFile], image: Image) -> tuple[list[Volume], list[MaskFile]]:
    """The masks that can be drawn, and all masks with what reading them told."""
    volumes: list[Volume] = []
    told: list[MaskFile] = []
    for mask in masks:
        seen = mask
        if mask.path is not None and mask.status == "ok" and mask.kind in DRAWN_KINDS:
            try:
                data = read_mask(mask.path, kind=mask.kind).canonical()
                _check_shape(data, image)
                volumes.append((mask, data.data))
            except ImageError as error:
                seen = MaskFile(
                    mask.method, mask.structure, mask.kind, None, "failed", error.reason
                )
        told.append(seen)
    return [v for v in volumes if v[1].any()], told


def _check_shape(mask: Image, image: Image) -> None:
    if mask.data.shape != image.data.shape:
        raise ImageError(
            mask.path, "other_grid", f"shape {image.data.shape}", f"{mask.data.shape}",
            "resample the mask to its image",
        )  # fmt: skip


def _draw_structures(
    scan: Mapping[str, Any], image: Image, volumes: list[Volume], report: Path, n_slices: int
) -> list[Record]:
    """One picture a structure; all show the same slices."""
    views = _views(image, volumes, n_slices)
    background = _mosaic([_greys(image, views)], views)
    styles = looks(mask.method for mask, _ in volumes)
    structures = sorted({m.structure for m, _ in volumes}, key=_structure_order)
    pictures: list[Record] = []
    for structure in structures:
        own = [(m, v) for m, v in volumes if m.structure == structure]
        png = _overlaid(background, views, own, styles)
        write_bytes(report / picture_file(scan, structure), png)
        methods = [name for name in styles if name in {m.method for m, _ in own}]
        pictures.append(
            {
                "file": picture_file(scan, structure),
                "structure": structure,
                "methods": methods,
                "slices": [view.slice for view in views if view.slice >= 0],
                "width": int(background.shape[1]),
                "height": int(background.shape[0]),
                "alt": f"Axial slices with the outline of the {structure_text(structure)} "
                f"by {', '.join(methods)}",
            }
        )
    return pictures


def _structure_order(structure: str) -> tuple[bool, str]:
    return structure != "cord", structure


def _views(image: Image, volumes: Sequence[Volume], n_slices: int) -> list[View]:
    """The sagittal strip and the axial tiles, centred on the cord where there is one."""
    cords = [v for m, v in volumes if m.structure == "cord"] or [v for _, v in volumes]
    union = np.zeros(image.data.shape, dtype=bool)
    for volume in cords:
        union |= volume > 0.5  # noqa: PLR2004 - half of a soft mask is its edge
    if not union.any():
        union = volumes[0][1] > 0
    middle = centres(union)
    slices = chosen_slices(sorted(middle), n_slices)
    height = _height_px(len(slices))
    strip = sagittal_view(middle, image.spacing_mm, height, TILE_PX / WINDOW_MM)
    return [strip] + [axial_view(z, middle[z], image.spacing_mm, TILE_PX) for z in slices]


def _height_px(n_tiles: int) -> int:
    n_rows = max((n_tiles + N_COLUMNS - 1) // N_COLUMNS, 1)
    return n_rows * (TILE_PX + GAP_PX) - GAP_PX


def _greys(image: Image, views: Sequence[View]) -> list[Grey]:
    """The image on every view, as bytes, with one grey scale for all."""
    tiles = [sample(image.data, view) for view in views]
    values = np.concatenate([tile.ravel() for tile in tiles])
    low, high = np.percentile(values, _SHOWN_PERCENTILES)
    span = max(float(high - low), 1e-6)
    return [(np.clip((tile - low) / span, 0, 1) * _WHITE).astype(np.uint8) for tile in tiles]


def _corners(views: Sequence[View]) -> list[tuple[int, int]]:
    """Upper left corner (row, column) of each view in the mosaic; the strip stands on the left."""
    left = views[0].shape[1] + 2 * GAP_PX
    step = TILE_PX + GAP_PX
    return [(0, 0)] + [
        (i // N_COLUMNS * step, left + i % N_COLUMNS * step) for i in range(len(views) - 1)
    ]


def _mosaic(layers: Sequence[Sequence[Grey]], views: Sequence[View]) -> Grey:
    """All views in one picture, with slice numbers and sides."""
    corners = _corners(views)
    height = max(r + v.shape[0] for (r, _), v in zip(corners, views, strict=True))
    width = max(c + v.shape[1] for (_, c), v in zip(corners, views, strict=True))
    canvas = np.full((height, width), _BLACK, dtype=np.uint8)
    for tiles in layers:
        for tile, (row, column) in zip(tiles, corners, strict=True):
            canvas[row : row + tile.shape[0], column : column + tile.shape[1]] = tile
    return _lettered(canvas, views, corners)


def _lettered(
    canvas: Grey, views: Sequence[View], corners: Sequence[tuple[int, int]]
) -> Grey:
    picture = Pillow.fromarray(canvas)
    pen = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=FONT_PX)
    for view, (row, column) in zip(views, corners, strict=True):
        place = (column + GAP_PX, row + GAP_PX // 2)
        pen.text(place, view.label, _WHITE, font=font, stroke_width=1, stroke_fill=_BLACK)
    if len(corners) > 1:
        row, column = corners[1]
        place = (column + GAP_PX, row + TILE_PX // 2 - FONT_PX // 2)
        pen.text(place, "R", _WHITE, font=font, stroke_width=1, stroke_fill=_BLACK)
    return np.asarray(picture)


def _overlaid(
    background: Grey, views: Sequence[View], volumes: Sequence[Volume], styles: dict[str, Look]
) -> bytes:
    """The background with outlines, as PNG of few colours: a third of the size of full colour."""
    table = bytearray(np.repeat(np.linspace(0, _WHITE, N_GREYS).astype(np.uint8), 3).tobytes())
    picture = (background.astype(np.uint16) * (N_GREYS - 1) // _WHITE).astype(np.uint8)
    under = background.astype(np.uint16) * (N_BLENDS - 1) // _WHITE
    corners = _corners(views)
    for look in styles.values():
        first = len(table) // 3
        if first + N_PER_METHOD > N_COLOURS:
            break
        table += _blends(look)
        own = [(m, v) for m, v in volumes if m.method == look.name]
        parts = [part for m, v in own for part in _parts(m, v)]
        ink = _ink(background.shape, views, corners, parts, dashed=look.dashed)
        level = np.rint(ink * N_INKS).astype(np.uint16)
        blend = np.where(level == N_INKS, N_PER_METHOD - 1, (level - 1) * N_BLENDS + under)
        picture = np.where(level > 0, first + blend, picture).astype(np.uint8)
    indexed = Pillow.fromarray(picture, mode="P")
    indexed.putpalette(bytes(table))
    buffer = io.BytesIO()
    indexed.save(buffer, format="PNG", compress_level=9)
    return buffer.getvalue()


def _blends(look: Look) -> bytes:
    """Colours of one method's outline: thin and thick ink on dark to light, and full ink."""
    colour = np.array(look.rgb, dtype=float)
    greys = np.linspace(0, _WHITE, N_BLENDS)[:, None]
    shares = [i / N_INKS for i in range(1, N_INKS)]
    rows = [greys + share * (colour - greys) for share in shares]
    return np.vstack([*rows, colour[None]]).round().astype(np.uint8).tobytes()


def _parts(mask: MaskFile, volume: NDArray[Any]) -> list[NDArray[Any]]:
    """A label map as one mask a label; any other mask as it is."""
    if mask.kind != "dseg":
        return [volume]
    labels = [int(label) for label in np.unique(volume) if label > 0][:MAX_LABELS]
    return [volume == label for label in labels]


def _ink(
    shape: tuple[int, ...],
    views: Sequence[View],
    corners: Sequence[tuple[int, int]],
    parts: Sequence[NDArray[Any]],
    *,
    dashed: bool,
) -> NDArray[np.float32]:
    """How much of each pixel is covered by outlines, 0 to 1, shape (H, W)."""
    large = Pillow.new("L", (shape[1] * OVERSAMPLING, shape[0] * OVERSAMPLING), _BLACK)
    pen = ImageDraw.Draw(large)
    width = round(LINE_PX * OVERSAMPLING)
    for part in parts:
        for view, corner in zip(views, corners, strict=True):
            for line in outlines(part, view):
                for piece in _dashes(line) if dashed else [line]:
                    points = (piece + corner + 0.5) * OVERSAMPLING
                    pen.line([(x, y) for y, x in points.tolist()], fill=_WHITE, width=width)
    return np.asarray(large.reduce(OVERSAMPLING), dtype=np.float32) / _WHITE


def _dashes(line: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """A polyline cut into dashes of a fixed length along it."""
    steps = np.hypot(*np.diff(line, axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    dashes: list[NDArray[np.float64]] = []
    for start in np.arange(0.0, along[-1], DASH_PX + DASH_GAP_PX):
        places = np.linspace(start, min(start + DASH_PX, along[-1]), 5)
        dashes.append(np.stack([np.interp(places, along, line[:, i]) for i in (0, 1)], axis=1))
    return dashes
