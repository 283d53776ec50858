"""Declared analyses: each a function from the long table to a tidy result table.

Nothing is imported here, so that one module (limits of agreement, say) can be used where the
libraries of the others are not installed; :mod:`cordcohort.statistics.catalogue` has all kinds.
"""
