"""Figures as SVG whose bytes depend on the numbers alone."""

from __future__ import annotations

import io
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cordcohort.files import write_bytes
from cordcohort.report.privacy import public_text

WIDTH_INCHES = 5.2
WIDTH_PX = 520
MAX_VECTOR_POINTS = 800  # more points are drawn as pixels within the SVG, which keeps it small
LABEL_CHARACTERS = 24
LEGEND_COLUMNS = 3
MAX_TICKS = 7
TICK_STEPS = (1, 2, 2.5, 5, 10)
INK = "#222222"
FAINT = "#8a8a8a"
_GOLDEN = 0.618033988749895
_STYLE: Any = {
    "svg.hashsalt": "cordcohort",
    "svg.fonttype": "path",
    "text.parse_math": False,  # labels come from sheets: no text is read as a formula
    "axes.formatter.use_mathtext": False,
    "axes.unicode_minus": True,
    "font.family": ["DejaVu Sans"],
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "savefig.dpi": 150,
}


@contextmanager
def svg_axes(path: Path | str, height_inches: float) -> Generator[Any]:
    """Give axes to draw on and write the figure as SVG when the block ends well.

    Parameters
    ----------
    path : path
        Where the SVG goes.
    height_inches : float
        Height of the figure; the width is the same for all figures.

    Yields
    ------
    matplotlib Axes
    """
    # Imported here: pages without figures do not wait for it.
    import matplotlib as mpl  # noqa: PLC0415
    from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(WIDTH_INCHES, height_inches), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        axes.xaxis.set_major_locator(MaxNLocator(MAX_TICKS, steps=TICK_STEPS))
        axes.yaxis.set_major_locator(MaxNLocator(MAX_TICKS, steps=TICK_STEPS))
        yield axes
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    write_bytes(path, buffer.getvalue())


def figure_height_px(height_inches: float) -> int:
    """Height at which a page shows a figure, so that nothing jumps while it loads.

    Examples
    --------
    >>> figure_height_px(2.6)
    260
    """
    return round(height_inches / WIDTH_INCHES * WIDTH_PX)


def below(axes: Any, handles: Sequence[Any]) -> None:
    """Put a legend under the axes, where it covers nothing."""
    if handles:
        columns = min(LEGEND_COLUMNS, len(handles))
        axes.figure.legend(
            handles=list(handles), loc="outside lower center", ncols=columns,
            handletextpad=0.4, columnspacing=1.4,
        )  # fmt: skip


def key(label: str, **look: Any) -> Any:
    """A legend entry: a marker or a line with its label."""
    from matplotlib.lines import Line2D  # noqa: PLC0415

    line: Any = Line2D
    return line([], [], label=short(label), **({"linestyle": "none"} | look))


def short(label: str) -> str:
    """A label that fits beside an axis.

    Examples
    --------
    >>> short("a" * 30)
    'aaaaaaaaaaaaaaaaaaaaaaa…'
    """
    return public_text(label, LABEL_CHARACTERS) or "–"


def jitter(n: int, width: float) -> NDArray[np.float64]:
    """Offsets within plus or minus ``width`` that spread evenly and need no random numbers."""
    places = np.arange(1, n + 1, dtype=np.float64) * _GOLDEN % 1.0
    return np.asarray((places - 0.5) * 2 * width, dtype=np.float64)


def as_pixels(n_points: int) -> bool:
    """Whether so many points are better stored as pixels."""
    return n_points > MAX_VECTOR_POINTS


def padded(low: float, high: float, share: float = 0.06) -> tuple[float, float]:
    """Axis limits with some room; a single value gets room as well.

    Examples
    --------
    >>> padded(0.0, 10.0, 0.1), padded(5.0, 5.0, 0.1)
    ((-1.0, 11.0), (4.5, 5.5))
    """
    span = high - low
    room = share * span if span > 0 else share * (abs(low) or 1.0)
    return low - room, high + room
