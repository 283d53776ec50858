"""Area along the cord, slice by slice, as a small drawing inside a subject's page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from cordcohort.lent_cord import lent_rows
from cordcohort.report.against_cohort import used_values
from cordcohort.report.palette import ON_LIGHT, apart, looks
from cordcohort.report.privacy import public_text
from cordcohort.table import SCAN_KEY, read_parquet

WIDTH, HEIGHT = 620, 240
LEFT, RIGHT, TOP, BOTTOM = 56, 608, 24, 192
MIN_SLICES = 3
MAX_TICKS = 6
_STEPS = (1, 2, 5)
_COLUMNS = [*SCAN_KEY, "method", "structure", "slice", "value", "flag"]


def slice_values(path: Path) -> pd.DataFrame:
    """The cord's area in every slice of every scan, from the long table.

    Raises
    ------
    SheetError
        If the table cannot be read.
    """
    if not path.is_file():
        return pd.DataFrame({c: [] for c in _COLUMNS})
    wanted = (
        pc.field("slice").is_valid()
        & (pc.field("measure") == "csa_mm2")
        & (pc.field("structure") == "cord")
    )
    values = read_parquet(path, columns=_COLUMNS, filters=wanted)
    return used_values(values[~lent_rows(values)])


def profile_of(values: pd.DataFrame, known_methods: Sequence[str] = ()) -> dict[str, Any] | None:
    """The drawing of one scan: places of lines and ticks in pixels, or ``None`` with few slices.

    Parameters
    ----------
    values : DataFrame
        Rows of :func:`slice_values` of one scan.
    known_methods : sequence of str
        The methods of the study, so that each has one colour in all drawings.
    """
    if values.empty or values["slice"].nunique() < MIN_SLICES:
        return None
    slices = values["slice"].to_numpy(dtype=float)
    x_ticks = ticks(float(slices.min()), float(slices.max()))
    y_ticks = ticks(float(values["value"].min()), float(values["value"].max()))
    y_low = min(y_ticks[0], float(values["value"].min()))
    y_high = max(y_ticks[-1], float(values["value"].max()))
    styles = apart(looks(values["method"], known_methods), ON_LIGHT)
    lines: list[dict[str, Any]] = []
    for name, look in styles.items():
        own = values[values["method"] == name].groupby("slice", sort=True)["value"].mean()
        x = _scaled(own.index.to_numpy(dtype=float), slices.min(), slices.max(), LEFT, RIGHT)
        y = _scaled(own.to_numpy(dtype=float), y_low, y_high, BOTTOM, TOP)
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
        lines.append({"points": points, "colour": look.colour, "dashed": look.dashed})
    x_places = _scaled(np.array(x_ticks), slices.min(), slices.max(), LEFT, RIGHT)
    y_places = _scaled(np.array(y_ticks), y_low, y_high, BOTTOM, TOP)
    names = [public_text(name) for name in styles]
    return {
        "width": WIDTH, "height": HEIGHT, "left": LEFT, "right": RIGHT, "bottom": BOTTOM,
        "lines": lines,
        "x_ticks": _placed(x_ticks, x_places), "y_ticks": _placed(y_ticks, y_places),
        "methods": [
            {"name": public_text(n), "colour": s.colour, "dashed": s.dashed}
            for n, s in styles.items()
        ],
        "alt": f"Cross-sectional area by axial slice, {', '.join(names)}",
    }  # fmt: skip


def ticks(low: float, high: float) -> list[float]:
    """Round numbers within a range, at most six.

    Examples
    --------
    >>> ticks(61.0, 79.0), ticks(3.0, 3.0)
    ([65.0, 70.0, 75.0], [3.0])
    """
    if not high > low:
        return [low]
    magnitude = 10.0 ** np.floor(np.log10((high - low) / MAX_TICKS))
    steps = [s * magnitude * f for f in (1, 10) for s in _STEPS]
    step = next(s for s in steps if (high - low) / s <= MAX_TICKS)
    first = np.ceil(low / step)
    return [float(round(k * step, 10)) for k in np.arange(first, np.floor(high / step) + 1)]


def _scaled(values: np.ndarray, low: float, high: float, start: float, end: float) -> np.ndarray:
    span = high - low
    return start + (values - low) / span * (end - start) if span > 0 else values * 0 + start


def _placed(values: list[float], places: np.ndarray) -> list[dict[str, Any]]:
    return [
        {"text": f"{v:g}", "place": round(float(p), 1)} for v, p in zip(values, places, strict=True)
    ]
