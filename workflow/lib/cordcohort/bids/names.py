"""File names of BIDS images: their entities, and the scan that they belong to.

A scan is identified by subject, session, acquisition, run and contrast (its data set aside). BIDS
knows more entities than these; what else tells two images apart (``flip-2``, ``rec-average``,
``echo-1``) becomes part of ``acquisition``, so that no two images share a key.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

LABEL = re.compile(r"[0-9A-Za-z+]+\Z")
_ENTITY = re.compile(r"([a-zA-Z]+)-([0-9A-Za-z+]+)\Z")
_SUFFIX = re.compile(r"[0-9A-Za-z]+\Z")
MAX_LABEL_CHARS = 64

# Suffixes of images that a cord study can hold. A study adds others by naming them in `contrasts`.
CONTRASTS = frozenset(
    "T1w T2w T2starw T2star PDw PDT2 FLAIR STIR PSIR UNIT1 MP2RAGE MPM MTS MTR IRT1 VFA MEGRE MESE "
    "MTRmap MTsat T1map T2map T2starmap R1map R2map R2starmap PDmap inplaneT1 inplaneT2 dwi".split()
)
_OTHER_NAMES = {"T2star": "T2starw"}

_MT_ACQUISITIONS = {"mton": "MTon", "mtoff": "MToff", "t1w": "T1w"}
_KEY_ENTITIES = frozenset({"sub", "ses", "acq", "run", "mt"})


def contrast_of(name: str) -> str:
    """Name under which a contrast is known here: ``T2star`` is ``T2starw``.

    Examples
    --------
    >>> contrast_of("T2star"), contrast_of("T2w")
    ('T2starw', 'T2w')
    """
    return _OTHER_NAMES.get(name, name)


class NameFaultError(ValueError):
    """Why a file name cannot be matched; the text is the reason shown to the user."""


@dataclass(frozen=True, slots=True)
class BidsName:
    """The parts of ``sub-01_acq-sag_T2w_label-SC_seg``.

    Attributes
    ----------
    entities : dict
        Key to label, up to the suffix, in the order of the name.
    suffix : str
        First part without a hyphen: the contrast as BIDS writes it.
    rest : tuple of str
        Parts after the suffix: the name of a label, empty for an image.
    """

    entities: dict[str, str]
    suffix: str
    rest: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ScanName:
    """What a name says of its scan; all labels without their BIDS prefix."""

    subject: str
    session: str
    acquisition: str
    run: str
    contrast: str
    resolution: str


def valid_label(label: str) -> bool:
    """Whether a BIDS label is safe as part of a path: letters, digits and ``+`` only.

    Examples
    --------
    >>> valid_label("01"), valid_label("a;touch x"), valid_label("../x"), valid_label("")
    (True, False, False, False)
    """
    return len(label) <= MAX_LABEL_CHARS and LABEL.match(label) is not None


def split_extension(name: str) -> tuple[str, str]:
    """Stem and extension of a NIfTI file name; the extension is empty for any other file.

    Examples
    --------
    >>> split_extension("sub-01_T2w.nii.gz"), split_extension("sub-01_T2w.json")
    (('sub-01_T2w', '.nii.gz'), ('sub-01_T2w.json', ''))
    """
    for extension in (".nii.gz", ".nii"):
        if name.endswith(extension):
            return name[: -len(extension)], extension
    return name, ""


def parse_name(stem: str) -> BidsName:
    """Take a file name apart.

    Parameters
    ----------
    stem : str
        Name without extension.

    Raises
    ------
    NameFaultError
        If a part is not ``key-label``, a label holds other characters than ``[0-9A-Za-z+]``, a key
        is there twice, or no suffix tells the contrast.

    Examples
    --------
    >>> parse_name("sub-01_ses-1_T2w_label-SC_seg").rest
    ('label-SC', 'seg')
    """
    parts = stem.split("_")
    entities: dict[str, str] = {}
    for position, part in enumerate(parts):
        if "-" not in part:
            if not _SUFFIX.match(part):
                raise NameFaultError(f"{part!r} is not a BIDS suffix ([0-9A-Za-z]+)")
            return BidsName(entities, part, tuple(parts[position + 1 :]))
        match = _ENTITY.match(part)
        if match is None or len(match[2]) > MAX_LABEL_CHARS:
            raise NameFaultError(f"{part!r} is not a BIDS entity (key-label, label [0-9A-Za-z+]+)")
        if match[1] in entities:
            raise NameFaultError(f"entity {match[1]!r} is there twice")
        entities[match[1]] = match[2]
    raise NameFaultError("no suffix tells the contrast (as in sub-01_T2w)")


def scan_name(name: BidsName, also: Collection[str] = ()) -> ScanName:
    """The scan that a parsed name belongs to.

    Magnetisation transfer is told apart by ``mt-on``/``mt-off`` or by the older ``acq-MTon``,
    ``acq-MToff`` and ``acq-T1w`` (the T1-weighted image of the protocol); ``T2star`` is an older
    name of ``T2starw``.

    Parameters
    ----------
    name : BidsName
        From :func:`parse_name`.
    also : collection of str
        Suffixes to accept besides :data:`CONTRASTS`.

    Raises
    ------
    NameFaultError
        If the suffix is no known contrast.

    Examples
    --------
    >>> s = scan_name(parse_name("sub-01_acq-MTon_MTS"))
    >>> s.contrast, s.acquisition
    ('MTon', 'MTon')
    >>> scan_name(parse_name("sub-01_flip-2_mt-off_MTS")).acquisition
    'flip2'
    """
    if name.suffix not in CONTRASTS and name.suffix not in also:
        raise NameFaultError(f"suffix {name.suffix!r} is no known contrast; name it in `contrasts`")
    entities = name.entities
    contrast = contrast_of(name.suffix)
    if name.suffix == "MTS":
        mt = entities.get("mt", "")
        by_acquisition = _MT_ACQUISITIONS.get(entities.get("acq", "").lower(), "MTS")
        contrast = f"MT{mt}" if mt in ("on", "off") else by_acquisition
    others = [key + label for key, label in entities.items() if key not in _KEY_ENTITIES]
    acquisition = [entities["acq"]] if "acq" in entities else []
    return ScanName(
        subject=entities.get("sub", ""),
        session=entities.get("ses", ""),
        acquisition="+".join(acquisition + others),
        run=entities.get("run", ""),
        contrast=contrast,
        resolution=entities.get("res", ""),
    )
