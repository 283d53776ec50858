"""One colour a method, the same in every figure and picture, told apart by colour-blind readers.

The colours are those of Okabe and Ito; line style and marker differ as well, so that nothing rests
on colour alone.

References
----------
Okabe M, Ito K. Color Universal Design: how to make figures and presentations that are friendly to
colorblind people, 2008.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from cordcohort.experiments.declared import seeds_of_models
from cordcohort.report.inputs import Config, setting
from cordcohort.scan import SOFT_TRUTH, SOFT_TRUTH_BINARY

REFERENCE_METHOD = "manual"
TRUTH_KEY = "images.soft_truth.make"
OKABE_ITO = (
    "#E69F00", "#56B4E9", "#009E73", "#CC79A7", "#0072B2", "#D55E00", "#F0E442",
)  # fmt: skip
ON_DARK = (*OKABE_ITO, "#FFFFFF")
"""Colours of outlines: white stands for the black of Okabe and Ito, since pictures are dark."""
ON_LIGHT = (*OKABE_ITO, "#000000", "#999999", "#882255")
"""Colours of points on white, for studies of more methods than Okabe and Ito have colours."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


@dataclass(frozen=True)
class Look:
    """How one method is drawn.

    Attributes
    ----------
    name : str
        The method.
    colour : str
        ``#rrggbb``.
    marker : str
        Matplotlib marker.
    dashed : bool
        Whether its contour is broken; the reference method's is whole.
    order : int
        Place in the order of methods.
    """

    name: str
    colour: str
    marker: str
    dashed: bool
    order: int

    @property
    def rgb(self) -> tuple[int, int, int]:
        """The colour as three bytes."""
        red, green, blue = bytes.fromhex(self.colour[1:])
        return red, green, blue


def looks(methods: Iterable[str], known: Iterable[str] = ()) -> dict[str, Look]:
    """Give each method its look, the reference first.

    Parameters
    ----------
    methods : iterable of str
        The methods that occur.
    known : iterable of str
        The methods that the study declares, in their order: their looks are the same wherever
        only some of them occur.

    Returns
    -------
    dict
        From the name of each method that occurs to its look, in the order of the looks.

    Examples
    --------
    >>> [(k, v.colour, v.dashed) for k, v in looks(["cord-v1", "manual"]).items()]
    [('manual', '#E69F00', False), ('cord-v1', '#56B4E9', True)]
    >>> looks(["cord-v1"], ["manual", "cord-v1"])["cord-v1"].colour
    '#56B4E9'
    """
    occurring = {m for m in methods if m}
    declared = list(dict.fromkeys(m for m in known if m))
    order = [*declared, *sorted(occurring - set(declared), key=method_order)]
    return {
        name: Look(
            name=name,
            colour=OKABE_ITO[i % len(OKABE_ITO)],
            marker=MARKERS[i % len(MARKERS)],
            dashed=name != REFERENCE_METHOD,
            order=i,
        )
        for i, name in enumerate(order)
        if name in occurring
    }


def apart(shown: Mapping[str, Look], colours: Sequence[str] = ON_DARK) -> dict[str, Look]:
    """The looks of one picture, none of which has another one's colour while there are free ones.

    A study of more methods than colours uses colours twice; what meets in one picture must differ.

    Examples
    --------
    >>> names = [f"m{i}" for i in range(9)]
    >>> found = apart({k: v for k, v in looks(names).items() if k in ("m0", "m1", "m7")})
    >>> [look.colour for look in found.values()]
    ['#E69F00', '#56B4E9', '#009E73']
    """
    taken = {look.colour for look in shown.values()}
    seen: set[str] = set()
    found: dict[str, Look] = {}
    for name, look in shown.items():
        free = [c for c in colours if c not in taken]
        own = free[0] if look.colour in seen and free else look.colour
        taken.add(own)
        seen.add(own)
        found[name] = replace(look, colour=own)
    return found


def declared_methods(config: Config) -> list[str]:
    """The manual masks, the models, the soft truth and the external derivatives, in this order.

    The models of an experiment stand as the methods that they are in the long table.

    Examples
    --------
    >>> declared_methods({"segmentation": {"models": ["cord-v1"]}})
    ['manual', 'cord-v1']
    """
    external = [
        str(name)
        for dataset in setting(config, "datasets", ())
        for name in setting(dataset, "external", {})
    ]
    phases = seeds_of_models(setting(config, "training", ()))
    named = [str(m) for m in setting(config, "segmentation.models", ())]
    models = [phases[m][0] if m in phases else m for m in named]
    truth = [SOFT_TRUTH, SOFT_TRUTH_BINARY] if setting(config, TRUTH_KEY, default=False) else []
    return list(dict.fromkeys([REFERENCE_METHOD, *models, *truth, *sorted(external)]))


def undrawn_models(config: Config) -> set[str]:
    """Models of experiments that no picture shows: all but the first seed of the last phase.

    Examples
    --------
    >>> entries = [{"name": f"own-phase{p}-seed{s}", "phase": p, "experiment": {"name": "own"}}
    ...            for p in (1, 2) for s in (7, 42)]
    >>> sorted(undrawn_models({"training": entries}))
    ['own-phase1-seed42', 'own-phase1-seed7', 'own-phase2-seed42']
    """
    drawn: dict[str, tuple[int, str]] = {}
    names: set[str] = set()
    for entry in setting(config, "training", ()):
        if "experiment" in entry:
            own, phase = str(entry["experiment"]["name"]), int(entry["phase"])
            names.add(str(entry["name"]))
            if phase > drawn.get(own, (0, ""))[0]:
                drawn[own] = (phase, str(entry["name"]))
    return names - {name for _, name in drawn.values()}


def method_order(method: str) -> tuple[bool, bool, str]:
    """Sort key: the manual masks, then other raters, then the rest by name."""
    return method != REFERENCE_METHOD, not method.startswith("rater"), method
