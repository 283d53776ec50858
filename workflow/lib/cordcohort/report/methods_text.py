"""The methods paragraph: what was done, with which versions, and whom to cite."""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from cordcohort import __version__
from cordcohort.errors import CordcohortError
from cordcohort.files import read_yaml
from cordcohort.report.inputs import Inputs, setting
from cordcohort.report.privacy import public_text
from cordcohort.root import workflow_root

LIBRARIES = (
    "numpy", "scipy", "pandas", "nibabel", "dipy", "torch", "pingouin", "statsmodels",
    "matplotlib", "snakemake",
)  # fmt: skip
BIBTEX_FILE = "references.bib"
_DOI = re.compile(r"10\.\d{4,9}/[-._;()/:A-Za-z0-9]+")
_MAX_TEXT = 4000


@dataclass(frozen=True)
class Reference:
    """A work to cite.

    Attributes
    ----------
    key : str
        BibTeX key.
    text : str
        As printed in the list.
    doi : str
        Without resolver; empty where there is none.
    """

    key: str
    text: str
    doi: str = ""


BIDS = Reference(
    "gorgolewski2016",
    "Gorgolewski KJ, et al. The brain imaging data structure, a format for organizing and "
    "describing outputs of neuroimaging experiments. Scientific Data 2016;3:160044.",
    "10.1038/sdata.2016.44",
)
SNAKEMAKE = Reference(
    "molder2021",
    "Mölder F, et al. Sustainable data analysis with Snakemake. F1000Research 2021;10:33.",
    "10.12688/f1000research.29032.2",
)
SHAPE = Reference(
    "deleener2017",
    "De Leener B, et al. SCT: Spinal Cord Toolbox, an open-source software for processing spinal "
    "cord MRI data. NeuroImage 2017;145:24-43.",
    "10.1016/j.neuroimage.2016.10.009",
)
TENSOR = Reference(
    "garyfallidis2014",
    "Garyfallidis E, et al. Dipy, a library for the analysis of diffusion MRI data. Frontiers in "
    "Neuroinformatics 2014;8:8.",
    "10.3389/fninf.2014.00008",
)
AGREEMENT = Reference(
    "bland1986",
    "Bland JM, Altman DG. Statistical methods for assessing agreement between two methods of "
    "clinical measurement. Lancet 1986;327:307-310.",
    "10.1016/S0140-6736(86)90837-8",
)
STATISTICS = Reference(
    "vallat2018",
    "Vallat R. Pingouin: statistics in Python. Journal of Open Source Software 2018;3(31):1026.",
    "10.21105/joss.01026",
)
VARIABILITY = Reference(
    "cohenadad2021",
    "Cohen-Adad J, et al. Open-access quantitative MRI data of the spinal cord and "
    "reproducibility across participants, sites and manufacturers. Scientific Data 2021;8:219.",
    "10.1038/s41597-021-00941-8",
)
_BY_KIND = {"agreement": AGREEMENT, "variability": VARIABILITY}


def methods_section(inputs: Inputs) -> dict[str, Any]:
    """Paragraphs and references of the methods section, and the references as BibTeX.

    Returns
    -------
    dict
        ``methods`` (list of str), ``references`` (list of :class:`Reference`), ``bibtex`` (str).
    """
    cards = _model_cards(inputs)
    methods = [_software(), _images(inputs), _masks(inputs, cards)]
    references = [BIDS, SNAKEMAKE, *[_model_reference(m, c) for m, c in cards.items()]]
    if (inputs.measures["measure"] == "csa_mm2").any():
        methods.append(_shape(inputs))
        references.append(SHAPE)
    if (inputs.measures["measure"] == "fa").any():
        methods.append(_tensor(inputs))
        references.append(TENSOR)
    if inputs.analyses:
        methods.append(_exclusions(inputs))
        methods += _analyses(inputs)
        references += [STATISTICS, *[_BY_KIND[k] for k in _BY_KIND if _has_kind(inputs, k)]]
    unique = list({r.key: r for r in references}.values())
    return {
        "methods": [text for text in methods if text],
        "references": unique,
        "bibtex": "\n".join(_bibtex(r) for r in unique),
    }


def _software() -> str:
    found: list[str] = []
    for name in LIBRARIES:
        try:
            found.append(f"{name} {version(name).partition('+')[0]}")
        except PackageNotFoundError:  # an environment a stage: not every library is in each
            continue
    return (
        f"Images were processed with cordcohort {__version__} (Python "
        f"{platform.python_version()}; {', '.join(found)})."
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
    methods = sorted({public_text(m) for m in inputs.measures["method"]} - {""})
    if not methods:
        return ""
    made = [
        f"{name} was drawn by {_drawer(card)} ({public_text(card.get('description') or 'cord')})"
        for name, card in cards.items()
    ]
    text = f"Measures were taken in these masks: {', '.join(methods)}"
    return f"{text}; {'; '.join(made)}." if made else f"{text}."


def _drawer(card: dict[str, Any]) -> str:
    return "a network" if card.get("backend", "network") == "network" else "a method"


def _shape(inputs: Inputs) -> str:
    tilt = "multiplied by the cosine of the angle between the cord and the slice's normal"
    corrected = setting(inputs.config, "measures.angle_correction", default=True)
    return (
        "Cross-sectional area is the area of the mask in each axial slice"
        + (f", {tilt}" if corrected else ", without correction for the cord's tilt")
        + "; a scan's value is the mean over its slices."
    )


def _tensor(inputs: Inputs) -> str:
    fit = public_text(setting(inputs.config, "images.tensor_fit", "WLS"))
    return f"Diffusion tensors were fitted with DIPY ({fit}) inside the dilated cord mask."


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


def _has_kind(inputs: Inputs, kind: str) -> bool:
    return any(a.kind == kind for a in inputs.analyses)


def _model_cards(inputs: Inputs) -> dict[str, dict[str, Any]]:
    """``model.yaml`` of every model that the study used, as far as it is shipped."""
    cards: dict[str, dict[str, Any]] = {}
    for name in setting(inputs.config, "segmentation.models", ()):
        try:
            path = workflow_root() / "models" / str(name) / "model.yaml"
            card: Any = read_yaml(path) if path.is_file() else None
        except CordcohortError:
            continue
        if isinstance(card, dict):
            cards[str(name)] = card
    return cards


def _model_reference(name: str, card: dict[str, Any]) -> Reference:
    told: Any = card.get("citation") or f"Model {name}, shipped with cordcohort {__version__}."
    text = public_text(told.get("text", told) if isinstance(told, dict) else told)
    text = text if name in text else f"Model {name}. {text}"
    doi = _DOI.search(text)
    return Reference(re.sub(r"\W", "", name), text, doi.group().rstrip(".") if doi else "")


def _bibtex(reference: Reference) -> str:
    author, _, rest = reference.text.partition(". ")
    title, _, venue = rest.partition(". ")
    year = re.search(r"\b(19|20)\d\d\b", venue or reference.text)
    fields = {
        "author": author.replace(", et al", " and others"),
        "title": title or reference.text,
        "note": venue.rstrip("."),
        "year": year.group() if year else "",
        "doi": reference.doi,
    }
    lines = [f"  {k} = {{{re.sub(r'[{}]', '', v)}}}," for k, v in fields.items() if v]
    return "\n".join([f"@misc{{{reference.key},", *lines, "}", ""])
