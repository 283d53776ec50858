"""All kinds of analyses: importing this module registers them."""

from __future__ import annotations

from cordcohort.statistics import (
    agreement,
    components,
    contrast_study,
    correlation,
    dependent,
    groups,
    harmonisation,
    level_tables,
    method_comparison,
    models,
    normality,
    paired,
    planning,
    region_study,
    reliability,
    repeated,
    score_table,
    variability,
    variant_curve,
)
from cordcohort.statistics.registry import check_analyses, check_analysis, kinds

MODULES = (
    agreement, components, contrast_study, correlation, dependent, groups, harmonisation,
    level_tables, method_comparison, models, normality, paired, planning, region_study,
    reliability, repeated, score_table, variability, variant_curve,
)  # fmt: skip

__all__ = ["MODULES", "check_analyses", "check_analysis", "kinds"]
