"""Tensor maps against tensors that are known, under stored axes, noise and faults."""

from __future__ import annotations

import numpy as np
import pytest
from cordcohort.errors import ImageError
from cordcohort.images.diffusion import FITS, dilated, fa, tensor_maps
from cordcohort.images.gradients import Gradients
from cordcohort.images.preprocess import mean_b0
from cordcohort.nifti import Image

SHAPE = (6, 5, 3)
EIGENVALUES = np.array([1.7e-3, 0.4e-3, 0.3e-3])
AFFINE = np.diag([0.9, 0.9, 5.0, 1.0])
S0 = 500.0


def directions(n=30, seed=4):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n, 3))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def table(n=30, n_b0=3):
    bvals = np.concatenate([np.zeros(n_b0), np.full(n, 800.0)])
    return Gradients(bvals, np.vstack([np.zeros((n_b0, 3)), directions(n)]))


def tensor(eigenvalues=EIGENVALUES, seed=1):
    """A tensor with known eigenvalues and a direction that is no axis."""
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return q @ np.diag(eigenvalues) @ q.T


def series(gradients, eigenvalues=EIGENVALUES, noise=0.0, affine=AFFINE):
    d = tensor(eigenvalues)
    b = gradients.world_bvecs(affine)
    signal = S0 * np.exp(-gradients.bvals * np.einsum("ni,ij,nj->n", b, d, b))
    data = np.broadcast_to(signal, (*SHAPE, len(signal))).copy()
    if noise:
        data += np.random.default_rng(0).normal(0, noise, data.shape)
    return Image(data.astype(np.float32), affine)


def expected(eigenvalues=EIGENVALUES):
    a, b, c = sorted(eigenvalues)[::-1]
    mean = (a + b + c) / 3
    numerator = (a - b) ** 2 + (b - c) ** 2 + (c - a) ** 2
    anisotropy = np.sqrt(numerator / (2 * (a * a + b * b + c * c)))
    return {"fa": anisotropy, "md": mean, "ad": a, "rd": (b + c) / 2}


@pytest.mark.parametrize("fit", FITS)
def test_a_known_tensor_is_found_exactly_without_noise(fit):
    gradients = table()
    found = tensor_maps(series(gradients), gradients, np.ones(SHAPE), fit)
    for name, value in expected().items():
        np.testing.assert_allclose(found.maps[name], value, rtol=2e-4, err_msg=name)
    assert found.counts["beyond_bounds"] == 0


def test_water_has_no_direction():
    gradients = table()
    found = tensor_maps(series(gradients, np.full(3, 3e-3)), gradients, np.ones(SHAPE))
    assert found.maps["fa"].max() < 1e-3
    np.testing.assert_allclose(found.maps["md"], 3e-3, rtol=1e-4)


@pytest.mark.parametrize(
    "axes",
    [np.diag([-0.9, 0.9, 5.0]), np.diag([0.9, -0.9, -5.0]), np.diag([0.9, 0.9, 5.0])[:, [2, 0, 1]]],
)
def test_maps_do_not_depend_on_how_axes_are_stored(axes):
    gradients = table()
    affine = np.eye(4)
    affine[:3, :3] = axes
    found = tensor_maps(series(gradients, affine=affine), gradients, np.ones(SHAPE))
    np.testing.assert_allclose(found.maps["fa"], expected()["fa"], rtol=2e-4)


def test_only_the_mask_is_fitted_and_the_rest_is_zero():
    gradients = table()
    mask = np.zeros(SHAPE, bool)
    mask[2:4, 1:3, 1] = True
    found = tensor_maps(series(gradients, noise=5.0), gradients, mask)
    whole = tensor_maps(series(gradients, noise=5.0), gradients, np.ones(SHAPE))
    np.testing.assert_array_equal(found.fitted, mask)
    for name, values in found.maps.items():
        assert (values[~mask] == 0).all()
        np.testing.assert_allclose(values[mask], whole.maps[name][mask], rtol=1e-6)
        assert values.dtype == np.float32


def test_a_voxel_without_signal_gets_no_tensor_and_is_counted():
    gradients = table()
    image = series(gradients)
    image.data[0, 0, 0] = 0
    image.data[1, 0, 0] = -3
    found = tensor_maps(image, gradients, np.ones(SHAPE))
    assert found.counts["not_positive_signal"] == 2
    assert not found.fitted[0, 0, 0]
    assert found.maps["md"][1, 0, 0] == 0
    assert found.fitted.sum() == np.prod(SHAPE) - 2


def test_a_volume_that_is_black_is_left_out_and_counted():
    gradients = table()
    image = series(gradients)
    image.data[..., 10] = 0
    found = tensor_maps(image, gradients, np.ones(SHAPE))
    assert found.counts["black_volumes"] == 1
    np.testing.assert_allclose(found.maps["fa"], expected()["fa"], rtol=2e-4)


@pytest.mark.parametrize(("black", "code"), [(slice(0, 3), "no_b0"), (slice(3, 28), "directions")])
def test_too_many_black_volumes_leave_no_tensor(black, code):
    gradients = table()
    image = series(gradients)
    image.data[..., black] = 0
    with pytest.raises(ImageError) as caught:
        tensor_maps(image, gradients, np.ones(SHAPE))
    assert caught.value.code == code


def test_eigenvalues_that_noise_makes_negative_are_counted():
    gradients = table()
    found = tensor_maps(series(gradients, [1.7e-3, 1e-6, 1e-6], 60.0), gradients, np.ones(SHAPE))
    assert 0 < found.counts["not_positive_eigenvalue"] <= np.prod(SHAPE)
    assert found.maps["fa"].max() <= 1
    assert found.maps["rd"][found.fitted].min() > 0


def test_faults_have_names():
    gradients = table()
    image = series(gradients)
    for mask, code in [(np.zeros(SHAPE), "empty_mask"), (np.ones((2, 2, 2)), "other_grid")]:
        with pytest.raises(ImageError) as caught:
            tensor_maps(image, gradients, mask)
        assert caught.value.code == code
    with pytest.raises(ImageError, match="bval_count"):
        tensor_maps(image, table(20), np.ones(SHAPE))
    with pytest.raises(ValueError, match="expected one of"):
        tensor_maps(image, gradients, np.ones(SHAPE), "DKI")


def test_mean_b0_is_the_mean_of_the_volumes_below_the_threshold():
    gradients = table(7, 3)
    image = series(gradients, noise=10.0)
    bvals = np.array([0.0, 5.0, 50.0, *[800.0] * 7])
    np.testing.assert_allclose(
        mean_b0(image, bvals).data, image.data[..., :3].mean(axis=3), rtol=1e-6
    )
    only = mean_b0(image, bvals, threshold=0.0)
    np.testing.assert_allclose(only.data, image.data[..., 0])
    assert only.data.dtype == np.float32
    with pytest.raises(ImageError, match="no_b0"):
        mean_b0(image, bvals + 100)
    with pytest.raises(ImageError, match="bval_count"):
        mean_b0(image, bvals[:-1])


def test_fa_of_known_eigenvalues():
    assert fa(np.array([EIGENVALUES]))[0] == pytest.approx(expected()["fa"])
    assert fa(np.zeros((1, 3)))[0] == 0


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_a_mask_grows_in_its_axial_slices_by_mm(order):
    mask = np.zeros((21, 21, 3), np.uint8)
    mask[10, 10, 1] = 1
    affine = np.eye(4)
    affine[:3, :3] = np.diag([0.5, 1.0, 4.0])[:, order]
    grown = dilated(Image(mask.transpose(order), affine), 2.0).transpose(np.argsort(order))
    assert not grown[..., [0, 2]].any()
    i, j = np.nonzero(grown[..., 1])
    assert np.hypot((i - 10) * 0.5, (j - 10) * 1.0).max() == pytest.approx(2.0)
    assert grown[..., 1].sum() == sum(
        np.hypot(0.5 * a, b) <= 2.0 for a in range(-6, 7) for b in range(-4, 5)
    )


def test_no_growth_leaves_the_mask():
    mask = np.zeros((5, 5, 3), np.uint8)
    mask[2, 2] = 1
    np.testing.assert_array_equal(dilated(Image(mask, np.eye(4)), 0.0), mask > 0)
