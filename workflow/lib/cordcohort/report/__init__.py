"""The report: one index page that opens offline, a page a subject, figures, tables and methods.

Three functions of :mod:`cordcohort.report.build` make it, so that a scheduler can spread the work:
``subject_pictures`` draws the masks of a batch of scans, ``build_subject_pages`` writes the page of
each subject, and ``build_index_page`` the index with its figures and tables; ``build_report`` calls
all. Nothing is imported here: the plan of a run asks for names of files, not for a plot library.
"""
