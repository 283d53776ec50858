"""The course of lesions from session to session, and lesions as a second rater sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cordcohort.phantom.config import Difficulty
from cordcohort.phantom.person import Lesion, Person, draw_lesions, height_of_level
from cordcohort.phantom.rater import Rater

SAME_PLACE_MM = 3.0


def lesions_at(
    person: Person,
    rngs: Sequence[np.random.Generator],
    hard: Difficulty,
    levels: tuple[float, float],
) -> Person:
    """A person some sessions later: each lesion of another size, some gone, some new.

    Parameters
    ----------
    person : Person
        At the first session; one without lesions stays so.
    rngs : sequence of numpy.random.Generator
        One for each step between sessions.
    hard : Difficulty
        Growth and turnover.
    levels : tuple of float
        Where new lesions come, in level units.
    """
    lesions = list(person.lesions)
    if not lesions:
        return person
    for rng in rngs:
        left = [_grown(one, rng, hard.lesion_growth_sd) for one in lesions]
        gone = rng.random(len(left)) < hard.lesion_turnover
        lesions = [one for one, is_gone in zip(left, gone, strict=True) if not is_gone]
        if rng.random() < hard.lesion_turnover:
            lesions += draw_lesions(rng, person.vertebra_mm, levels, hard.lesion_diameter_mm)[:1]
    return replace(person, lesions=tuple(lesions))


def at_compressions(person: Person) -> Person:
    """The same person with lesions where the cord is compressed, as in myelopathy."""
    places = [height_of_level(person.vertebra_mm, one.level) for one in person.compressions]
    moved = [
        replace(lesion, z_mm=z + np.clip(lesion.x_mm, -SAME_PLACE_MM, SAME_PLACE_MM))
        for lesion, z in zip(person.lesions, places, strict=False)
    ]
    return replace(person, lesions=tuple(moved))


def lesions_as_seen(person: Person, rater: Rater, rng: np.random.Generator) -> Person:
    """The same person with lesions as a rater draws them: a little moved, larger or smaller."""
    drawn = []
    for one in person.lesions:
        size = rater.magnification + 3.0 * rater.magnification_sd * rng.standard_normal(3)
        x, y, z = rater.shift_sd_mm * rng.standard_normal(3)
        drawn.append(_scaled(replace(one, x_mm=one.x_mm + x, y_mm=one.y_mm + y, z_mm=one.z_mm + z),
                             size))  # fmt: skip
    return replace(person, lesions=tuple(drawn))


def _grown(lesion: Lesion, rng: np.random.Generator, sd: float) -> Lesion:
    return _scaled(lesion, np.full(3, np.exp(sd * rng.standard_normal())))


def _scaled(lesion: Lesion, size: np.ndarray) -> Lesion:
    return replace(
        lesion,
        radius_x_mm=lesion.radius_x_mm * float(size[0]),
        radius_y_mm=lesion.radius_y_mm * float(size[1]),
        radius_z_mm=lesion.radius_z_mm * float(size[2]),
    )
