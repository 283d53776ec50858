"""Sites run apart and merged as docs/scale.md says give the numbers of one study of all sites."""

from __future__ import annotations

import re

import pandas as pd
import pytest
import yaml
from conftest import run_command
from cordcohort.table import read_parquet
from hostile_study import SITES, study_content, write_config

TABLE = "results/cohort/measures.parquet"
EXCLUDED = {"dataset": "south", "subject": "02", "contrast": "T2w", "reason": "motion"}
STATISTIC = "results/statistics/area_over_sites.tsv"


def _example(root, language) -> str:
    page = (root / "docs" / "scale.md").read_text()
    (found,) = re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)
    return found


def _study(folder, data, sites):
    folder.mkdir()
    (folder / "data").symlink_to(data)
    datasets = [{"name": site, "path": f"data/{site}"} for site in sites]
    write_config(
        folder,
        study_content(datasets=datasets, report={"pictures": False}, exclude="exclude.yaml"),
    )
    entries = [EXCLUDED] if EXCLUDED["dataset"] in sites else []
    (folder / "config" / "exclude.yaml").write_text(yaml.safe_dump(entries))
    run_command("cordcohort", "run", folder, "--cores", "2", TABLE, STATISTIC)
    return folder


@pytest.mark.slow
def test_merged_shards_have_the_table_and_the_statistics_of_one_study(
    root, small_data, tmp_path, monkeypatch
):
    names = [site.name for site in SITES]
    joint = _study(tmp_path / "joint", small_data / "data", names)
    apart = [_study(tmp_path / name, small_data / "data", [name]) for name in names]

    merged = tmp_path / "all-sites"
    merged.mkdir()
    monkeypatch.chdir(tmp_path)
    exec(_example(root, "python"), {"studies": apart})  # noqa: S102 - our own page
    write_config(merged, yaml.safe_load(_example(root, "yaml")))
    run_command("cordcohort", "run", merged, "--cores", "2", TABLE, STATISTIC)

    whole = read_parquet(joint / TABLE)
    assert len(whole) > 100
    assert {"failed", "excluded"} <= set(whole["flag"])
    pd.testing.assert_frame_equal(read_parquet(merged / TABLE), whole)
    ours, theirs = (pd.read_csv(s / STATISTIC, sep="\t") for s in (merged, joint))
    assert ours["cov_percent"].notna().any()
    pd.testing.assert_frame_equal(ours, theirs)
