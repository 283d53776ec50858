"""Methods side by side: one scan, its largest lesion, a tile for each method that drew there.

A gallery is drawn for a scan where lesions and two methods are; the index page shows the first scan
of each site that has one.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from cordcohort.binary import binarised
from cordcohort.cohort.persons import person_keys
from cordcohort.files import read_json, write_bytes
from cordcohort.lent_cord import lent_by
from cordcohort.model_uses import CORD, LESION, LESION_PARTS
from cordcohort.nifti import Image
from cordcohort.report.inputs import Inputs, records, setting
from cordcohort.report.links import picture_file, picture_record
from cordcohort.report.masks import MaskFile
from cordcohort.report.mosaic import FONT_PX, LINE_PX, OVERSAMPLING, SHOWN_PERCENTILES
from cordcohort.report.palette import REFERENCE_METHOD, method_order
from cordcohort.report.privacy import public_text
from cordcohort.report.views import (
    GAP_PX,
    View,
    axial_view,
    centres,
    outlines,
    sagittal_view,
    sample,
)

Volume = tuple[MaskFile, NDArray[Any]]
COLOURS = {CORD: (86, 180, 233), LESION: (240, 228, 66)}  # of Okabe and Ito, on grey
GROUP = "Methods side by side"
TILE_PX = 170
STRIP_PX = 230
LABEL_PX = 20
MAX_METHODS = 8
MIN_METHODS = 2
MAX_SHOWN = 6
N_GREYS, N_BLENDS, N_INKS = 64, 16, 4
_WHITE = 255


def draw_gallery(
    scan: Mapping[str, Any],
    image: Image,
    volumes: Sequence[Volume],
    report: Any,
    masks: Sequence[MaskFile] = (),
) -> dict[str, Any]:
    """Draw the methods of a scan side by side.

    Parameters
    ----------
    scan : mapping
        A row of the index.
    image : Image
        On canonical axes.
    volumes : sequence of (MaskFile, array)
        Masks that hold something, on the image's grid.
    report : Path
        The report's folder.
    masks : sequence of MaskFile
        All masks of the scan: who looked for lesions and found none is shown with the cord alone.

    Returns
    -------
    dict
        ``file, width, height, alt, methods, referenced`` (whether a lesion was drawn by hand);
        empty where fewer than two methods drew, or nobody drew a lesion.
    """
    drawn: dict[str, dict[str, NDArray[Any]]] = {m.method: {} for m in masks if _found_none(m)}
    for mask, volume in volumes:
        structure = LESION if mask.structure in LESION_PARTS else mask.structure
        if structure in COLOURS and mask.kind == "seg":
            own = drawn.setdefault(mask.method, {})
            own[structure] = binarised(volume) | own.get(structure, np.bool_(False))
    methods = sorted(_with_lent_cords(drawn), key=method_order)[:MAX_METHODS]
    cord = next((drawn[m][CORD] for m in methods if CORD in drawn[m]), None)
    lesion = next((drawn[m][LESION] for m in methods if LESION in drawn[m]), None)
    if len(methods) < MIN_METHODS or cord is None or lesion is None:
        return {}
    views = _views(cord, lesion, image.spacing_mm)
    tiles = [_column("image", views, image, {})]
    tiles += [_column(public_text(m, 22), views, image, drawn[m]) for m in methods]
    file = picture_file(scan, GROUP)
    picture = np.concatenate([np.pad(t, ((0, 0), (0, GAP_PX), (0, 0))) for t in tiles], axis=1)
    write_bytes(report / file, _png(picture))
    names = [public_text(m) for m in methods]
    return {
        "file": file, "width": picture.shape[1], "height": picture.shape[0], "methods": names,
        "referenced": LESION in drawn.get(REFERENCE_METHOD, {}),
        "alt": f"The slice with most lesion, and the cord from the side: {', '.join(names)}",
    }  # fmt: skip


def _with_lent_cords(drawn: dict[str, dict[str, NDArray[Any]]]) -> list[str]:
    """Give a method without a cord of its own the lender's, which is shown beside its lesions.

    Returns
    -------
    list of str
        The methods to show: a lender that drew a cord alone is seen with them.
    """
    lenders = {m: lent_by(m, CORD, drawn) for m, own in drawn.items() if CORD not in own}
    for method, lender in lenders.items():
        if CORD in drawn.get(lender, {}):
            drawn[method][CORD] = drawn[lender][CORD]
    shown = {*lenders.values()}
    return [m for m, own in drawn.items() if own and (m not in shown or LESION in own)]


def _found_none(mask: MaskFile) -> bool:
    """Whether a mask of lesions was made; those that hold something are among the volumes."""
    return mask.structure == LESION and mask.kind == "seg" and mask.status == "ok"


def galleries(inputs: Inputs) -> list[dict[str, Any]]:
    """Galleries for the index page: the first scan of each site and data set that has one.

    Scans in which a person drew a lesion come first. Of an experiment the first seed is drawn:
    among these, scans of persons whom it kept for its test come first.
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    first = {str(one["seeds"][0]) for one in setting(inputs.config, "experiments", ())}
    rows = inputs.measures[inputs.measures["seed"].isin(first)]
    tested = set(person_keys(rows[rows["split"] == "test"]))
    index = inputs.index.assign(seen=~person_keys(inputs.index).isin(tested))
    index = index.sort_values("seen", kind="stable")
    for scan in records(index[["dataset", "site", "stem", "contrast"]]):
        place = (str(scan["site"]), str(scan["dataset"]))
        path = inputs.results / "report" / picture_record(scan)
        if found.get(place, {}).get("referenced") or not path.is_file():
            continue
        gallery = read_json(path).get("gallery")
        if gallery and (place not in found or gallery.get("referenced")):
            words = dict.fromkeys(public_text(scan[c]) for c in ("site", "dataset", "stem"))
            found[place] = gallery | {"title": ", ".join(w for w in words if w)}
    return list(found.values())[:MAX_SHOWN]


def _views(
    cord: NDArray[np.bool_], lesion: NDArray[np.bool_], spacing_mm: tuple[float, float, float]
) -> tuple[View, View]:
    """The axial slice with most lesion, and the cord from the side."""
    middle = centres(cord)
    by_slice = lesion.sum(axis=(0, 1))
    z = int(by_slice.argmax())
    nearest = min(middle, key=lambda k: abs(k - z))
    strip = sagittal_view(middle, spacing_mm, STRIP_PX)
    return axial_view(z, middle[nearest], spacing_mm, TILE_PX), strip


def _column(
    name: str, views: Sequence[View], image: Image, masks: Mapping[str, NDArray[Any]]
) -> NDArray[np.uint8]:
    """Name, axial tile and strip of one method, shape (H, W, 3)."""
    parts = [_named(name)]
    for view in views:
        tile = _outlined(_grey(sample(image.data, view)), view, masks)
        parts.append(_fitted(tile))
    return np.concatenate(parts, axis=0)


def _named(name: str) -> NDArray[np.uint8]:
    label = Pillow.new("RGB", (TILE_PX, LABEL_PX))
    font = ImageFont.load_default(size=FONT_PX)
    ImageDraw.Draw(label).text((GAP_PX, 2), name, (_WHITE, _WHITE, _WHITE), font=font)
    return np.asarray(label)


def _grey(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    low, high = np.percentile(values, SHOWN_PERCENTILES)
    scaled = (values - low) * (_WHITE / max(float(high - low), 1e-6))
    return np.clip(scaled, 0, _WHITE).astype(np.uint8)


def _outlined(
    grey: NDArray[np.uint8], view: View, masks: Mapping[str, NDArray[Any]]
) -> NDArray[np.uint8]:
    """A tile with the outlines of cord and lesion."""
    height, width = grey.shape
    large = Pillow.fromarray(grey).convert("RGB")
    large = large.resize((width * OVERSAMPLING, height * OVERSAMPLING))
    pen = ImageDraw.Draw(large)
    for structure, colour in COLOURS.items():
        for line in outlines(masks[structure], view) if structure in masks else []:
            points = ((line + 0.5) * OVERSAMPLING)[:, ::-1].ravel().tolist()
            pen.line(points, fill=colour, width=round(LINE_PX * OVERSAMPLING))
    return np.asarray(large.reduce(OVERSAMPLING))


def _fitted(tile: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A tile in the middle of a column's width, cut where it is wider."""
    spare = TILE_PX - tile.shape[1]
    if spare < 0:
        return tile[:, -spare // 2 : -spare // 2 + TILE_PX]
    return np.pad(tile, ((0, 0), (spare // 2, spare - spare // 2), (0, 0)))


def _palette() -> Pillow.Image:
    """Greys, and each outline's colour on dark to light; colours of few pixels are not lost."""
    greys = np.linspace(0, _WHITE, N_GREYS)[:, None].repeat(3, axis=1)
    under = np.linspace(0, _WHITE, N_BLENDS)[:, None]
    inks = [
        under + share * (np.array(colour) - under)
        for colour in COLOURS.values()
        for share in np.linspace(0.25, 1.0, N_INKS)
    ]
    table = Pillow.new("P", (1, 1))
    table.putpalette(np.vstack([greys, *inks]).round().astype(np.uint8).tobytes())
    return table


def _png(picture: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    indexed = Pillow.fromarray(picture).quantize(palette=_palette(), dither=Pillow.Dither.NONE)
    indexed.save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()
