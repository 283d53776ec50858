"""What a measure is; the measures themselves are declared in the catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf


@dataclass(frozen=True)
class Measure:
    """A measure and how people should read it.

    Attributes
    ----------
    name : str
        As in the ``measure`` column, unit included.
    unit : str
        As in the ``unit`` column: mm2, mm, mm3, mm2/s, deg, percent or 1.
    label : str
        For axes and tables.
    description : str
        One sentence: what it is and which way is better or larger.
    kind : str
        One of the kinds that the catalogue lists.
    function : str
        Name of the function in the module of the kind.
    source : str
        Where the definition comes from.
    low, high : float
        Physical bounds, inclusive; a value beyond them is flagged as a warning.
    reduce : {"mean", "sum", "max", "min", ""}
        How slices become a level or a scan, or lesions a scan; "" where they do not.
    main : bool
        A scan that could not be measured gets a failed row for it.
    """

    name: str
    unit: str
    label: str
    description: str
    kind: str
    function: str
    source: str
    low: float = -inf
    high: float = inf
    reduce: str = "mean"
    main: bool = False
