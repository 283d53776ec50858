"""What the outputs of an nnU-Net mean: label or region outputs to the structures of a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cordcohort.errors import ConfigError
from cordcohort.model_uses import LESION, LESION_PARTS, masks_of_task
from cordcohort.spinal_names import BINARY, DORSAL_VENTRAL, ROOTLET_CLASSES

BACKGROUND, IGNORE = "background", "ignore"
CODES: Mapping[str, Sequence[int]] = {
    "regions": range(1, 9),
    "rootlets": (*ROOTLET_CLASSES[DORSAL_VENTRAL], *ROOTLET_CLASSES[BINARY]),
}
"""Label maps and the codes that they may hold."""
TOLD = {
    "regions": "a code from 1 to 8",
    "rootlets": "a code from 2 to 9, from 102 to 109 (ventral) or 200 (level not told)",
}
MOST_LABELS = 256
Array = NDArray[Any]


@dataclass(frozen=True)
class Labels:
    """The labels of a ``dataset.json``.

    Attributes
    ----------
    ids
        Name of each foreground label or region to the values of the label map that it covers.
    channels
        The same names in the order of the network's outputs.
    regions
        Whether outputs are nested regions (a sigmoid each) instead of exclusive labels.
    """

    ids: Mapping[str, tuple[int, ...]]
    channels: tuple[str, ...]
    regions: bool


def read_labels(dataset: Mapping[str, Any], where: str) -> Labels:
    """Labels of a ``dataset.json``.

    Raises
    ------
    ConfigError
        No background, values that are no labels, regions without their order.

    Examples
    --------
    >>> dataset = {"labels": {"background": 0, "cord": [1, 2], "lesion": 2},
    ...            "regions_class_order": [1, 2]}
    >>> read_labels(dataset, "dataset.json").ids
    {'cord': (1, 2), 'lesion': (2,)}
    """
    given = dataset.get("labels")
    if not isinstance(given, Mapping) or given.get(BACKGROUND) != 0:
        raise ConfigError("labels", given, "names to values with background 0",
                          "fetch the model again", where)  # fmt: skip
    ids = {
        str(name): _values(str(name), value, where)
        for name, value in given.items()
        if name not in (BACKGROUND, IGNORE)
    }
    regions = any(len(values) > 1 for values in ids.values())
    order = dataset.get("regions_class_order")
    if regions and (not isinstance(order, list) or len(order) != len(ids)):
        raise ConfigError("regions_class_order", order, f"the values of {len(ids)} regions",
                          "fetch the model again", where)  # fmt: skip
    names = tuple(ids) if regions else tuple(sorted(ids, key=ids.__getitem__))
    if not regions and [ids[name] for name in names] != [(i + 1,) for i in range(len(names))]:
        raise ConfigError("labels", dict(given), "labels that count on from 1",
                          "fetch the model again", where)  # fmt: skip
    return Labels(ids, names, regions)


def _values(name: str, value: Any, where: str) -> tuple[int, ...]:
    values = value if isinstance(value, list) else [value]
    good = values and all(type(v) is int and 0 < v < MOST_LABELS for v in values)
    if not good:
        raise ConfigError(f"labels.{name}", value, "a positive whole number or a list of such",
                          "fetch the model again", where)  # fmt: skip
    return tuple(sorted(set(values)))


def check_structures(
    task: str, given: Mapping[str, Any], labels: Labels, key: str
) -> dict[str, dict[int, tuple[str, ...]]]:
    """What each structure of a task is made of: code to names of labels.

    A binary structure has the one code 1 and may join several labels; a label map names one label a
    code. A model of lesions may draw parts of them besides.

    Raises
    ------
    ConfigError
        Structures that are not those of the task, a label that the model does not have, a code
        that the map does not know.

    Examples
    --------
    >>> labels = Labels({"sc": (1, 2), "lesion": (2,)}, ("sc", "lesion"), True)
    >>> check_structures("lesion", {"cord": "sc", "lesion": ["lesion"]}, labels, "structures")
    {'cord': {1: ('sc',)}, 'lesion': {1: ('lesion',)}}
    """
    needed = masks_of_task(task)
    others = LESION_PARTS if task == LESION else ()
    if not set(needed) <= set(given) <= {*needed, *others}:
        also = f"{' and '.join(needed)}{', if it has them ' * bool(others)}{' and '.join(others)}"
        raise ConfigError(key, sorted(given), also,
                          f"name the labels of each structure of the task {task}")  # fmt: skip
    found: dict[str, dict[int, tuple[str, ...]]] = {}
    for structure, made_of in given.items():
        where = f"{key}.{structure}"
        if structure in CODES:
            found[structure] = _codes(structure, made_of, where)
        else:
            found[structure] = {1: tuple([made_of] if isinstance(made_of, str) else made_of)}
        for name in (n for names in found[structure].values() for n in names):
            if name not in labels.ids:
                raise ConfigError(where, name, "one of " + ", ".join(labels.ids),
                                  "name a label of the model's dataset.json")  # fmt: skip
    return found


def _codes(structure: str, made_of: Any, where: str) -> dict[int, tuple[str, ...]]:
    known = CODES[structure]
    codes: dict[int, tuple[str, ...]] = {}
    for code, name in made_of.items() if isinstance(made_of, Mapping) else [(made_of, "")]:
        if not str(code).isdigit() or int(code) not in known or not isinstance(name, str):
            expected = f"{TOLD[structure]} and the name of a label"
            raise ConfigError(where, made_of, expected, "write {code: label, ...}")
        codes[int(code)] = (name,)
    return codes


def mask_of(label_map: Array, made_of: Mapping[int, Sequence[str]], labels: Labels) -> Array:
    """Binary mask or label map of a structure from nnU-Net's own label map, uint8.

    Examples
    --------
    >>> labels = Labels({"sc": (1, 2), "lesion": (2,)}, ("sc", "lesion"), True)
    >>> mask_of(np.array([0, 1, 2]), {1: ("sc",)}, labels)
    array([0, 1, 1], dtype=uint8)
    """
    out = np.zeros(label_map.shape, np.uint8)
    for code, names in made_of.items():
        out[np.isin(label_map, [i for name in names for i in labels.ids[name]])] = code
    return out


def fraction_of(probabilities: Array, names: Sequence[str], labels: Labels) -> Array:
    """Probability of a structure in each voxel, float32, from the network's outputs.

    Of exclusive labels the sum; of nested regions the largest of those inside, which is at least
    0.5 wherever one of them is drawn.

    Parameters
    ----------
    probabilities
        ``(outputs, ...)``; of exclusive labels the first is the background.
    """
    inside = {i for name in names for i in labels.ids[name]}
    chosen = [k for k, name in enumerate(labels.channels) if set(labels.ids[name]) <= inside]
    if labels.regions:
        return probabilities[chosen].max(axis=0).astype(np.float32)
    return probabilities[[k + 1 for k in chosen]].sum(axis=0).clip(0, 1).astype(np.float32)
