"""Location-scale harmonisation: closed form, other implementation, when it is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from cordcohort.statistics.location_scale import (
    fit_location_scale,
    harmonised,
    reason_against,
    variance_share,
)
from cordcohort.statistics.run import run_analysis

MakeLong = Callable[..., pd.DataFrame]


def _data(seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    site = np.repeat(list("abc"), [12, 9, 15])
    age = rng.normal(50, 10, 36)
    scale = np.where(site == "b", 3.0, 1.0)
    y = 70 - 0.2 * age + 4 * (site == "c") + scale * rng.normal(0, 1, 36)
    return pd.DataFrame({"y": y, "site": site, "age": age})


def test_without_covariates_every_site_gets_the_grand_mean_and_pooled_sd() -> None:
    data = _data()
    nothing = np.zeros((len(data), 0))
    fit = fit_location_scale(data["y"].to_numpy(), data["site"].tolist(), nothing)
    out = harmonised(fit, data["y"].to_numpy(), data["site"].tolist(), nothing)
    by_site = pd.Series(out).groupby(data["site"].to_numpy())
    np.testing.assert_allclose(by_site.mean(), data["y"].mean())
    np.testing.assert_allclose(by_site.std(ddof=1), fit.pooled_sd)
    assert variance_share(out, data["site"].tolist()) == pytest.approx(0, abs=1e-12)


def test_agrees_with_combat_written_out_from_a_statsmodels_fit() -> None:
    data = _data()
    x = data[["age"]].to_numpy()
    ours = fit_location_scale(data["y"].to_numpy(), data["site"].tolist(), x)
    theirs = smf.ols("y ~ 0 + site + age", data).fit()
    sizes = data["site"].value_counts().sort_index().to_numpy()
    grand = (theirs.params.iloc[:3].to_numpy() * sizes).sum() / sizes.sum()
    sigma = np.sqrt((theirs.resid**2).mean())
    z = (data["y"] - grand - theirs.params["age"] * data["age"]) / sigma
    gamma, delta = (
        z.groupby(data["site"]).transform("mean"),
        z.groupby(data["site"]).transform("std"),
    )
    expected = (z - gamma) / delta * sigma + grand + theirs.params["age"] * data["age"]
    out = harmonised(ours, data["y"].to_numpy(), data["site"].tolist(), x)
    np.testing.assert_allclose(out, expected)


def _cohort(make_long: MakeLong, data: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    rows = [
        {"subject": f"{i}", "site": r.site, "value": r.y} for i, r in enumerate(data.itertuples())
    ]
    group = data["group"] if "group" in data else pd.Series(["HC"] * len(data))
    columns = {"age": [str(a) for a in data["age"]], "group": group.tolist()}
    scores = pd.concat([
        pd.DataFrame({"subject": [str(i) for i in range(len(data))], "variable": k, "value": v})
        for k, v in columns.items()
    ], ignore_index=True).assign(dataset="a", person="", session="", time_point="")  # fmt: skip
    return make_long(rows), scores.astype("str")


def _run(make_long: MakeLong, data: pd.DataFrame, **spec: Any) -> Any:
    cohort, scores = _cohort(make_long, data)
    declared = {"name": "h", "kind": "harmonisation", "group": "group", "fit_on": ["HC"], **spec}
    return run_analysis(declared, cohort, scores)


def test_patients_move_by_what_the_controls_of_their_site_say(make_long: MakeLong) -> None:
    data = _data()
    data["group"] = np.where(np.arange(36) % 4 == 3, "MS", "HC")
    data.loc[data["group"] == "MS", "y"] -= 8
    result = _run(make_long, data, covariates=["age"])
    table = result.table.set_index("person")
    assert set(table["fitted_on"]) == {"yes", "no"}
    controls = data[data["group"] == "HC"]
    x = controls[["age"]].to_numpy()
    fit = fit_location_scale(controls["y"].to_numpy(), controls["site"].tolist(), x)
    everyone = harmonised(
        fit, data["y"].to_numpy(), data["site"].tolist(), data[["age"]].to_numpy()
    )
    ours = table["harmonised"].reindex([f"a/{i}" for i in range(36)])
    np.testing.assert_allclose(ours, everyone)
    assert table["site_share_harmonised"].iloc[0] < table["site_share_raw"].iloc[0]
    assert result.params["fits"][0]["sites"] == ["a", "b", "c"]
    np.testing.assert_allclose(table["raw"].reindex([f"a/{i}" for i in range(36)]), data["y"])


def test_a_site_without_controls_keeps_its_raw_value_only(make_long: MakeLong) -> None:
    data = _data()
    data["group"] = np.where(data["site"] == "c", "MS", "HC")
    table = _run(make_long, data).table
    lost = table[table["site"] == "c"]
    assert set(lost["flag"]) == {"undefined"}
    assert lost["harmonised"].isna().all()
    assert lost["raw"].notna().all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"site": "a"}, "1 site"),
        ({"group": "MS"}, "nobody with group"),
        ({"y": 1.0}, "constant"),
    ],
)
def test_it_is_refused_with_a_reason(
    make_long: MakeLong, change: dict[str, Any], words: str
) -> None:
    table = _run(make_long, _data().assign(**change)).table
    assert table["flag"].tolist() == ["undefined"]
    assert words in table["reason"].iloc[0]


def test_few_persons_travellers_and_confounding_are_refused(make_long: MakeLong) -> None:
    data = _data()
    few = _run(make_long, data[data["site"].ne("b") | (data.index < 14)].reset_index(drop=True))
    assert "2 persons at b" in few.table["reason"].iloc[0]
    cohort, scores = _cohort(make_long, data)
    cohort.loc[[0, 30], "person"] = "T"
    spec = {"name": "h", "kind": "harmonisation", "group": "group", "fit_on": ["HC"]}
    assert "travelling" in run_analysis(spec, cohort, scores).table["reason"].iloc[0]
    by_site = (data["site"] == "a").to_numpy(dtype=float)[:, None]
    people = [str(i) for i in range(36)]
    found = reason_against(data["site"].tolist(), people, by_site, data["y"].to_numpy())
    assert "confounded" in found
