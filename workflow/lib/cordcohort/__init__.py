"""cordcohort: multi-centre spinal cord MRI studies from BIDS to report.

The data's way, and the sub-packages in its order: ``bids`` -> ``segmentation`` -> ``measures`` ->
``cohort`` -> ``statistics`` -> ``report``, with ``images`` (images derived from images),
``training`` and ``phantom`` beside them. Nothing in here knows the workflow engine.
"""

__version__ = "0.1.0"
