"""Overlay pictures: axial slices around the cord with the outline of every method's mask."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cordcohort.binary import binarised
from cordcohort.errors import CordcohortError, DamagedError, ImageError
from cordcohort.files import write_bytes, write_record
from cordcohort.model_uses import LESION, LESION_PARTS
from cordcohort.nifti import Image, read_image, read_mask
from cordcohort.report.coded import coded_legend, coded_parts, coded_pictures, is_coded
from cordcohort.report.gallery import draw_gallery
from cordcohort.report.links import picture_file, picture_record
from cordcohort.report.masks import DRAWN_KINDS, MaskFile, masks_of_scan
from cordcohort.report.mosaic import Mosaic
from cordcohort.report.palette import REFERENCE_METHOD, Look, apart, looks, method_order
from cordcohort.report.privacy import public_text
from cordcohort.report.registrations import registration_picture
from cordcohort.report.views import View, scan_views
from cordcohort.report.words import structure_text
from cordcohort.scan import RECORD_SCHEMA, SOFT_TRUTH, image_file, is_series

Record = dict[str, Any]
Volume = tuple[MaskFile, NDArray[Any]]

N_SLICES = 12
MAX_LABELS = 16
OTHERS = "Other structures"
_LESIONS = (LESION, *LESION_PARTS)
# What shares a picture: few pictures, but never so many outlines that none can be told apart.
GROUPS: dict[str, tuple[str, ...]] = {
    "Spinal cord": ("cord",),
    "Inside the cord": ("gm", "wm", *_LESIONS),
    OTHERS: (),
}
NO_MASK = "no mask could be drawn on this image, and without one it is not shown"
NO_IMAGE = "No image: outlines alone."


def draw_scan(
    scan: Mapping[str, Any],
    results: Path,
    known_methods: Sequence[str] = (),
    n_slices: int = N_SLICES,
    undrawn: Collection[str] = (),
) -> Record:
    """Draw the masks of one scan and write pictures and record.

    Parameters
    ----------
    scan : mapping
        A row of the index.
    results : Path
        The study's ``results`` folder; pictures go below its ``report``.
    known_methods : sequence of str
        The methods of the study, so that each has one colour in all pictures.
    n_slices : int
        Axial slices in a picture.
    undrawn : collection of str
        Models whose masks are neither drawn nor told: further seeds and phases of an experiment.

    Returns
    -------
    dict
        ``pictures`` (file, structure, methods, alternative text), ``masks`` (facts of every mask,
        read or not) and ``reason`` where there is no picture. It is written as JSON as well, and
        never raises for a scan that cannot be read: that is a reason on the page.
    """
    report = results / "report"
    with_truth = SOFT_TRUTH in known_methods
    found = masks_of_scan(scan, results, soft_truth=with_truth)
    masks = sorted((m for m in found if m.method not in undrawn), key=_drawing_order)
    record: Record = {"schema": RECORD_SCHEMA, "pictures": [], "reason": "", "note": ""}
    try:
        native = _shown_image(scan, results, masks)
        image = native.canonical()
        record["spacing_mm"] = [round(float(s), 3) for s in image.spacing_mm]
        volumes, masks = _read_masks(masks, native)
        record["reason"] = "" if volumes else NO_MASK
        if volumes:
            mosaic = Mosaic(_views(image, volumes, n_slices), image.data)
            record["pictures"] = _draw_groups(scan, mosaic, volumes, known_methods, report)
            record["note"] = "" if scan["image"] else NO_IMAGE
            record["gallery"] = draw_gallery(scan, image, volumes, report, masks)
        if with_truth:
            record["pictures"] += registration_picture(scan, results)
    except DamagedError:
        raise
    except ImageError as error:
        record["reason"] = public_text(error.reason)
    except CordcohortError as error:
        record["reason"] = public_text(error)
    record["masks"] = [mask.facts() for mask in masks]
    write_record(report / picture_record(scan), record)
    return record


def _drawing_order(mask: MaskFile) -> tuple[Any, ...]:
    """Cord before other structures; whole outlines first, so that broken ones lie on them."""
    return *_structure_order(mask.structure), *method_order(mask.method), str(mask.path)


def _structure_order(structure: str) -> tuple[bool, str]:
    return structure != "cord", structure


def _shown_image(scan: Mapping[str, Any], results: Path, masks: Sequence[MaskFile]) -> Image:
    """The image to look at: of a diffusion scan its mean image without weighting.

    Where only masks were given, their outlines are drawn on black.
    """
    if scan["image"] and is_series(scan):
        return read_image(results.parent / image_file(scan, "b0"), ndim=3)
    if scan["image"]:
        return read_image(str(scan["image"]), ndim=3)
    given = next((m for m in masks if m.path is not None and m.kind in DRAWN_KINDS), None)
    if given is None or given.path is None:
        raise ImageError("", "no_image", "an image or a mask", "neither", "add the image")
    image = read_mask(given.path, kind=given.kind)
    return replace(image, data=np.zeros(image.data.shape, dtype=np.float32))


def _read_masks(masks: list[MaskFile], image: Image) -> tuple[list[Volume], list[MaskFile]]:
    """The masks that can be drawn, canonical, and all masks with what reading them told.

    They are read on the image's own axes, so that only a mask stored along others is told as such.
    """
    volumes: list[Volume] = []
    told: list[MaskFile] = []
    for mask in masks:
        seen = mask
        if mask.path is not None and mask.status == "ok" and mask.kind in DRAWN_KINDS:
            try:
                data = read_mask(mask.path, image, kind=mask.kind)
                volumes.append((mask, data.canonical().data))
                seen = replace(mask, reason="; ".join(t for t in (mask.reason, *data.notes) if t))
            except ImageError as error:
                seen = replace(mask, path=None, status="failed", reason=error.reason)
        told.append(seen)
    return [v for v in volumes if v[1].any()], told


def _views(image: Image, volumes: Sequence[Volume], n_slices: int) -> list[View]:
    """The sagittal strip and the axial tiles, centred on the cord where there is one."""
    shown = [v for m, v in volumes if m.structure == "cord"] or [v for _, v in volumes]
    union = np.zeros(image.data.shape, dtype=bool)
    for volume in shown:
        union |= binarised(volume)
    lesions = [binarised(v) for m, v in volumes if m.structure in _LESIONS and m.kind == "seg"]
    mask = union if union.any() else volumes[0][1] > 0
    return scan_views(mask, image.spacing_mm, n_slices, lesions[: n_slices // 2])


def _draw_groups(
    scan: Mapping[str, Any],
    mosaic: Mosaic,
    volumes: Sequence[Volume],
    known_methods: Sequence[str],
    report: Path,
) -> list[Record]:
    """One picture a group of structures, and one a map of named codes; all show the same slices."""
    pictures: list[Record] = []
    for group in GROUPS:
        own = [(m, v) for m, v in volumes if not is_coded(m) and _group_of(m.structure) == group]
        if not own:
            continue
        names = {m.path: _name_in_picture(m, own) for m, _ in own}
        styles = _styles(own, names, known_methods)
        masks: dict[Look, list[NDArray[Any]]] = {}
        for mask, volume in own:
            masks.setdefault(styles[names[mask.path]], []).extend(_parts(mask, volume))
        legend = [{"name": k.name, "colour": k.colour, "dashed": k.dashed} for k in masks]
        pictures.append(_written(report, picture_file(scan, group), mosaic, masks)
                        | _described(group, mosaic, legend))  # fmt: skip
    for title, word, own in coded_pictures([(m, v) for m, v in volumes if is_coded(m)]):
        masks = coded_parts(own)
        pictures.append(_written(report, picture_file(scan, word), mosaic, masks)
                        | _described(title, mosaic, coded_legend(masks)))  # fmt: skip
    return pictures


def _written(
    report: Path, file: str, mosaic: Mosaic, masks: Mapping[Look, list[NDArray[Any]]]
) -> Record:
    write_bytes(report / file, mosaic.png(masks))
    height, width = mosaic.greys.shape
    return {"file": file, "width": width, "height": height, "tiles_left": mosaic.corners[1][1]}


def _group_of(structure: str) -> str:
    return next((g for g, members in GROUPS.items() if structure in members), OTHERS)


def _name_in_picture(mask: MaskFile, own: Sequence[Volume]) -> str:
    """The method; where several structures share a picture, the structure with it."""
    if len({m.structure for m, _ in own}) == 1:
        return mask.method
    return f"{structure_text(mask.structure)}, {mask.method}"


def _styles(
    own: Sequence[Volume], names: Mapping[Path | None, str], known_methods: Sequence[str]
) -> dict[str, Look]:
    """Colours by method, as everywhere; by structure and method where structures share a picture.

    Outlines of the reference are whole and those of all others broken in both cases.
    """
    if all(name == mask.method for mask, _ in own for name in [names[mask.path]]):
        return apart(looks(names.values(), known_methods))
    found = looks(names.values(), dict.fromkeys(names.values()))
    methods = {names[mask.path]: mask.method for mask, _ in own}
    return {n: replace(k, dashed=methods[n] != REFERENCE_METHOD) for n, k in found.items()}


def _described(group: str, mosaic: Mosaic, legend: list[Record]) -> Record:
    names = "; ".join(public_text(entry["name"]) for entry in legend)
    return {
        "group": group,
        "methods": legend,
        "slices": [view.slice for view in mosaic.views if view.slice >= 0],
        "alt": f"{group}: axial slices with outlines ({names})",
    }


def _parts(mask: MaskFile, volume: NDArray[Any]) -> list[NDArray[Any]]:
    """A label map as one mask a label; any other mask as it is."""
    if mask.kind != "dseg":
        return [volume]
    labels = [int(label) for label in np.unique(volume) if label > 0][:MAX_LABELS]
    return [volume == label for label in labels]
