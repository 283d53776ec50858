"""The one long table of a study: own measures and those from elsewhere, joined and checked."""

from cordcohort.cohort.exclusion import check_entries, read_entries
from cordcohort.cohort.external import external_scores, read_external, with_external_scores
from cordcohort.cohort.failures import Methods
from cordcohort.cohort.gather import build_cohort
from cordcohort.cohort.known import with_test_persons
from cordcohort.cohort.persons import person_keys
from cordcohort.cohort.scans import scans_table
from cordcohort.cohort.schema import check_long

__all__ = [
    "Methods",
    "build_cohort",
    "check_entries",
    "check_long",
    "external_scores",
    "person_keys",
    "read_entries",
    "read_external",
    "scans_table",
    "with_external_scores",
    "with_test_persons",
]
