"""Planning: power of a two-arm multi-site study by simulation from variance components."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

ALLOCATIONS = ("within_sites", "between_sites")
MIN_PER_ARM_AND_SITE = 2


@dataclass(frozen=True)
class Design:
    """A two-arm study.

    Parameters
    ----------
    n_sites : int
    n_per_arm : int
        Persons in each arm, over all sites.
    n_scans : int
        Scans a person, averaged.
    allocation : {'within_sites', 'between_sites'}
        Both arms at every site, or each site in one arm.
    """

    n_sites: int
    n_per_arm: int
    n_scans: int = 1
    allocation: str = "within_sites"


def power(
    design: Design, effect: float, sds: dict[str, float], *, alpha: float, n_simulations: int,
    seed: int,
) -> tuple[float, float]:  # fmt: skip
    """Share of simulated studies that find the effect, and its Monte Carlo standard error.

    Both arms at every site: analysis of variance with site as a factor. Each site in one arm: t
    test of site means, since the site is then the unit.

    Parameters
    ----------
    design : Design
    effect : float
        Difference between the arms, in the unit of the measure.
    sds : dict
        ``person``, ``site`` and ``residual`` standard deviations, in the same unit.
    alpha : float
    n_simulations, seed : int

    Examples
    --------
    >>> sds = {"person": 5.0, "site": 2.0, "residual": 1.0}
    >>> found, error = power(Design(5, 50), 0.0, sds, alpha=0.05, n_simulations=2000, seed=1)
    >>> bool(abs(found - 0.05) < 3 * error)
    True
    """
    rng = np.random.default_rng(seed)
    of_person = math.hypot(sds["person"], sds["residual"] / math.sqrt(design.n_scans))
    if design.allocation == "within_sites":
        p_values = _within(rng, design, effect, of_person, n_simulations)
    else:
        p_values = _between(rng, design, effect, (of_person, sds["site"]), n_simulations)
    found = float((p_values < alpha).mean())
    return found, math.sqrt(max(found * (1 - found), 1 / n_simulations) / n_simulations)


def _within(
    rng: np.random.Generator, design: Design, effect: float, sd: float, n_simulations: int
) -> np.ndarray:
    """P of the arm in ``y = arm + site + error``, from its sufficient statistics.

    The site effect cancels in each site's difference, so sites enter by their degrees of freedom.
    """
    sizes = np.full(design.n_sites, design.n_per_arm // design.n_sites)
    sizes[: design.n_per_arm % design.n_sites] += 1
    sizes = sizes[sizes > 0]
    weights = sizes / sizes.sum()
    noise = rng.normal(size=(n_simulations, len(sizes))) * sd * np.sqrt(2 / sizes)
    estimate = effect + noise @ weights
    df = 2 * int(sizes.sum()) - len(sizes) - 1
    gap = noise - (noise @ weights)[:, None]
    # residual of the additive model: within cells, and the site-by-arm differences
    within = rng.chisquare(2 * int(sizes.sum()) - 2 * len(sizes), n_simulations) * sd**2
    rss = within + (gap**2 * sizes / 2).sum(axis=1)
    se = np.sqrt(rss / df * 2 / sizes.sum())
    return 2 * stats.t.sf(np.abs(estimate / se), df)


def _between(
    rng: np.random.Generator, design: Design, effect: float, sds: tuple[float, float],
    n_simulations: int,
) -> np.ndarray:  # fmt: skip
    half = design.n_sites // 2
    of_person, of_site = sds
    n_each = design.n_per_arm / half
    sd = math.hypot(of_site, of_person / math.sqrt(n_each))
    arms = [rng.normal(0, sd, (n_simulations, half)) + shift for shift in (effect, 0.0)]
    gap = arms[0].mean(axis=1) - arms[1].mean(axis=1)
    pooled = (arms[0].var(axis=1, ddof=1) + arms[1].var(axis=1, ddof=1)) / 2
    return 2 * stats.t.sf(np.abs(gap / np.sqrt(2 * pooled / half)), 2 * half - 2)


def reason_against(design: Design) -> str:
    """Why a design cannot be analysed; empty when it can."""
    if design.allocation == "between_sites":
        if design.n_sites < 4 or design.n_sites % 2:  # noqa: PLR2004 - two sites an arm
            return f"{design.n_sites} sites: each arm needs the same number, at least two"
        if design.n_per_arm < design.n_sites // 2:
            return "fewer persons than sites in an arm"
    elif design.n_per_arm < MIN_PER_ARM_AND_SITE * design.n_sites:
        return f"fewer than {MIN_PER_ARM_AND_SITE} persons an arm and site"
    return ""
