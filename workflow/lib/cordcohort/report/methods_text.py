"""The methods paragraph: what was done, with which versions, and whom to cite."""

from __future__ import annotations

import contextlib
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from cordcohort import __version__
from cordcohort.level_choice import AUTO, DISC_MODEL, chosen_sources
from cordcohort.model_uses import cord_lender
from cordcohort.report.inputs import Inputs, setting
from cordcohort.report.model_notes import EXPERIMENTAL, model_cards
from cordcohort.report.palette import TRUTH_KEY
from cordcohort.report.privacy import public_text
from cordcohort.report.published import published_for, source_of
from cordcohort.report.references import (
    BIDS,
    BY_KIND,
    BY_MEASURE,
    SNAKEMAKE,
    SOFT_TRUTH,
    STATISTICS,
    Reference,
)

LIBRARIES = (
    "numpy", "scipy", "pandas", "nibabel", "dipy", "torch", "pingouin", "statsmodels",
    "matplotlib", "snakemake",
)  # fmt: skip
BIBTEX_FILE = "references.bib"
_DOI = re.compile(r"10\.\d{4,9}/[-._;()/:A-Za-z0-9]+")
_YEAR = re.compile(r"\b(19|20)\d\d\b")
_MAX_TEXT = 4000


def methods_section(inputs: Inputs) -> dict[str, Any]:
    """Paragraphs and references of the methods section, and the references as BibTeX.

    Returns
    -------
    dict
        ``methods`` (list of str), ``references`` (list of :class:`Reference`), ``bibtex`` (str).
    """
    cards = model_cards(inputs)
    methods = [_software(), _images(inputs), _masks(inputs, cards)]
    references = [BIDS, SNAKEMAKE, *[_model_reference(m, c) for m, c in cards.items()]]
    measured = set(inputs.measures["measure"])
    if setting(inputs.config, TRUTH_KEY, default=False):
        methods.append(_soft_truth(inputs))
        references.append(SOFT_TRUTH)
    methods += [_shape(inputs), _levels(inputs)] if "csa_mm2" in measured else []
    methods += [_tensor(inputs)] if "fa" in measured else []
    references += [work for measure, work in BY_MEASURE.items() if measure in measured]
    if inputs.analyses:
        methods += [_exclusions(inputs), *_analyses(inputs), *_published(inputs)]
        references += [STATISTICS, *[BY_KIND[a.kind] for a in inputs.analyses if a.kind in BY_KIND]]
        references += [source_of(name)[0] for name in _published_sets(inputs)]
    unique = list({r.key: r for r in references}.values())
    return {
        "methods": [text for text in methods if text],
        "references": unique,
        "bibtex": "\n".join(r.bibtex for r in unique),
    }


def python_version() -> str:
    """Version of the interpreter."""
    return platform.python_version()


def library_versions() -> dict[str, str]:
    """Versions of the libraries that are there: an environment a stage, not every one in each."""
    found: dict[str, str] = {}
    for name in LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name).partition("+")[0]
    return found


def _software() -> str:
    told = ", ".join(f"{name} {number}" for name, number in library_versions().items())
    return (
        f"Images were processed with cordcohort {__version__} (Python {python_version()}; {told})."
    )


def _images(inputs: Inputs) -> str:
    scans = inputs.scans
    n_subjects = len(scans[["dataset", "subject"]].drop_duplicates())
    contrasts = ", ".join(public_text(c) for c in sorted(set(scans["contrast"])))
    if scans.empty:
        return "The study holds no scan yet."
    return (
        f"The study holds {len(scans)} scans ({contrasts}) of {n_subjects} subjects at "
        f"{scans['site'].nunique()} sites, read from BIDS data sets."
    )


def _masks(inputs: Inputs, cards: dict[str, dict[str, Any]]) -> str:
    methods = sorted({public_text(m) for m in inputs.measures["method"].unique()} - {""})
    if not methods:
        return ""
    made = [
        f"{name} was drawn by {_drawer(card)} ({public_text(card.get('description') or 'cord')})"
        + (f"; its cord is the mask of {public_text(lender)}, not a second one" if lender else "")
        + (f"; experimental: {public_text(card[EXPERIMENTAL])}" if card.get(EXPERIMENTAL) else "")
        for name, card in cards.items()
        for lender in [cord_lender(card)]
    ]
    text = f"Measures were taken in these masks: {', '.join(methods)}"
    return f"{text}; {'; '.join(made)}." if made else f"{text}."


def _drawer(card: dict[str, Any]) -> str:
    return "a network" if card.get("backend", "network") == "network" else "a method"


def _soft_truth(inputs: Inputs) -> str:
    chosen = setting(inputs.config, "images.soft_truth", default={})
    masks = " or ".join(public_text(m) for m in setting(chosen, "masks", ("manual",)))
    contrast = public_text(setting(chosen, "reference_contrast", "T2w"))
    rigid = setting(chosen, "alignment", "") == "rigid"
    first = "registered as rigid bodies, then " if rigid else ""
    return (
        f"The soft ground truth is the average of the cord masks ({masks}) of all contrasts of a "
        f"session, {first}moved slice by slice so that their centres of mass lie on that of "
        f"{contrast}, and brought back to every scan."
    )


def _shape(inputs: Inputs) -> str:
    tilt = "multiplied by the cosine of the angle between the cord and the slice's normal"
    corrected = setting(inputs.config, "measures.angle_correction", default=True)
    return (
        "Cross-sectional area is the area of the mask in each axial slice"
        + (f", {tilt}" if corrected else ", without correction for the cord's tilt")
        + "; a scan's value is the mean over its slices."
    )


def _levels(inputs: Inputs) -> str:
    """Where levels may come from, by the configuration; empty where it wants none."""
    named = {
        "discs": "discs labelled on it", "vertebrae": "a map of vertebrae on it",
        "session": "labels of another scan of its session, carried by world coordinates or rigid "
        "registration (flagged)",
        "detected": f"discs detected by {DISC_MODEL} (a kind of level of its own)",
    }  # fmt: skip
    sources = chosen_sources(setting(inputs.config, "measures.levels", AUTO))
    tried = [text for source, text in named.items() if source in sources]
    if not tried:
        return ""
    return (
        "Vertebral levels of a scan came from the first that it had of: " + "; ".join(tried) + "."
    )


def _tensor(inputs: Inputs) -> str:
    fit = public_text(setting(inputs.config, "images.tensor_fit", "WLS"))
    denoised = public_text(setting(inputs.config, "images.denoise", "none"))
    before = "" if denoised == "none" else f"Noise was taken out of diffusion series ({denoised}). "
    if setting(inputs.config, "images.motion_correction", default=False):
        before += (
            "Motion was corrected slice by slice by in-plane shifts, regularised along the cord "
            "and over the volumes. "
        )
    return f"{before}Diffusion tensors were fitted with DIPY ({fit}) inside the dilated cord mask."


def _exclusions(inputs: Inputs) -> str:
    n_excluded = int((inputs.scans["state"] == "excluded").sum())
    rows = int((inputs.measures["flag"] == "excluded").sum())
    return (
        f"Excluded as a whole: {n_excluded} of {len(inputs.scans)} scans; excluded values: {rows}. "
        "The list of exclusions, with a reason each, was applied before every statistic and figure."
    )


def _analyses(inputs: Inputs) -> list[str]:
    """The method texts of the analyses, each once."""
    texts = [public_text(a.about.get("method_text", ""), _MAX_TEXT) for a in inputs.analyses]
    return list(dict.fromkeys(t for t in texts if t))


def _published_sets(inputs: Inputs) -> list[str]:
    names = [published_for(inputs.config, a.name) for a in inputs.analyses]
    return list(dict.fromkeys(n for n in names if n))


def _published(inputs: Inputs) -> list[str]:
    """Where the published values beside the study's own come from."""
    told = [source_of(name) for name in _published_sets(inputs)]
    sources = [f"{work.text} ({place})" for work, place in told]
    return [f"Published values beside our own are from: {' '.join(sources)}"] if sources else []


def _model_reference(name: str, card: dict[str, Any]) -> Reference:
    told: Any = card.get("citation") or f"Model {name}, shipped with cordcohort {__version__}."
    text = public_text(told.get("text", told) if isinstance(told, dict) else told)
    text = text if name in text else f"Model {name}. {text}"
    doi, year = _DOI.search(text), _YEAR.search(text)
    return Reference(
        key=re.sub(r"\W", "", name), authors="", title=text, year=year.group() if year else "",
        doi=doi.group().rstrip(".") if doi else "", kind="misc",
    )  # fmt: skip
