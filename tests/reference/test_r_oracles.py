"""Every kind of analysis against R, on one cohort with unequal sessions, sites and groups.

``r/oracles.R`` computed ``r/oracles.json`` from ``r/cohort.csv`` and ``r/travel.csv``; its head
names the command and the packages. The tests read numbers only.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from cordcohort.statistics.corrections import adjust
from cordcohort.statistics.icc_mixed import MIXED_FORMS
from cordcohort.statistics.location_scale import fit_location_scale, harmonised
from cordcohort.statistics.power import Design, power
from cordcohort.statistics.run import run_analysis
from cordcohort.table import as_long

HERE = Path(__file__).parent / "r"
R: dict[str, Any] = json.loads((HERE / "oracles.json").read_text())
CLOSE = 1e-6  # closed forms: both sides are exact but for rounding
REML = 2e-4  # optimisers stop at their own tolerance


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return pd.read_csv(HERE / "cohort.csv", dtype={"person": str, "session": str})


@pytest.fixture(scope="module")
def cohort(table: pd.DataFrame) -> pd.DataFrame:
    rows = table.rename(columns={"person": "subject"}).drop(
        columns=["group", "sex", "age", "score"]
    )
    fixed = {"dataset": "d", "contrast": "T2w", "structure": "cord", "measure": "csa_mm2",
             "statistic": "mean", "unit": "mm2"}  # fmt: skip
    return as_long(rows.assign(person="", **fixed))


@pytest.fixture(scope="module")
def scores(table: pd.DataFrame) -> pd.DataFrame:
    people = table.drop_duplicates("person").drop(columns="value")
    long = people.melt("person", ["group", "sex", "age", "score"], "variable", "value")
    fixed = {"dataset": "d", "session": "", "time_point": ""}
    return long.rename(columns={"person": "subject"}).assign(person="", **fixed).astype(str)


@pytest.fixture(scope="module")
def run(cohort: pd.DataFrame, scores: pd.DataFrame):
    def run(kind: str, **spec: Any) -> pd.DataFrame:
        spec = {"name": "a", "kind": kind, **spec}
        return run_analysis(spec, cohort, scores).table

    return run


MANUAL = {"method": "manual"}
MODEL = {"compare": "method", "values": ["model", "manual"], "unit": "person"}


def test_variability_over_sessions(run) -> None:
    want = R["variability"]
    row = run("variability", over="session", select=MANUAL).iloc[0]
    assert row["cov_percent"] == pytest.approx(want["inter_session_cov"], rel=CLOSE)
    assert row["cov_sd_percent"] == pytest.approx(want["inter_session_cov_sd"], rel=CLOSE)
    assert row["cov_median_percent"] == pytest.approx(want["inter_session_cov_median"], rel=CLOSE)
    assert row["cov_rms_percent"] == pytest.approx(want["inter_session_cov_rms"], rel=CLOSE)
    assert row["sd"] == pytest.approx(want["within_sd"], rel=CLOSE)
    assert row["repeatability_coefficient"] == pytest.approx(want["repeatability"], rel=CLOSE)


def test_variability_of_sites_and_vendors_as_spine_generic(run) -> None:
    want = R["variability"]
    found = run("variability", over="site", select=MANUAL, ddof=0)
    found = found.set_index(["definition", "group"])["cov_percent"]
    assert found["inter_site", "all"] == pytest.approx(want["inter_site_cov_0"], rel=CLOSE)
    assert found["intra_site", "all"] == pytest.approx(want["intra_site_mean_0"], rel=CLOSE)
    for site, cov in want["intra_site_cov_0"].items():
        assert found["intra_site", site] == pytest.approx(cov, rel=CLOSE)
    vendors = run("variability", over="vendor", select=MANUAL, ddof=0)
    vendors = vendors.set_index(["definition", "group"])
    cov = vendors["cov_percent"]
    assert cov["inter_vendor", "all"] == pytest.approx(want["inter_vendor_cov_0"], rel=CLOSE)
    for vendor, expected in want["intra_site_by_vendor_0"].items():
        assert cov["intra_site", vendor] == pytest.approx(expected, rel=CLOSE)
    ge = vendors.loc[("inter_site_within_vendor", "GE")]
    assert ge["mean_ci_high"] - ge["mean"] == pytest.approx(want["ge_mean_half_ci"], rel=CLOSE)


def test_variability_of_travelling_persons() -> None:
    travel = pd.read_csv(HERE / "travel.csv").rename(columns={"person": "subject"})
    long = as_long(travel.assign(dataset="d", measure="csa_mm2", unit="mm2", person=""))
    spec = {"name": "a", "kind": "variability", "over": "site"}
    row = run_analysis(spec, long).table.iloc[0]
    assert row["scope"] == "within_person"
    assert row["cov_percent"] == pytest.approx(R["variability"]["travel_cov"], rel=CLOSE)


def test_reliability_unequal_sessions(run) -> None:
    row = run("reliability", over="session", forms=["one_way"], select=MANUAL).iloc[0]
    assert row["icc"] == pytest.approx(R["reliability"]["one_way_unequal"], rel=CLOSE)
    assert row["k"] == pytest.approx(R["reliability"]["n0"], rel=CLOSE)


def test_reliability_of_raters_by_name(cohort: pd.DataFrame) -> None:
    spec = {"name": "a", "kind": "reliability", "over": "rater", "of_mean": True,
            "pool": ["session"]}  # fmt: skip
    means = cohort.groupby(["subject", "site", "method"], as_index=False)["value"].mean()
    fixed = {"dataset": "d", "measure": "csa_mm2", "person": "", "unit": "mm2"}
    found = run_analysis(spec, as_long(means.assign(**fixed))).table.set_index("form")
    names = {"one_way": "ICC(1,1)", "agreement": "ICC(A,1)", "consistency": "ICC(C,1)"}
    for name, form in names.items():
        want = R["reliability"]["raters"][name]
        assert found.loc[form, "icc"] == pytest.approx(want["icc"], rel=CLOSE)
        # psych takes 95 % bounds of the F distribution at its own alpha / 2
        assert found.loc[form, "ci_low"] == pytest.approx(want["low"], rel=1e-4)
        assert found.loc[form, "ci_high"] == pytest.approx(want["high"], rel=1e-4)
    for name, form in (("agreement_k", "ICC(A,k)"), ("consistency_k", "ICC(C,k)")):
        assert found.loc[form, "icc"] == pytest.approx(
            R["reliability"]["raters"][name]["icc"], rel=CLOSE
        )


def test_reliability_of_raters_with_gaps_by_mixed_model(cohort: pd.DataFrame) -> None:
    first = cohort[cohort["session"] == "1"]
    person = first["subject"].astype("category").cat.codes + 1
    gaps = first[~((first["method"] == "model") & (person % 3 == 0))]
    spec = {"name": "a", "kind": "reliability", "over": "rater", "forms": list(MIXED_FORMS)}
    found = run_analysis(spec, gaps).table.set_index("form")
    for name, form in MIXED_FORMS.items():
        assert found.loc[form, "icc"] == pytest.approx(R["reliability"]["mixed"][name], rel=REML)
        assert found.loc[form, "ci_low"] < found.loc[form, "icc"] < found.loc[form, "ci_high"]


def test_variance_components_by_reml(run) -> None:
    found = run("variance_components", components=["person", "site"], select=MANUAL)
    found = found.set_index("component")["sd"]
    for name, sd in R["variance_components"].items():
        assert found[name.lower()] == pytest.approx(sd, rel=REML)


def test_linear_model_by_least_squares(run) -> None:
    want = R["linear_model"]
    found = run("linear_model", covariates=["age", "sex"], select=MANUAL)
    assert found["term"].tolist() == ["intercept", "age", "sex[M]"]
    assert found["estimate"].to_numpy() == pytest.approx(want["estimate"], rel=CLOSE)
    assert found["se"].to_numpy() == pytest.approx(want["se"], rel=CLOSE)
    assert found["p"].to_numpy() == pytest.approx(want["p"], rel=CLOSE)
    first = found.iloc[0]
    assert first["r_squared"] == pytest.approx(want["r_squared"], rel=CLOSE)
    assert first["max_vif"] == pytest.approx(want["vif"], rel=CLOSE)
    assert first["max_cook"] == pytest.approx(want["cook"], rel=CLOSE)
    assert first["breusch_pagan_p"] == pytest.approx(want["breusch_pagan_p"], rel=CLOSE)


def test_mixed_model_by_reml(run) -> None:
    want = R["linear_model"]
    found = run("linear_model", covariates=["age", "sex"], random=["person", "site"], select=MANUAL)
    assert found["estimate"].to_numpy() == pytest.approx(want["mixed_estimate"], rel=REML)
    assert found["se"].to_numpy() == pytest.approx(want["mixed_se"], rel=REML)


def test_agreement_of_person_means(run) -> None:
    want = R["agreement"]
    found = run("agreement", unit="person", methods=["model"], by_site=False, pool=["session"])
    row = found.iloc[0]
    assert row["mean"] == pytest.approx(want["mean"], rel=CLOSE)
    assert row["sd"] == pytest.approx(want["sd"], rel=CLOSE)
    assert row["loa_low"] == pytest.approx(want["loa_low"], rel=CLOSE)
    assert [row["ci_low"], row["ci_high"]] == pytest.approx(want["ci"], rel=CLOSE)


def test_bland_altman_with_repeated_pairs(run) -> None:
    want = R["bland_altman"]
    row = run("bland_altman", **MODEL | {"unit": "scan"}).iloc[0]
    assert row["bias"] == pytest.approx(want["bias"], rel=CLOSE)
    assert row["sd"] == pytest.approx(want["sd"], rel=CLOSE)
    assert row["loa_low"] == pytest.approx(want["loa_low"], rel=CLOSE)
    assert row["proportional_slope"] == pytest.approx(want["slope"], rel=CLOSE)


def test_concordance(run) -> None:
    want = R["concordance"]
    row = run("concordance", **MODEL).iloc[0]
    assert row["ccc"] == pytest.approx(want["ccc"], rel=CLOSE)
    assert row["accuracy"] == pytest.approx(want["accuracy"], rel=CLOSE)
    # epiR divides the variance of z by n - 2 as well, on the same corrected formula
    assert row["ci_low"] == pytest.approx(want["low"], rel=1e-4)
    assert row["ci_high"] == pytest.approx(want["high"], rel=1e-4)


def test_method_regression(run) -> None:
    want = R["method_regression"]
    deming = run("method_regression", line="deming", **MODEL).iloc[0]
    assert deming["slope"] == pytest.approx(want["deming_slope"], rel=CLOSE)
    line = run("method_regression", line="passing_bablok", **MODEL).iloc[0]
    assert line["slope"] == pytest.approx(want["passing_bablok_slope"], rel=CLOSE)
    assert line["intercept"] == pytest.approx(want["passing_bablok_intercept"], rel=1e-5)


def test_paired_test(run) -> None:
    want = R["paired_test"]
    row = run("paired_test", correction="none", **MODEL).iloc[0]
    assert row["w_plus"] == want["w_plus"]
    assert row["p"] == pytest.approx(want["p"], rel=CLOSE)
    assert row["p_method"] == "exact"
    rater = run("paired_test", correction="none", **MODEL | {"values": ["rater-2", "manual"]})
    assert rater.iloc[0]["p"] == pytest.approx(want["rater_p"], rel=CLOSE)


def test_equivalence(run) -> None:
    want = R["equivalence"]
    row = run("equivalence", margin=3, correction="none", **MODEL).iloc[0]
    assert row["p_low"] == pytest.approx(want["p_low"], rel=CLOSE)
    assert row["p_high"] == pytest.approx(want["p_high"], rel=CLOSE)
    assert [row["ci_low"], row["ci_high"]] == pytest.approx(want["ci"], rel=CLOSE)
    ranks = run("equivalence", margin=3, test="wilcoxon", correction="none", **MODEL).iloc[0]
    assert ranks["p_high"] == pytest.approx(want["ranks_p_high"], rel=CLOSE)


def test_group_tests(run) -> None:
    want = R["group_test"]
    two = run("group_test", group="group", test="mann_whitney", correction="none", select=MANUAL)
    assert two.iloc[0]["test_statistic"] == want["u"]
    assert two.iloc[0]["p"] == pytest.approx(want["p"], rel=CLOSE)
    for test, statistic in (("kruskal_wallis", "kruskal_h"), ("anova", "anova_f")):
        row = run("group_test", group="site", test=test, correction="none", select=MANUAL).iloc[0]
        assert row["test_statistic"] == pytest.approx(want[statistic], rel=CLOSE)
        assert row["p"] == pytest.approx(want[statistic[:-1] + "p"], rel=CLOSE)
    tukey = run("group_test", group="site", test="tukey", select=MANUAL)
    for row in tukey.itertuples():
        key = f"{row.b}-{row.a}"
        # ptukey and scipy's studentised range integrate numerically to some 5 digits
        assert row.p == pytest.approx(want["tukey"][key], abs=1e-4)
        assert -row.ci_high == pytest.approx(want["tukey_low"][key], rel=1e-3)


def test_repeated_tests(run) -> None:
    want = R["repeated_test"]
    friedman = run("repeated_test", compare="method", pool=["session"]).iloc[0]
    assert friedman["test_statistic"] == pytest.approx(want["chi2"], rel=CLOSE)
    assert friedman["p"] == pytest.approx(want["p"], rel=CLOSE)
    anova = run("repeated_test", compare="method", test="rm_anova", pool=["session"]).iloc[0]
    assert anova["test_statistic"] == pytest.approx(want["f"], rel=CLOSE)
    assert anova["p"] == pytest.approx(want["p_f"], rel=1e-5)
    # R prints epsilon with five digits
    assert anova["epsilon"] == pytest.approx(want["epsilon"], abs=1e-3)
    assert anova["p_greenhouse_geisser"] == pytest.approx(want["p_gg"], rel=1e-4)


def test_normality(run) -> None:
    want = R["normality"]
    row = run("normality", select=MANUAL).iloc[0]
    assert row["k2"] == pytest.approx(want["k2"], rel=CLOSE)
    assert row["p"] == pytest.approx(want["p"], rel=CLOSE)
    assert row["shapiro_w"] == pytest.approx(want["shapiro_w"], rel=1e-5)
    assert row["shapiro_p"] == pytest.approx(want["shapiro_p"], rel=1e-3)


def test_correlation_plain_and_partial(run) -> None:
    want = R["correlation"]
    spec = {"with": {"score": ["score"]}, "correction": "none", "select": MANUAL}
    row = run("correlation", **spec).iloc[0]
    assert row["rho"] == pytest.approx(want["rho"], rel=CLOSE)
    assert row["p"] == pytest.approx(want["p"], rel=CLOSE)
    assert [row["ci_low"], row["ci_high"]] == pytest.approx([want["low"], want["high"]], rel=CLOSE)
    partial = run("correlation", covariates=["age"], **spec).iloc[0]
    assert partial["rho"] == pytest.approx(want["partial"], rel=CLOSE)
    assert partial["p"] == pytest.approx(want["partial_p"], rel=CLOSE)


def test_difference_of_two_correlations(run) -> None:
    want = R["correlation_difference"]
    spec = {"compare": "method", "values": ["model", "manual"], "score": "score"}
    row = run("correlation_difference", correction="none", **spec).iloc[0]
    assert row["rho_a"] == pytest.approx(want["rho_a"], rel=CLOSE)
    assert row["rho_b"] == pytest.approx(want["rho_b"], rel=CLOSE)
    assert row["z"] == pytest.approx(want["z"], rel=CLOSE)
    assert row["p"] == pytest.approx(want["p"], rel=CLOSE)


def test_harmonisation(run) -> None:
    found = run("harmonisation", group="group", fit_on=["HC"], covariates=["age"], select=MANUAL)
    found = found.sort_values("person")
    want = np.array(R["harmonisation"]["harmonised"], dtype=float)
    assert found["harmonised"].to_numpy() == pytest.approx(want, rel=CLOSE)


@pytest.mark.parametrize(("n_sites", "key"), [(4, "power_4_sites"), (1, "power_1_site")])
def test_planning_reaches_the_power_of_the_noncentral_t(n_sites: int, key: str) -> None:
    sds = {"person": 5.0, "site": 3.0, "residual": 0.0}
    found, error = power(Design(n_sites, 40), 3.0, sds, alpha=0.05, n_simulations=40_000, seed=1)
    assert found == pytest.approx(R["planning"][key], abs=4 * error)


def test_corrections() -> None:
    p_values = np.array([0.01, 0.04, 0.03, 0.005])
    for name, want in R["corrections"].items():
        assert adjust(p_values, name) == pytest.approx(np.array(want, dtype=float), rel=CLOSE)


def test_location_scale_is_neurocombat_without_its_shrinkage() -> None:
    given = json.loads((HERE.parent / "neurocombat.json").read_text())
    site, age = given["site"], np.array(given["age"])[:, None]
    for raw, wanted in zip(given["values"], given["harmonised"], strict=True):
        fit = fit_location_scale(np.array(raw), site, age)
        ours = harmonised(fit, np.array(raw), site, age)
        np.testing.assert_allclose(
            ours, wanted, rtol=0, atol=2e-9
        )  # theirs were kept to nine digits
