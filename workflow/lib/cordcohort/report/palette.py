"""One colour a method, the same in every figure and picture, told apart by colour-blind readers.

The colours are those of Okabe and Ito; line style and marker differ as well, so that nothing rests
on colour alone.

References
----------
Okabe M, Ito K. Color Universal Design: how to make figures and presentations that are friendly to
colorblind people, 2008.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

REFERENCE_METHOD = "manual"
OKABE_ITO = (
    "#E69F00", "#56B4E9", "#009E73", "#CC79A7", "#0072B2", "#D55E00", "#F0E442",
)  # fmt: skip
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


@dataclass(frozen=True)
class Look:
    """How one method is drawn.

    Attributes
    ----------
    name : str
        The method.
    colour : str
        ``#rrggbb``.
    marker : str
        Matplotlib marker.
    dashed : bool
        Whether its contour is broken; the reference method's is whole.
    number : int
        Place in the order, the suffix of the style class ``look-N``.
    """

    name: str
    colour: str
    marker: str
    dashed: bool
    number: int

    @property
    def rgb(self) -> tuple[int, int, int]:
        """The colour as three bytes."""
        red, green, blue = bytes.fromhex(self.colour[1:])
        return red, green, blue


def looks(methods: Iterable[str]) -> dict[str, Look]:
    """Give each method its look: the reference first, the rest by name.

    Examples
    --------
    >>> [(k, v.colour, v.dashed) for k, v in looks(["cord-v1", "manual"]).items()]
    [('manual', '#E69F00', False), ('cord-v1', '#56B4E9', True)]
    """
    order = sorted({m for m in methods if m}, key=method_order)
    return {
        name: Look(
            name=name,
            colour=OKABE_ITO[i % len(OKABE_ITO)],
            marker=MARKERS[i % len(MARKERS)],
            dashed=name != REFERENCE_METHOD,
            number=i % len(OKABE_ITO),
        )
        for i, name in enumerate(order)
    }


def method_order(method: str) -> tuple[bool, bool, str]:
    """Sort key: the manual masks, then other raters, then the rest by name."""
    return method != REFERENCE_METHOD, not method.startswith("rater"), method
