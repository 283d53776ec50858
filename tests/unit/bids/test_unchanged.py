"""A file that vanished or changed after the index was made stops the job, not the scan."""

from __future__ import annotations

import json
import os

import pytest
from cordcohort.bids.unchanged import check_unchanged
from cordcohort.errors import CordcohortError


@pytest.fixture
def row(tmp_path):
    paths = {name: tmp_path / name for name in ("image", "bval", "bvec", "mask")}
    for path in paths.values():
        path.write_text("1 2 3")
    stat = paths["image"].stat()
    mask = {"status": "ok", "path": str(paths["mask"]), "size": 5,
            "mtime_ns": paths["mask"].stat().st_mtime_ns}  # fmt: skip
    return {
        "status": "ok", "image": str(paths["image"]), "image_size": stat.st_size,
        "image_mtime_ns": stat.st_mtime_ns, "bval": str(paths["bval"]), "bvec": str(paths["bvec"]),
        "masks": json.dumps([mask]),
    }  # fmt: skip


def test_files_as_indexed_pass_and_files_that_failed_at_the_index_are_not_asked(row, tmp_path):
    check_unchanged([row])
    (tmp_path / "image").unlink()
    (tmp_path / "bval").unlink()
    check_unchanged([row | {"status": "failed"}])
    check_unchanged([row | {"status": "no_image", "image": "", "masks": ""}])


@pytest.mark.parametrize("name", ["image", "bval", "bvec", "mask"])
def test_a_file_that_vanished_is_named(row, tmp_path, name):
    (tmp_path / name).unlink()
    with pytest.raises(CordcohortError, match=f"{name}: expected the file that the index found"):
        check_unchanged([row])


@pytest.mark.parametrize("name", ["image", "mask"])
def test_another_size_or_time_is_named_and_a_rounded_time_is_not(row, tmp_path, name):
    path = tmp_path / name
    kept = path.stat().st_mtime_ns
    os.utime(path, ns=(kept, kept - 900_000_000))
    check_unchanged([row])
    os.utime(path, ns=(kept, kept + 1_000_000_000))
    with pytest.raises(CordcohortError, match="changed meanwhile"):
        check_unchanged([row])
    path.write_text("1 2 3 4")
    os.utime(path, ns=(kept, kept))
    with pytest.raises(CordcohortError, match="7 bytes"):
        check_unchanged([row])


@pytest.mark.parametrize("name", ["bval", "bvec"])
def test_gradient_files_are_only_looked_for_because_the_index_has_no_size_of_them(
    row, tmp_path, name
):
    (tmp_path / name).write_text("1 2 3 4")
    check_unchanged([row])
