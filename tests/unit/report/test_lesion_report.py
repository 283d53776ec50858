"""Report of lesion studies: galleries, who trained and tested, lesions in the figures."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from cordcohort.files import write_json
from cordcohort.nifti import Image
from cordcohort.report.against_cohort import scan_values
from cordcohort.report.flow import write_split_flows
from cordcohort.report.gallery import COLOURS, MIN_METHODS, draw_gallery, galleries
from cordcohort.report.inputs import Inputs
from cordcohort.report.links import picture_record
from cordcohort.report.masks import MaskFile
from cordcohort.table import SCAN_KEY, as_long
from PIL import Image as Pillow

SHAPE = (60, 60, 40)
SCAN = {"dataset": "a", "stem": "sub-01_T2w", "site": "x"}


def volumes_of(methods, *, lesion=True):
    cord, drawn = np.zeros(SHAPE), np.zeros(SHAPE)
    cord[22:38, 24:36] = 1
    drawn[28:33, 28:32, 18:24] = 1
    found = []
    for method in methods:
        for structure, data in (("cord", cord), ("lesion", drawn)):
            if structure == "cord" or lesion:
                mask = MaskFile(method, structure, "seg", None, "ok", "")
                found.append((mask, data))
    return found


@pytest.fixture
def image():
    noise = np.random.default_rng(1).normal(100, 20, SHAPE)
    return Image(noise.astype(np.float32), np.diag([0.8, 0.8, 0.8, 1.0]))


def test_every_method_has_a_column_with_both_outlines_and_the_image_has_none(image, tmp_path):
    told = draw_gallery(SCAN, image, volumes_of(["cord-v1", "manual"]), tmp_path)
    assert told["methods"] == ["manual", "cord-v1"]
    picture = Pillow.open(io.BytesIO((tmp_path / told["file"]).read_bytes())).convert("RGB")
    pixels = np.asarray(picture).astype(int)
    assert pixels.shape[:2] == (told["height"], told["width"])
    columns = np.array_split(pixels, 3, axis=1)
    for n, column in enumerate(columns):
        for colour in COLOURS.values():
            # No grey is nearer than 70 to either colour in its furthest channel.
            near = (np.abs(column - colour).max(axis=2) < 60).sum()
            assert near == 0 if n == 0 else near > 10


def test_without_lesion_or_second_method_there_is_no_gallery(image, tmp_path):
    assert draw_gallery(SCAN, image, volumes_of(["manual"]), tmp_path) == {}
    assert draw_gallery(SCAN, image, volumes_of(["manual", "b"], lesion=False), tmp_path) == {}
    assert MIN_METHODS == 2
    assert not list(tmp_path.rglob("*.png"))


def test_parts_of_a_lesion_are_drawn_as_the_lesion(image, tmp_path):
    whole = volumes_of(["manual", "net"])
    apart = [
        (replace(mask, structure=part), data * half)
        if (mask.method, mask.structure) == ("manual", "lesion") else (mask, data)
        for mask, data in whole
        for part, half in (("oedema", np.arange(SHAPE[2]) < 21), ("haemorrhage", 1))
    ]  # fmt: skip
    first, second = (draw_gallery(SCAN, image, v, tmp_path / k)
                     for k, v in (("a", whole), ("b", apart)))  # fmt: skip
    assert first == second
    assert (tmp_path / "a" / first["file"]).read_bytes() == (
        tmp_path / "b" / second["file"]
    ).read_bytes()


def test_the_gallery_of_a_site_is_of_a_person_whom_the_drawn_seed_tested(tmp_path):
    keys = {"dataset": "a", "contrast": "T2w"}
    scans = [{**keys, "site": "x", "stem": f"sub-{k}_T2w", "subject": k, "person": k} for k in "12"]
    for scan in scans:
        write_json(tmp_path / "report" / picture_record(scan), {"gallery": {"file": scan["stem"]}})
    rows = [
        {**keys, "subject": k, "person": k, "method": "net", "seed": seed,
         "split": "test" if k == tested else "train"}
        for seed, tested in (("7", "2"), ("42", "1")) for k in "12"
    ]  # fmt: skip
    none = pd.DataFrame()
    inputs = Inputs(tmp_path, pd.DataFrame(scans), none, none, as_long(pd.DataFrame(rows)), (),
                    {"experiments": [{"seeds": [7, 42]}]})  # fmt: skip
    (found,) = galleries(inputs)
    assert (found["file"], found["title"]) == ("sub-2_T2w", "x, a, sub-2_T2w")


def test_a_scan_in_which_a_person_drew_a_lesion_goes_before_one_where_a_method_did(tmp_path):
    keys = {"dataset": "a", "contrast": "T2w"}
    scans = [
        {**keys, "site": "x", "stem": f"sub-{k}_T2w", "subject": k, "person": k} for k in "123"
    ]
    for scan in scans:
        gallery = {"file": scan["stem"], "referenced": scan["subject"] != "1"}
        write_json(tmp_path / "report" / picture_record(scan), {"gallery": gallery})
    none = pd.DataFrame()
    for n, first in ((3, "sub-2_T2w"), (1, "sub-1_T2w")):
        inputs = Inputs(tmp_path, pd.DataFrame(scans[:n]), none, none, as_long(none), (), {})
        assert [found["file"] for found in galleries(inputs)] == [first]


def test_who_trained_and_who_tested_is_counted_for_the_first_seed(tmp_path):
    scans = pd.DataFrame({"state": ["measured"] * 9 + ["excluded"] * 2 + ["failed"] * 2})
    scans = scans.assign(**dict.fromkeys(SCAN_KEY, "") | {"dataset": "a"})
    scans["subject"] = scans.index.astype(str)
    rows = [
        {"dataset": "a", "subject": f"{k}", "method": "net", "seed": seed, "measure": "dice",
         "value": 0.5, "split": "" if k == 7 else "train" if k < n_train else "test"}
        for seed, n_train in (("7", 5), ("42", 4)) for k in range(8)
    ]  # fmt: skip
    # The ninth scan is measured by others; the net, which is not run on the last, failed on it.
    rows += [{"dataset": "a", "subject": k, "method": "net", "seed": "7", "measure": "dice",
              "split": "test", "flag": "failed", "reason": "no cord"}
             for k in ("8", "11")]  # fmt: skip
    rows += [{"dataset": "a", "subject": "8", "method": "net", "seed": "7", "measure": "dice",
              "reference": "manual", "split": "test", "value": 0.0}]  # fmt: skip
    rows += [{"dataset": "a", "subject": "0", "method": "manual", "measure": "csa_mm2",
              "value": 1.0, "split": "external"}]  # fmt: skip
    flows = write_split_flows(scans, as_long(pd.DataFrame(rows)), tmp_path)
    assert [flow["title"] for flow in flows] == ["net, seed 7"]
    text = (tmp_path / str(flows[0]["file"])).read_text()
    assert re.findall(r">([^<>]*\d[^<>]*)</text>", text) == [
        "13 scans found", "2 excluded", "3 failed", "5 train, 2 test, 1 unseen",
    ]  # fmt: skip


def test_the_figures_take_the_sum_or_the_largest_over_the_lesions_of_a_scan():
    rows = [
        {"subject": "1", "structure": "lesion", "measure": m, "statistic": s, "object": o,
         "value": 1.0}
        for m, s, o in (
            ("lesion_volume_mm3", "sum", ""), ("lesion_volume_mm3", "", "1"),
            ("lesion_damage_ratio", "max", ""), ("csa_mm2", "mean", ""), ("csa_mm2", "sd", ""),
        )
    ]  # fmt: skip
    found = scan_values(as_long(pd.DataFrame(rows)))
    assert found[["measure", "statistic"]].to_numpy().tolist() == [
        ["lesion_volume_mm3", "sum"], ["lesion_damage_ratio", "max"], ["csa_mm2", "mean"],
    ]  # fmt: skip
