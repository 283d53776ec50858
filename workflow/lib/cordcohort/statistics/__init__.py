"""Declared analyses: each a function from the long table to a tidy result table."""

from cordcohort.statistics import (
    agreement,
    components,
    correlation,
    dependent,
    groups,
    harmonisation,
    method_comparison,
    models,
    normality,
    paired,
    planning,
    reliability,
    repeated,
    variability,
)
from cordcohort.statistics.registry import check_analyses, check_analysis, kinds
from cordcohort.statistics.run import AnalysisResult, run_analysis, write_result

# Importing a module of analyses registers them.
MODULES = (
    agreement, components, correlation, dependent, groups, harmonisation, method_comparison,
    models, normality, paired, planning, reliability, repeated, variability,
)  # fmt: skip

__all__ = [
    "MODULES",
    "AnalysisResult",
    "check_analyses",
    "check_analysis",
    "kinds",
    "run_analysis",
    "write_result",
]
