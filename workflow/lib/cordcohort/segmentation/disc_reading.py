"""From heat along the cord to named discs, or to the reason why they have no names.

Discs look alike; the joint C1/C2 behind the dens does not. So names are counted downwards from the
disc that lies below that joint, and a scan that does not show the joint gives no names. The discs
are one chain of the largest sum of evidence (dynamic programming) whose members lie as far apart as
neighbouring discs can, and closer than two discs are: none can be stepped over. The chain ends at
the first disc that is hardly visible.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cordcohort.segmentation.disc_strip import CURVES, FIRST_DISC, JOINT, LAST_DISC

Heat = NDArray[np.floating[Any]]

SPACING_MM = {8: (9, 26), 20: (14, 34), LAST_DISC: (22, 46)}
"""Distance of a disc from the one above it, for codes up to each key: in adults, with room."""
JOINT_ABOVE_MM = (13, 34)
JOINT_MEAN_MM, JOINT_SD_MM = 20.0, 5.0
"""Distance of the joint C1/C2 from the disc C2/C3: allowed, and usual."""
PRESENT_HEAT = 0.2
HEAT_FLOOR = 0.01
LEAST_JOINT = 0.25
LEAST_DISC = 0.35
"""Heat below which the joint, or a disc, does not count as seen."""
OTHER_PLACE_MM = 12
PEAK_MM = 2
JUNCTION_HEAT = 0.5
JUNCTION_ABOVE_MM = (35.0, 85.0)
"""Distance of the pontomedullary junction from the disc C2/C3 in adults, with room."""
MOST_UNEVEN = 1.5
"""Ratio of two neighbouring distances of discs beyond which one of the discs is doubted."""
ODD = 0.5
"""Factor on the confidence for each thing that is odd."""
NO_JOINT = "the joint C1/C2 was not found (is the dens in view?): discs have no names"
NO_DISC = "no disc was found below the joint C1/C2"
ONE_DISC = "only one disc was found"


@dataclass(frozen=True)
class DiscReading:
    """Named discs of one strip.

    Attributes
    ----------
    rows : dict
        Code of the disc (2 is the joint C1/C2, 3 the disc C2/C3) to its row, fractional.
    confidence : dict
        Code to heat, 0 to 1.
    overall : float
        Confidence that the names are right, 0 to 1.
    reason : str
        Why there are no names; else empty.
    """

    rows: dict[int, float]
    confidence: dict[int, float]
    overall: float
    reason: str = ""


def read_discs(heat: Heat) -> DiscReading:
    """Name the discs of a strip.

    Parameters
    ----------
    heat : array, shape (3, rows)
        0 to 1: any disc, the pontomedullary junction, the joint C1/C2; one mm a row.

    Returns
    -------
    DiscReading

    Examples
    --------
    >>> heat = np.zeros((3, 90))
    >>> heat[0, [30, 47, 64]] = 0.9
    >>> heat[2, 10] = 0.8
    >>> reading = read_discs(heat)
    >>> {k: round(v) for k, v in reading.rows.items()}, round(reading.overall, 2)
    ({2: 10, 3: 30, 4: 47, 5: 64}, 0.8)
    >>> heat[2] = 0.0
    >>> read_discs(heat).reason
    'the joint C1/C2 was not found (is the dens in view?): discs have no names'
    """
    discs, _, joints = (heat[CURVES.index(name)] for name in ("any_disc", "pmj", "joint_c1_c2"))
    seen = float(joints.max(initial=0.0))
    if seen < LEAST_JOINT or heat.shape[1] <= JOINT_ABOVE_MM[0]:
        return DiscReading({}, {}, seen, NO_JOINT)
    support, joint_of = _support(joints)
    chain = _chain(discs, support)
    joint = _summit(joints, int(joint_of[chain[0]]))
    rows, confidence = _seen_from_above(discs, chain)
    if not rows or joints[joint] < LEAST_JOINT:
        return DiscReading({}, {}, 0.0, NO_DISC if rows == {} else NO_JOINT)
    believed = min(float(joints[joint]), float(np.mean(list(confidence.values()))))
    overall = believed * _doubt(heat, joint, rows)
    rows[JOINT], confidence[JOINT] = _refined(joints, joint), float(joints[joint])
    reason = ONE_DISC if len(rows) == 2 else ""  # noqa: PLR2004 - the joint and one disc
    return DiscReading(dict(sorted(rows.items())), confidence, overall, reason)


def _support(joints: Heat) -> tuple[Heat, NDArray[np.intp]]:
    """For each row, how well it is the disc C2/C3 by the joint above it, and the joint's row."""
    n = len(joints)
    low, high = JOINT_ABOVE_MM
    evidence = np.full((high - low + 1, n), -np.inf)
    for i, above in enumerate(range(low, high + 1)):
        usual = -0.5 * ((above - JOINT_MEAN_MM) / JOINT_SD_MM) ** 2
        evidence[i, above:] = _evidence(joints)[: max(n - above, 0)] + usual
    best = evidence.argmax(axis=0)
    return evidence.max(axis=0), np.maximum(np.arange(n) - best - low, 0)


def _evidence(curve: Heat) -> Heat:
    return np.log(np.maximum(curve, HEAT_FLOOR) / PRESENT_HEAT)


def _chain(discs: Heat, support: Heat) -> list[int]:
    """Rows of the best chain of discs from C2/C3 downwards, as long as evidence speaks for it."""
    evidence = _evidence(discs)
    n = len(discs)
    best: list[Heat] = [evidence + support]
    came: list[NDArray[np.intp]] = [np.full(n, -1)]
    for code in range(FIRST_DISC + 1, LAST_DISC + 1):
        low, high = next(span for last, span in SPACING_MM.items() if code <= last)
        shifted = np.full((high - low + 1, n), -np.inf)
        for i, step in enumerate(range(low, high + 1)):
            shifted[i, step:] = best[-1][: max(n - step, 0)]
        came.append(np.arange(n) - shifted.argmax(axis=0) - low)
        best.append(shifted.max(axis=0) + evidence)
    last = int(np.argmax([curve.max() for curve in best]))
    rows = [int(best[last].argmax())]
    for k in range(last, 0, -1):
        rows.append(int(came[k][rows[-1]]))
    return rows[::-1]


def _seen_from_above(discs: Heat, chain: list[int]) -> tuple[dict[int, float], dict[int, float]]:
    """Rows and heats of the chain's discs down to the first that is hardly visible."""
    rows: dict[int, float] = {}
    confidence: dict[int, float] = {}
    for code, place in enumerate(chain, start=FIRST_DISC):
        row = _summit(discs, place)
        found = float(discs[row])
        if found < LEAST_DISC:
            break
        rows[code], confidence[code] = _refined(discs, row), found
    return rows, confidence


def _doubt(heat: Heat, joint: int, rows: dict[int, float]) -> float:
    """Factor 0 to 1 for what speaks against the names: another joint, odd distances."""
    joints = heat[CURVES.index("joint_c1_c2")].copy()
    joints[max(joint - OTHER_PLACE_MM, 0) : joint + OTHER_PLACE_MM + 1] = 0.0
    junctions = heat[CURVES.index("pmj")]
    junction = int(junctions.argmax())
    usual = JUNCTION_ABOVE_MM[0] <= rows[FIRST_DISC] - junction <= JUNCTION_ABOVE_MM[1]
    odd = float(junctions[junction]) >= JUNCTION_HEAT and not usual
    spacing = np.diff(list(rows.values()))
    uneven = bool(np.any(np.abs(np.diff(np.log(spacing))) > np.log(MOST_UNEVEN)))
    return (1.0 - float(joints.max())) * ODD**odd * ODD**uneven


def _summit(curve: Heat, row: int) -> int:
    """Row of the largest heat within a few mm: what is usual must not move what is seen."""
    first = max(row - 2 * PEAK_MM, 0)
    return first + int(curve[first : row + 2 * PEAK_MM + 1].argmax())


def _refined(curve: Heat, row: int) -> float:
    """Centre of the heat within a few mm: finer than a row."""
    reach = np.arange(max(row - PEAK_MM, 0), min(row + PEAK_MM + 1, len(curve)))
    weight = np.asarray(curve[reach], dtype=float)
    return float((weight * reach).sum() / max(weight.sum(), 1e-9))
