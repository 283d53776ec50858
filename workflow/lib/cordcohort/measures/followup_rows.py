"""Follow-up of the lesions of two sessions as rows of the long table, whoever drew them.

One registration, of the cords that one method drew at both sessions and of the two images, carries
the lesions of all methods. To add a number of a group, see :mod:`cordcohort.measures.followups`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from cordcohort.errors import ImageError
from cordcohort.images.alignment import voxel_map
from cordcohort.images.rigid import rigid_transform
from cordcohort.measures import followups
from cordcohort.measures.catalogue import measures_of
from cordcohort.measures.followups import (
    DEFAULT_RULE,
    Followup,
    FollowupRule,
    Session,
    follow_lesions,
)
from cordcohort.measures.lesion import labelled_lesions
from cordcohort.measures.lesions import CORD, chosen_mask
from cordcohort.measures.lesions import KIND as LESION
from cordcohort.measures.masks import ScanMask, fault, grid_of, read_scan_masks
from cordcohort.measures.rows import Row, failed_rows, valued
from cordcohort.measures.task import Task
from cordcohort.nifti import Image, read_image
from cordcohort.table import long_table

GROUP, COUNT = "followup", "followup_n"
BY_IMAGE, BY_MASKS, BY_HEADER = "image", "masks", "header"
NO_CORDS = "no cord mask of one method at both sessions: world coordinates as the headers have them"
MIN_OVERLAP = 0.5
"""Dice of the two cords, where both scans show them, below which a registration is not believed."""
Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class FollowupOptions:
    """How sessions are followed.

    Attributes
    ----------
    rule : FollowupRule
    registration : {"image", "masks", "header"}
        What finds the earlier scan in the later one: the cords, then the images around them; the
        cords alone; or the headers, for scans that share one space.
    reference : str
        Method whose cords are registered where it drew both.
    """

    rule: FollowupRule = DEFAULT_RULE
    registration: str = BY_IMAGE
    reference: str = "manual"

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> FollowupOptions:
        """Options from a mapping: the section ``measures.followups`` and ``reference``."""
        known = {k: float(v) for k, v in values.items() if k in FollowupRule.__annotations__}
        registration = str(values.get("registration", BY_IMAGE))
        return cls(FollowupRule(**known), registration, str(values.get("reference", "manual")))


@dataclass(frozen=True)
class _Carried:
    """Where voxels of the later scan lie in the earlier one, and what to say of it."""

    matrix: Matrix
    note: str = ""
    fault: str = ""


def measure_followup(earlier: Task, later: Task, options: FollowupOptions) -> pd.DataFrame:
    """Follow the lesions of every method from one session to a later one.

    Parameters
    ----------
    earlier, later : Task
        The two scans with their masks.
    options : FollowupOptions

    Returns
    -------
    DataFrame
        Long table of the later scan: counts of every state, and each group as an object named
        ``before>after state``; ``reference`` is the earlier session. Nothing is raised for a fault
        in the data.
    """
    sides = [_masks(task) for task in (earlier, later)]
    methods = [m.method for m in sides[1] if m.structure == LESION and m.kind == "seg"]
    drawn = {m.method: m for m in sides[0] if m.structure == LESION and m.kind == "seg"}
    since = f"ses-{earlier.scan['session']}"
    rows: list[Row] = []
    carried: _Carried | None = None
    for method in dict.fromkeys(methods):
        late = next(m for m in sides[1] if m.method == method and m.structure == LESION)
        old = drawn.get(method)
        if old is None:
            continue
        base = late.base | {"reference": since}
        reason = next((m.reason for m in (old, late) if m.image is None), "")
        if not reason and carried is None:
            carried = _carried(sides, (earlier.image, later.image), (old, late), options)
        if reason or carried is None or carried.fault:
            rows += failed_rows(COUNT, base, reason or (carried.fault if carried else ""))
            continue
        found = _followed(old, late, sides, carried, options)
        rows += followup_rows(found, base, carried.note)
    return long_table(rows, later.scan)


def followup_rows(found: Followup, base: Row, note: str = "") -> list[Row]:
    """Rows of one method: every group, then the number of groups in each state."""
    rows: list[Row] = []
    for group in found.groups:
        for measure in measures_of(GROUP):
            value = float(getattr(followups, measure.function)(group))
            flag = "undefined" if np.isnan(value) else ""
            row = valued(measure, value, flag, "new: no earlier volume" if flag else note)
            rows.append(base | row | {"object": group.name, "statistic": ""})
    unseen = f"{found.n_unseen} outside the other session's field of view" * bool(found.n_unseen)
    told = "; ".join(text for text in (note, unseen) if text)
    for measure in measures_of(COUNT):
        value = float(getattr(followups, measure.function)(found))
        rows.append(base | valued(measure, value, "", told) | {"statistic": ""})
    return rows


def _masks(task: Task) -> list[ScanMask]:
    return read_scan_masks(task.masks, grid_of(task.image, task.masks), (LESION, CORD))


def _carried(
    sides: Sequence[Sequence[ScanMask]], images: tuple[str, str],
    lesions: tuple[ScanMask, ScanMask], options: FollowupOptions,
) -> _Carried:  # fmt: skip
    """Register the earlier session to the later one."""
    grids = [_image(mask) for mask in lesions]
    cords = _common_cords(sides, options.reference)
    if options.registration == BY_HEADER or cords is None:
        note = "" if options.registration == BY_HEADER else NO_CORDS
        return _Carried(voxel_map(grids[1].affine, grids[0].affine), note)
    old, late = cords
    scans: list[Image | None] = [None, None]
    if options.registration == BY_IMAGE and all(images):
        try:
            scans = [read_image(path).canonical() for path in images]
        except ImageError as error:
            return _Carried(np.eye(4), fault=f"registration: {fault(error)}")
    world = rigid_transform(late, old, scans[1], scans[0])
    matrix = voxel_map(late.affine, old.affine, world)
    overlap = _overlap(old, late, matrix)
    if overlap < MIN_OVERLAP:
        said = f"registration: the cords overlap by {overlap:.2f}, expected {MIN_OVERLAP:.2f}"
        return _Carried(matrix, fault=said)
    return _Carried(matrix)


def _common_cords(
    sides: Sequence[Sequence[ScanMask]], reference: str
) -> tuple[Image, Image] | None:
    """Cords that one method drew at both sessions, the reference's first."""
    found = [
        {m.method: m.image for m in side if _is_drawn(m)} for side in sides
    ]  # fmt: skip
    methods = [m for m in found[1] if m in found[0]]
    if not methods:
        return None
    method = min(methods, key=lambda m: m != reference)
    old, late = found[0][method], found[1][method]
    return (old, late) if old is not None and late is not None else None


def _is_drawn(mask: ScanMask) -> bool:
    is_cord = mask.structure == CORD and mask.kind == "seg"
    return is_cord and mask.image is not None and bool(mask.image.data.any())


def _overlap(old: Image, late: Image, matrix: Matrix) -> float:
    """Dice of the cords in the voxels that both scans show; 0 where they share none."""
    moved = _on_later(np.asarray(old.data) > 0, matrix, late.data.shape) > 0
    seen = _on_later(np.ones(old.data.shape), matrix, late.data.shape) > 0
    inside = (np.asarray(late.data) > 0) & seen
    total = int(moved.sum()) + int(inside.sum())
    return 2 * int((moved & inside).sum()) / total if total else 0.0


def _on_later(values: Any, matrix: Matrix, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Values of the earlier grid on the later one, nearest voxel, 0 outside."""
    turned = ndimage.affine_transform(
        np.asarray(values, dtype=np.int32), matrix[:3, :3], matrix[:3, 3].tolist(),
        output_shape=shape, order=0, mode="constant", cval=0,
    )  # fmt: skip
    return np.asarray(turned, dtype=np.int64)


def _followed(
    old: ScanMask, late: ScanMask, sides: Sequence[Sequence[ScanMask]], carried: _Carried,
    options: FollowupOptions,
) -> Followup:  # fmt: skip
    labels: list[NDArray[np.int64]] = []
    volumes: list[NDArray[np.float64]] = []
    for mask, side in zip((old, late), sides, strict=True):
        image = _image(mask)
        cord = chosen_mask(side, mask.method, CORD, options.reference)
        within = np.ones(image.data.shape, dtype=np.bool_)
        if cord is not None and cord.image is not None and cord.image.data.any():
            within = np.asarray(cord.image.data > 0, dtype=np.bool_)
        numbered, _, _ = labelled_lesions(image.data, within)
        labels.append(numbered)
        counts = np.asarray(np.bincount(numbered.ravel()), dtype=np.float64)
        volumes.append(counts * image.voxel_mm3)
    shape = _image(late).data.shape
    moved = _on_later(labels[0], carried.matrix, shape)
    seen = _on_later(np.ones(_image(old).data.shape), carried.matrix, shape) > 0
    spacing_mm = _image(late).spacing_mm
    return follow_lesions(
        Session(moved, volumes[0]), Session(labels[1], volumes[1]), seen, spacing_mm, options.rule
    )


def _image(mask: ScanMask) -> Image:
    if mask.image is None:  # callers have looked
        raise ValueError(f"mask of {mask.method}: not read")
    return mask.image
