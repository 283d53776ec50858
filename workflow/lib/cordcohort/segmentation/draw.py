"""One scan through one model, whatever draws: networks or the classical baseline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from cordcohort.nifti import Image
from cordcohort.segmentation.classical import segment_classical
from cordcohort.segmentation.infer import Segmentation, segment_volume
from cordcohort.segmentation.lesion import LESION, segment_lesions
from cordcohort.segmentation.regions import REGIONS, segment_regions
from cordcohort.segmentation.registry import CLASSICAL, NETWORK, Model
from cordcohort.segmentation.rootlets import ROOTLETS, segment_rootlets

Drawn = dict[str, Segmentation]
CORD = "cord"


def segment_image(
    model: Model, image: Image, *, batch_size: int = 32, mirror: bool = False
) -> Drawn:
    """Masks of one scan by a model of the registry.

    Parameters
    ----------
    model : Model
        Loaded; its card names the backend and the task.
    image : Image
        Verified 3-D image of any orientation.
    batch_size : int
        Slices per network call; halved where a GPU has no room for them.
    mirror : bool
        Average with the left-right mirrored scan. The classical baseline takes no average: a mask
        that it draws is binary.

    Returns
    -------
    dict of str to Segmentation
        One for each structure that the model's task has, on the axes of ``image``; ``soft`` is
        ``None`` where a method draws binary masks.

    Raises
    ------
    torch.cuda.OutOfMemoryError
        If a GPU has no room for a single slice or block.
    """
    if model.drawer is not None:  # of another backend, which sees to its batches itself
        return model.drawer(image, mirror)
    return _DRAWERS[model.backend, str(model.card["task"])](model, image, batch_size, mirror)


def _cord(model: Model, image: Image, batch_size: int, mirror: bool) -> Drawn:
    return {CORD: segment_volume(model, image, batch_size=batch_size, mirror=mirror)}


def _classical(model: Model, image: Image, batch_size: int, mirror: bool) -> Drawn:
    found = segment_classical(image)
    drawn = replace(image, data=found.mask).canonical().data.any(axis=(0, 1))
    n_slices = int(np.count_nonzero(drawn))
    return {CORD: Segmentation(None, found.mask, found.status, found.reason, n_slices)}


_DRAWERS: dict[tuple[str, str], Callable[[Model, Image, int, bool], Drawn]] = {
    (NETWORK, CORD): _cord,
    (NETWORK, LESION): segment_lesions,
    (NETWORK, REGIONS): segment_regions,
    (NETWORK, ROOTLETS): segment_rootlets,
    (CLASSICAL, CORD): _classical,
}
