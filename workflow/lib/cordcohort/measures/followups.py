"""Lesions of one person followed from one session to a later one: which is which, and what changed.

The earlier lesions are carried onto the later scan by a rigid registration. The rule, in its order:

1. Lesions (components by faces and edges, within the cord) of ``min_volume_mm3`` or less are left
   out in both sessions.
2. An earlier and a later lesion are the same where they share more than ``min_overlap`` of the
   smaller one. One that shares enough with none is the same as the nearest lesion, if there is one
   within ``tolerance_mm``.
3. Lesions that are the same as one another, directly or through a third, are a group. One without
   an earlier lesion is *new*, one without a later one *gone*. A group that has become fewer has
   *merged*, one that has become more has *split*; of the others the volume (each session's on its
   own grid) has *grown* or *shrunk* by more than ``change``, or is *stable*.
4. A lesion that lies outside the other session's field of view belongs to no group and is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse.csgraph import connected_components

from cordcohort.measures.bridges import Labels

PERCENT = 100.0
NAN = float("nan")
NEW, GONE, MERGED, SPLIT, GROWN, SHRUNK, STABLE = (
    "new", "gone", "merged", "split", "grown", "shrunk", "stable",
)  # fmt: skip
Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class FollowupRule:
    """When two lesions of two sessions are the same, and when one has changed.

    Attributes
    ----------
    min_volume_mm3 : float
        Lesions of this volume or less are left out.
    min_overlap : float
        Share of the smaller lesion that both must hold (strictly more), 0 to 1.
    tolerance_mm : float
        Distance within which lesions that do not share enough are still the same.
    change : float
        Relative change of volume up to which a lesion is stable.
    """

    min_volume_mm3: float = 3.0
    min_overlap: float = 0.10
    tolerance_mm: float = 2.0
    change: float = 0.30


@dataclass(frozen=True)
class Session:
    """Lesions of one session.

    Attributes
    ----------
    labels : array of int, shape (X, Y, Z)
        Number of the lesion in each voxel of the later scan's grid.
    volume_mm3 : array, shape (n + 1,)
        Volume of each lesion on its own scan's grid; place 0 is no lesion.
    """

    labels: Labels
    volume_mm3: Floats


@dataclass(frozen=True)
class Group:
    """Lesions that are the same: their numbers at both sessions, what became of them, volumes."""

    before: tuple[int, ...]
    after: tuple[int, ...]
    state: str
    volume_before_mm3: float
    volume_after_mm3: float

    @property
    def name(self) -> str:
        """Numbers before and after with the state.

        >>> Group((1, 2), (1,), "merged", 9.0, 12.0).name
        '1+2>1 merged'
        """
        sides = ("+".join(map(str, numbers)) or "none" for numbers in (self.before, self.after))
        return f"{'>'.join(sides)} {self.state}"


@dataclass(frozen=True)
class Followup:
    """All groups of two sessions, and how many lesions the other field of view did not show."""

    groups: tuple[Group, ...]
    n_unseen: int


DEFAULT_RULE = FollowupRule()


def follow_lesions(
    before: Session,
    after: Session,
    seen: Flags,
    spacing_mm: tuple[float, float, float],
    rule: FollowupRule = DEFAULT_RULE,
) -> Followup:
    """Match the lesions of two sessions on the later scan's grid.

    Parameters
    ----------
    before, after : Session
    seen : array of bool, shape (X, Y, Z)
        Voxels of the later grid that the earlier scan shows.
    spacing_mm : tuple of float
        Voxel size of the later scan.
    rule : FollowupRule

    Examples
    --------
    >>> old = np.zeros((9, 9, 9), dtype=np.int64); old[1:4, 1:4, 1:4] = 1
    >>> new = np.where(old, 1, 0); new[6:8, 6:8, 6:8] = 2
    >>> sessions = [Session(a, np.bincount(a.ravel()) * 1.0) for a in (old, new)]
    >>> found = follow_lesions(*sessions, np.ones((9, 9, 9), dtype=bool), (1.0, 1.0, 1.0))
    >>> [group.name for group in found.groups]
    ['1>1 stable', 'none>2 new']
    """
    large = [np.flatnonzero(s.volume_mm3 > rule.min_volume_mm3) for s in (before, after)]
    large = [numbers[numbers > 0] for numbers in large]
    on_grid = set(np.unique(before.labels).tolist())
    kept_before = [int(i) for i in large[0] if int(i) in on_grid]
    visible = set(np.unique(after.labels[seen]).tolist())
    kept_after = [int(j) for j in large[1] if int(j) in visible]
    n_unseen = len(large[0]) + len(large[1]) - len(kept_before) - len(kept_after)
    old = np.where(np.isin(before.labels, kept_before), before.labels, 0)
    late = np.where(np.isin(after.labels, kept_after), after.labels, 0)
    same = _same(old, late, spacing_mm, rule)[np.ix_(kept_before, kept_after)]
    groups = [
        _group(members[0], members[1], before.volume_mm3, after.volume_mm3, rule)
        for members in _connected(same, kept_before, kept_after)
    ]
    order = sorted(groups, key=lambda g: (not g.before, g.before, g.after))
    return Followup(tuple(order), n_unseen)


def _same(
    old: Labels, late: Labels, spacing_mm: tuple[float, float, float], rule: FollowupRule
) -> Flags:
    """Which earlier (rows) and later (columns) lesions are the same."""
    width = int(late.max(initial=0)) + 1
    table = np.bincount((old * width + late).ravel(), minlength=(int(old.max()) + 1) * width)
    table = table.reshape(-1, width)
    smaller = np.minimum(table.sum(axis=1)[:, None], table.sum(axis=0)[None, :])
    linked = table > rule.min_overlap * smaller
    linked[0], linked[:, 0] = False, False
    _join_nearest(linked, old, late, spacing_mm, rule.tolerance_mm)
    _join_nearest(linked.T, late, old, spacing_mm, rule.tolerance_mm)
    return linked


def _join_nearest(
    linked: Flags, one: Labels, other: Labels, spacing_mm: tuple[float, float, float], reach: float
) -> None:
    """Link each lesion (row) that is the same as none to the nearest of the other session."""
    alone = [i for i in np.unique(one[one > 0]) if not linked[i].any()]
    if not alone or not other.any():
        return
    found: Any = ndimage.distance_transform_edt(
        other == 0, sampling=spacing_mm, return_indices=True
    )
    distance, nearest = found
    for i in alone:
        inside = np.nonzero(one == i)
        best = int(np.argmin(distance[inside]))
        if distance[inside][best] <= reach:
            place = tuple(axis[inside][best] for axis in nearest)
            linked[i, other[place]] = True


def _connected(
    same: Flags, before: Sequence[int], after: Sequence[int]
) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Numbers before and after of every group."""
    n, m = len(before), len(after)
    graph = sparse.lil_array((n + m, n + m), dtype=np.int8)
    for i, j in zip(*np.nonzero(same), strict=True):
        graph[int(i), n + int(j)] = 1
    n_groups, group = connected_components(graph.tocsr(), directed=False)
    return [
        (
            tuple(before[i] for i in range(n) if group[i] == g),
            tuple(after[j] for j in range(m) if group[n + j] == g),
        )
        for g in range(n_groups)
    ]


def _group(
    before: tuple[int, ...], after: tuple[int, ...], old_mm3: Floats, late_mm3: Floats,
    rule: FollowupRule,
) -> Group:  # fmt: skip
    volumes = float(old_mm3[list(before)].sum()), float(late_mm3[list(after)].sum())
    return Group(before, after, _state(len(before), len(after), *volumes, rule), *volumes)


def _state(n_before: int, n_after: int, before: float, after: float, rule: FollowupRule) -> str:
    if not n_before or not n_after:
        return GONE if n_before else NEW
    if n_before != n_after:
        return MERGED if n_after < n_before else SPLIT
    change = (after - before) / before
    if abs(change) <= rule.change:
        return STABLE
    return GROWN if change > 0 else SHRUNK


def before_mm3(group: Group) -> float:
    """Volume at the earlier session; 0 for a new lesion."""
    return group.volume_before_mm3


def after_mm3(group: Group) -> float:
    """Volume at the later session; 0 for one that is gone."""
    return group.volume_after_mm3


def change_percent(group: Group) -> float:
    """Relative change of volume in percent; NaN for a new lesion."""
    before = group.volume_before_mm3
    return PERCENT * (group.volume_after_mm3 - before) / before if before else NAN


def _count(found: Followup, state: str) -> float:
    return float(sum(group.state == state for group in found.groups))


def new_n(found: Followup) -> float:
    """Number of new lesions."""
    return _count(found, NEW)


def gone_n(found: Followup) -> float:
    """Number of lesions that are gone."""
    return _count(found, GONE)


def merged_n(found: Followup) -> float:
    """Number of groups that have merged."""
    return _count(found, MERGED)


def split_n(found: Followup) -> float:
    """Number of groups that have split."""
    return _count(found, SPLIT)


def grown_n(found: Followup) -> float:
    """Number of groups that have grown."""
    return _count(found, GROWN)


def shrunk_n(found: Followup) -> float:
    """Number of groups that have shrunk."""
    return _count(found, SHRUNK)


def stable_n(found: Followup) -> float:
    """Number of groups that are stable."""
    return _count(found, STABLE)
