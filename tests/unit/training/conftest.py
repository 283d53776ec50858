"""A cord that needs no data: an ellipse with grey matter in a round canal."""

from __future__ import annotations

import numpy as np
import pytest
from cordcohort.training.sources import STACK_PIXEL_MM, STACK_PIXELS, CordStack


@pytest.fixture(scope="session")
def oval() -> CordStack:
    """Cord 12 x 8 mm, grey matter 4 x 3 mm, canal 18 x 14 mm, 60 mm long."""
    axis = (np.arange(STACK_PIXELS) - (STACK_PIXELS - 1) / 2) * STACK_PIXEL_MM
    y, x = np.meshgrid(axis, axis, indexing="ij")

    def ellipse(width: float, height: float) -> np.ndarray:
        return ((x / width * 2) ** 2 + (y / height * 2) ** 2 < 1).astype(np.float32)

    maps = np.stack([ellipse(12, 8), ellipse(4, 3), ellipse(18, 14)])
    return CordStack("oval", np.repeat(maps[:, None], 20, 1), 3.0)
