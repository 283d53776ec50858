"""Random geometry around a cord: a batch of three-slice scenes of a neck or trunk.

Coordinates are millimetres, x to the right, y to the front, relative to the cord's centre.
Every structure is drawn over the earlier ones (painter's order); the canal and the cord come last
and are fractions (partial volume of thick slices), everything else is a tissue code.
"""

# The numbers below are ranges of chance, not thresholds: a name each would hide the drawing.
# ruff: noqa: PLR0917, PLR2004

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as nnf

from cordcohort.training.acquire import smooth_field
from cordcohort.training.sources import STACK_PIXEL_MM, STACK_PIXELS, CordStack
from cordcohort.training.surroundings import draw_context, draw_inside

N_SLICES = 3
SUB_SLICES = 3
FAR_FROM_MM = 1.5
HALF_STACK_MM = STACK_PIXELS * STACK_PIXEL_MM / 2


@dataclass
class Scene:
    """Geometry of ``g`` scenes on an ``n x n`` grid.

    Attributes
    ----------
    context
        ``(g, 3, n, n)`` tissue codes outside the canal.
    canal, cord, grey, root, void, lesion
        ``(g, 3, n, n)`` fractions in [0, 1]; grey and lesion are parts of the cord.
    slice_mm
        ``(g,)`` distance of neighbouring slices, mm.
    kind
        ``(g,)`` 0 axial, 1 isotropic, 2 sagittal.
    """

    context: Tensor
    canal: Tensor
    cord: Tensor
    grey: Tensor
    root: Tensor
    void: Tensor
    lesion: Tensor
    kind: np.ndarray
    slice_mm: np.ndarray


class SceneMaker:
    """Draw scenes from cord stacks.

    Parameters
    ----------
    stacks
        Cord shapes.
    weights
        Probability of each stack.
    options
        ``grid`` (pixels), ``pixel_mm``, ``offset_mm`` (cord's distance from the centre, per axis),
        ``absent`` (share of scenes without spine), ``outside`` (share with the cord out of view).
    """

    def __init__(
        self,
        stacks: Sequence[CordStack],
        weights: Sequence[float],
        options: Mapping[str, Any],
        device: torch.device,
    ) -> None:
        self.stacks = list(stacks)
        self.weights = np.asarray(weights, float) / np.sum(weights)
        self.options = dict(options)
        self.device = device
        self.volumes = [torch.from_numpy(s.maps).to(device) for s in self.stacks]
        # Surroundings come in two scales: fine ones for crops, coarse ones for whole slices.
        scale = int(float(options["pixel_mm"]) >= FAR_FROM_MM)
        self.reach_mm = HALF_STACK_MM * (4.0 if scale else 1.0)
        self.around = [
            None if s.surroundings is None
            else torch.from_numpy(s.surroundings[scale].astype(np.float32)).to(device)[None, None]
            for s in self.stacks
        ]  # fmt: skip
        self.cord_area = [s.cord_area_mm2 for s in self.stacks]
        self.canal_area = [s.canal_area_mm2 for s in self.stacks]
        n, pixel = int(options["grid"]), float(options["pixel_mm"])
        self.axis = (torch.arange(n, device=device) - (n - 1) / 2) * pixel

    def draw(self, rng: np.random.Generator, generator: torch.Generator, n_scenes: int) -> Scene:
        """Draw ``n_scenes`` scenes; the same generators give the same scenes."""
        plan = _plan(rng, n_scenes, self)
        x, y, z = self._coordinates(rng, generator, plan)
        cord, grey, canal, wide = self._cord_and_canal(plan, x, y, z)
        middle = slice(SUB_SLICES // 2, None, SUB_SLICES)
        cx, cy = x[:, middle], y[:, middle]
        context = draw_context(rng, generator, plan, cx, cy, wide)
        context = self._own_surroundings(plan, context, cx, cy, z[:, middle])
        root, void, lesion = draw_inside(rng, plan, cx, cy)
        shape = (n_scenes, N_SLICES, SUB_SLICES, *cord.shape[-2:])
        cord, grey, canal = (t.view(shape).mean(2) for t in (cord, grey, canal))
        return Scene(context, canal, cord, grey, root, void, lesion, plan["kind"], plan["slice_mm"])

    def _own_surroundings(
        self, plan: dict[str, Any], context: Tensor, x: Tensor, y: Tensor, z: Tensor
    ) -> Tensor:
        """Replace the drawn surroundings by those of the stack, where it has some."""
        out = context.clone()
        for i, stack in enumerate(plan["stack"]):
            volume = self.around[stack]
            if volume is None or not plan["own"][i] or plan["spine"][i] == 0:
                continue
            height = float(plan["height"][i]) + z[i] / self.stacks[stack].step_mm
            kx = (x[i] - plan["canal_shift"][i, 0]) / plan["canal_scale"][i, 0]
            ky = (y[i] - plan["canal_shift"][i, 1]) / plan["canal_scale"][i, 1]
            codes = _sample(volume, kx, ky, height, self.reach_mm, "nearest")[0]
            out[i] = codes.round().to(out.dtype)
        return out

    def _coordinates(
        self, rng: np.random.Generator, generator: torch.Generator, plan: dict[str, Any]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Deformed coordinates (g, planes, n, n) in mm and plane heights (g, planes)."""
        g, n = len(plan["kind"]), len(self.axis)
        sub = (np.arange(SUB_SLICES) - (SUB_SLICES - 1) / 2) / SUB_SLICES
        k = np.arange(N_SLICES) - N_SLICES // 2
        z = (
            k[None, :, None] * plan["slice_mm"][:, None, None]
            + sub[None, None] * plan["thick_mm"][:, None, None]
        )
        jitter = rng.normal(0, 1, (2, g, N_SLICES, 1)) * plan["jitter_mm"][None, :, None, None]
        shift = [
            plan["tilt"][i][:, None, None] * z + plan["bend"][i][:, None, None] * z**2 + jitter[i]
            for i in (0, 1)
        ]
        zs = torch.as_tensor(z.reshape(g, -1), dtype=torch.float32, device=self.device)
        dx, dy = (self._column(s.reshape(g, -1)) for s in shift)
        x = self.axis[None, None, None, :] - self._column(plan["offset"][:, 0]) - dx
        y = self.axis[None, None, :, None] - self._column(plan["offset"][:, 1]) - dy
        x, y = x.expand(-1, -1, n, -1), y.expand(-1, -1, -1, n)
        warp = smooth_field(generator, (g, 2, n, n), 6, self.device) * self._column(plan["warp_mm"])
        fine = smooth_field(generator, (g, 2, n, n), 14, self.device)
        warp = warp + fine * self._column(plan["fine_warp_mm"])
        x, y = x + warp[:, :1], y + warp[:, 1:]
        cos, sin = (self._column(f(plan["angle"])) for f in (np.cos, np.sin))
        return cos * x + sin * y, cos * y - sin * x, zs

    def _column(self, values: np.ndarray) -> Tensor:
        """(g,) or (g, p) numbers as a tensor that broadcasts over (g, p, n, n)."""
        array = torch.as_tensor(np.asarray(values), dtype=torch.float32, device=self.device)
        return array.view(array.shape[0], -1, 1, 1)

    def _cord_and_canal(
        self, plan: dict[str, Any], x: Tensor, y: Tensor, z: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Cord, grey, canal at all planes, and a widened canal at the middle planes."""
        scale, canal = plan["scale"], plan["canal_scale"]
        shift = plan["canal_shift"]
        col = self._column
        cx, cy = x / col(scale[:, 0]), y / col(scale[:, 1])
        kx = (x - col(shift[:, 0])) / col(canal[:, 0])
        ky = (y - col(shift[:, 1])) / col(canal[:, 1])
        middle = slice(SUB_SLICES // 2, None, SUB_SLICES)
        wide = col(plan["wide"])
        outs: list[tuple[Tensor, Tensor, Tensor]] = []
        for i, stack in enumerate(plan["stack"]):
            volume = self.volumes[stack][None]
            step = self.stacks[stack].step_mm
            height = float(plan["height"][i]) + z[i] / step
            a = _sample(volume[:, :2], cx[i], cy[i], height)
            b = _sample(volume[:, 2:], kx[i], ky[i], height)
            c = _sample(
                volume[:, 2:], kx[i, middle] / wide[i], ky[i, middle] / wide[i], height[middle]
            )
            outs.append((a, b, c))
        pair = torch.stack([o[0] for o in outs]) * col(plan["spine"])[:, None]
        inner = torch.stack([o[1][0] for o in outs]) * col(plan["spine"])
        outer = torch.stack([o[2][0] for o in outs]) * col(plan["spine"])
        cord = pair[:, 0] * col(plan["has_cord"])
        grey = torch.minimum(pair[:, 1], cord)
        return cord, grey, torch.maximum(inner, cord), outer


def _sample(
    volume: Tensor, x: Tensor, y: Tensor, height: Tensor,
    half_mm: float = HALF_STACK_MM, mode: str = "bilinear",
) -> Tensor:  # fmt: skip
    """Trilinear values (c, planes, n, n) of a stack (1, c, z, y, x) at mm in-plane, slices in z."""
    depth = volume.shape[2]
    low = int(torch.clamp(height.min().floor(), 0, depth - 1))
    high = int(torch.clamp(height.max().ceil() + 1, low + 1, depth))
    part = volume[:, :, low:high]
    span = max(high - low - 1, 1)
    zn = ((height - low) / span * 2 - 1).view(-1, 1, 1).expand_as(x)
    edge = half_mm * (1 - 1 / STACK_PIXELS)
    grid = torch.stack([x / edge, y / edge, zn.clamp(-1, 1)], -1)[None]
    return nnf.grid_sample(part, grid, mode=mode, padding_mode="zeros", align_corners=True)[0]


def _plan(rng: np.random.Generator, g: int, maker: SceneMaker) -> dict[str, Any]:
    """All scalar choices of ``g`` scenes."""
    options = maker.options
    stack = rng.choice(len(maker.stacks), g, p=maker.weights)
    height = np.array([_height(rng, maker.cord_area[s]) for s in stack])
    rows = [
        (s, int(np.clip(h, 0, len(maker.cord_area[s]) - 1)))
        for s, h in zip(stack, height, strict=True)
    ]
    area = np.array([maker.cord_area[s][h] for s, h in rows])
    canal_area = np.array([max(maker.canal_area[s][h], 40.0) for s, h in rows])
    small = rng.uniform(14, 65, g)  # thoracic, conus, atrophy: as likely to be met as a neck
    goal = np.where(rng.random(g) < 0.35, small, np.clip(rng.normal(72, 17, g), 35, 125))
    size = np.where(area > 5, np.sqrt(goal / np.maximum(area, 5)), 1.0)
    aspect = np.exp(rng.normal(0, 0.09, g))
    squeeze = np.where(rng.random(g) < 0.12, rng.uniform(0.5, 0.85, g), 1.0)
    scale = np.stack([size * aspect, size / aspect * squeeze], 1)
    tight = rng.random((g, 1)) < 0.2
    loose = np.where(tight, rng.uniform(0.58, 0.8, (g, 1)), rng.uniform(0.8, 1.25, (g, 1)))
    loose = loose * np.exp(rng.normal(0, 0.06, (g, 2)))
    canal_scale = size[:, None] * loose
    radius = np.sqrt(canal_area / np.pi) * canal_scale.mean(1)
    kind = rng.choice(3, g, p=options.get("kinds", (0.6, 0.2, 0.2)))
    slice_mm, thick_mm = _slices(rng, kind, options)
    spine = (rng.random(g) >= options["absent"]).astype(float)
    shallow = np.minimum(0.6, 14 / slice_mm)  # far slices must not lose the cord altogether
    reach = np.where(rng.random(g) < options["outside"], 1.6 * maker.axis[-1].item(), 0.0)
    turn = rng.uniform(0, 2 * np.pi, g)
    offset = rng.uniform(-1, 1, (g, 2)) * options["offset_mm"]
    offset = np.where(
        reach[:, None] > 0, reach[:, None] * np.stack([np.cos(turn), np.sin(turn)], 1), offset
    )
    return {
        "stack": stack,
        "height": height,
        "scale": scale,
        "canal_scale": canal_scale,
        "canal_shift": rng.normal(0, 0.9, (g, 2)),
        "wide": rng.uniform(1.03, 1.35, g),
        "radius": radius,
        "kind": kind,
        "slice_mm": slice_mm,
        "thick_mm": thick_mm,
        "tilt": rng.normal(0, 0.2, (2, g)).clip(-shallow, shallow),
        "bend": rng.normal(0, 0.002, (2, g)),
        "jitter_mm": np.where(rng.random(g) < 0.3, rng.uniform(0, 0.8, g), 0.0),
        "angle": rng.normal(0, 0.16, g),
        "offset": offset,
        "spine": spine,
        "warp_mm": rng.uniform(0, 1.8, g),
        "fine_warp_mm": rng.uniform(0, 0.3, g),
        "has_cord": (rng.random(g) > 0.08).astype(float),
        "cauda": rng.random(g) < 0.5,
        "own": rng.random(g) < 0.75,
    }


def _height(rng: np.random.Generator, area: np.ndarray) -> float:
    """Slice of a stack: the upper 45 % (neck of a template) twice as often as the rest."""
    n = len(area)
    low = 0.55 * n if n > 60 and rng.random() < 0.6 else 0.03 * n
    return float(rng.uniform(low, n - 1))


def _slices(
    rng: np.random.Generator, kind: np.ndarray, options: Mapping[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """Distance and thickness of slices, mm, by kind (axial, isotropic, sagittal)."""
    g = len(kind)
    thick = np.where(rng.random(g) < 0.12, rng.uniform(7, 17, g), rng.uniform(1.5, 7, g))
    least = float(options["neighbour_mm"])
    near = rng.uniform(least * 0.8, least * 1.6, g)
    slice_mm = np.where(kind == 0, np.maximum(thick, least * 0.8), near)
    thick_mm = np.where(kind == 0, thick * rng.uniform(0.7, 1.0, g), rng.uniform(0.5, 1.2, g))
    return slice_mm, thick_mm
