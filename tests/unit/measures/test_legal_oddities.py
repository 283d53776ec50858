"""A scan stored in an odd but legal way gives the numbers of its plain copy, in every table."""

from __future__ import annotations

import itertools
import struct

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from cordcohort.measures.kinds import measure
from cordcohort.measures.options import MeasureOptions
from cordcohort.measures.task import Task
from cordcohort.table import SCAN_KEY
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.measures.shapes import tube

SPACING = (0.8, 0.8, 3.0)
SHAPE = (26, 28, 7)
SCAN = dict.fromkeys(SCAN_KEY, "") | {"dataset": "a", "subject": "01", "contrast": "dwi"}
KEYS = ["method", "reference", "structure", "object", "slice", "measure", "statistic"]
KINDS = ("shape", "agreement", "regions", "lesion")
ORDERS = list(itertools.permutations(range(3)))
SIGNS = list(itertools.product((1, -1), repeat=3))


def _arrays() -> dict[str, np.ndarray]:
    """A leaning cord drawn twice, regions, a lesion and maps whose values depend on the place."""
    cord = tube(shape=SHAPE, spacing=SPACING, slope=(0.1, -0.05))
    other = tube(shape=SHAPE, spacing=SPACING, slope=(0.1, -0.05), centre_shift_mm=(0.8, 0.0))
    i, j, k = np.meshgrid(*[np.arange(n) for n in SHAPE], indexing="ij")
    regions = np.where(cord > 0, 1 + (i > 12) * 4 + (j > 13) * 2, 0)
    lesion = cord * (k > 2) * (k < 5) * (i < 13)
    fa = (0.2 + 0.01 * i + 0.005 * j + 0.01 * k) * (cord + other > 0)
    return {
        "image": np.ones(SHAPE), "manual": cord, "cord-v1": other, "regions": regions,
        "lesion": lesion, "fa": fa, "md": fa / 500, "ad": fa / 300, "rd": fa / 800,
    }  # fmt: skip


def _affine(turn_degrees: float) -> np.ndarray:
    turn = np.deg2rad(turn_degrees)
    affine = np.eye(4)
    affine[:3, :3] = np.array(
        [[1, 0, 0], [0, np.cos(turn), -np.sin(turn)], [0, np.sin(turn), np.cos(turn)]]
    ) * np.array(SPACING)
    affine[:3, 3] = (-11.5, 7.25, 120.0)
    return affine


def _plain(data: np.ndarray, affine: np.ndarray) -> nib.Nifti1Image:
    return nib.Nifti1Image(np.asarray(data, dtype=np.float32), affine)


def _tables(folder, stored, affine) -> dict[str, pd.DataFrame]:
    """All kinds of measures of the scan whose files ``stored`` makes of (name, array)."""
    folder.mkdir(exist_ok=True)
    paths: dict[str, str] = {}
    for name, data in _arrays().items():
        path = folder / f"{name}.nii"
        path.write_bytes(stored(name, data, affine))
        paths[name] = str(path)
    common = {"status": "ok", "reason": "", "method": "manual", "kind": "seg"}
    masks = [
        common | {"structure": "cord", "path": paths["manual"]},
        common | {"structure": "cord", "path": paths["cord-v1"], "method": "cord-v1"},
        common | {"structure": "regions", "path": paths["regions"], "kind": "dseg"},
        common | {"structure": "lesion", "path": paths["lesion"]},
    ]
    maps = {name: paths[name] for name in ("fa", "md", "ad", "rd")}
    task = Task(SCAN, masks, "", image=paths["image"], maps=maps)
    return {kind: measure(kind, task, MeasureOptions()) for kind in KINDS}


def _same_numbers(odd: dict[str, pd.DataFrame], plain: dict[str, pd.DataFrame]) -> None:
    for kind in KINDS:
        a = odd[kind].sort_values(KEYS, ignore_index=True)
        b = plain[kind].sort_values(KEYS, ignore_index=True)
        assert len(b) > 4
        assert b["value"].notna().sum() > 4
        pd.testing.assert_frame_equal(a[KEYS], b[KEYS])
        # Affines are kept as 32-bit numbers, so lengths agree to about 1e-6.
        np.testing.assert_allclose(a["value"], b["value"], rtol=2e-5, atol=1e-6, err_msg=kind)
        assert (a["n_voxels"].dropna() == b["n_voxels"].dropna()).all()


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Tables of the plain scan, upright and oblique."""
    folder = tmp_path_factory.mktemp("plain")

    def stored(_name, data, affine):
        return _plain(data, affine).to_bytes()

    return {turn: _tables(folder, stored, _affine(turn)) for turn in (0, 25)}


@settings(max_examples=8, deadline=None)
@given(
    axes=st.tuples(st.sampled_from(ORDERS), st.sampled_from(SIGNS)),
    turn=st.sampled_from((0, 25)),
    masks_too=st.booleans(),
)
def test_stored_order_and_handedness_change_no_number(
    plain, tmp_path_factory, axes, turn, masks_too
):
    order, signs = axes
    orientation = np.array([[order.index(i), signs[i]] for i in range(3)])

    def stored(name, data, affine):
        image = _plain(data, affine)
        drawn = name in ("manual", "cord-v1", "regions", "lesion")
        return (image if drawn and not masks_too else image.as_reoriented(orientation)).to_bytes()

    folder = tmp_path_factory.getbasetemp() / "stored"
    _same_numbers(_tables(folder, stored, _affine(turn)), plain[turn])


def _trailing_axis(_name, data, affine):
    return _plain(np.asarray(data)[..., None], affine).to_bytes()


def _slope_zero(_name, data, affine):
    raw = bytearray(_plain(data, affine).to_bytes())
    raw[112:120] = bytes(8)
    return bytes(raw)


def _big_endian(_name, data, affine):
    image = nib.Nifti1Image(np.asarray(data, ">f4"), affine, nib.Nifti1Header(endianness=">"))
    return image.to_bytes()


def _second_version(_name, data, affine):
    return nib.Nifti2Image(np.asarray(data, np.float32), affine).to_bytes()


def _masks_of_255(name, data, affine):
    top = 255 if name in ("manual", "cord-v1", "lesion") else 1
    return _plain(np.asarray(data) * top, affine).to_bytes()


def _only_qform(_name, data, affine):
    image = _plain(data, affine)
    image.set_qform(affine, code=1)
    image.set_sform(None, code=0)
    return image.to_bytes()


def _rounded_masks(name, data, affine):
    """Masks whose affine another program wrote with four digits."""
    drawn = name in ("manual", "cord-v1", "regions", "lesion")
    return _plain(data, np.round(affine, 4) if drawn else affine).to_bytes()


def _scaled(name, data, affine):
    """Whole numbers with a slope, as scanners store maps: to a part in 20,000 of the values."""
    if name not in ("fa", "md", "ad", "rd"):
        return _plain(data, affine).to_bytes()
    slope = float(np.max(data)) / 20_000
    whole = np.rint(np.asarray(data) / slope).astype(np.int16)
    raw = bytearray(nib.Nifti1Image(whole, affine).to_bytes())
    raw[112:120] = struct.pack("<2f", slope, 0.0)
    return bytes(raw)


ODDITIES = {
    "trailing axis of one": (_trailing_axis, 0),
    "slope of zero": (_slope_zero, 0),
    "big-endian": (_big_endian, 25),
    "NIfTI-2": (_second_version, 25),
    "masks of 0 and 255": (_masks_of_255, 0),
    "qform alone": (_only_qform, 25),
    "rounded affines of masks": (_rounded_masks, 25),
}


@pytest.mark.parametrize("oddity", ODDITIES)
def test_each_legal_oddity_changes_no_number(plain, tmp_path, oddity):
    stored, turn = ODDITIES[oddity]
    _same_numbers(_tables(tmp_path, stored, _affine(turn)), plain[turn])


def test_scaled_integers_give_the_values_that_they_stand_for(plain, tmp_path):
    odd = _tables(tmp_path, _scaled, _affine(0))["regions"]
    means = odd["statistic"].isin(("mean", "median"))
    np.testing.assert_allclose(
        odd.loc[means, "value"], plain[0]["regions"].loc[means, "value"], rtol=2e-4
    )
