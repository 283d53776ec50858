"""Masks of one scan, read once and on one grid; what cannot be read keeps its reason."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cordcohort.errors import ImageError
from cordcohort.model_uses import LESION, LESION_PARTS
from cordcohort.nifti import Image, read_grid, read_mask, read_shares

OK, FAILED, NO_CORD = "ok", "failed", "no_cord"
NO_CORD_REASON = "no cord found"
NO_MASK_REASON = "no mask of this scan"
READ_AS = {
    "seg": "seg",
    "softseg": "softseg",
    "probseg": "softseg",
    "dseg": "dseg",
    "dlabel": "dseg",
    "pmj": "dseg",
}
CORD = "cord"
# Label maps with a closed table; of vertebrae and discs, numbers without a level name are left out.
CLOSED_LABELS = {"regions": range(1, 9)}


@dataclass(frozen=True)
class ScanMask:
    """A mask of a scan.

    Attributes
    ----------
    method, structure, kind : str
        Who drew what, and how it is stored (seg, softseg, dseg, dlabel).
    image : Image or None
        On canonical axes; ``None`` where it could not be read or there is none.
    status : {"ok", "failed", "no_cord"}
    reason : str
        Why it is not ok.
    warning : str
        What is suspicious about a mask that is ok, as its record says.
    notes : tuple of str
        What is legal but unusual about the file.
    """

    method: str
    structure: str
    kind: str
    image: Image | None
    status: str
    reason: str = ""
    warning: str = ""
    notes: tuple[str, ...] = ()

    @property
    def is_soft(self) -> bool:
        """Whether its values are shares of a voxel."""
        return READ_AS[self.kind] == "softseg"

    @property
    def base(self) -> dict[str, Any]:
        """Columns of the long table that every row of this mask has."""
        return {"method": self.method, "structure": self.structure}


def fault(error: ImageError) -> str:
    """An image's fault for a table: file name and reason, no folder."""
    return f"{error.path.name}: {error.reason}"


def without_masks(scan: Mapping[str, Any]) -> tuple[dict[str, str], str]:
    """Row columns and reason of a scan that nobody drew on: it must not vanish from the table."""
    reason = str(scan.get("reason", "")) or NO_MASK_REASON
    return {"method": "", "structure": "cord"}, reason


def grid_of(image: str, masks: Iterable[Mapping[str, Any]]) -> Image | None:
    """Grid that all masks of a scan must lie on: the image's or, without one, the first mask's.

    A broken image is reported where it is used (segmentation, tensor fit); its masks may be fine.
    """
    drawn = [entry["path"] for entry in masks if entry["kind"] in ("seg", "softseg")]
    for path in (image, *drawn):
        try:
            if path:
                return read_grid(path)
        except ImageError:
            continue
    return None


def read_scan_masks(
    masks: Iterable[Mapping[str, Any]], grid: Image | None, structures: Collection[str]
) -> list[ScanMask]:
    """Read the masks of some structures.

    Parameters
    ----------
    masks : iterable of mappings
        ``method, structure, kind, path, status, reason`` each, as in the index.
    grid : Image or None
        Masks on another grid are refused.
    structures : collection of str
        Which to read. Where somebody drew oedema or haemorrhage apart, the lesion is all of them
        together with what was drawn as lesion besides, as published.

    Returns
    -------
    list of ScanMask
        In the given order; nothing is raised.
    """
    wanted = {*structures, *(LESION_PARTS if LESION in structures else ())}
    found = [
        _read(entry, grid)
        for entry in masks
        if entry["structure"] in wanted and entry["kind"] in READ_AS
    ]
    if LESION in structures:
        found = _merged_lesions(found)
    return [mask for mask in found if mask.structure in structures]


def _merged_lesions(found: list[ScanMask]) -> list[ScanMask]:
    """Masks in which the binary lesion of a method that drew parts holds them all."""
    out: list[ScanMask] = []
    for mask in found:
        if mask.kind != "seg" or mask.structure not in (LESION, *LESION_PARTS):
            out.append(mask)
            continue
        own = [
            m for m in found
            if (m.method, m.kind) == (mask.method, "seg")
            and m.structure in (LESION, *LESION_PARTS)
        ]  # fmt: skip
        if mask is own[0]:
            out.append(_union(own) if len(own) > 1 or mask.structure != LESION else mask)
        out += [mask] if mask.structure != LESION else []
    return out


def _union(own: list[ScanMask]) -> ScanMask:
    """One lesion of a lesion mask and parts; as little worth as the worst of them."""
    worst = next((m for m in own if m.image is None), own[0])
    images = [m.image for m in own if m.image is not None]
    image = None
    if len(images) == len(own):
        data = np.maximum.reduce([np.asarray(one.data) for one in images])
        image = replace(images[0], data=data)
    warnings = "; ".join(dict.fromkeys(m.warning for m in own if m.warning))
    notes = tuple(dict.fromkeys(note for m in own for note in m.notes))
    return replace(worst, structure=LESION, image=image, warning=warnings, notes=notes)


def reference_cord(found: Iterable[ScanMask], reference: str) -> Image | None:
    """The cord mask that levels are carried along: the reference's, else the first that has any."""
    usable = [
        mask
        for mask in found
        if mask.structure == CORD and mask.image is not None and mask.image.data.any()
    ]
    return next((m.image for m in sorted(usable, key=lambda m: m.method != reference)), None)


def _read(entry: Mapping[str, Any], grid: Image | None) -> ScanMask:
    method, structure, kind = entry["method"], entry["structure"], entry["kind"]
    status, reason = entry.get("status", OK), entry.get("reason", "")
    if status != OK:
        reason = reason or (NO_CORD_REASON if status == NO_CORD else "not readable")
        return ScanMask(method, structure, kind, None, status, reason)
    try:
        labels = CLOSED_LABELS.get(structure, ())
        if labels and READ_AS[kind] == "softseg":
            image = read_shares(entry["path"], grid, len(labels)).canonical()
        else:
            image = read_mask(entry["path"], grid, kind=READ_AS[kind], labels=labels).canonical()
    except ImageError as error:
        return ScanMask(method, structure, kind, None, FAILED, fault(error))
    warning = entry.get("warning", "")
    return ScanMask(method, structure, kind, image, OK, warning=warning, notes=image.notes)
