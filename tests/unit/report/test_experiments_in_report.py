"""Methods with several seeds in the report: unseen persons only, one value a scan, and phases."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
from cordcohort.files import write_record
from cordcohort.report.against_cohort import cohort_ranges
from cordcohort.report.inputs import Inputs
from cordcohort.report.links import picture_record
from cordcohort.report.palette import declared_methods, undrawn_models
from cordcohort.report.phase_figures import earlier_phases, phase_figures
from cordcohort.report.profiles import slice_values
from cordcohort.report.seeds import unseen_once
from cordcohort.report.subject_pages import SubjectTables, write_subject_page
from cordcohort.table import as_long

SEEDS = ("7", "42")
TESTED = {"7": ("1", "2", "3"), "42": ("3", "4", "5")}


def table() -> pd.DataFrame:
    """Volumes of five persons: manual 10 x number, each seed off by its own error."""
    shared = {"dataset": "a", "site": "x", "contrast": "T2w", "structure": "lesion",
              "measure": "lesion_volume_mm3", "statistic": "sum", "unit": "mm3"}  # fmt: skip
    rows = [
        {"subject": p, "person": p, "method": "manual", "value": 10.0 * int(p), **shared}
        for p in "12345"
    ]
    for phase, error in (("net-phase1", 4.0), ("net-phase2", 2.0), ("net-phase3", 1.0)):
        for seed in SEEDS:
            for p in "12345":
                split = "test" if p in TESTED[seed] else "train"
                value = 10.0 * int(p) + error * (1 if seed == "7" else 3)
                rows.append({"subject": p, "person": p, "method": phase, "seed": seed,
                             "split": split, "value": value, **shared})  # fmt: skip
    return as_long(pd.DataFrame(rows))


def test_a_scan_counts_once_as_the_mean_of_the_seeds_that_tested_its_person():
    found = unseen_once(table())
    last = found[found["method"] == "net-phase3"].set_index("subject")["value"]
    assert last.to_dict() == {"1": 11.0, "2": 21.0, "3": 32.0, "4": 43.0, "5": 53.0}
    assert (found["seed"] == "").all()
    pd.testing.assert_frame_equal(
        found[found["method"] == "manual"].reset_index(drop=True), table().iloc[:5]
    )
    assert (found.dtypes == table().dtypes).all()


def test_a_seed_without_a_value_leaves_the_mean_of_the_others_with_a_warning():
    rows = table()
    of_three = (rows["subject"] == "3") & (rows["method"] == "net-phase3") & (rows["seed"] == "42")
    rows.loc[of_three, ["value", "flag"]] = [np.nan, "undefined"]
    found = unseen_once(rows)
    (one,) = found[(found["subject"] == "3") & (found["method"] == "net-phase3")].to_dict("records")
    assert (one["value"], one["flag"]) == (31.0, "warning")
    assert "1 of 2 without a value" in one["reason"]


def test_the_page_says_what_each_mask_was_used_for_and_what_to_know_of_its_model(tmp_path: Path):
    scan = {"dataset": "a", "subject": "1", "session": "", "acquisition": "", "run": "",
            "contrast": "T2w", "site": "x", "vendor": "", "person": "1", "stem": "sub-1_T2w",
            "state": "measured", "reason": "", "failures": "", "warning": ""}  # fmt: skip
    masks = [{"method": m, "structure": "lesion", "kind": "seg", "status": "ok", "reason": ""}
             for m in ("manual", "net-phase3-seed7", "other")]  # fmt: skip
    write_record(tmp_path / picture_record(scan), {"schema": 1, "masks": masks, "pictures": []})
    person = pd.DataFrame({"age": [30.0], "sex": ["F"], "field_strength": ["3"]})
    measures = unseen_once(table())
    measures = measures[measures["subject"] == "1"].assign(vendor="")
    training = [{"name": "net-phase3-seed7", "phase": 3, "seed": 7, "experiment": {"name": "net"}}]
    slices = slice_values(tmp_path / "none")
    page = write_subject_page(
        SubjectTables("a", "1", pd.DataFrame([scan]), measures, slices, person),
        cohort_ranges(measures), tmp_path, {"training": training},
        {"other": ["other is experimental: it fails."], "absent": ["absent is experimental: no."]},
    )  # fmt: skip
    text = page.read_text()
    used = dict(re.findall(r"<td>([^<]+)</td><td>lesion</td><td>mask</td><td>([^<]+)</td>", text))
    assert used == {"manual": "measures", "net-phase3-seed7": "measures", "other": "–"}
    assert "other is experimental: it fails." in text
    assert "absent" not in text


def test_without_seeds_nothing_is_changed():
    rows = table()
    rows = rows[rows["method"] == "manual"]
    assert unseen_once(rows) is rows


def test_first_and_last_phase_are_drawn_over_the_persons_of_the_tests(tmp_path: Path):
    nothing = pd.DataFrame()
    inputs = Inputs(tmp_path, nothing, nothing, nothing, table(), (), {})
    (figure,) = phase_figures(inputs, "manual", tmp_path)
    assert (tmp_path / figure.file).is_file()
    # Errors of 1, 1, mean(1, 3), 3, 3 in phase 3 and four times these in phase 1.
    assert figure.note.startswith("5 scans of persons kept for the test")
    assert "8 (net-phase1) and 2 (net-phase3)" in figure.note
    assert "phases of net" in figure.title
    assert earlier_phases(inputs) == {"net-phase1", "net-phase2"}


def test_an_experiment_of_one_phase_has_no_figure_of_phases(tmp_path: Path):
    rows = table()
    rows = rows[rows["method"].isin(["manual", "net-phase1"])]
    nothing = pd.DataFrame()
    inputs = Inputs(tmp_path, nothing, nothing, nothing, rows, (), {})
    assert phase_figures(inputs, "manual", tmp_path) == []


def test_models_of_an_experiment_are_one_method_a_phase_and_one_seed_is_drawn():
    training = [
        {"name": f"net-phase{phase}-seed{seed}", "phase": phase, "seed": int(seed),
         "experiment": {"name": "net"}}
        for phase in (1, 2) for seed in SEEDS
    ]  # fmt: skip
    models = ["cord-v1", *(entry["name"] for entry in training)]
    config = {"segmentation": {"models": models}, "training": training}
    assert declared_methods(config) == ["manual", "cord-v1", "net-phase1", "net-phase2"]
    assert set(models) - undrawn_models(config) == {"cord-v1", "net-phase2-seed7"}
