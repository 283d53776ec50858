"""Signal of every tissue in every contrast, and how it varies between vendors and scans.

The numbers are in arbitrary units, white matter of the cord near 400 to 600. They follow what the
contrasts look like on usual protocols (CSF dark on T1w and bright on T2w, grey matter brighter than
white on T2starw, fat suppressed on diffusion images), not any data set.
"""

from __future__ import annotations

import zlib
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cordcohort.phantom.tissues import GREY_MATTER, N_TISSUES, WHITE_MATTER, Tissue

Array = NDArray[Any]

CONTRASTS: Final = ("T1w", "T2w", "T2starw", "MTon", "MToff", "dwi")
T = Tissue
_WM, _GM = -1, -2
SIGNALS: Final[dict[int, tuple[float, float, float, float, float, float]]] = {
    _WM: (620, 420, 470, 340, 580, 430),
    _GM: (530, 510, 600, 400, 530, 480),
    T.AIR: (4, 4, 4, 4, 4, 4),
    T.CSF: (170, 1000, 820, 640, 300, 1000),
    T.DURA: (300, 160, 250, 220, 300, 150),
    T.EPIDURAL_FAT: (950, 740, 380, 520, 700, 70),
    T.NERVE_ROOT: (520, 470, 520, 400, 520, 430),
    T.CORTICAL_BONE: (70, 50, 40, 50, 60, 30),
    T.MARROW: (640, 400, 150, 300, 420, 60),
    T.DISC_NUCLEUS: (360, 560, 480, 360, 380, 260),
    T.DISC_ANNULUS: (280, 170, 260, 220, 280, 110),
    T.LIGAMENT: (230, 130, 160, 150, 220, 70),
    T.POSTERIOR_ARCH: (560, 360, 160, 280, 380, 60),
    T.FACET: (350, 520, 420, 340, 360, 220),
    T.MUSCLE_DEEP: (420, 230, 330, 210, 430, 190),
    T.MUSCLE_DORSAL: (440, 250, 340, 220, 440, 200),
    T.MUSCLE_LATERAL: (420, 220, 320, 200, 420, 180),
    T.MUSCLE_VENTRAL: (430, 240, 330, 210, 430, 190),
    T.FAT: (930, 720, 400, 520, 700, 70),
    T.SUBCUTANEOUS_FAT: (980, 760, 420, 540, 720, 70),
    T.SKIN: (450, 300, 300, 260, 420, 90),
    T.AIRWAY: (8, 8, 6, 8, 8, 6),
    T.CARTILAGE: (380, 330, 300, 280, 380, 150),
    T.OESOPHAGUS: (430, 330, 330, 250, 430, 220),
    T.ARTERY: (140, 60, 700, 560, 640, 40),
    T.VEIN: (280, 380, 560, 460, 520, 120),
    T.GLAND: (520, 500, 420, 320, 520, 330),
    T.LYMPH_NODE: (430, 540, 430, 320, 450, 520),
    T.BRAINSTEM: (610, 430, 480, 350, 580, 440),
    T.CEREBELLUM: (560, 500, 540, 390, 550, 480),
    T.SKULL: (90, 60, 50, 60, 80, 40),
    T.TONGUE: (520, 320, 330, 260, 470, 210),
    T.LUNG: (30, 25, 12, 20, 25, 15),
    T.ORGAN: (560, 330, 300, 280, 520, 260),
    T.CYST: (180, 1080, 860, 680, 300, 900),
    T.IMPLANT: (4, 4, 4, 4, 4, 4),
}
"""Tissue to signal in each of `CONTRASTS`; all white matter and all grey matter share one row."""
VENDOR_SD = 0.07
SCAN_SD = 0.02
WHITE_GREY_SD = 0.35
"""Vendors differ in grey/white contrast by this share of it."""


def stream(seed: int, *parts: object) -> np.random.Generator:
    """Random numbers that depend on a seed and a name only, not on the order of asking.

    Examples
    --------
    >>> float(stream(1, "a").random()) == float(stream(1, "a").random())
    True
    >>> float(stream(1, "a").random()) == float(stream(1, "b").random())
    False
    """
    key = zlib.crc32("/".join(str(part) for part in parts).encode())
    return np.random.default_rng(np.random.SeedSequence([seed, key]))


def tissue_signals(contrast: str, vendor: str, seed: int, scan: str) -> Array:
    """Signal of each tissue in one scan.

    Parameters
    ----------
    contrast : str
        One of `CONTRASTS`.
    vendor : str
        Vendors differ by the same factors in all their scans.
    seed : int
        Seed of the study.
    scan : str
        Name of the scan: its own small variation.

    Returns
    -------
    array of float32, shape (N_TISSUES,)
        Arbitrary units, not negative.

    Raises
    ------
    ValueError
        For an unknown contrast.

    Examples
    --------
    >>> float(tissue_signals("T2w", "GE", 0, "a")[9]) > 700.0  # CSF
    True
    """
    if contrast not in CONTRASTS:
        message = f"contrast {contrast!r}: expected one of {', '.join(CONTRASTS)}"
        raise ValueError(message)
    column = CONTRASTS.index(contrast)
    of_vendor, of_scan = stream(seed, "vendor", vendor, contrast), stream(seed, "signal", scan)
    white = SIGNALS[_WM][column] * _factor(of_vendor, VENDOR_SD) * _factor(of_scan, SCAN_SD)
    ratio = SIGNALS[_GM][column] / SIGNALS[_WM][column]
    grey = white * (1.0 + (ratio - 1.0) * _factor(of_vendor, WHITE_GREY_SD))
    out = np.zeros(N_TISSUES, dtype=np.float32)
    for tissue in Tissue:
        vendor_factor, scan_factor = _factor(of_vendor, VENDOR_SD), _factor(of_scan, SCAN_SD)
        if tissue in WHITE_MATTER:
            out[tissue] = white
        elif tissue in GREY_MATTER:
            out[tissue] = grey
        else:
            out[tissue] = SIGNALS[tissue][column] * vendor_factor * scan_factor
    return out


def _factor(rng: np.random.Generator, sd: float) -> float:
    return float(np.exp(np.clip(rng.standard_normal(), -2.0, 2.0) * sd))
