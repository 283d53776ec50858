"""Mixed models, variance components, linear models: closed form, statsmodels, degenerate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from cordcohort.statistics.components import component_rows
from cordcohort.statistics.icc import one_way
from cordcohort.statistics.mixed import fit_mixed
from cordcohort.statistics.run import run_analysis
from scipy import stats

MakeLong = Callable[..., pd.DataFrame]


def _scores(columns: dict[str, list[str]]) -> pd.DataFrame:
    parts = [pd.DataFrame({"subject": [str(i) for i in range(len(v))], "variable": k, "value": v})
             for k, v in columns.items()]  # fmt: skip
    fixed = {"dataset": "a", "person": "", "session": "", "time_point": ""}
    return pd.concat(parts, ignore_index=True).assign(**fixed).astype("str")


def _crossed(seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = []
    person, site = rng.normal(0, 4, 20), rng.normal(0, 2, 6)
    for i in range(20):
        for j in rng.choice(6, 3, replace=False):
            rows += [{"person": i, "site": int(j), "x": i % 2, "age": float(i),
                      "v": 70 + person[i] + site[j] + 1.5 * (i % 2) + rng.normal()}
                     for _ in range(2)]  # fmt: skip
    return pd.DataFrame(rows)


def test_balanced_one_way_reml_is_the_analysis_of_variance() -> None:
    rng = np.random.default_rng(1)
    person = np.repeat(np.arange(15), 3)
    y = rng.normal(0, 3, 15)[person] + rng.normal(70, 1, 45)
    fit = fit_mixed(y, np.ones((45, 1)), {"person": person})
    icc = one_way(y, person)
    assert fit.variance["residual"] == pytest.approx(icc.ms_error, rel=1e-5)
    between = (icc.ms_between - icc.ms_error) / 3
    assert fit.variance["person"] == pytest.approx(between, rel=1e-5)
    assert fit.beta[0] == pytest.approx(y.mean())
    assert fit.covariance[0, 0] == pytest.approx(icc.ms_between / 45, rel=1e-5)


def test_crossed_components_and_fixed_effects_agree_with_statsmodels() -> None:
    data = _crossed()
    theirs = smf.mixedlm(
        "v ~ x", data.assign(all=1), groups="all",
        vc_formula={"person": "0 + C(person)", "site": "0 + C(site)"},
    ).fit(reml=True)  # fmt: skip
    x = np.column_stack([np.ones(len(data)), data["x"]])
    codes = {c: data[c].to_numpy() for c in ("person", "site")}
    ours = fit_mixed(data["v"].to_numpy(), x, codes)
    np.testing.assert_allclose(ours.beta, theirs.fe_params, rtol=1e-3)
    np.testing.assert_allclose(np.sqrt(np.diag(ours.covariance)), theirs.bse_fe, rtol=0.01)
    expected = dict(zip(theirs.model.exog_vc.names, theirs.vcomp, strict=True))
    for name, value in expected.items():
        assert ours.variance[name] == pytest.approx(value, rel=0.02)
    assert ours.variance["residual"] == pytest.approx(theirs.scale, rel=0.01)
    assert ours.deviance <= -2 * theirs.llf + 1e-3


def test_zero_variance_is_said_not_hidden() -> None:
    y = np.tile([1.0, -1.0], 10) + 70
    fit = fit_mixed(y, np.ones((20, 1)), {"person": np.repeat(np.arange(10), 2)})
    assert fit.singular
    assert fit.variance["person"] == 0.0
    assert fit.variance["residual"] == pytest.approx(20 / 19)
    assert np.isnan(fit.interval_sd["person"].low)


def test_shift_and_scale_of_the_measure_carry_over() -> None:
    data = _crossed(2)
    codes = {"person": data["person"].to_numpy()}
    x = np.column_stack([np.ones(len(data)), data["x"]])
    one = fit_mixed(data["v"].to_numpy(), x, codes)
    two = fit_mixed(1e-3 * data["v"].to_numpy() + 5, x, codes)
    np.testing.assert_allclose(two.beta, 1e-3 * one.beta + [5, 0], rtol=1e-4)
    assert two.variance["person"] == pytest.approx(1e-6 * one.variance["person"], rel=1e-3)


def test_components_of_a_cohort_recover_the_truth_and_say_what_is_confounded(
    make_long: MakeLong,
) -> None:
    rng = np.random.default_rng(5)
    site = dict(zip("abcdefgh", rng.normal(0, 2, 8), strict=True))
    rows = [
        {"subject": f"{i}", "person": f"p{i}", "site": s, "session": t,
         "value": 70 + p + site[s] + float(rng.normal(0, 1))}
        for i, p in enumerate(rng.normal(0, 4, 40)) for s in "abcdefgh" for t in "12"
    ]  # fmt: skip
    spec = {"name": "c", "kind": "variance_components", "components": ["person", "site", "vendor"]}
    table = run_analysis(spec, make_long(rows)).table.set_index("component")
    assert table.loc["residual", "sd"] == pytest.approx(1.0, rel=0.1)
    assert table.loc["person", "sd"] == pytest.approx(4.0, rel=0.25)
    assert table.loc["person", "sd_ci_low"] < 4.0 < table.loc["person", "sd_ci_high"]
    assert table.loc["vendor", "reason"] == "1 levels: needs 3"
    shares = table.loc[["person", "site", "residual"], "percent_of_variance"]
    assert shares.sum() == pytest.approx(100)


def test_one_person_a_site_cannot_be_separated() -> None:
    cells = pd.DataFrame({
        "person_key": np.repeat([f"p{i}" for i in range(6)], 2),
        "site": np.repeat([f"s{i}" for i in range(6)], 2), "value": np.arange(12.0),
    })  # fmt: skip
    rows = {r["component"]: r for r in component_rows(cells, ["person", "site"])}
    assert rows["site"]["reason"] == "cannot be told from person in this design"
    few = component_rows(cells.head(4), ["person"])
    assert few[0]["flag"] == "undefined"
    constant = component_rows(cells.assign(value=1.0), ["person"])
    assert constant[0]["reason"] == "the measure is constant"


def _model(make_long: MakeLong, y: np.ndarray, columns: dict[str, list[str]], **spec: Any) -> Any:
    cohort = make_long([{"subject": f"{i}", "value": float(v)} for i, v in enumerate(y)])
    declared = {"name": "m", "kind": "linear_model", "covariates": list(columns), **spec}
    return run_analysis(declared, cohort, _scores(columns)).table.set_index("term")


def test_linear_model_agrees_with_statsmodels_formula(make_long: MakeLong) -> None:
    rng = np.random.default_rng(0)
    age, sex = rng.normal(50, 10, 40), rng.choice(["F", "M"], 40)
    y = 80 - 0.1 * age + 2 * (sex == "M") + rng.normal(0, 2, 40)
    table = _model(make_long, y, {"age": [str(a) for a in age], "sex": list(sex)})
    frame = pd.DataFrame({"y": y, "age": age, "sex": sex})
    theirs = smf.ols("y ~ age + sex", frame).fit()
    for ours, name in (("age", "age"), ("sex[M]", "sex[T.M]"), ("intercept", "Intercept")):
        assert table.loc[ours, "estimate"] == pytest.approx(theirs.params[name])
        assert table.loc[ours, "p"] == pytest.approx(theirs.pvalues[name])
        assert table.loc[ours, "ci_low"] == pytest.approx(theirs.conf_int().loc[name, 0])
    assert table.loc["age", "r_squared"] == pytest.approx(theirs.rsquared)
    standard = frame.assign(y=frame["y"] / frame["y"].std(), age=frame["age"] / frame["age"].std())
    expected = smf.ols("y ~ age + sex", standard).fit().params["age"]
    assert table.loc["age", "standardised"] == pytest.approx(expected)


def test_one_covariate_has_the_closed_form_of_a_line(make_long: MakeLong) -> None:
    x = np.arange(12.0)
    y = 3 + 2 * x + np.tile([0.5, -0.5], 6)
    table = _model(make_long, y, {"age": [str(v) for v in x]})
    line = stats.linregress(x, y)
    assert table.loc["age", "estimate"] == pytest.approx(line.slope)
    assert table.loc["age", "se"] == pytest.approx(line.stderr)
    assert table.loc["age", "standardised"] == pytest.approx(line.rvalue)


def test_degenerate_models_have_a_reason(make_long: MakeLong) -> None:
    y = np.arange(10.0)
    constant = _model(make_long, y, {"age": ["5"] * 10})
    assert "collinear or constant" in constant["reason"].iloc[0]
    few = _model(make_long, y[:3], {"age": ["1", "2", "4"]})
    assert "too few" in few["reason"].iloc[0]
    flat = _model(make_long, np.ones(10), {"age": [str(v) for v in range(10)]})
    assert flat["reason"].iloc[0] == "the measure is constant"
    missing = _model(make_long, y, {"age": ["", *[str(v) for v in range(1, 10)]]})
    assert missing["n_incomplete"].tolist() == [1, 1]


def test_mixed_model_of_a_cohort_with_a_random_site(make_long: MakeLong) -> None:
    data = _crossed(3)
    rows = [{"subject": f"{r.person}", "site": f"s{r.site}", "session": str(i), "value": r.v}
            for i, r in enumerate(data.itertuples())]  # fmt: skip
    spec = {
        "name": "m",
        "kind": "linear_model",
        "covariates": ["age"],
        "random": ["person", "site"],
    }
    scores = _scores({"age": [str(float(i)) for i in range(20)]})
    table = run_analysis(spec, make_long(rows), scores).table.set_index("term")
    x = np.column_stack([np.ones(len(data)), data["age"]])
    codes = {c: data[c].to_numpy() for c in ("person", "site")}
    fit = fit_mixed(data["v"].to_numpy(), x, codes)
    assert table.loc["age", "estimate"] == pytest.approx(fit.beta[1], rel=1e-4)
    assert table.loc["age", "random"] == "person, site"
    alone = spec | {"random": ["vendor"]}
    refused = run_analysis(alone, make_long(rows), scores).table
    assert refused["reason"].tolist() == ["vendor: 1 levels: needs 3"]
