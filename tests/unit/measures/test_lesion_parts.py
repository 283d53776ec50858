"""Oedema and haemorrhage drawn apart: lesion together for every table, and measured each alone."""

from __future__ import annotations

import numpy as np
import pytest
from cordcohort.measures.agreement import measure_agreement
from cordcohort.measures.followup_rows import FollowupOptions, measure_followup
from cordcohort.measures.lesions import measure_lesion
from cordcohort.measures.task import Task
from unit.measures.test_shape_table import SCAN, entry, save

SHAPE = (40, 40, 12)
CORD, OEDEMA, HAEMORRHAGE = np.zeros((3, *SHAPE))
CORD[8:32, 8:32] = 1
OEDEMA[16:24, 16:24, 3:7] = 1
HAEMORRHAGE[18:22, 18:22, 6:9] = 1  # overlaps the oedema in one slice
TOGETHER = np.maximum(OEDEMA, HAEMORRHAGE)


@pytest.fixture
def files(tmp_path):
    volumes = {"cord": CORD, "oedema": OEDEMA, "haemorrhage": HAEMORRHAGE, "lesion": TOGETHER}
    return {name: save(tmp_path / f"{name}.nii.gz", data) for name, data in volumes.items()}


def drawn(files, method, *structures):
    return [entry(files[s], method, structure=s) for s in structures]


def values_of(table, method="manual", structure="lesion"):
    rows = table[(table["method"] == method) & (table["structure"] == structure)]
    keys = ["measure", "object", "statistic", "level_kind", "level"]
    return rows.set_index(keys)["value"].dropna().to_dict()


def test_parts_are_the_lesion_that_one_mask_of_both_would_be(files):
    apart = measure_lesion(SCAN, drawn(files, "manual", "cord", "oedema", "haemorrhage"))
    whole = measure_lesion(SCAN, drawn(files, "manual", "cord", "lesion"))
    assert values_of(apart) == values_of(whole)
    assert len(values_of(apart)) > 15


def test_each_part_has_biomarkers_of_its_own(files):
    table = measure_lesion(SCAN, drawn(files, "manual", "cord", "oedema", "haemorrhage"))
    voxel_mm3 = 0.5 * 0.5 * 2.0
    for structure, data in (("oedema", OEDEMA), ("haemorrhage", HAEMORRHAGE)):
        rows = table[(table["structure"] == structure) & (table["statistic"] == "sum")]
        volume = rows.set_index("measure")["value"]["lesion_volume_mm3"]
        assert volume == pytest.approx(data.sum() * voxel_mm3)


def test_a_part_beside_a_lesion_mask_adds_to_it(files):
    both = measure_lesion(SCAN, drawn(files, "manual", "cord", "haemorrhage"))
    more = measure_lesion(SCAN, [*drawn(files, "manual", "cord", "lesion", "haemorrhage")])
    assert values_of(more) == values_of(
        measure_lesion(SCAN, drawn(files, "manual", "cord", "lesion"))
    )
    assert values_of(both) == values_of(both, structure="haemorrhage")


def test_a_method_that_draws_one_lesion_is_scored_against_the_raters_parts_together(files):
    masks = [
        *drawn(files, "manual", "oedema", "haemorrhage"),
        *drawn(files, "net", "lesion"),
        *drawn(files, "parts", "haemorrhage", "oedema"),
    ]
    table = measure_agreement(SCAN, masks)
    dice = table[table["measure"] == "dice"].set_index(["method", "structure"])["value"]
    assert dice.to_dict() == {
        ("net", "lesion"): 1.0, ("parts", "lesion"): 1.0, ("parts", "oedema"): 1.0,
        ("parts", "haemorrhage"): 1.0,
    }  # fmt: skip
    detected = table[table["measure"] == "lesion_f1"]
    assert set(detected["structure"]) == {"lesion"}


def test_a_part_that_cannot_be_read_makes_no_smaller_lesion(files, tmp_path):
    broken = tmp_path / "broken.nii.gz"
    broken.write_bytes(b"nothing")
    masks = [*drawn(files, "manual", "cord", "oedema"),
             entry(str(broken), structure="haemorrhage")]  # fmt: skip
    table = measure_lesion(SCAN, masks)
    lesion = table[table["structure"] == "lesion"]
    assert set(lesion["flag"]) == {"failed"}
    assert lesion["reason"].str.startswith("broken.nii.gz").all()
    assert values_of(table, structure="oedema")


def test_parts_are_followed_over_sessions_as_one_lesion(files):
    tasks = [
        Task(scan=SCAN | {"session": session}, output="", masks=drawn(files, "manual", *names))
        for session, names in (("1", ("oedema", "haemorrhage")), ("2", ("lesion",)))
    ]
    table = measure_followup(*tasks, FollowupOptions(registration="header"))
    counts = table[table["object"] == ""].set_index("measure")["value"]
    assert counts["lesions_stable_n"] == 1
    assert counts.drop("lesions_stable_n").eq(0).all()
