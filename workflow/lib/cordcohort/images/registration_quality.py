"""How well one contrast lies on the reference: numbers, warnings, and whether it can be used.

Bounds and where they come from:

* ``MIN_DICE_BEFORE``: below this median overlap two masks lie side by side, so the header is wrong
  or the person was moved; a translation of each slice alone would hide it.
* ``SURE_DICE``: two masks of 70 mm2 whose outlines differ by half a millimetre all around have a
  Dice of about 0.9; what is worse after alignment does not have the same shape.
* ``MAX_SHIFT_MM``: people move by some mm between the scans of a session; 10 mm are the width of a
  cord.
* ``MAX_STEP_MM``: neighbouring slices move together; a step says that one slice was aligned to
  something else, or that the person moved within the scan.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cordcohort.images.alignment import SliceShifts

MIN_DICE_BEFORE = 0.01
SURE_DICE = 0.85
MAX_SHIFT_MM = 10.0
MAX_STEP_MM = 2.0


@dataclass(frozen=True)
class RegistrationQuality:
    """Numbers of one registration.

    Attributes
    ----------
    n_slices : int
        Reference slices in which both masks are present.
    dice_before, dice_after : float
        Median over slices of the soft Dice of the two masks, 0 to 1; NaN without a slice.
    smallest_dice : float
        Of the worst slice after alignment.
    largest_shift_mm : float
        Largest translation of a slice.
    largest_step_mm : float
        Largest difference between the translations of neighbouring slices.
    """

    n_slices: int
    dice_before: float
    dice_after: float
    smallest_dice: float
    largest_shift_mm: float
    largest_step_mm: float

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should look at in the picture."""
        found: list[str] = []
        if self.dice_after < SURE_DICE:
            found.append(f"median overlap after alignment {self.dice_after:.2f}")
        if self.largest_shift_mm > MAX_SHIFT_MM:
            found.append(f"a slice moved by {self.largest_shift_mm:.1f} mm")
        if self.largest_step_mm > MAX_STEP_MM:
            found.append(f"neighbouring slices moved by {self.largest_step_mm:.1f} mm differently")
        return tuple(found)


def registration_quality(shifts: SliceShifts) -> RegistrationQuality:
    """Numbers of an alignment.

    Parameters
    ----------
    shifts : SliceShifts
        As found by :func:`cordcohort.images.alignment.fit_shifts`.

    Examples
    --------
    >>> shifts = SliceShifts(np.array([3, 4]), np.array([[3.0, 4.0], [3.0, 4.5]]),
    ...                      np.array([0.2, 0.4]), np.array([0.9, 0.96]), (0.5, 0.5))
    >>> found = registration_quality(shifts)
    >>> found.n_slices, found.dice_after, found.largest_step_mm, found.warnings
    (2, 0.93, 0.5, ())
    """
    nan = float("nan")
    if not len(shifts.slices):
        return RegistrationQuality(0, nan, nan, nan, 0.0, 0.0)
    moved = np.hypot(*shifts.shift_mm.T)
    neighbours = np.diff(shifts.slices) == 1
    steps = np.hypot(*np.diff(shifts.shift_mm, axis=0).T)[neighbours]
    return RegistrationQuality(
        n_slices=len(shifts.slices),
        dice_before=round(float(np.median(shifts.dice_before)), 4),
        dice_after=round(float(np.median(shifts.dice_after)), 4),
        smallest_dice=round(float(shifts.dice_after.min()), 4),
        largest_shift_mm=round(float(moved.max()), 3),
        largest_step_mm=round(float(steps.max(initial=0.0)), 3),
    )


def refusal(
    quality: RegistrationQuality, n_drawn: int, *, min_slices: int, min_dice: float, rigid: bool
) -> str:
    """Why an alignment cannot be used, or an empty string.

    Parameters
    ----------
    quality : RegistrationQuality
    n_drawn : int
        Slices of its own grid in which the contrast was drawn.
    min_slices : int
        Fewest slices, drawn and of the reference, with both masks.
    min_dice : float
        Lowest median overlap after alignment.
    rigid : bool
        Whether a rigid registration went before: masks that lie apart were its task then.
    """
    n = min(quality.n_slices, n_drawn)
    if n < min_slices:
        return f"only {n} slices hold both masks, at least {min_slices} needed"
    if quality.dice_before < MIN_DICE_BEFORE and not rigid:
        return (
            "the masks do not overlap before the alignment: "
            "check the headers or use rigid registration"
        )
    if quality.dice_after < min_dice:
        return (
            f"overlap after alignment {quality.dice_after:.2f} (median Dice), "
            f"at least {min_dice:.2f}"
        )
    return ""


def shift_table(shifts: Mapping[str, SliceShifts]) -> pd.DataFrame:
    """Shift and overlap of every slice of every contrast, in the order of names."""
    columns = ["contrast", "slice", "right_mm", "anterior_mm", "dice_before", "dice_after"]
    parts = [
        pd.DataFrame(
            {
                "contrast": contrast,
                "slice": found.slices,
                "right_mm": found.shift_mm[:, 0],
                "anterior_mm": found.shift_mm[:, 1],
                "dice_before": found.dice_before,
                "dice_after": found.dice_after,
            }
        )
        for contrast, found in sorted(shifts.items())
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
