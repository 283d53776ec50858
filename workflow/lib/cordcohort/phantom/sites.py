"""Who scans in a phantom study, and what: sites and their protocols."""

from __future__ import annotations

from dataclasses import dataclass

LESIONS, COMPRESSIONS = "lesion", "compression"
DAMAGES = ("", LESIONS, COMPRESSIONS)


@dataclass(frozen=True)
class Site:
    """A site: one scanner, one dataset.

    Attributes
    ----------
    name : str
        Name of the dataset's folder and of the site.
    manufacturer, model : str
        Of the scanner; vendors differ in signal.
    field_strength_t : float
        In tesla.
    subjects : int
        People scanned there, the travelling person included.
    prefix : str
        Start of the subject labels; two sites without a prefix share labels.
    axes : str
        Storage order of axial scans, as RAS letters.
    volume_axes : str
        Storage order of isotropic scans.
    tilt : bool
        Slices stand perpendicular to the cord (oblique header).
    reported_as : str
        Name of the site in the sheets; the site's own where empty. Two data sets of one centre.
    regions : tuple of str
        Parts of the cord (cervical, thoracic, lumbar) that its subjects are scanned in, in turn;
        empty: the study's.
    damage : str
        What its patients have: `lesion` (traumatic: lesions in a cord of full width), `compression`
        (degenerative: a lesion where the cord is compressed), or a mixture where empty.
    split : str
        Column `split` of its sheet: what models may do with its people; empty: no such column.
    sessions : int
        Sessions of everybody there; 0 takes the study's.
    visited : bool
        Whether a travelling person comes there.
    rootlet_raters : int
        How many of the study's raters draw the rootlets of each scan besides the truth.
    """

    name: str
    manufacturer: str
    model: str
    field_strength_t: float = 3.0
    subjects: int = 4
    prefix: str = ""
    axes: str = "RAS"
    volume_axes: str = "RAS"
    tilt: bool = False
    reported_as: str = ""
    regions: tuple[str, ...] = ()
    damage: str = ""
    split: str = ""
    sessions: int = 0
    visited: bool = True
    rootlet_raters: int = 0


@dataclass(frozen=True)
class Protocol:
    """One image that is made in every session.

    Attributes
    ----------
    contrast : str
        T1w, T2w, T2starw, MTon, MToff or dwi.
    shape, spacing_mm : tuple
        Voxels and millimetres to the right, to the front and upwards.
    acquisition : str
        BIDS label `acq-`, empty for none.
    sessions : int
        Only the first so many sessions have it; 0 for all.
    runs : int
        Repetitions within a session; more than one adds `run-` to the name.
    centre_level : float
        Level in the middle of the field of view; 0 takes the region's.
    snr : float
        White matter over noise.
    rater_2 : bool
        Whether a second rater draws it too, in every other subject.
    average : bool
        Diffusion only: the mean of the diffusion-weighted volumes is written (`rec-average_dwi`)
        instead of the series.
    sites : tuple of str
        Sites that have it; empty: all.
    """

    contrast: str
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    acquisition: str = ""
    sessions: int = 0
    runs: int = 1
    centre_level: float = 0.0
    snr: float = 20.0
    rater_2: bool = False
    average: bool = False
    sites: tuple[str, ...] = ()
