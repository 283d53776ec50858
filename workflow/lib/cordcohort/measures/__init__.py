"""From masks and maps to numbers: every measure of one scan as rows of the long table.

``catalogue`` declares each measure once; ``shape``, ``overlap`` and ``regions`` compute; ``kinds``
holds the three entry functions that take a scan and never raise for a fault in its data.
"""
