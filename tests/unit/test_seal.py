"""A table or record that has changed since it was written is noticed, whatever changed in it."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from cordcohort.errors import DamagedError, SheetError
from cordcohort.files import read_record, recorded_file, sha256_of, write_record
from cordcohort.seal import check_seal, sealed
from cordcohort.table import long_table, read_parquet, write_parquet

SCAN = dict.fromkeys(("dataset", "session", "acquisition", "run"), "") | {
    "subject": "01", "contrast": "T2w",
}  # fmt: skip


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "table.parquet"
    rows = [{"measure": "csa_mm2", "value": float(v), "slice": v} for v in range(40)]
    write_parquet(path, long_table(rows, SCAN))
    return path


def test_after_a_flip_of_any_bit_a_table_is_refused_or_reads_the_same(table):
    whole, wanted = table.read_bytes(), read_parquet(table)
    n_refused = 0
    rng = np.random.default_rng(0)
    # Bytes here and there, and every one of the footer's end with the seal; a bit at random.
    places = [*range(0, len(whole), 23), *range(len(whole) - 500, len(whole))]
    for place, bit in zip(places, rng.integers(0, 8, len(places)), strict=True):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(bit)
        table.write_bytes(damaged)
        try:
            check_seal(table)
        except DamagedError:
            n_refused += 1
            continue
        try:  # the seal itself was hit, or what says that it is there
            pd.testing.assert_frame_equal(read_parquet(table), wanted)
        except SheetError:
            n_refused += 1
    assert n_refused >= len(places) - 30
    table.write_bytes(whole)
    check_seal(table)


def test_a_table_cut_anywhere_or_gone_is_noticed_and_one_without_a_seal_is_read(table, tmp_path):
    whole = table.read_bytes()
    for length in range(0, len(whole), 97):
        table.write_bytes(whole[:length])
        with pytest.raises(DamagedError):
            read_parquet(table)
    table.unlink()
    with pytest.raises(DamagedError, match="no file"):
        read_parquet(table)
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "other.parquet")
    assert len(read_parquet(tmp_path / "other.parquet")) == 1
    with pytest.raises(ValueError, match="blank seal"):
        sealed((tmp_path / "other.parquet").read_bytes())


def test_a_sealed_table_is_read_by_other_programs_as_it_is(table):
    pd.testing.assert_frame_equal(pd.read_parquet(table), read_parquet(table))
    assert pd.read_parquet(table)["value"].tolist() == list(range(40))


def test_a_record_is_read_back_and_its_damage_noticed(tmp_path):
    path = tmp_path / "record.json"
    content = {"status": "ok", "volume_mm3": 12.5, "n_slices": 3, "files": {"b0": {"name": "x"}}}
    write_record(path, content)
    assert {k: v for k, v in read_record(path, 1).items() if k in content} == content
    whole = path.read_bytes()
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        try:
            found = read_record(path, 1)
        except DamagedError:
            continue
        # a blank, or the name of the digest
        assert {k: v for k, v in found.items() if k in content} == content
    for text in ("", "[]", "{"):
        path.write_text(text)
        with pytest.raises(DamagedError, match=r"record\.json"):
            read_record(path, 1)
    path.write_text(json.dumps(content))
    assert read_record(path, 1) == content


def test_a_mask_that_is_not_its_record_s_is_refused_and_both_are_stale(tmp_path):
    mask, record = tmp_path / "mask.nii.gz", tmp_path / "mask.json"
    mask.write_bytes(b"1")
    assert recorded_file(record, mask.name, sha256_of(mask)) == mask
    with pytest.raises(DamagedError, match="sha256") as caught:
        recorded_file(record, mask.name, "0" * 64)
    assert caught.value.stale == (mask, record)
    mask.unlink()
    with pytest.raises(DamagedError, match="no file"):
        recorded_file(record, mask.name, "0" * 64)
