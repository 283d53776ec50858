"""Works that a study cites, as printed references and as BibTeX."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Characters that mean something to TeX.
_TEX = {"&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": "", "}": "", "\\": ""}


@dataclass(frozen=True)
class Reference:
    """A work to cite.

    Attributes
    ----------
    key : str
        BibTeX key.
    authors : str
        As BibTeX has them: ``Family, Given and Family, Given and others``.
    title : str
        Title of the work.
    journal, year, volume, number, pages : str
        Where it appeared; empty where that does not apply.
    doi : str
        Without resolver; empty where there is none.
    kind : str
        BibTeX entry type.
    """

    key: str
    authors: str
    title: str
    journal: str = ""
    year: str = ""
    volume: str = ""
    number: str = ""
    pages: str = ""
    doi: str = ""
    kind: str = "article"

    @property
    def text(self) -> str:
        """As printed in the list of references.

        Examples
        --------
        >>> Reference("x", "Bland, J. Martin and others", "Methods", "Lancet", "1986", "327").text
        'Bland JM, et al. Methods. Lancet 1986;327.'
        """
        place = f"{self.journal} {self.year}".strip() if self.journal else ""
        place += f";{self.volume}" if self.volume else ""
        place += f"({self.number})" if self.number else ""
        place += f":{self.pages.replace('--', '–')}" if self.pages else ""
        parts = [printed_authors(self.authors), self.title, place]
        return " ".join(f"{part.rstrip('.')}." for part in parts if part)

    @property
    def bibtex(self) -> str:
        """As an entry of a BibTeX file."""
        fields = {
            "author": self.authors, "title": f"{{{tex(self.title)}}}", "journal": tex(self.journal),
            "year": self.year, "volume": self.volume, "number": self.number, "pages": self.pages,
            "doi": self.doi,
        }  # fmt: skip
        lines = [f"  {k} = {{{v}}}," for k, v in fields.items() if v.strip("{}")]
        return "\n".join([f"@{self.kind}{{{self.key},", *lines, "}", ""])


def tex(text: str) -> str:
    r"""Text in which nothing is a command of TeX.

    Examples
    --------
    >>> tex("A & B_1 {x}")
    'A \\& B\\_1 x'
    """
    return "".join(_TEX.get(c, c) for c in text)


def printed_authors(authors: str) -> str:
    """Authors as the list of references prints them.

    Examples
    --------
    >>> printed_authors("Gorgolewski, Krzysztof J. and others")
    'Gorgolewski KJ, et al'
    >>> printed_authors("The developers")
    'The developers'
    """
    names: list[str] = []
    for author in authors.split(" and "):
        family, _, given = author.partition(", ")
        initials = "".join(re.findall(r"\b\w", given.replace("-", " "))).upper()
        names.append("et al" if author == "others" else f"{family} {initials}".strip())
    return ", ".join(names)


BIDS = Reference(
    "gorgolewski2016", "Gorgolewski, Krzysztof J. and others",
    "The brain imaging data structure, a format for organizing and describing outputs of "
    "neuroimaging experiments", "Scientific Data", "2016", "3", "", "160044",
    "10.1038/sdata.2016.44",
)  # fmt: skip
SNAKEMAKE = Reference(
    "molder2021", "Mölder, Felix and others", "Sustainable data analysis with Snakemake",
    "F1000Research", "2021", "10", "", "33", "10.12688/f1000research.29032.2",
)  # fmt: skip
SHAPE = Reference(
    "deleener2017", "De Leener, Benjamin and others",
    "SCT: Spinal Cord Toolbox, an open-source software for processing spinal cord MRI data",
    "NeuroImage", "2017", "145", "", "24--43", "10.1016/j.neuroimage.2016.10.009",
)  # fmt: skip
TENSOR = Reference(
    "garyfallidis2014", "Garyfallidis, Eleftherios and others",
    "Dipy, a library for the analysis of diffusion MRI data", "Frontiers in Neuroinformatics",
    "2014", "8", "", "8", "10.3389/fninf.2014.00008",
)  # fmt: skip
LESIONS = Reference(
    "commowick2018", "Commowick, Olivier and others",
    "Objective evaluation of multiple sclerosis lesion segmentation using a data management and "
    "processing infrastructure", "Scientific Reports", "2018", "8", "", "13650",
    "10.1038/s41598-018-31911-7",
)  # fmt: skip
AGREEMENT = Reference(
    "bland1986", "Bland, J. Martin and Altman, Douglas G.",
    "Statistical methods for assessing agreement between two methods of clinical measurement",
    "The Lancet", "1986", "327", "", "307--310", "10.1016/S0140-6736(86)90837-8",
)  # fmt: skip
CONCORDANCE = Reference(
    "lin1989", "Lin, Lawrence I-Kuei",
    "A concordance correlation coefficient to evaluate reproducibility", "Biometrics", "1989",
    "45", "1", "255--268", "10.2307/2532051",
)  # fmt: skip
RELIABILITY = Reference(
    "mcgraw1996", "McGraw, Kenneth O. and Wong, S. P.",
    "Forming inferences about some intraclass correlation coefficients", "Psychological Methods",
    "1996", "1", "1", "30--46", "10.1037/1082-989X.1.1.30",
)  # fmt: skip
HARMONISATION = Reference(
    "johnson2007", "Johnson, W. Evan and Li, Cheng and Rabinovic, Ariel",
    "Adjusting batch effects in microarray expression data using empirical Bayes methods",
    "Biostatistics", "2007", "8", "1", "118--127", "10.1093/biostatistics/kxj037",
)  # fmt: skip
STATISTICS = Reference(
    "vallat2018", "Vallat, Raphael", "Pingouin: statistics in Python",
    "Journal of Open Source Software", "2018", "3", "31", "1026", "10.21105/joss.01026",
)  # fmt: skip
VARIABILITY = Reference(
    "cohenadad2021", "Cohen-Adad, Julien and others",
    "Open-access quantitative MRI data of the spinal cord and reproducibility across participants, "
    "sites and manufacturers", "Scientific Data", "2021", "8", "", "219",
    "10.1038/s41597-021-00941-8",
)  # fmt: skip
SOFT_TRUTH = Reference(
    "bedard2025", "Bédard, Sandrine and Karthik, Enamundram Naga and others",
    "Towards contrast-agnostic soft segmentation of the spinal cord", "Medical Image Analysis",
    "2025", "101", "", "103473", "10.48550/arXiv.2310.15402",
)  # fmt: skip
SCISEG = Reference(
    "karthik2024", "Karthik, Enamundram Naga and Valošek, Jan and others",
    "SCIseg: automatic segmentation of intramedullary lesions in spinal cord injury on T2-weighted "
    "MRI scans", "Radiology: Artificial Intelligence", "2024", doi="10.1148/ryai.240005",
)  # fmt: skip
ROOTLETS = Reference(
    "valosek2024", "Valošek, Jan and others",
    "Automatic segmentation of the spinal cord nerve rootlets", "Imaging Neuroscience", "2024",
    doi="10.1162/imag_a_00218",
)  # fmt: skip
SCSNET = Reference(
    "yang2025", "Yang, Shuoheng and Fei, Ningbo and Li, Junpeng and Li, Guangsheng and Hu, Yong",
    "Deep learning spinal cord segmentation based on B0 reference for diffusion tensor imaging "
    "analysis in cervical spondylotic myelopathy", "Bioengineering", "2025", "12", "7", "709",
    "10.3390/bioengineering12070709",
)  # fmt: skip
EIGHT_REGIONS = Reference(
    "fei2023", "Fei, N. and Li, G. and Wang, X. and Li, J. and Hu, X. and Hu, Y.",
    "Deep learning-based auto-segmentation of spinal cord internal structure of diffusion tensor "
    "imaging in cervical spondylotic myelopathy", "Diagnostics",
    "2023", "13", "5", "817", "10.3390/diagnostics13050817",
)  # fmt: skip
CONTRAST_AGNOSTIC = Reference(
    "bedard2025", "Bédard, Sandrine and Karthik, Enamundram Naga and others",
    "Towards contrast-agnostic soft segmentation of the spinal cord", "Medical Image Analysis",
    "2025", "101", pages="103473",
)  # fmt: skip
BY_KEY = {
    r.key: r for r in (
        BIDS, SNAKEMAKE, SHAPE, TENSOR, LESIONS, AGREEMENT, CONCORDANCE, RELIABILITY, HARMONISATION,
        STATISTICS, VARIABILITY, SCISEG, ROOTLETS, SCSNET, EIGHT_REGIONS,
        CONTRAST_AGNOSTIC,
    )
}  # fmt: skip
BY_KIND = {
    "agreement": AGREEMENT, "bland_altman": AGREEMENT, "concordance": CONCORDANCE,
    "reliability": RELIABILITY, "variability": VARIABILITY, "variance_components": VARIABILITY,
    "harmonisation": HARMONISATION,
}  # fmt: skip
BY_MEASURE = {"csa_mm2": SHAPE, "fa": TENSOR, "lesion_f1": LESIONS}
