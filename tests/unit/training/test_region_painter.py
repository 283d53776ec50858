"""Painted regions: sides, sums, levels, and the sources that they come from."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from cordcohort.errors import ConfigError
from cordcohort.phantom.tissues import REGIONS
from cordcohort.segmentation.region_networks import MIRRORED
from cordcohort.training.region_painter import RegionPainter, exchanged
from cordcohort.training.region_sources import (
    RegionStack,
    atlas_regions,
    phantom_regions,
    region_of_tract,
)

ATLAS = Path(__file__).resolve().parents[4] / "shared" / "data" / "PAM50"


@pytest.fixture(scope="module")
def stacks() -> list[RegionStack]:
    return phantom_regions(2, seed=31)


def centre_x(share: np.ndarray) -> float:
    """Centre of mass along the last axis."""
    return float((share.sum((0, 1)) @ np.arange(share.shape[2])) / share.sum())


def test_left_regions_of_a_stack_lie_at_low_x_and_dorsal_ones_behind(stacks: list[RegionStack]):
    maps = stacks[0].maps[:8].astype(float)
    for left in range(4):
        assert centre_x(maps[left]) < 35.5 < centre_x(maps[left + 4])
    behind = [float((m.sum((0, 2)) @ np.arange(72)) / m.sum()) for m in maps]
    for side in (0, 4):
        assert behind[side + 1] < behind[side + 3] < behind[side + 2]  # dorsal, grey, ventral


def test_regions_fill_the_cord_and_the_canal_holds_them(stacks: list[RegionStack]):
    for stack in stacks:
        total = stack.maps[:8].sum(0, dtype=int)
        assert total.max() <= 255 + 8  # eight roundings to 1/255
        assert (stack.maps[8].astype(int) - total).min() >= -8


def test_painted_shares_sum_to_one_and_sides_stay_sides(stacks: list[RegionStack]):
    painter = RegionPainter(stacks, [1, 1], {"absent": 0.0, "cropped": 0.0}, seed=5)
    image, target = painter.batch(0, 12)
    assert image.shape == (12, 1, 64, 64)
    torch.testing.assert_close(target.sum(1), torch.ones(12, 64, 64), atol=0.02, rtol=0)
    assert torch.isfinite(image).all()
    for one in target.numpy():
        left, right = one[1:5].sum(0), one[5:9].sum(0)
        x = np.arange(64)
        # Slices are turned by at most about 20 degrees, so left stays at low x, mirrored or not.
        assert (left.sum(0) @ x) / left.sum() < (right.sum(0) @ x) / right.sum()


def test_a_batch_depends_on_seed_and_number_only(stacks: list[RegionStack]):
    first, second = (RegionPainter(stacks, [1, 1], {}, seed=5) for _ in range(2))
    second.batch(0, 4)
    for a, b in zip(first.batch(3, 4), second.batch(3, 4), strict=True):
        assert torch.equal(a, b)


def test_the_mirror_exchanges_names_of_one_kind():
    for code, other in enumerate(MIRRORED, start=1):
        mine, theirs = REGIONS[code - 1].name, REGIONS[other - 1].name
        assert mine.partition("_")[2] == theirs.partition("_")[2]
        assert mine.partition("_")[0] != theirs.partition("_")[0]
    target = torch.rand(2, 9, 4, 4)
    assert torch.equal(exchanged(exchanged(target)), target)


def test_only_the_wanted_levels_are_painted(stacks: list[RegionStack]):
    painter = RegionPainter(stacks, [1, 1], {"levels": [5, 7]}, seed=1)
    for stack, rows in zip(painter.stacks, painter.rows, strict=True):
        assert set(stack.level[rows].tolist()) == {5, 6, 7}
    with pytest.raises(ConfigError, match="levels"):
        RegionPainter(stacks, [1, 1], {"levels": [20, 22]}, seed=1)


def test_fa_is_painted_where_a_tensor_was_fitted(stacks: list[RegionStack]):
    painter = RegionPainter(stacks, [1, 1], {"input": "fa", "cropped": 0.0}, seed=2)
    image, target = painter.batch(0, 16)
    assert image.shape == target[:, :1].shape
    blank = (image[:, 0] == image.amin((1, 2, 3))[:, None, None]).float().mean((1, 2))
    assert float(blank.median()) > 0.3
    # A rim of one width would tell the network where the cord ends.
    cord = target[:, 1:].sum((1, 2, 3)) / target[0, 0].numel()
    rim = ((1 - blank) / cord)[(cord > 0) & (blank > 0.3)]
    assert float(rim.max() / rim.min()) > 1.5


@pytest.mark.parametrize("options", [{"sharpness": 1}, {"input": "t2"}])
def test_an_unknown_option_is_refused(options: dict[str, object], stacks: list[RegionStack]):
    with pytest.raises(ConfigError, match="painting"):
        RegionPainter(stacks, [1, 1], options, seed=1)


def make_atlas(folder: Path, names: list[str]) -> Path:
    """Atlas of two slices of 40 x 40 pixels; each map fills one column block, CSF the rest."""
    lines = ["# Keyword=IndivLabels", "# ID, name, file"]
    affine = np.diag([-0.5, 0.5, 1.0, 1.0])  # voxel x runs to the left
    for i, name in enumerate(names):
        data = np.zeros((40, 40, 2), np.float32)
        data[10 + i * 2 : 12 + i * 2, 16:24] = 1
        nib.save(nib.Nifti1Image(data, affine), folder / f"x_atlas_{i:02d}.nii.gz")
        lines.append(f"{i}, {name}, x_atlas_{i:02d}.nii.gz")
    (folder / "info_label.txt").write_text("\n".join(lines))
    return folder


def test_an_atlas_is_grouped_by_name_whatever_its_axes(tmp_path: Path):
    names = [
        "WM right lateral corticospinal tract", "WM right fasciculus gracilis",
        "GM left dorsal horn", "WM left tectospinal tract",
    ]  # fmt: skip
    stack = atlas_regions(make_atlas(tmp_path, names))
    drawn = [k + 1 for k in range(8) if stack.maps[k].any()]
    assert drawn == [3, 4, 5, 6]
    # The right ones were written at low voxel x, which runs to the left: at high x in the stack.
    assert centre_x(stack.maps[4].astype(float)) > centre_x(stack.maps[3].astype(float))
    assert stack.level.tolist() == [0, 0]


def test_a_tract_that_is_not_known_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match="known tract"):
        atlas_regions(make_atlas(tmp_path, ["WM left optic tract"]))
    with pytest.raises(ConfigError, match="info_label"):
        atlas_regions(tmp_path / "nothing")


def test_a_missing_map_is_named(tmp_path: Path):
    make_atlas(tmp_path, ["GM left dorsal horn", "GM right dorsal horn"])
    (tmp_path / "x_atlas_01.nii.gz").unlink()
    with pytest.raises(ConfigError, match=r"x_atlas_01\.nii\.gz"):
        atlas_regions(tmp_path)


@pytest.mark.skipif(not ATLAS.is_dir(), reason="no ../shared/data/PAM50")
def test_tracts_of_the_real_atlas_are_grouped_as_its_list_of_combined_labels():
    text = (ATLAS / "atlas" / "info_label.txt").read_text()
    rows = [line.split(",") for line in text.splitlines() if line[:1].isdigit()]
    codes = {int(row[0]): region_of_tract(row[1].strip()) for row in rows if "nii" in row[-1]}
    for number, code in codes.items():
        group = (
            "DORSAL_WM" if number <= 3 else "LATERAL_WM" if number <= 13
            else "VENTRAL_WM" if number <= 29 else "GM" if number <= 35 else ""
        )  # fmt: skip
        side = "RIGHT" if number % 2 else "LEFT"
        assert code == (0 if not group else next(r for r in REGIONS if r.name == f"{side}_{group}"))
