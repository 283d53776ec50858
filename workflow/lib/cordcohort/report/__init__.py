"""The report: one index page that opens offline, a page a subject, figures, tables and methods.

Three functions make it, so that a scheduler can spread the work: :func:`subject_pictures` draws
the masks of a batch of scans, :func:`build_subject_pages` writes the page of each subject, and
:func:`build_index_page` the index with its figures and tables. :func:`build_report` calls all.
"""

from __future__ import annotations

from cordcohort.report.build import (
    build_index_page,
    build_report,
    build_subject_pages,
    subject_pictures,
)

__all__ = ["build_index_page", "build_report", "build_subject_pages", "subject_pictures"]
