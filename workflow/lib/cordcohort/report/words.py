"""Names of measures, units and statuses as a reader of the field expects to see them."""

from __future__ import annotations

import math
from collections.abc import Mapping

from cordcohort.measures.catalogue import CATALOGUE

UNIT_TEXT = {
    "mm": "mm", "mm2": "mm²", "mm3": "mm³", "mm2/s": "mm²/s", "percent": "%", "degree": "°",
    "deg": "°", "degrees": "°", "1": "", "": "", "s": "s", "n/a": "",
}  # fmt: skip
_AXIS_SCALE = {"mm2/s": (1e3, "10⁻³ mm²/s")}  # diffusivities in water are about 3 of these
STRUCTURE_TEXT = {"cord": "spinal cord", "gm": "grey matter", "wm": "white matter", "csf": "CSF"}
STATE_TEXT = {
    "measured": "measured",
    "failed": "failed",
    "excluded": "excluded",
    "no_image": "no image",
    "not_measured": "not measured",
}
_UNIT_SUFFIXES = ("_mm2_per_s", "_percent", "_mm3", "_mm2", "_mm", "_deg", "_degree")
_SMALL = 0.01
_LARGE = 1e6
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def measure_text(measure: str) -> str:
    """Name of a measure without its unit.

    Examples
    --------
    >>> measure_text("csa_mm2"), measure_text("hausdorff95_mm"), measure_text("dice")
    ('Cross-sectional area', 'Hausdorff95', 'Dice')
    """
    if measure in CATALOGUE:
        return CATALOGUE[measure].label
    suffix = next((s for s in _UNIT_SUFFIXES if measure.endswith(s)), "")
    plain = measure.removesuffix(suffix).replace("_", " ").strip() or measure
    return plain[:1].upper() + plain[1:]


def unit_text(unit: str) -> str:
    """A unit in print; dimensionless is empty.

    Examples
    --------
    >>> unit_text("mm2"), unit_text("1"), unit_text("percent")
    ('mm²', '', '%')
    """
    return UNIT_TEXT.get(unit, unit)


def unit_in_brackets(measure: str) -> str:
    """The unit of a score behind its name.

    Examples
    --------
    >>> unit_in_brackets("rve_percent"), unit_in_brackets("asd_mm"), unit_in_brackets("dice")
    (' [%]', ' [mm]', '')
    """
    units = {"_percent": " [%]", "_mm": " [mm]"}
    return next((text for end, text in units.items() if measure.endswith(end)), "")


def axis_scale(unit: str) -> float:
    """Factor by which values are multiplied on an axis, so that its numbers stay short."""
    return _AXIS_SCALE.get(unit, (1.0, ""))[0]


def axis_text(measure: str, unit: str) -> str:
    """Axis label: measure and unit, the unit as :func:`axis_scale` makes it.

    Examples
    --------
    >>> axis_text("csa_mm2", "mm2"), axis_text("dice", "1")
    ('Cross-sectional area [mm²]', 'Dice [no unit]')
    """
    printed = _AXIS_SCALE.get(unit, (1.0, unit_text(unit)))[1]
    return f"{measure_text(measure)} [{printed or 'no unit'}]"


def structure_text(structure: str) -> str:
    """Name of a structure in words: ``left_lateral_wm`` is left lateral white matter."""
    words = [STRUCTURE_TEXT.get(w, w) for w in structure.split("_")]
    return STRUCTURE_TEXT.get(structure) or " ".join(words)


def measured_text(measure: str, structure: str) -> str:
    """A measure of a structure in words, which is not named twice.

    Examples
    --------
    >>> measured_text("dice", "lesion"), measured_text("lesion_volume_mm3", "lesion")
    ('Dice of lesion', 'Lesion volume')
    """
    told, of = measure_text(measure), structure_text(structure)
    return told if of.lower() in told.lower() else f"{told} of {of}"


def number_text(value: float, digits: int = 4) -> str:
    """A number for people: ``digits`` significant digits, powers of ten below 0.01.

    Examples
    --------
    >>> number_text(71.23456), number_text(0.00123), number_text(float("nan")), number_text(0.0)
    ('71.23', '1.23×10⁻³', '–', '0')
    """
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value != 0 and (abs(value) < _SMALL or abs(value) >= _LARGE):
        mantissa, _, exponent = f"{value:.{max(digits - 2, 1)}e}".partition("e")
        power = str(int(exponent)).translate(_SUPERSCRIPT)
        return f"{mantissa}×10{power}".replace("-", "−")
    text = f"{value:.{digits}g}"
    return (f"{value:.0f}" if "e" in text else text).replace("-", "−")


def signed_text(value: float) -> str:
    """A distance with its sign and one decimal; empty where there is none.

    Examples
    --------
    >>> signed_text(-2.04), signed_text(-0.01), signed_text(float("nan"))
    ('−2.0', '0.0', '')
    """
    if math.isnan(value):
        return ""
    text = f"{value:+.1f}"
    return "0.0" if float(text) == 0 else text.replace("-", "−")


def scan_text(scan: Mapping[str, str], *, session: bool = True) -> str:
    """A scan within its subject, in BIDS words.

    Examples
    --------
    >>> scan_text({"session": "1", "acquisition": "", "run": "2", "contrast": "T2w"})
    'ses-1 run-2 T2w'
    """
    parts = [f"ses-{scan['session']}"] if session and scan["session"] else []
    parts += [f"acq-{scan['acquisition']}"] if scan["acquisition"] else []
    parts += [f"run-{scan['run']}"] if scan["run"] else []
    return " ".join([*parts, scan["contrast"]])
