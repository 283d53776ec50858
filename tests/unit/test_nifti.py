"""The one reader: every fault is one named error, every legal oddity gives the same numbers."""

from __future__ import annotations

import gzip
import itertools
import os
import random
import struct

import nibabel as nib
import numpy as np
import pytest
from cordcohort.errors import ImageError
from cordcohort.nifti import read_image, read_mask, write_image
from hypothesis import given, settings
from hypothesis import strategies as st

AFFINE = np.array([[0.5, 0, 0, -10], [0, 0.7, 0, 5], [0, 0, 3.0, 40], [0, 0, 0, 1]])


@pytest.fixture
def values() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(9, 8, 7)).astype(np.float32)


@pytest.fixture
def good(tmp_path, values):
    path = tmp_path / "good.nii.gz"
    write_image(path, values, AFFINE, dtype=np.float32)
    return path


def _rewrite(path, target, change):
    raw = bytearray(gzip.decompress(path.read_bytes()))
    change(raw)
    target.write_bytes(gzip.compress(bytes(raw), mtime=0))
    return target


def test_written_image_is_read_back_to_the_bit_with_its_affine(good, values):
    image = read_image(good)
    np.testing.assert_array_equal(image.data, values)
    np.testing.assert_allclose(image.affine, AFFINE, rtol=1e-6)
    assert image.spacing_mm == pytest.approx((0.5, 0.7, 3.0))
    assert image.voxel_mm3 == pytest.approx(0.5 * 0.7 * 3.0)


def test_same_values_give_the_same_bytes(tmp_path, values):
    for name in ("a.nii.gz", "b.nii.gz"):
        write_image(tmp_path / name, values, AFFINE, dtype=np.float32)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_no_single_bit_flip_gives_other_values_without_an_error(good, values, tmp_path):
    original = good.read_bytes()
    rng = random.Random(1)
    target = tmp_path / "flipped.nii.gz"
    for _ in range(300):
        raw = bytearray(original)
        bit = rng.randrange(len(raw) * 8)
        raw[bit // 8] ^= 1 << (bit % 8)
        target.write_bytes(bytes(raw))
        try:
            read = read_image(target)
        except ImageError:
            continue
        np.testing.assert_array_equal(read.data, values)


@pytest.mark.parametrize("cut", [1, 4, 8, 9, 100, 500])
def test_truncated_gzip_is_refused(good, tmp_path, cut):
    target = tmp_path / "cut.nii.gz"
    target.write_bytes(good.read_bytes()[:-cut])
    with pytest.raises(ImageError, match=r"truncated|checksum"):
        read_image(target)


def test_truncated_plain_file_is_refused_before_it_is_read(good, tmp_path):
    target = tmp_path / "cut.nii"
    target.write_bytes(gzip.decompress(good.read_bytes())[:-10])
    with pytest.raises(ImageError, match="as the header claims"):
        read_image(target)


def test_a_header_that_claims_terabytes_is_refused_before_any_allocation(good, tmp_path):
    def claim(raw):
        raw[40:56] = struct.pack("<8h", 3, 1600, 1600, 1500, 1, 1, 1, 1)

    with pytest.raises(ImageError, match=r"truncated|dimensions"):
        read_image(_rewrite(good, tmp_path / "claim.nii.gz", claim))


def test_a_gzip_bomb_is_stopped_at_the_size_that_the_header_claims(good, tmp_path):
    raw = gzip.decompress(good.read_bytes()) + bytes(40_000_000)
    target = tmp_path / "bomb.nii.gz"
    target.write_bytes(gzip.compress(raw))
    with pytest.raises(ImageError, match="size"):
        read_image(target)


def test_a_small_file_that_honestly_claims_gigabytes_is_a_bomb(good, tmp_path):
    def claim(raw):
        raw[40:56] = struct.pack("<8h", 3, 1000, 1000, 1000, 1, 1, 1, 1)

    target = _rewrite(good, tmp_path / "claim.nii.gz", claim)
    target.write_bytes(target.read_bytes() + gzip.compress(bytes(5_000_000), mtime=0) * 1000)
    assert target.stat().st_size * 1040 > 4_000_000_000  # deflate could hold what the header claims
    with pytest.raises(ImageError, match="as the header claims"):
        read_image(target)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty"),
        (b"/annex/objects/SHA256E-s12345--abc.nii.gz\n", "pointer"),
        (b"../../.git/annex/objects/xx/yy/SHA256E-s1--a.nii.gz", "pointer"),
        (b"not an image at all", "header"),
        (b"\x1f\x8bnot really gzip", "checksum"),
    ],
)
def test_what_is_no_image_is_named(tmp_path, content, code):
    target = tmp_path / "x.nii.gz"
    target.write_bytes(content)
    with pytest.raises(ImageError) as caught:
        read_image(target)
    assert caught.value.code == code
    assert "\n" not in str(caught.value)


def test_missing_file_and_broken_link_are_named(tmp_path):
    (tmp_path / "link.nii.gz").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ImageError, match="no such file"):
        read_image(tmp_path / "none.nii.gz")
    with pytest.raises(ImageError, match="broken link"):
        read_image(tmp_path / "link.nii.gz")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused_with_their_count(tmp_path, values, bad):
    values[0, 0, :2] = bad
    write_image(tmp_path / "x.nii.gz", values, AFFINE, dtype=np.float32)
    with pytest.raises(ImageError, match="2 NaN or infinite"):
        read_image(tmp_path / "x.nii.gz")


def test_four_dimensions_are_refused_where_three_are_meant(tmp_path):
    write_image(tmp_path / "x.nii.gz", np.zeros((4, 4, 4, 3)), AFFINE, dtype=np.int16)
    with pytest.raises(ImageError, match="3 dimensions"):
        read_image(tmp_path / "x.nii.gz")
    assert read_image(tmp_path / "x.nii.gz", ndim=4).data.shape == (4, 4, 4, 3)


def test_trailing_axis_of_length_one_gives_the_same_numbers(tmp_path, values):
    write_image(tmp_path / "x.nii.gz", values[..., None], AFFINE, dtype=np.float32)
    np.testing.assert_array_equal(read_image(tmp_path / "x.nii.gz").data, values)


def test_singular_and_sheared_geometry_is_refused(tmp_path, values):
    for name, axes in {
        "singular": [[1, 1, 0], [0, 0, 0], [0, 0, 1]],
        "sheared": [[1, 0.3, 0], [0, 1, 0], [0, 0, 1]],
    }.items():
        affine = np.eye(4)
        affine[:3, :3] = axes
        image = nib.Nifti1Image(values, None)
        image.header.set_sform(affine, code=1)
        nib.save(image, tmp_path / f"{name}.nii.gz")
        with pytest.raises(ImageError, match="geometry"):
            read_image(tmp_path / f"{name}.nii.gz")


def test_qform_and_sform_that_contradict_each_other_are_refused(tmp_path, values):
    write_image(tmp_path / "plain.nii.gz", values, AFFINE, dtype=np.float32)
    srow_x = struct.pack("<4f", -0.5, 0, 0, 10)
    _rewrite(
        tmp_path / "plain.nii.gz",
        tmp_path / "x.nii.gz",
        lambda raw: raw.__setitem__(slice(280, 296), srow_x),
    )
    with pytest.raises(ImageError, match="qform and sform"):
        read_image(tmp_path / "x.nii.gz")


def test_scaling_of_zero_means_no_scaling(tmp_path):
    data = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    write_image(tmp_path / "x.nii.gz", data, AFFINE, dtype=np.int16)
    target = _rewrite(
        tmp_path / "x.nii.gz",
        tmp_path / "y.nii.gz",
        lambda r: r.__setitem__(slice(112, 120), bytes(8)),
    )
    np.testing.assert_array_equal(read_image(target).data, data)


@pytest.mark.parametrize("flips", list(itertools.product([1, -1], repeat=3)))
def test_permuted_and_flipped_axes_give_the_same_canonical_image(tmp_path, values, flips):
    plain = nib.Nifti1Image(values, AFFINE)
    orientation = np.array([[2, flips[0]], [0, flips[1]], [1, flips[2]]])
    turned = plain.as_reoriented(orientation)
    nib.save(turned, tmp_path / "t.nii.gz")
    image = read_image(tmp_path / "t.nii.gz")
    canonical = image.canonical()
    np.testing.assert_array_equal(canonical.data, values)
    np.testing.assert_allclose(canonical.affine, AFFINE, atol=1e-5)
    np.testing.assert_array_equal(image.to_native(canonical.data), image.data)


def test_result_on_an_images_grid_keeps_its_geometry_to_the_bit(tmp_path, values):
    oblique = AFFINE.copy()
    turn = np.deg2rad(13)
    oblique[:3, :3] = (
        np.array([[1, 0, 0], [0, np.cos(turn), -np.sin(turn)], [0, np.sin(turn), np.cos(turn)]])
        @ AFFINE[:3, :3]
    )
    image = nib.Nifti1Image(values, oblique)
    image.set_qform(oblique, code=1)
    image.set_sform(None, code=0)
    nib.save(image, tmp_path / "q.nii.gz")
    source = read_image(tmp_path / "q.nii.gz")
    write_image(tmp_path / "m.nii.gz", values > 0, source.affine, dtype=np.uint8, like=source)
    np.testing.assert_array_equal(read_image(tmp_path / "m.nii.gz").affine, source.affine)


@pytest.mark.parametrize(("top", "kind"), [(1, np.uint8), (255, np.uint8), (0.9999, np.float32)])
def test_masks_of_two_values_are_one_mask(tmp_path, values, top, kind):
    truth = values > 0
    write_image(tmp_path / "m.nii.gz", truth * top, AFFINE, dtype=kind)
    mask = read_mask(tmp_path / "m.nii.gz")
    assert mask.data.dtype == np.uint8
    np.testing.assert_array_equal(mask.data.astype(bool), truth)


@pytest.mark.parametrize(
    ("top", "told"), [(1, ""), (255, ""), (0.9999, ""), (2, "0 and 2"), (0.6, "0 and 0.6")]
)
def test_a_mask_of_two_values_is_read_and_unusual_ones_are_noted(tmp_path, values, top, told):
    path = tmp_path / "m.nii.gz"
    write_image(path, (values > 0) * top, AFFINE, dtype=np.float32)
    mask = read_mask(path)
    np.testing.assert_array_equal(mask.data.astype(bool), values > 0)
    notes = [note for note in mask.notes if "its values are" in note]
    assert notes == ([f"its values are {told}, read as 0 and 1"] if told else [])


def test_soft_mask_where_a_binary_one_is_needed_is_refused(tmp_path, values):
    write_image(tmp_path / "m.nii.gz", np.abs(values) / 10, AFFINE, dtype=np.float32)
    with pytest.raises(ImageError, match="softseg"):
        read_mask(tmp_path / "m.nii.gz")
    assert read_mask(tmp_path / "m.nii.gz", kind="softseg").data.dtype == np.float32


@settings(max_examples=300, deadline=None)
@given(position=st.integers(0, 347), value=st.integers(0, 255))
def test_any_changed_header_byte_gives_an_image_or_a_named_error(tmp_path_factory, position, value):
    folder = tmp_path_factory.getbasetemp()
    source = folder / "plain.nii.gz"
    if not source.exists():
        write_image(source, np.ones((3, 4, 5)), AFFINE, dtype=np.int16)
    target = _rewrite(source, folder / "mutant.nii.gz", lambda r: r.__setitem__(position, value))
    try:
        image = read_image(target, ndim=None)
    except ImageError:
        return
    assert np.isfinite(image.data).all()
    assert np.isfinite(image.affine).all()


@pytest.mark.parametrize(("code", "name"), [(1, "metres"), (3, "micrometres")])
def test_units_other_than_millimetres_are_refused(good, tmp_path, code, name):
    target = _rewrite(good, tmp_path / "u.nii.gz", lambda raw: raw.__setitem__(123, code))
    with pytest.raises(ImageError, match=name):
        read_image(target)


@pytest.mark.parametrize(
    ("offset", "raw_value", "code"),
    [
        (112, struct.pack("<f", np.inf), "scaling"),
        (112, struct.pack("<2f", 2.0, np.nan), "scaling"),
        (80, struct.pack("<f", 0.9), "spacing"),  # pixdim of x; the sform says 0.5
        (80, struct.pack("<f", 0.0), "spacing"),
        (80, struct.pack("<f", np.nan), "spacing"),
        (70, struct.pack("<h", 128), "data_type"),  # RGB
        (70, struct.pack("<h", 32), "data_type|truncated"),  # complex64 needs twice the bytes
        (344, b"ni1\0", "header"),
        (280, struct.pack("<f", np.nan), "geometry"),
    ],
)
def test_each_damaged_header_field_has_its_code(good, tmp_path, offset, raw_value, code):
    def damage(raw):
        raw[offset : offset + len(raw_value)] = raw_value
        raw[72:74] = struct.pack(
            "<h", {128: 24, 32: 64}.get(struct.unpack("<h", raw[70:72])[0], 32)
        )

    target = _rewrite(good, tmp_path / "d.nii.gz", damage)
    with pytest.raises(ImageError, match=rf"\[({code})\]"):
        read_image(target)


def test_a_slope_that_is_no_number_means_values_as_stored_with_a_note(tmp_path):
    data = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    write_image(tmp_path / "x.nii.gz", data, AFFINE, dtype=np.int16)
    nan = struct.pack("<2f", np.nan, np.nan)
    target = _rewrite(
        tmp_path / "x.nii.gz",
        tmp_path / "y.nii.gz",
        lambda raw: raw.__setitem__(slice(112, 120), nan),
    )
    image = read_image(target)
    np.testing.assert_array_equal(image.data, data)
    assert any("as stored" in note for note in image.notes)


def test_a_plain_file_much_longer_than_its_header_says_is_not_read(good, tmp_path):
    target = tmp_path / "long.nii"
    raw = gzip.decompress(good.read_bytes())
    target.write_bytes(raw + bytes(2_000_000))
    with pytest.raises(ImageError, match=r"\[size\]"):
        read_image(target)


def test_a_pipe_or_folder_under_an_images_name_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe.nii.gz")
    (tmp_path / "folder.nii.gz").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(ImageError, match=r"\[unreadable\]"):
            read_image(tmp_path / f"{name}.nii.gz")


def test_headers_of_results_hold_nothing_of_the_source_but_its_geometry(tmp_path, values):
    source = nib.Nifti1Image(values, AFFINE)
    for field in ("descrip", "aux_file", "db_name", "intent_name"):
        source.header[field] = b"Doe^Jane"
    source.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"born 1950-01-01"))
    nib.save(source, tmp_path / "source.nii.gz")
    image = read_image(tmp_path / "source.nii.gz")
    write_image(tmp_path / "m.nii.gz", values > 0, image.affine, dtype=np.uint8, like=image)
    raw = gzip.decompress((tmp_path / "m.nii.gz").read_bytes())
    assert b"Doe" not in raw
    assert b"1950" not in raw
    made = nib.load(tmp_path / "m.nii.gz").header
    assert not made.extensions
    assert bytes(made["descrip"].tobytes()).strip(b"\0") == b""


def test_both_codes_zero_take_the_voxel_order_with_a_note(tmp_path, values):
    image = nib.Nifti1Image(values, None)
    image.header.set_zooms((0.5, 0.7, 3.0))
    image.set_qform(None, code=0)
    image.set_sform(None, code=0)
    nib.save(image, tmp_path / "x.nii.gz")
    read = read_image(tmp_path / "x.nii.gz")
    assert read.spacing_mm == pytest.approx((0.5, 0.7, 3.0))
    assert any("no qform and no sform" in note for note in read.notes)


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32])
def test_labels_above_127_keep_their_number(tmp_path, kind):
    data = np.zeros((3, 3, 3))
    data[1, 1] = (0, 200, 250)
    write_image(tmp_path / "x.nii.gz", data, AFFINE, dtype=kind)
    assert np.unique(read_mask(tmp_path / "x.nii.gz", kind="dseg").data).tolist() == [0, 200, 250]
