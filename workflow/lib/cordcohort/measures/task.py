"""What one scan is measured from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cordcohort.model_uses import ModelUse


@dataclass(frozen=True)
class Task:
    """One scan to measure.

    Attributes
    ----------
    scan : mapping
        Row of the index (its scan key is used).
    masks : sequence of mappings
        ``method, structure, kind, path, status, reason`` each: those of the index and, alike, what
        the models' records say (status ``ok``, ``failed`` or ``no_cord``).
    output : str
        Where the table will be written.
    image : str
        The image that masks must lie on; "" where there is none.
    maps : mapping
        For regions: ``fa, md, ad, rd`` to file.
    maps_reason : str
        For regions: why there are no maps.
    maps_values, maps_warnings
        For regions: quality of the tensor fit, and what to know of it.
    models : sequence of ModelUse
        For resolution: the models that segmented the scan at each voxel size.
    """

    scan: Mapping[str, Any]
    masks: Sequence[Mapping[str, Any]]
    output: str
    image: str = ""
    maps: Mapping[str, str] = field(default_factory=dict)
    maps_reason: str = ""
    maps_values: Mapping[str, float] = field(default_factory=dict)
    maps_warnings: Sequence[str] = ()
    models: Sequence[ModelUse] = ()
