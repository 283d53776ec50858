"""Targets of nested regions from masks of a cohort: cord, and in it lesions and their parts.

As published, the cord's region is cord and lesion together, and hyper- and hypointense parts of a
lesion are one class. Where a rater drew oedema and haemorrhage apart, both belong to ``lesion``;
either or both may be regions of their own inside it, side by side.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cordcohort.errors import ConfigError
from cordcohort.model_uses import CORD, LESION
from cordcohort.model_uses import LESION_PARTS as PARTS

FloatArray = NDArray[np.floating[Any]]

SKIP, EMPTY = "skip", "empty"
ABSENT = (SKIP, EMPTY)


def check_regions(regions: Sequence[str], where: str = "recipe") -> None:
    """Refuse regions that no cohort mask can teach, or that are not nested.

    Raises
    ------
    ConfigError
        Not ``[cord]``, ``[cord, lesion]``, or these and one or both of ``PARTS``.

    Examples
    --------
    >>> check_regions(["cord", "lesion", "haemorrhage"])
    >>> check_regions(["cord", "lesion", "oedema", "haemorrhage"])
    """
    inner = list(regions[2:])
    nested = list(regions[:2]) == [CORD, LESION][: len(regions)]
    if nested and len(set(inner)) == len(inner) and set(inner) <= set(PARTS):
        return
    expected = f"[{CORD}, {LESION}], or these and {' or '.join(PARTS)} or both"
    raise ConfigError("regions", list(regions), expected, "correct the recipe", where)


def region_masks(masks: Mapping[str, str], regions: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Mask files whose union is each region inside the cord, outermost first.

    Parameters
    ----------
    masks
        Path of each structure that was drawn on a scan.
    regions
        As checked by :func:`check_regions`.

    Examples
    --------
    >>> region_masks({"lesion": "l", "haemorrhage": "h"}, ["cord", "lesion", "haemorrhage"])
    (('l', 'h'), ('h',))
    """
    drawn = {LESION: (LESION, *PARTS)}
    return tuple(
        tuple(masks[one] for one in drawn.get(region, (region,)) if one in masks)
        for region in regions[1:]
    )


def unusable_lesion(masks: Iterable[Mapping[str, Any]]) -> str:
    """Why a lesion that somebody drew on a scan cannot be read; empty where there is no such.

    Such a scan is not one without lesion: it must be left out, whatever ``without_lesion`` says.

    Parameters
    ----------
    masks
        Masks of one method on a scan, as the index has them.

    Examples
    --------
    >>> unusable_lesion([{"structure": "lesion", "status": "failed", "reason": "damaged"}])
    'lesion mask cannot be used: damaged'
    """
    return next(
        (f"{m['structure']} mask cannot be used: {m['reason']}" for m in masks
         if m["structure"] in (LESION, *PARTS) and m["status"] != "ok"),
        "",
    )  # fmt: skip


def nested_target(cord: FloatArray, inner: Sequence[Sequence[FloatArray]]) -> FloatArray:
    """Fractions ``(regions, z, y, x)``: lesion at least as large as its parts, cord as the lesion.

    Parameters
    ----------
    cord
        As drawn ``(z, y, x)``; raters often leave the lesion out of it.
    inner
        Masks of each further region: the lesion's, then those of its parts, which lie side by side.

    Examples
    --------
    >>> cord, lesion = np.array([1.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0])
    >>> nested_target(cord, [[lesion]]).tolist()
    [[1.0, 1.0, 0.0], [0.0, 1.0, 0.0]]
    """
    layers = [cord, *(np.maximum.reduce([np.zeros_like(cord), *masks]) for masks in inner)]
    layers[1:2] = [np.maximum.reduce(layers[1:])] if inner else []
    layers[0] = np.maximum.reduce(layers[:2])
    return np.stack(layers)
