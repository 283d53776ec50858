"""Random brightness of every tissue: by families that resemble real sequences, or wholly random."""

# The numbers below are ranges of chance, not thresholds: a name each would hide the drawing.
# ruff: noqa: PLR2004

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cordcohort.training.surroundings import CODE, TISSUES

FloatArray = NDArray[np.floating[Any]]
FAMILIES = ("random", "t2", "t2star", "t1", "mt", "dwi", "b0")
DEFAULT_SHARES = (0.3, 0.15, 0.25, 0.12, 0.1, 0.04, 0.04)

# (low, high) of each tissue on an arbitrary scale; cord, CSF and grey matter are set apart.
_RANGES: dict[str, dict[str, tuple[float, float]]] = {
    "t2": {"muscle": (0.1, 0.4), "muscle_2": (0.1, 0.4), "fat": (0.5, 1.1), "mixed": (0.2, 0.7),
           "marrow": (0.25, 0.7), "disc": (0.15, 0.9), "cortical": (0, 0.15), "ligament": (0, 0.3),
           "vessel": (0, 0.3), "vessel_2": (0, 0.9), "airway": (0, 0.1)},
    "t2star": {"muscle": (0.25, 0.6), "muscle_2": (0.25, 0.6), "fat": (0.2, 0.8),
               "mixed": (0.2, 0.7), "marrow": (0.05, 0.4), "disc": (0.3, 0.9),
               "cortical": (0, 0.15), "ligament": (0.05, 0.5), "vessel": (0.5, 1.3),
               "vessel_2": (0.2, 1.3), "airway": (0, 0.1)},
    "t1": {"muscle": (0.35, 0.65), "muscle_2": (0.35, 0.65), "fat": (0.8, 1.3), "mixed": (0.5, 0.9),
           "marrow": (0.4, 0.9), "disc": (0.3, 0.6), "cortical": (0, 0.2), "ligament": (0.05, 0.4),
           "vessel": (0, 1.2), "vessel_2": (0, 1.2), "airway": (0, 0.1)},
    "mt": {"muscle": (0.3, 0.8), "muscle_2": (0.3, 0.8), "fat": (0.4, 1.2), "mixed": (0.4, 0.9),
           "marrow": (0.1, 0.6), "disc": (0.3, 0.9), "cortical": (0, 0.2), "ligament": (0.05, 0.5),
           "vessel": (0.4, 1.3), "vessel_2": (0.3, 1.3), "airway": (0, 0.1)},
    "dwi": {"muscle": (0.02, 0.3), "muscle_2": (0.02, 0.3), "fat": (0, 0.4), "mixed": (0, 0.3),
            "marrow": (0, 0.25), "disc": (0, 0.25), "cortical": (0, 0.1), "ligament": (0, 0.2),
            "vessel": (0, 0.15), "vessel_2": (0, 0.2), "airway": (0, 0.05)},
    "b0": {"muscle": (0.1, 0.4), "muscle_2": (0.1, 0.4), "fat": (0, 0.5), "mixed": (0.05, 0.4),
           "marrow": (0, 0.35), "disc": (0.05, 0.6), "cortical": (0, 0.15), "ligament": (0, 0.3),
           "vessel": (0, 0.3), "vessel_2": (0, 0.5), "airway": (0, 0.05)},
}  # fmt: skip
_CORD = {"t2": (0.3, 0.65), "t2star": (0.4, 0.8), "t1": (0.55, 0.95), "mt": (0.45, 0.9),
         "dwi": (0.7, 1.2), "b0": (0.3, 0.7)}  # fmt: skip
# CSF as a difference from white matter.
_CSF = {"t2": (0.2, 0.7), "t2star": (0.06, 0.5), "t1": (-0.6, -0.15), "mt": (-0.35, 0.5),
        "dwi": (-1.0, -0.4), "b0": (0.25, 0.9)}  # fmt: skip
# Grey matter relative to white matter.
_GREY = {"t2": (1.0, 1.15), "t2star": (1.0, 1.45), "t1": (0.8, 1.0), "mt": (0.95, 1.3),
         "dwi": (0.7, 1.0), "b0": (1.0, 1.15)}  # fmt: skip
LEAST_CONTRAST = 0.07
# Share of scans whose CSF is as bright as white matter: grey matter, roots, vessels and the canal's
# wall alone tell where the cord is. Common on axial T2*-weighted scans, possible on others.
EQUAL_SHARES = {
    "random": 0.1,
    "t2": 0.05,
    "t2star": 0.3,
    "t1": 0.0,
    "mt": 0.25,
    "dwi": 0.0,
    "b0": 0.0,
}
EQUAL_CONTRAST_SD = 0.025


def tissue_means(
    rng: np.random.Generator, n: int, shares: tuple[float, ...] = DEFAULT_SHARES
) -> FloatArray:
    """Mean brightness ``(n, tissues)`` of ``n`` painted scans.

    Parameters
    ----------
    shares
        Weight of each family of ``FAMILIES``.

    Examples
    --------
    >>> tissue_means(np.random.default_rng(0), 2).shape[0]
    2
    """
    weights = np.asarray(shares, float)
    families = rng.choice(len(FAMILIES), n, p=weights / weights.sum())
    return np.stack([_one(rng, FAMILIES[f]) for f in families]).astype(np.float32)


def _one(rng: np.random.Generator, family: str) -> FloatArray:
    """Means of one scan."""
    means = rng.uniform(0, 1, len(TISSUES))
    if family == "random":
        means = _random(rng, means)
        if rng.random() < EQUAL_SHARES[family]:
            _equalise(rng, means)
        return means
    for tissue, (low, high) in _RANGES[family].items():
        means[CODE[tissue]] = rng.uniform(low, high)
    wm = rng.uniform(*_CORD[family])
    gap = rng.uniform(*_CSF[family])
    if abs(gap) < LEAST_CONTRAST:
        gap = LEAST_CONTRAST if gap >= 0 else -LEAST_CONTRAST
    csf = max(wm + gap, 0.02)
    gm = wm * rng.uniform(*_GREY[family])
    if family == "t2star":
        gm = min(gm, wm + rng.uniform(0.4, 1.0) * (csf - wm)) if csf > wm else gm
    _set_cord(rng, means, csf, wm, gm)
    if rng.random() < EQUAL_SHARES[family]:
        _equalise(rng, means)
    if rng.random() < 0.5:
        means[CODE["air"]] = rng.uniform(0, 0.05)
    return means


def _random(rng: np.random.Generator, means: FloatArray) -> FloatArray:
    """Every tissue free; cord and CSF differ at least a little, grey stays near white matter."""
    wm = rng.uniform(0.1, 1)
    sign = rng.choice([-1, 1])
    csf = wm + sign * rng.uniform(LEAST_CONTRAST, 0.7)
    gm = wm + rng.normal(0, 0.08)
    _set_cord(rng, means, csf, wm, gm)
    if rng.random() < 0.6:
        means[[CODE["air"], CODE["airway"]]] = rng.uniform(0, 0.1, 2)
    if rng.random() < 0.2:  # epidural tissue as bright as CSF: the canal's wall is no landmark
        means[[CODE["ligament"], CODE["fat"]]] = csf + rng.normal(0, 0.05, 2)
    return means


def _equalise(rng: np.random.Generator, means: FloatArray) -> None:
    """Make CSF as bright as white matter, grey matter brighter and roots darker than both."""
    wm = means[CODE["wm"]]
    csf = wm * (1 + rng.normal(0, EQUAL_CONTRAST_SD))
    _set_cord(rng, means, csf, wm, wm * rng.uniform(1.03, 1.4))
    means[CODE["root"]] = wm * rng.uniform(0.6, 1.0)


def _set_cord(
    rng: np.random.Generator, means: FloatArray, csf: float, wm: float, gm: float
) -> None:
    """Write CSF, white and grey matter, roots, lesion, flow void."""
    means[CODE["csf"]], means[CODE["wm"]], means[CODE["gm"]] = csf, wm, gm
    means[CODE["root"]] = wm + rng.uniform(-0.1, 0.6) * (csf - wm)
    means[CODE["void"]] = csf * rng.uniform(0.1, 1.2)
    means[CODE["lesion"]] = wm + rng.choice([-1, 1], p=[0.3, 0.7]) * rng.uniform(0.05, 0.5)


def brighten_grey(rng: np.random.Generator, means: FloatArray, share: float) -> None:
    """Give a share of scans grey matter up to 45 % brighter, or a little darker, than white.

    Seldom as the families make it, and the commonest thing that looks like a lesion.
    """
    chosen = rng.random(len(means)) < share
    factor = 1 + rng.uniform(-0.05, 0.45, len(means))
    grey = means[:, CODE["wm"]] * factor
    means[:, CODE["gm"]] = np.where(chosen, grey, means[:, CODE["gm"]])
