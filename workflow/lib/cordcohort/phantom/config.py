"""Configuration of a phantom study. The defaults are the demo: small, quick, and complete.

Everything that makes a study easy or hard is in `Difficulty`, so that it is written down before
anything is trained or measured, and can be printed with every figure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, get_args, get_origin, get_type_hints

from cordcohort.errors import ConfigError
from cordcohort.phantom.rater import Rater
from cordcohort.phantom.signals import CONTRASTS
from cordcohort.phantom.sites import DAMAGES, Protocol, Site

REGIONS_OF_CORD = {"cervical": 5.2, "thoracic": 13.0, "lumbar": 19.6}
"""Region to the level in the middle of the field of view."""
DAMAGE_REACH_LEVELS = 1.2


@dataclass(frozen=True)
class Difficulty:
    """What makes the study hard; shares are of patients, spreads are standard deviations.

    From one session to the next a lesion's radii change by a factor of spread `lesion_growth_sd`;
    with the probability `lesion_turnover` one is gone, and with the same one appears.
    ``central_canal_share`` alone is of the controls: a canal that shows looks like a lesion.
    """

    compression_share: float = 0.5
    lesion_share: float = 0.7
    implant_share: float = 1.0 / 3.0
    central_canal_share: float = 0.0
    lesion_diameter_mm: tuple[float, float] = (2.0, 9.0)
    lesion_cnr: tuple[float, float] = (1.0, 6.0)
    fa_sd: float = 0.06
    site_scale_sd: float = 0.01
    rotation_sd_deg: float = 2.0
    shift_sd_mm: float = 3.0
    off_centre_mm: float = 3.0
    distractors: int = 4
    motion_mm: float = 0.0
    lesion_growth_sd: float = 0.0
    lesion_turnover: float = 0.0


@dataclass(frozen=True)
class Diffusion:
    """Gradient table of the diffusion series."""

    n_b0: int = 4
    n_directions: int = 12
    b_value: float = 800.0


DEMO_SITES = (
    Site("amsterdam", "Siemens", "Prisma", axes="RAS", volume_axes="PIR", tilt=True),
    Site("boston", "Philips", "Ingenia", subjects=3, axes="LAS", volume_axes="RAS"),
    Site("cordoba", "GE", "SIGNA", subjects=3, prefix="c", axes="LPS", volume_axes="LPS"),
)
DEMO_PROTOCOLS = (
    Protocol("T2w", (56, 72, 88), (1.0, 1.0, 1.0), rater_2=True),
    Protocol("T2starw", (96, 96, 14), (0.6, 0.6, 3.5), snr=18.0),
    Protocol("T1w", (56, 72, 72), (1.0, 1.0, 1.0), sessions=1),
    Protocol("dwi", (44, 44, 10), (0.9, 0.9, 5.0), sessions=1, snr=18.0),
)


@dataclass(frozen=True)
class PhantomStudy:
    """A whole study.

    Attributes
    ----------
    name : str
        Of the study, in the datasets' descriptions.
    seed : int
        Decides everything.
    region : str
        cervical, thoracic or lumbar.
    sites, protocols : tuple
        Who scans, and what.
    traveller : bool
        Whether the last subject of every site is one and the same healthy person.
    patient_share : float
        Share of the other people who are patients.
    sessions : int
        Sessions of the people who come back.
    returning_share : float
        Share of people with more than one session.
    missing : tuple of str
        Scans that do not exist: `site/subject/session/contrast`.
    missing_share : float
        Share of scans that are missing besides, at random.
    manual_share : float
        Share of scans with masks of the first rater.
    level_labels, rootlet_labels : bool
        Whether discs and vertebrae, and rootlets, are labelled.
    raters : tuple of Rater
        The first and the second rater; further ones draw rootlets only.
    difficulty : Difficulty
        See there.
    diffusion : Diffusion
        See there.
    lesion_masks_of_all : bool
        Raters say of everyone whether there is a lesion: who has none gets an empty mask, and the
        second rater draws lesions too.
    origins : tuple of str
        Origin of lesions without compression, as the sheets report it; one is drawn for a person.
    bad_input : bool
        Adds subjects whose files cannot be used, one fault each, to the last site.

    Examples
    --------
    >>> study_from_dict({"seed": 3, "difficulty": {"fa_sd": 0.08}}).difficulty.fa_sd
    0.08
    """

    name: str = "phantom demo"
    seed: int = 2026
    region: str = "cervical"
    sites: tuple[Site, ...] = DEMO_SITES
    protocols: tuple[Protocol, ...] = DEMO_PROTOCOLS
    traveller: bool = True
    patient_share: float = 0.6
    sessions: int = 2
    returning_share: float = 0.5
    missing: tuple[str, ...] = ("boston/02/1/T1w", "cordoba/c01/1/dwi", "amsterdam/01/2/T2starw")
    missing_share: float = 0.0
    manual_share: float = 1.0
    level_labels: bool = True
    rootlet_labels: bool = True
    raters: tuple[Rater, ...] = (
        Rater("rater-1", 1.0),
        Rater("rater-2", 1.015, shift_sd_mm=0.15, magnification_sd=0.02),
    )
    difficulty: Difficulty = field(default_factory=Difficulty)
    diffusion: Diffusion = field(default_factory=Diffusion)
    lesion_masks_of_all: bool = False
    origins: tuple[str, ...] = ("traumatic",)
    bad_input: bool = False

    @property
    def centre_level(self) -> float:
        """Level in the middle of the usual field of view."""
        return REGIONS_OF_CORD[self.region]


def damage_levels(region: str) -> tuple[float, float]:
    """Levels among which damage is placed in a part of the cord: inside the usual view."""
    middle = REGIONS_OF_CORD[region]
    return middle - DAMAGE_REACH_LEVELS, middle + DAMAGE_REACH_LEVELS


def study_from_dict(values: Mapping[str, Any], where: str = "phantom config") -> PhantomStudy:
    """Build a study's configuration from a mapping, as read from YAML.

    Parameters
    ----------
    values : mapping
        Keys of `PhantomStudy`; what is missing takes the demo's value.
    where : str
        File name for error messages.

    Returns
    -------
    PhantomStudy
        Checked.

    Raises
    ------
    ConfigError
        For an unknown key or a value of the wrong kind, naming the key.
    """
    study = _build(PhantomStudy, values, "", where)
    _check(study, where)
    return study


def _build(kind: Any, values: Any, key: str, where: str) -> Any:
    """A dataclass from a mapping, refusing unknown keys."""
    if not isinstance(values, Mapping):
        raise ConfigError(key, values, "a mapping of keys", "indent the keys below it", where)
    hints = get_type_hints(kind)
    known = [one.name for one in fields(kind)]
    for name in values:
        if name not in known:
            way_out = f"use one of {', '.join(known)}"
            raise ConfigError(_join(key, str(name)), values[name], "a known key", way_out, where)
    built = {n: _convert(hints[n], v, _join(key, n), where) for n, v in values.items()}
    try:
        return kind(**built)
    except TypeError as error:
        raise ConfigError(key, values, "all keys of its kind", str(error), where) from error


def _convert(kind: Any, value: Any, key: str, where: str) -> Any:
    if is_dataclass(kind):
        return _build(kind, value, key, where)
    if get_origin(kind) is tuple:
        return _convert_tuple(kind, value, key, where)
    allowed = (int, float) if kind is float else kind
    if not isinstance(value, allowed) or (isinstance(value, bool) and kind is not bool):
        raise ConfigError(key, value, f"a value of type {kind.__name__}", "change it", where)
    return kind(value)


def _convert_tuple(kind: Any, value: Any, key: str, where: str) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise ConfigError(key, value, "a list", "write it as [a, b, ...]", where)
    inner = get_args(kind)
    if Ellipsis in inner:
        inner = (inner[0],) * len(value)
    if len(inner) != len(value):
        raise ConfigError(key, value, f"{len(inner)} values", "add or remove values", where)
    pairs = enumerate(zip(inner, value, strict=True))
    return tuple(_convert(k, v, f"{key}[{i}]", where) for i, (k, v) in pairs)


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _check(study: PhantomStudy, where: str) -> None:
    if study.region not in REGIONS_OF_CORD:
        choices = ", ".join(REGIONS_OF_CORD)
        raise ConfigError("region", study.region, f"one of {choices}", "choose one", where)
    for i, protocol in enumerate(study.protocols):
        if protocol.contrast not in CONTRASTS:
            key, choices = f"protocols[{i}].contrast", ", ".join(CONTRASTS)
            raise ConfigError(key, protocol.contrast, f"one of {choices}", "choose one", where)
        if min(protocol.shape) < 1 or min(protocol.spacing_mm) <= 0.0:
            raise ConfigError(
                f"protocols[{i}]",
                (protocol.shape, protocol.spacing_mm),
                "at least one voxel an axis and a positive spacing",
                "correct shape or spacing_mm",
                where,
            )
    fewest = max([2, *(site.rootlet_raters for site in study.sites)])
    if len(study.raters) < fewest:
        raise ConfigError("raters", len(study.raters), f"{fewest} raters", "describe more", where)
    names = [site.name for site in study.sites]
    if len(set(names)) != len(names) or not names:
        raise ConfigError("sites", names, "at least one site, all names different", "rename", where)
    _check_sites(study, where)


def _check_sites(study: PhantomStudy, where: str) -> None:
    """What sites and protocols name of one another and of closed lists."""
    names = [site.name for site in study.sites]
    chosen = [
        *((f"sites[{i}].regions", s.regions, REGIONS_OF_CORD) for i, s in enumerate(study.sites)),
        *((f"sites[{i}].damage", (s.damage,), DAMAGES) for i, s in enumerate(study.sites)),
        *((f"protocols[{i}].sites", p.sites, names) for i, p in enumerate(study.protocols)),
    ]
    for key, values, known in chosen:
        if not set(values) <= set(known):
            expected = f"of {', '.join(k or 'nothing' for k in known)}"
            raise ConfigError(key, values, expected, "choose of these", where)
