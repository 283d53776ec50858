"""Label volumes: geometry, sides, partial volume, grids of any kind."""

from __future__ import annotations

import numpy as np
import pytest
from cordcohort.phantom import tissues, truth
from cordcohort.phantom.anatomy import fractions, label_volume, mean_values
from cordcohort.phantom.frame import build_frame
from cordcohort.phantom.person import Person, draw_person
from cordcohort.phantom.tissues import CANAL, CORD, N_TISSUES, Tissue
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_dilation, label


def _grid(person: Person, shape: tuple[int, int, int], step: tuple[float, float, float], z: float):
    """A grid centred on the cord's axis at height z (its lowest slice)."""
    x, y = (float(v) for v in truth.centreline(person, z))
    affine = np.diag([*step, 1.0])
    affine[:3, 3] = [x - (shape[0] - 1) / 2 * step[0], y - (shape[1] - 1) / 2 * step[1], z]
    return affine


def test_the_same_random_state_gives_the_same_volume_and_another_state_another_one():
    grid = np.diag([1.0, 1.0, 1.0, 1.0])
    grid[:3, 3] = [-20.0, -20.0, -30.0]
    first, again, other = (
        label_volume(draw_person(np.random.default_rng(seed)), (40, 40, 4), grid)
        for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_left_regions_lie_at_negative_x_of_the_axis(healthy: Person):
    affine = _grid(healthy, (60, 60, 1), (0.3, 0.3, 1.0), -30.0)
    codes = label_volume(healthy, (60, 60, 1), affine)[:, :, 0]
    x = affine[0, 3] + 0.3 * np.arange(60) - float(truth.centreline(healthy, -30.0)[0])
    for region in tissues.REGIONS:
        held = x[np.any(codes == region, axis=1)]
        assert held.size > 0
        assert np.all(held < 0.0) if region.name.startswith("LEFT") else np.all(held >= 0.0)


def test_dorsal_columns_lie_behind_and_ventral_columns_in_front(healthy: Person):
    affine = _grid(healthy, (60, 60, 1), (0.3, 0.3, 1.0), -30.0)
    codes = label_volume(healthy, (60, 60, 1), affine)[:, :, 0]
    mean_y = {r: np.argwhere(codes == r)[:, 1].mean() for r in tissues.REGIONS}
    for side in ("LEFT", "RIGHT"):
        dorsal, ventral = Tissue[f"{side}_DORSAL_WM"], Tissue[f"{side}_VENTRAL_WM"]
        assert mean_y[dorsal] < mean_y[Tissue[f"{side}_LATERAL_WM"]] < mean_y[ventral]


def test_the_eight_regions_tile_the_cord(healthy: Person):
    affine = _grid(healthy, (30, 30, 2), (0.6, 0.6, 3.0), -45.0)
    parts = sum(fractions(healthy, (30, 30, 2), affine, [region]) for region in tissues.REGIONS)
    whole = fractions(healthy, (30, 30, 2), affine, CORD)
    assert np.allclose(parts, whole, atol=1e-6)
    assert whole.max() == pytest.approx(1.0)


@pytest.mark.parametrize("seed", range(6))
def test_voxel_counted_area_equals_the_true_area(seed: int):
    # A boundary of about 35 mm crosses some 500 sub-voxels of 0.07 mm; counting centres errs like a
    # random walk over them: sqrt(500) * 0.07^2 = 0.1 mm2 of 75, so 0.5 % holds with room.
    person = draw_person(np.random.default_rng(seed), compression=seed % 2 == 0)
    z = float(build_frame(person).z_of_level(5.0))
    affine = _grid(person, (50, 50, 1), (0.4, 0.4, 1.0), z)
    counted = fractions(person, (50, 50, 1), affine, CORD, supersample=(6, 6, 1)).sum() * 0.16
    assert counted == pytest.approx(float(truth.axial_csa_mm2(person, z)), rel=0.005)


@settings(max_examples=12, deadline=None)
@given(st.permutations([0, 1, 2]), st.lists(st.booleans(), min_size=3, max_size=3))
def test_any_axis_order_and_flip_gives_the_same_anatomy(order: list[int], flips: list[bool]):
    person = draw_person(np.random.default_rng(3))
    shape = (24, 20, 16)
    affine = _grid(person, shape, (1.5, 1.6, 1.7), -40.0)
    plain = label_volume(person, shape, affine)
    turned = affine[:, [*order, 3]].copy()
    for axis, flip in enumerate(flips):
        if flip:
            turned[:3, 3] += turned[:3, axis] * (shape[order[axis]] - 1)
            turned[:3, axis] *= -1.0
    other = label_volume(person, tuple(shape[k] for k in order), turned)
    expected = plain.transpose(order)
    expected = np.flip(expected, [axis for axis, flip in enumerate(flips) if flip])
    assert (other != expected).mean() < 0.002  # points on a boundary may fall to either side


@pytest.mark.parametrize("seed", range(8))
def test_csf_surrounds_the_cord_of_every_healthy_person(seed: int):
    person = draw_person(np.random.default_rng(100 + seed))
    heights = build_frame(person).z_of_level(np.array([1.5, 3.0, 4.5, 6.0, 7.5, 14.0]))
    for z in heights:
        affine = _grid(person, (80, 80, 1), (0.4, 0.4, 1.0), float(z))
        codes = label_volume(person, (80, 80, 1), affine)[:, :, 0]
        cord = np.isin(codes, CORD)
        assert cord.any()
        assert np.isin(codes[binary_dilation(cord)], CANAL).all()
        assert label(cord)[1] == 1


def test_a_wide_field_of_view_holds_what_could_be_mistaken_for_a_cord(healthy: Person):
    z = float(build_frame(healthy).z_of_level(5.5))
    affine = _grid(healthy, (160, 160, 1), (1.0, 1.0, 1.0), z)
    found = set(np.unique(label_volume(healthy, (160, 160, 1), affine)).tolist())
    wanted = {
        Tissue.AIR, Tissue.CSF, Tissue.SKIN, Tissue.FAT, Tissue.AIRWAY, Tissue.OESOPHAGUS,
        Tissue.ARTERY, Tissue.VEIN, Tissue.MUSCLE_DEEP, Tissue.MUSCLE_DORSAL, Tissue.MUSCLE_LATERAL,
        Tissue.MUSCLE_VENTRAL, Tissue.MARROW, Tissue.CORTICAL_BONE, Tissue.POSTERIOR_ARCH,
    }  # fmt: skip
    assert wanted <= found


def test_above_the_foramen_magnum_the_cord_is_brain_stem(healthy: Person):
    z = float(build_frame(healthy).z_of_level(0.0))
    codes = label_volume(healthy, (40, 40, 1), _grid(healthy, (40, 40, 1), (1, 1, 1), z))
    assert not np.isin(codes, CORD).any()
    assert {Tissue.BRAINSTEM, Tissue.CEREBELLUM} <= set(np.unique(codes).tolist())


def test_the_cord_ends_at_the_conus_and_roots_go_on(healthy: Person):
    frame = build_frame(healthy)
    below = float(frame.z_of_level(healthy.conus_level + 0.5))
    above = float(frame.z_of_level(healthy.conus_level - 0.5))
    codes = [
        label_volume(healthy, (40, 40, 1), _grid(healthy, (40, 40, 1), (0.6, 0.6, 1), z))
        for z in (below, above)
    ]
    assert not np.isin(codes[0], CORD).any()
    assert np.isin(codes[1], CORD).any()
    assert (codes[0] == Tissue.NERVE_ROOT).any()


def test_a_field_of_view_without_cord_gives_labels_without_cord(healthy: Person):
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    affine[:3, 3] = [500.0, 500.0, -30.0]
    assert not label_volume(healthy, (8, 8, 8), affine).any()
    assert fractions(healthy, (8, 8, 8), affine, CORD).max() == 0.0


@pytest.mark.parametrize(
    ("shape", "affine"),
    [((0, 4, 4), np.eye(4)), ((4, 4, 4), np.zeros((4, 4))), ((4, 4, 4), np.eye(3))],
)
def test_a_grid_that_is_none_is_refused(healthy: Person, shape, affine):
    with pytest.raises(ValueError, match=r"expected|must be"):
        label_volume(healthy, shape, affine)


def test_supersampled_labels_are_the_tissue_that_fills_most_of_a_voxel(healthy: Person):
    affine = _grid(healthy, (24, 24, 2), (1.0, 1.0, 2.0), -30.0)
    codes = label_volume(healthy, (24, 24, 2), affine, supersample=3)
    parts = mean_values(healthy, (24, 24, 2), affine, np.eye(N_TISSUES), supersample=3)
    filled = np.take_along_axis(parts, codes[..., None].astype(int), axis=-1)[..., 0]
    assert np.allclose(filled, parts.max(axis=-1))
    assert np.allclose(parts.sum(axis=-1), 1.0, atol=1e-5)


def test_canal_only_agrees_with_the_whole_person_inside_the_canal(healthy: Person):
    affine = _grid(healthy, (40, 40, 3), (0.5, 0.5, 2.0), -50.0)
    values = np.eye(N_TISSUES)[:, [int(t) for t in CANAL]]
    whole = mean_values(healthy, (40, 40, 3), affine, values)
    quick = mean_values(healthy, (40, 40, 3), affine, values, canal_only=True)
    cord = [CANAL.index(t) for t in CORD]
    assert np.array_equal(whole[..., cord], quick[..., cord])
    sac = whole.sum(axis=-1) > 0.99
    assert np.array_equal(whole[sac], quick[sac])


def test_people_differ_as_adults_do():
    people = [draw_person(np.random.default_rng(s)) for s in range(60)]
    z = [build_frame(p).z_of_level(np.array([3.5, 5.5, 7.5])) for p in people]
    ap, rl = (np.array(v) for v in zip(*(map(truth.diameters_mm, people, z)), strict=True))
    area = np.array([truth.csa_mm2(p, h) for p, h in zip(people, z, strict=True)])
    assert ap.min() > 5.0
    assert ap.max() < 10.0
    assert rl.min() > 8.5
    assert rl.max() < 17.0
    assert np.all((60.0 < area.mean(axis=0)) & (area.mean(axis=0) < 90.0))
    assert np.all(area.std(axis=0) / area.mean(axis=0) > 0.06)
