"""Masks and label maps: what their values mean, and whether they belong to their image."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cordcohort.errors import ImageError
from cordcohort.nifti.grids import on_grid_of
from cordcohort.nifti.image import Array, Image
from cordcohort.nifti.read import read_image

SHARES_SLACK = 0.01  # rounding of eight volumes, also as 8-bit numbers


def read_mask(
    path: Path | str, like: Image | None = None, *, kind: str = "seg", labels: Collection[int] = ()
) -> Image:
    """Read a mask or label map and check that it belongs to its image.

    Parameters
    ----------
    path : path
        The mask.
    like : Image, optional
        The image that it was drawn on; the mask comes back on its axes (:func:`on_grid_of`).
    kind : {"seg", "softseg", "dseg"}
        Binary mask (0/1, also 0/255 or 0/constant; result uint8), soft mask (0 to 1; float32), or
        label map (integers from 0; int32).
    labels : collection of int, optional
        The only values, besides 0, that a label map may have.

    Raises
    ------
    ImageError
        As :func:`read_image` and :func:`on_grid_of`, and ``not_binary``, ``not_soft``,
        ``not_labels``, ``unknown_labels``.
    """
    mask = read_image(path, ndim=3, dtype=np.float32)
    if like is not None:
        mask = on_grid_of(mask, like)
    notes = mask.notes
    if kind == "seg":
        notes = (*notes, *_value_notes(mask.data))
    check = {"seg": _as_binary, "softseg": _as_soft, "dseg": _as_labels}[kind]
    data = check(mask.path, mask.data)
    if labels:
        _refuse_unknown_labels(mask.path, data, labels)
    return replace(mask, data=data, notes=notes)


def read_shares(path: Path | str, like: Image | None, n_labels: int) -> Image:
    """Read the soft maps of several labels and check that they belong to their image.

    Parameters
    ----------
    path : path
        Image of four dimensions, a volume a label: the share of each voxel that it fills.
    like : Image, optional
        The image that it was drawn on; the maps come back on its axes.
    n_labels : int
        Volumes that it must have.

    Returns
    -------
    Image
        float32, shape (X, Y, Z, ``n_labels``), 0 to 1.

    Raises
    ------
    ImageError
        As :func:`read_image` and :func:`on_grid_of`, and ``not_soft`` where values leave 0 to 1 or
        sum to more, or ``label_count``.
    """
    shares = read_image(path, ndim=4, dtype=np.float32)
    if like is not None:
        shares = on_grid_of(shares, like)
    if shares.data.shape[3] != n_labels:
        raise ImageError(
            shares.path, "label_count", f"{n_labels} volumes, one a label",
            f"{shares.data.shape[3]}", "save the soft maps in the order of the labels' codes",
        )  # fmt: skip
    data = _as_soft(shares.path, shares.data)
    most = float(data.sum(axis=3).max(initial=0.0))
    if most > 1 + SHARES_SLACK:
        raise ImageError(
            shares.path, "not_soft", "shares that sum to 1 at most", f"{most:g}", "rescale them"
        )
    return replace(shares, data=data)


def _value_notes(data: Array) -> list[str]:
    """What of a binary mask's value is unusual: neither 1 nor the 255 of a picture."""
    top = float(data.max(initial=0.0))
    usual = top <= 0 or top == 255 or abs(top - 1) <= 1e-3  # noqa: PLR2004
    return [] if usual else [f"its values are 0 and {top:g}, read as 0 and 1"]


def _as_binary(path: Path, data: Array) -> NDArray[np.uint8]:
    top = float(data.max()) if data.size else 0.0
    inside = data == top if top > 0 else np.zeros(data.shape, dtype=bool)
    if np.count_nonzero(inside) + np.count_nonzero(data == 0) == data.size:
        return inside.view(np.uint8)  # two values to the bit, as nearly always
    scaled = data / top if top > 0 else data
    rounded = np.rint(scaled)
    if data.min() < 0 or float(np.abs(scaled - rounded).max(initial=0.0)) > 1e-3:  # noqa: PLR2004
        raise ImageError(
            path, "not_binary", "a mask of two values", f"values from {data.min():g} to {top:g}",
            "give the structure one value, or name it as a soft mask (_softseg in place of _seg)",
        )  # fmt: skip
    return rounded.astype(np.uint8)


def _as_soft(path: Path, data: Array) -> NDArray[np.float32]:
    low, high = float(data.min(initial=0.0)), float(data.max(initial=0.0))
    if low < -1e-3 or high > 1 + 1e-3:  # noqa: PLR2004
        raise ImageError(
            path, "not_soft", "values from 0 to 1", f"{low:g} to {high:g}", "rescale the soft mask"
        )
    return np.clip(data, 0.0, 1.0).astype(np.float32, copy=False)


def _as_labels(path: Path, data: Array) -> NDArray[np.int32]:
    with np.errstate(invalid="ignore"):  # a number that is too large is not equal afterwards
        whole = data.astype(np.int32)
    if data.min(initial=0.0) >= 0 and np.array_equal(whole, data):
        return whole
    rounded = np.rint(data)
    if data.min(initial=0.0) < 0 or float(np.abs(data - rounded).max(initial=0.0)) > 1e-3:  # noqa: PLR2004
        raise ImageError(
            path, "not_labels", "whole label numbers from 0", f"{data.min():g} to {data.max():g}",
            "save the label map without interpolation",
        )  # fmt: skip
    return rounded.astype(np.int32)


def _refuse_unknown_labels(path: Path, data: Array, labels: Collection[int]) -> None:
    unknown = sorted(set(np.unique(data).tolist()) - {0, *labels})
    if unknown:
        raise ImageError(
            path, "unknown_labels", f"labels {min(labels)} to {max(labels)}", f"also {unknown[:5]}",
            "correct the label map: a label that is not known would be left out of every measure",
        )  # fmt: skip
