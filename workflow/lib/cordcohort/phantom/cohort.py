"""Who takes part in a phantom study and which scans exist: everything but the images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from cordcohort.phantom.acquisition import Pose
from cordcohort.phantom.central_canal import draw_central_canal
from cordcohort.phantom.config import PhantomStudy, damage_levels
from cordcohort.phantom.course import at_compressions, lesions_at
from cordcohort.phantom.frame import build_frame
from cordcohort.phantom.person import Person, draw_person, height_of_level
from cordcohort.phantom.signals import stream
from cordcohort.phantom.sites import COMPRESSIONS, Protocol, Site
from cordcohort.phantom.tensors import damage_profile
from cordcohort.phantom.truth import VERTEBRA_NAMES

TRAVELLER = "traveller"
MAX_LIGHT_TOUCH = 112.0
MAX_LEMS = 50.0
TOUCH_LOSS = 70.0
PINPRICK_LOSS = 80.0
LEMS_LOSS = 40.0
SCORE_SD = 3.0
RECOVERY = 0.15
"""Share of the damage's effect on the scores that is gone at each further session."""
DAYS_BETWEEN_SESSIONS = 90


@dataclass(frozen=True)
class Participant:
    """One subject of one dataset.

    Attributes
    ----------
    site : Site
        Where.
    subject : str
        Label without `sub-`.
    person_id : str
        The same wherever one person was scanned.
    person : Person
        Shape.
    group : str
        patient or control.
    sessions : tuple of str
        Labels without `ses-`.
    region : str
        Part of the cord in the middle of the field of view.
    """

    site: Site
    subject: str
    person_id: str
    person: Person
    group: str
    sessions: tuple[str, ...]
    region: str = "cervical"


@dataclass(frozen=True)
class PlannedScan:
    """One image to make: who, when, with which protocol."""

    participant: Participant
    session: str
    protocol: Protocol
    run: str

    @property
    def datatype(self) -> str:
        """BIDS folder: anat or dwi."""
        return "dwi" if self.protocol.contrast == "dwi" else "anat"

    @property
    def folder(self) -> str:
        """Folder inside the dataset, with forward slashes."""
        return f"sub-{self.participant.subject}/ses-{self.session}/{self.datatype}"

    @property
    def stem(self) -> str:
        """BIDS name without extension."""
        parts = [f"sub-{self.participant.subject}", f"ses-{self.session}"]
        if self.protocol.acquisition:
            parts.append(f"acq-{self.protocol.acquisition}")
        if self.protocol.average:
            parts.append("rec-average")
        if self.run:
            parts.append(f"run-{self.run}")
        suffix = {"MTon": "mt-on_MTS", "MToff": "mt-off_MTS"}
        return "_".join([*parts, suffix.get(self.protocol.contrast, self.protocol.contrast)])

    @property
    def key(self) -> str:
        """Name of the scan within the study: the seed of its own random numbers."""
        return f"{self.participant.site.name}/{self.stem}"


@lru_cache(maxsize=8)
def participants(study: PhantomStudy) -> tuple[Participant, ...]:
    """All participants, site by site.

    Parameters
    ----------
    study : PhantomStudy
        The configuration.

    Returns
    -------
    tuple of Participant
        The travelling person, if any, is the last of each site.

    Examples
    --------
    >>> [p.subject for p in participants(PhantomStudy())][:5]
    ['01', '02', '03', '04', '01']
    """
    found: list[Participant] = []
    counted = 0
    for site in study.sites:
        for number in range(1, site.subjects + 1):
            travels = study.traveller and site.visited and number == site.subjects
            subject = f"{site.prefix}{number:02d}"
            person_id = TRAVELLER if travels else f"{site.name}{number:02d}"
            patient = not travels and _chosen(counted, study.patient_share)
            returns = travels or _chosen(number, study.returning_share)
            counted += not travels
            regions = site.regions or (study.region,)
            region = regions[(number - 1) % len(regions)]
            if patient:
                person = _draw(study, person_id, counted, site.damage, region)
            else:
                person = _healthy(study, person_id, region)
            n_sessions = site.sessions or (study.sessions if returns else 1)
            sessions = tuple(str(k) for k in range(1, n_sessions + 1))
            group = "patient" if patient else "control"
            found.append(Participant(site, subject, person_id, person, group, sessions, region))
    return tuple(found)


def _chosen(number: int, share: float) -> bool:
    """Whether the number-th of a row belongs to a share of it, spread evenly."""
    return int((number + 1) * share) > int(number * share)


def _healthy(study: PhantomStudy, person_id: str, region: str) -> Person:
    """Draw a control; an open canal lies where patients of the region have their lesions."""
    hard = study.difficulty
    someone = draw_person(stream(study.seed, "person", person_id), distractors=hard.distractors)
    rng = stream(study.seed, "central canal", person_id)
    if rng.random() >= hard.central_canal_share:
        return someone
    middle = height_of_level(someone.vertebra_mm, float(np.mean(damage_levels(region))))
    return replace(someone, central_canal=draw_central_canal(rng, middle))


def _draw(study: PhantomStudy, person_id: str, number: int, damage: str, region: str) -> Person:
    """A patient: compressed, with lesions, or both; as the site has them, or a mixture."""
    hard = study.difficulty
    compressed = _chosen(number, hard.compression_share)
    lesioned = _chosen(number, hard.lesion_share) or not compressed
    if damage:
        compressed, lesioned = damage == COMPRESSIONS, True
    person = draw_person(
        stream(study.seed, "person", person_id),
        compression=compressed,
        lesion=lesioned,
        implant=_chosen(number, hard.implant_share),
        distractors=hard.distractors,
        lesion_diameter_mm=hard.lesion_diameter_mm,
        levels=damage_levels(region),
    )
    return at_compressions(person) if damage == COMPRESSIONS else person


def planned_scans(study: PhantomStudy) -> Iterator[PlannedScan]:
    """Every scan that exists, in the order of sites, subjects, sessions and protocols."""
    for one in participants(study):
        for session in one.sessions:
            for protocol in study.protocols:
                if protocol.sessions and int(session) > protocol.sessions:
                    continue
                if protocol.sites and one.site.name not in protocol.sites:
                    continue
                for run in range(1, protocol.runs + 1):
                    label = str(run) if protocol.runs > 1 else ""
                    scan = PlannedScan(at_session(study, one, session), session, protocol, label)
                    if not _is_missing(study, scan):
                        yield scan


def at_session(study: PhantomStudy, one: Participant, session: str) -> Participant:
    """A participant as of a session: lesions grow, shrink, go and come."""
    hard = study.difficulty
    if session == "1" or (not hard.lesion_growth_sd and not hard.lesion_turnover):
        return one
    rngs = [stream(study.seed, "course", one.person_id, str(k)) for k in range(2, int(session) + 1)]
    return replace(one, person=lesions_at(one.person, rngs, hard, damage_levels(one.region)))


def _is_missing(study: PhantomStudy, scan: PlannedScan) -> bool:
    one = scan.participant
    name = f"{one.site.name}/{one.subject}/{scan.session}/{scan.protocol.contrast}"
    by_chance = stream(study.seed, "missing", scan.key).random() < study.missing_share
    return name in study.missing or bool(by_chance)


def pose_of(study: PhantomStudy, scan: PlannedScan) -> Pose:
    """How the person lies in this session: the same for all scans of the session."""
    one, hard = scan.participant, study.difficulty
    rng = stream(study.seed, "pose", one.site.name, one.subject, scan.session)
    rx, ry, rz = (float(v) * hard.rotation_sd_deg for v in rng.standard_normal(3))
    dx, dy, dz = (float(v) * hard.shift_sd_mm for v in rng.standard_normal(3))
    return Pose((rx, ry, rz), (dx, dy, dz))


def scale_of(study: PhantomStudy, site: Site) -> float:
    """True size of a millimetre on a site's images."""
    rng = stream(study.seed, "scale", site.name)
    return 1.0 + study.difficulty.site_scale_sd * float(np.clip(rng.standard_normal(), -2, 2))


def damage_of(person: Person) -> float:
    """Worst damage along the cord, 0 to 1."""
    z = build_frame(person).columns["z"].astype(float)
    return float(damage_profile(person, z).max())


def scores(study: PhantomStudy, one: Participant, session: str) -> dict[str, float]:
    """Clinical scores at a session: they fall with damage and recover a little with time."""
    rng = stream(study.seed, "scores", one.person_id, session)
    damage = damage_of(one.person) * (1.0 - RECOVERY) ** (int(session) - 1)
    noise = rng.standard_normal(3) * SCORE_SD
    raw = {
        "light_touch": (MAX_LIGHT_TOUCH, TOUCH_LOSS),
        "pinprick": (MAX_LIGHT_TOUCH, PINPRICK_LOSS),
        "lems": (MAX_LEMS, LEMS_LOSS),
    }
    found: dict[str, float] = {}
    for (name, (highest, loss)), deviation in zip(raw.items(), noise, strict=True):
        value = highest - loss * damage - abs(float(deviation))
        found[name] = float(np.clip(np.round(value), 0.0, highest))
    return found


def participant_row(study: PhantomStudy, one: Participant) -> dict[str, Any]:
    """The row of participants.tsv; scores are those of the first session."""
    rng = stream(study.seed, "participant", one.person_id)
    patient = one.group == "patient"
    age, sex = int(rng.integers(22, 76)), str(rng.choice(["F", "M"]))
    days = int(rng.integers(3, 900))
    person = one.person
    origin = "compressive" if person.compressions else _origin(study, one)
    row: dict[str, Any] = {
        "participant_id": f"sub-{one.subject}",
        "person_id": one.person_id,
        "site": one.site.reported_as or one.site.name,
        "vendor": one.site.manufacturer,
        "field_strength_t": one.site.field_strength_t,
        "age": age,
        "sex": sex,
        "group": one.group,
        "lesion_origin": origin if patient else "n/a",
        "injury_level": injury_level(person) or "n/a",
        "days_since_injury": days if patient else "n/a",
        "implants": "yes" if person.implant_levels else "no",
    }
    if any(site.split for site in study.sites):
        row["split"] = one.site.split or "n/a"
    if any(site.regions for site in study.sites):
        row["cord_region"] = one.region
    return row | scores(study, one, one.sessions[0])


def _origin(study: PhantomStudy, one: Participant) -> str:
    """Origin of a lesion without compression: the same for a person wherever scanned."""
    if len(study.origins) == 1:
        return study.origins[0]
    return str(stream(study.seed, "origin", one.person_id).choice(list(study.origins)))


def session_rows(study: PhantomStudy, one: Participant) -> list[dict[str, Any]]:
    """Rows of a subject's sessions.tsv: time point and scores."""
    names = ("baseline", *(f"followup{k}" for k in range(1, len(one.sessions))))
    rows = []
    for name, session in zip(names, one.sessions, strict=True):
        since = DAYS_BETWEEN_SESSIONS * (int(session) - 1)
        row = {"session_id": f"ses-{session}", "time_point": name, "days_since_baseline": since}
        rows.append(row | scores(study, one, session))
    return rows


def injury_level(person: Person) -> str:
    """Vertebral level of the worst damage, empty for a healthy person."""
    if not person.compressions and not person.lesions:
        return ""
    columns = build_frame(person).columns
    worst = int(np.argmax(damage_profile(person, columns["z"].astype(float))))
    number = int(np.clip(np.floor(columns["level"][worst]), 1, len(VERTEBRA_NAMES)))
    return VERTEBRA_NAMES[number - 1]


def without_damage(person: Person) -> Person:
    """The same person before any damage."""
    return replace(person, compressions=(), lesions=(), implant_levels=())
