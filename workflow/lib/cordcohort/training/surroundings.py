"""What lies around the cord: bone, muscle, fat, airway, vessels, skin, air, and strange objects.

Nothing here is anatomy to be measured. It only has to be richer than what a real scan shows, so
that a network learns to find the cord by its place in the spine and not by its brightness.
"""

# The numbers below are ranges of chance, not thresholds: a name each would hide the drawing.
# ruff: noqa: PLR0917, PLR2004

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as nnf

TISSUES = (
    "air", "muscle", "muscle_2", "fat", "mixed", "marrow", "disc", "cortical", "ligament",
    "vessel", "vessel_2", "airway", "gullet", "other", "other_2", "skin",
    "csf", "wm", "gm", "root", "lesion", "void",
)  # fmt: skip
CODE = {name: i for i, name in enumerate(TISSUES)}
FAR_MM = 1e4
SPINE_RISE_MM = 18.0


class Brush:
    """Paint ellipses over a code map; one value a scene and slice for each parameter.

    Parameters
    ----------
    codes
        ``(g, 3, n, n)`` tissue codes, changed in place by replacement.
    x, y
        Coordinates in mm, same shape.
    """

    def __init__(self, codes: Tensor, x: Tensor, y: Tensor) -> None:
        self.codes, self.x, self.y = codes, x, y

    def column(self, values: Any) -> Tensor:
        """Numbers (g,), (g, 3) or scalar, shaped to broadcast over (g, 3, n, n)."""
        array = np.asarray(values)
        if array.ndim == 0:
            array = array[None]
        t = torch.as_tensor(array, dtype=torch.float32, device=self.x.device)
        return t.view(t.shape[0], -1, 1, 1)

    def distance(self, cx: Any, cy: Any, rx: Any, ry: Any, power: int = 2) -> Tensor:
        """Normalised distance to an ellipse (power 2) or rounded box (4): below 1 inside."""
        u = (self.x - self.column(cx)) / self.column(rx)
        v = (self.y - self.column(cy)) / self.column(ry)
        if power == 2:
            return u * u + v * v
        return (u * u) ** 2 + (v * v) ** 2

    def fill(self, inside: Tensor, code: Any) -> None:
        """Give the code (a number, or one a scene and slice) to the voxels inside."""
        if isinstance(code, str):
            self.codes = self.codes.masked_fill(inside, CODE[code])
        else:
            self.codes = torch.where(inside, self.column(code).to(self.codes.dtype), self.codes)

    def ring(self, distance: Tensor, core: Any, wall: str, width: Any) -> None:
        """A filled shape with a wall; width relative to the radius."""
        self.fill(distance < self.column((1 + np.asarray(width)) ** 2), wall)
        self.fill(distance < 1, core)


def draw_context(
    rng: np.random.Generator, generator: torch.Generator, plan: dict[str, Any],
    x: Tensor, y: Tensor, wide: Tensor,
) -> Tensor:  # fmt: skip
    """Tissue codes outside the canal, ``(g, 3, n, n)`` uint8.

    Parameters
    ----------
    plan
        Scalar choices of the scenes (canal radius, spine present or not).
    x, y
        Coordinates of the middle planes, mm from the cord, deformed.
    wide
        Canal widened by a few per cent: what lies between is ligament or epidural fat.
    """
    brush = Brush(_soft_tissue(generator, x), x, y)
    _far_objects(rng, plan, brush)
    _spine(rng, plan, brush)
    _vessels(rng, plan, brush)
    _body_outline(rng, plan, brush)
    lining = np.where(rng.random(len(plan["kind"])) < 0.5, CODE["ligament"], CODE["fat"])
    brush.fill(wide > 0.5, lining)
    return brush.codes


def _soft_tissue(generator: torch.Generator, x: Tensor) -> Tensor:
    """Patchwork of muscle, fat and mixed tissue from two scales of smooth noise."""
    g, p, n, _ = x.shape
    device = x.device
    field = torch.zeros((g, 2, n, n), device=device)
    for knots, weight in ((4, 1.0), (9, 0.7)):
        coarse = torch.randn((g, 2, knots, knots), generator=generator, device=device)
        up = nnf.interpolate(coarse, size=(n, n), mode="bicubic", align_corners=True)
        field = field + weight * up
    codes = torch.full((g, 1, n, n), CODE["muscle"], dtype=torch.uint8, device=device)
    codes = codes.masked_fill(field[:, :1] > 0.5, CODE["muscle_2"])
    codes = codes.masked_fill(field[:, 1:].abs() < 0.16, CODE["fat"])
    codes = codes.masked_fill(field[:, 1:] > 1.5, CODE["mixed"])
    return codes.expand(-1, p, -1, -1)


def _far_objects(rng: np.random.Generator, plan: dict[str, Any], brush: Brush) -> None:
    """Airway, gullet, and strange round objects with or without a wall (never in the spine)."""
    g = len(plan["kind"])
    size = float(brush.x.abs().max())
    for _ in range(6):
        angle, radius = rng.uniform(0, 2 * np.pi, g), rng.uniform(12, max(size, 30), g)
        rx, ry = rng.uniform(2, 12, g), rng.uniform(2, 12, g)
        core = rng.choice([CODE[c] for c in ("other", "other_2", "fat", "marrow", "muscle_2")], g)
        d = brush.distance(radius * np.cos(angle), radius * np.sin(angle), rx, ry)
        shown = brush.column(np.where(rng.random(g) < 0.6, 1.0, FAR_MM))
        wall = ("cortical", "fat", "other")[int(rng.integers(3))]
        brush.ring(d * shown, core, wall, rng.uniform(0, 0.4, g))
    depth = plan["radius"] + rng.uniform(18, 38, g)
    r = rng.uniform(4, 11, g)
    d = brush.distance(rng.normal(0, 4, g), depth + r, r * rng.uniform(0.7, 1.4, g), r)
    show = brush.column(np.where(rng.random(g) < 0.7, 1.0, FAR_MM))
    brush.ring(d * show, CODE["airway"], "other", rng.uniform(0.05, 0.3, g))
    d = brush.distance(rng.normal(3, 5, g), depth - 4, rng.uniform(3, 8, g), rng.uniform(2, 5, g))
    brush.fill(d * brush.column(np.where(rng.random(g) < 0.5, 1.0, FAR_MM)) < 1, "gullet")


def _spine(rng: np.random.Generator, plan: dict[str, Any], brush: Brush) -> None:
    """Vertebral body or disc, arch, spinous and transverse processes; absent where no spine is."""
    g = len(plan["kind"])
    gone = brush.column(np.where(plan["spine"] > 0, 1.0, FAR_MM))
    phase = (
        rng.random(g)[:, None] + np.arange(-1, 2)[None] * plan["slice_mm"][:, None] / SPINE_RISE_MM
    )
    at_disc = (phase % 1.0) < 0.3
    radius = plan["radius"]
    arch = (~at_disc) | (rng.random(g)[:, None] < 0.3)
    far_arch = np.where(arch, 1.0, FAR_MM)
    # posterior arch: a bony ring around the canal, thicker behind
    bone = rng.uniform(2, 6, g)
    rx, ry = radius * rng.uniform(1.1, 1.35, g) + bone, radius * rng.uniform(0.85, 1.1, g) + bone
    ring = brush.distance(plan["canal_shift"][:, 0], plan["canal_shift"][:, 1] - 1, rx, ry)
    hidden = brush.column(far_arch) * gone
    brush.ring(ring * hidden, CODE["marrow"], "cortical", rng.uniform(0.04, 0.15, g))
    # spinous process and transverse processes
    long = rng.uniform(5, 16, g)
    d = brush.distance(rng.normal(0, 1, g), -ry - long, rng.uniform(1.5, 4.5, g), long, 4)
    brush.ring(d * hidden, CODE["marrow"], "cortical", rng.uniform(0.05, 0.25, g))
    for side in (-1, 1):
        d = brush.distance(side * (rx + rng.uniform(2, 7, g)), rng.uniform(-4, 8, g),
                           rng.uniform(4, 10, g), rng.uniform(3, 7, g), 4)  # fmt: skip
        show = np.where(rng.random(g) < 0.75, 1.0, FAR_MM)
        brush.ring(
            d * hidden * brush.column(show), CODE["marrow"], "cortical", rng.uniform(0.05, 0.25, g)
        )
        # foramen with fat or root at disc height
        d = brush.distance(side * (radius + rng.uniform(3, 7, g)), rng.uniform(-1, 5, g),
                           rng.uniform(2, 5, g), rng.uniform(1.5, 3.5, g))  # fmt: skip
        show = np.where(rng.random(g) < 0.5, 1.0, FAR_MM)
        brush.fill(
            d * gone * brush.column(show) < 1,
            rng.choice([CODE["fat"], CODE["muscle"], CODE["vessel"]], g),
        )
    # body or disc in front
    half = rng.uniform(6, 13, g)
    d = brush.distance(rng.normal(0, 1.2, g), radius + half * rng.uniform(0.85, 1.05, g),
                       rng.uniform(7, 17, g), half, 4)  # fmt: skip
    core = np.where(at_disc, CODE["disc"], CODE["marrow"])
    brush.ring(d * gone, core, "cortical", rng.uniform(0.02, 0.14, g))
    # dark lining of the canal (ligament, dura): thin, irregular
    across, back = radius * rng.uniform(1.05, 1.3, g), radius * rng.uniform(0.8, 1.05, g)
    d = brush.distance(plan["canal_shift"][:, 0], plan["canal_shift"][:, 1], across, back)
    show = np.where(rng.random(g) < 0.6, 1.0, FAR_MM)
    brush.fill(
        d * gone * brush.column(show) < 1.2,
        rng.choice([CODE["ligament"], CODE["fat"], CODE["cortical"]], g),
    )


def _vessels(rng: np.random.Generator, plan: dict[str, Any], brush: Brush) -> None:
    """Vertebral arteries, carotids and jugular veins: bright inflow or dark void."""
    g = len(plan["kind"])
    for code, near, far, back, front in (
        ("vessel", 9, 18, -2, 10), ("vessel", 9, 18, -2, 10),
        ("vessel_2", 20, 38, 10, 32), ("vessel", 20, 38, 10, 32), ("vessel_2", 10, 30, -30, 20),
    ):  # fmt: skip
        side = rng.choice([-1, 1], g)
        r = rng.uniform(1, 4.5, g)
        d = brush.distance(side * rng.uniform(near, far, g), rng.uniform(back, front, g), r,
                           r * rng.uniform(0.6, 1.5, g))  # fmt: skip
        show = np.where(rng.random(g) < 0.65, 1.0, FAR_MM)
        brush.fill(d * brush.column(show) < 1, code)


def _body_outline(rng: np.random.Generator, plan: dict[str, Any], brush: Brush) -> None:
    """Skin, fat below it, and air outside the body."""
    g = len(plan["kind"])
    rx, ry = rng.uniform(50, 110, g), rng.uniform(45, 85, g)
    cy = rng.uniform(0, 22, g)
    d = brush.distance(rng.normal(0, 6, g), cy, rx, ry)
    fat = brush.column(1 - rng.uniform(0.02, 0.25, g))
    brush.fill(d > fat, "fat")
    brush.fill(d > 0.96, "skin")
    brush.fill(d > 1, "air")


def draw_inside(
    rng: np.random.Generator, plan: dict[str, Any], x: Tensor, y: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Roots and flow voids in the CSF, lesions in the cord: fractions ``(g, 3, n, n)``."""
    g = len(plan["kind"])
    blank = torch.zeros(x.shape, dtype=torch.uint8, device=x.device)
    brush = Brush(blank, x, y)
    half = np.array([9.0]) * plan["scale"].mean(1)
    many = (plan["has_cord"] == 0) | plan["cauda"]
    for i in range(10):
        angle = rng.choice([-0.9, 0.9, 2.25, -2.25], g) + rng.normal(0, 0.35, g)
        reach = (
            half * rng.uniform(0.65, 1.5, g) if i < 6 else plan["radius"] * rng.uniform(0, 0.9, g)
        )
        show = (rng.random(g) < 0.5) if i < 6 else many & (rng.random(g) < 0.8)
        d = brush.distance(reach * np.sin(angle), reach * np.cos(angle),
                           rng.uniform(0.5, 2.2, g), rng.uniform(0.4, 1.1, g))  # fmt: skip
        brush.fill(d * brush.column(np.where(show, 1.0, FAR_MM)) < 1, "root")
    root = (brush.codes == CODE["root"]).float()
    void = _blobs(rng, brush, plan["radius"], 4, (1.0, 4.0), 0.3)
    lesion = _blobs(rng, brush, half * 0.5, 2, (0.8, 4.0), 0.18)
    return root, void, lesion


def _blobs(
    rng: np.random.Generator,
    brush: Brush,
    reach: Any,
    count: int,
    size: tuple[float, float],
    share: float,
) -> Tensor:
    """Union of soft-edged ellipses near the centre, each shown with probability ``share``."""
    g = brush.x.shape[0]
    total = torch.zeros_like(brush.x)
    for _ in range(count):
        d = brush.distance(rng.normal(0, 0.7, g) * reach, rng.normal(0, 0.6, g) * reach,
                           rng.uniform(*size, g), rng.uniform(*size, g))  # fmt: skip
        show = np.where(rng.random(g) < share, 1.0, FAR_MM)
        total = torch.maximum(total, torch.sigmoid(4 * (1 - d * brush.column(show))))
    return total
