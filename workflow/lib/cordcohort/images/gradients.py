"""Gradient tables of diffusion series: b-values and b-vectors, read and checked.

b-vectors follow the FSL convention that BIDS prescribes: components along the image's own axes, the
first one with opposite sign where the image is stored in neurological order (positive determinant).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cordcohort.errors import ImageError

Floats = NDArray[np.float64]

B0_THRESHOLD_S_PER_MM2 = 50.0
HIGHEST_LOW_B_S_PER_MM2 = 200.0  # weighted volumes of cord studies have 500 and more
MIN_DIRECTIONS = 6
MIN_NORM, MAX_NORM = 0.9, 1.1
SAME_DIRECTION_COSINE = 0.9999
MAX_GRADIENT_BYTES = 1_000_000
MAX_CONDITION = 1e6
AXES = 3
_SEPARATORS = re.compile(r"[\s,;]+")


@dataclass(frozen=True)
class Gradients:
    """Gradient table of a series.

    Attributes
    ----------
    bvals : array, shape (n,)
        b-values in s/mm2.
    bvecs : array, shape (n, 3)
        Unit vectors along the image's axes (FSL convention); zero where there is no weighting.
    b0_threshold : float
        Volumes with a b-value up to this one count as b=0.
    bval_path, bvec_path : Path
        Where they came from.
    """

    bvals: Floats
    bvecs: Floats
    b0_threshold: float = B0_THRESHOLD_S_PER_MM2
    bval_path: Path = Path()
    bvec_path: Path = Path()

    @property
    def is_b0(self) -> NDArray[np.bool_]:
        """Volumes without diffusion weighting."""
        return self.bvals <= self.b0_threshold

    def subset(self, keep: NDArray[np.bool_]) -> Gradients:
        """The table of some volumes, checked anew.

        Raises
        ------
        ImageError
            ``no_b0`` or ``directions`` if too little is left for a tensor.
        """
        left = replace(self, bvals=self.bvals[keep], bvecs=self.bvecs[keep])
        check_table(left)
        return left

    def world_bvecs(self, affine: Floats) -> Floats:
        """Directions in RAS+ world axes, which no permutation or flip of the stored axes changes.

        Parameters
        ----------
        affine : array, shape (4, 4)
            Of the image that the table belongs to.

        Returns
        -------
        array, shape (n, 3)

        Examples
        --------
        >>> table = Gradients(np.array([0.0, 800.0]), np.array([[0, 0, 0], [1.0, 0, 0]]))
        >>> (table.world_bvecs(np.eye(4))[1] + 0.0).tolist()
        [-1.0, 0.0, 0.0]
        """
        axes = affine[:3, :3]
        flip = np.diag([-1.0 if np.linalg.det(axes) > 0 else 1.0, 1.0, 1.0])
        return self.bvecs @ flip @ (axes / np.linalg.norm(axes, axis=0)).T


def read_bvals(path: Path | str, n_volumes: int) -> Floats:
    """Read b-values.

    Parameters
    ----------
    path : path
        Numbers separated by blanks, tabs, commas or line ends.
    n_volumes : int
        Volumes of the series.

    Returns
    -------
    array, shape (n_volumes,)
        In s/mm2.

    Raises
    ------
    ImageError
        ``bval_missing``, ``bval_text``, ``bval_values`` or ``bval_count``.
    """
    path = Path(path)
    values = np.array([v for line in _numbers(path, "bval") for v in line])
    if not np.isfinite(values).all() or (values < 0).any():
        raise ImageError(
            path, "bval_values", "finite b-values of 0 or more", "others", "export the file again"
        )
    if len(values) != n_volumes:
        raise ImageError(
            path, "bval_count", f"{n_volumes} b-values, one a volume", f"{len(values)}",
            "pair the image with its own gradient files",
        )  # fmt: skip
    return values


def read_gradients(
    bval: Path | str,
    bvec: Path | str,
    n_volumes: int,
    b0_threshold: float = B0_THRESHOLD_S_PER_MM2,
) -> Gradients:
    """Read and check a gradient table.

    Parameters
    ----------
    bval, bvec : path
        b-values; b-vectors as three rows (FSL) or three columns.
    n_volumes : int
        Volumes of the series.
    b0_threshold : float
        Largest b-value, in s/mm2, that counts as b=0.

    Returns
    -------
    Gradients
        b-vectors of unit length; those within 10 % of it are scaled.

    Raises
    ------
    ImageError
        As :func:`read_bvals`, and ``bvec_missing``, ``bvec_text``, ``bvec_shape``, ``bvec_values``,
        ``bvec_norm``, ``no_b0``, ``no_weighting``, ``directions``.
    """
    bval, bvec = Path(bval), Path(bvec)
    values = read_bvals(bval, n_volumes)
    vectors = _read_bvecs(bvec, n_volumes)
    _check_b0(Gradients(values, vectors, b0_threshold, bval, bvec))
    weighted = values > b0_threshold
    norm = np.linalg.norm(vectors, axis=1)
    wrong = weighted & ((norm < MIN_NORM) | (norm > MAX_NORM))
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        raise ImageError(
            bvec, "bvec_norm", "unit vectors for weighted volumes",
            f"{int(wrong.sum())} others (volume {first}: length {norm[first]:.3g})",
            "export the gradient files again",
        )  # fmt: skip
    unit = vectors / np.where(norm > 0, norm, 1.0)[:, None]
    unit[norm < MIN_NORM] = 0.0  # only volumes without weighting are left here
    table = Gradients(values, unit, b0_threshold, bval, bvec)
    check_table(table)
    return table


def _read_bvecs(path: Path, n_volumes: int) -> Floats:
    lines = _numbers(path, "bvec")
    lengths = {len(line) for line in lines}
    table = np.array(lines) if len(lengths) == 1 else np.empty((0, 0))
    if table.shape == (AXES, n_volumes):
        table = table.T
    elif table.shape != (n_volumes, AXES):
        came = f"{len(lines)} lines of {'/'.join(map(str, sorted(lengths)))} numbers"
        raise ImageError(
            path, "bvec_shape", f"3 x {n_volumes} or {n_volumes} x 3 numbers", came,
            "pair the image with its own gradient files",
        )  # fmt: skip
    if not np.isfinite(table).all():
        raise ImageError(path, "bvec_values", "finite b-vectors", "NaN or infinite", "export again")
    return table


def check_table(table: Gradients) -> None:
    """Check that a table determines a tensor: a volume without weighting and six directions.

    Raises
    ------
    ImageError
        ``no_b0``, ``no_weighting`` or ``directions``.
    """
    _check_b0(table)
    if table.is_b0.all():
        raise ImageError(
            table.bval_path, "no_weighting", f"volumes with b above {table.b0_threshold:g} s/mm2",
            "none",
            "remove the scan from the diffusion series",
        )  # fmt: skip
    vectors = table.bvecs[~table.is_b0]
    same = np.abs(vectors @ vectors.T) > SAME_DIRECTION_COSINE
    n_different = int((~np.tril(same, -1).any(axis=1)).sum())
    x, y, z = vectors.T
    design = np.stack([x * x, y * y, z * z, 2 * x * y, 2 * x * z, 2 * y * z], axis=1)
    if n_different < MIN_DIRECTIONS or np.linalg.cond(design) > MAX_CONDITION:
        raise ImageError(
            table.bvec_path, "directions", f"{MIN_DIRECTIONS} directions that determine a tensor",
            f"{n_different} different ones", "leave the scan out of the tensor measures",
        )  # fmt: skip


def no_b0(path: Path, smallest_b: float, threshold: float) -> ImageError:
    """Fault of a series without b=0; a weighted volume is never offered as one."""
    is_low = smallest_b <= HIGHEST_LOW_B_S_PER_MM2
    return ImageError(
        path, "no_b0", f"a volume with b up to {threshold:g} s/mm2",
        f"a smallest b of {smallest_b:g}",
        "raise images.b0_threshold_s_per_mm2" if is_low
        else "export the volumes without diffusion weighting with the series",
    )  # fmt: skip


def _check_b0(table: Gradients) -> None:
    if not table.is_b0.any():
        smallest = float(table.bvals.min(initial=np.inf))
        raise no_b0(table.bval_path, smallest, table.b0_threshold)


def _numbers(path: Path, name: str) -> list[list[float]]:
    """Numbers of a small text file, line by line."""
    if not path.is_file():
        raise ImageError(path, f"{name}_missing", "the file", "nothing", "fetch or export it")
    if path.stat().st_size > MAX_GRADIENT_BYTES:
        came = f"{path.stat().st_size} bytes"
        raise ImageError(path, f"{name}_text", "a small text file", came, "export it again")
    try:
        text = path.read_text(encoding="utf-8-sig")
        lines = [
            [float(v) for v in _SEPARATORS.split(li.strip(" \t,;")) if v]
            for li in text.splitlines()
        ]
    except ValueError as error:
        raise ImageError(path, f"{name}_text", "numbers", str(error), "export it again") from error
    return [line for line in lines if line]
