"""What may leave the machine in a report: names of files but no folders, ages but no great ages.

Everything that a page shows passes through here or comes from an allow-list of columns.
"""

from __future__ import annotations

import hashlib
import math
import re

AGE_LIMIT_YEARS = 89
AGE_LIMIT_TEXT = "90+"
AGE_VARIABLES = ("age", "age_years")
MAX_TEXT_CHARACTERS = 600
MAX_NAME_CHARACTERS = 80
_SAFE_NAME = re.compile(r"[^0-9A-Za-z_+\-]")
# A POSIX, Windows or UNC folder in front of a file name: the folder goes, the name stays. The
# path begins at the start of a word, so that fractions and units (mm2/s, 3/4) are left alone.
_FOLDERS = re.compile(
    r"(?:(?<=^)|(?<=[\s\"'(=\[{,;:]))"
    r"(?:file://)?(?:[A-Za-z]:[\\/]|\\\\|~?/)(?=[^\s\\/])(?:[^\s\"'<>|:;,\\/]+[\\/])*"
)
_INVISIBLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202f\ufeff]+")
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def public_text(value: object, limit: int = MAX_TEXT_CHARACTERS) -> str:
    r"""Text fit for a shared page: one line, no control characters, no folders, bounded length.

    Escaping for HTML is the template engine's part; here only what must not be shown is removed.

    Examples
    --------
    >>> public_text("/home/ann/study/sub-01_T2w.nii.gz: expected 3 axes,\n got 4")
    'sub-01_T2w.nii.gz: expected 3 axes, got 4'
    >>> public_text("0.7 mm2/s at 3/4 of the cord")
    '0.7 mm2/s at 3/4 of the cord'
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    text = _INVISIBLE.sub(" ", str(value))
    text = _FOLDERS.sub("", text)
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def safe_name(label: str) -> str:
    """A label as one component of a file name; different labels stay different.

    Examples
    --------
    >>> safe_name("site-A_01")
    'site-A_01'
    >>> safe_name("../x") == safe_name(".._x")
    False
    """
    clean = _SAFE_NAME.sub("_", label)[:MAX_NAME_CHARACTERS]
    if clean == label and clean:
        return clean
    return f"{clean}-{hashlib.sha256(label.encode()).hexdigest()[:8]}"


def spreadsheet_safe(value: object) -> object:
    r"""Quote a text cell that a spreadsheet program would run as a formula.

    Examples
    --------
    >>> spreadsheet_safe('=HYPERLINK("x")'), spreadsheet_safe("-1.5"), spreadsheet_safe(-1.5)
    ('\'=HYPERLINK("x")', '-1.5', -1.5)
    """
    if not isinstance(value, str) or not value.startswith(_FORMULA_STARTS):
        return value
    try:
        float(value)
    except ValueError:
        return "'" + value
    return value


def binned_age_years(age_years: float) -> float:
    """Age with everything above 89 years drawn together at 90.

    Examples
    --------
    >>> binned_age_years(34.0), binned_age_years(97.0)
    (34.0, 90.0)
    """
    return float(AGE_LIMIT_YEARS + 1) if age_years > AGE_LIMIT_YEARS else age_years


def binned_age_text(text: str) -> str:
    """Age as written in a sheet, ``90+`` above 89; what is no number stays.

    Examples
    --------
    >>> [binned_age_text(t) for t in ("34", "93.5", "n/a", "")]
    ['34', '90+', 'n/a', '']
    """
    try:
        return AGE_LIMIT_TEXT if float(text) > AGE_LIMIT_YEARS else text
    except ValueError:
        return text


def age_text(age_years: float) -> str:
    """Age in whole years, ``90+`` above 89, empty when unknown.

    Examples
    --------
    >>> age_text(34.4), age_text(93), age_text(float("nan"))
    ('34', '90+', '')
    """
    if math.isnan(age_years):
        return ""
    return AGE_LIMIT_TEXT if age_years > AGE_LIMIT_YEARS else f"{age_years:.0f}"
