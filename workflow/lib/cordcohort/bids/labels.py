"""Names of masks and label maps: the one closed table, current and older names.

``sub-01_T2w_label-SC_seg`` is an image's name and a label's name. The label's name says which
structure was drawn and how it is stored; who drew it (``method``) follows from the folder, from a
rater in the name, or from ``desc-``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

MANUAL = "manual"


@dataclass(frozen=True, slots=True)
class LabelName:
    """What a label's name says.

    Attributes
    ----------
    structure : str
        cord, gm, wm, csf, canal, lesion and its parts oedema and haemorrhage, regions (eight-region
        map), tissue (cord, canal ... map), rootlets, spinal (map of spinal levels), vertebrae,
        discs or pmj.
    kind : str
        seg (binary mask), softseg (0 to 1), dseg (label map), dlabel (points) or pmj (one point).
    method : str
        Who drew it, where the name itself says so; else empty.
    older : bool
        Whether a current name exists; a current one wins where both are there.
    """

    structure: str
    kind: str
    method: str = ""
    older: bool = False


def _named(structure: str, kind: str, current: str, older: str = "") -> dict[str, LabelName]:
    names = {name: LabelName(structure, kind) for name in current.split()}
    return names | {name: LabelName(structure, kind, older=True) for name in older.split()}


LABEL_NAMES: dict[str, LabelName] = (
    _named("cord", "seg", "label-SC_seg", "label-SC_mask seg-manual seg")
    | _named("cord", "softseg", "label-SC_softseg", "softseg")
    | {"softseg_bin": LabelName("cord", "seg", "softseg_bin", older=True)}
    | _named("gm", "seg", "label-GM_seg", "label-GM_mask gmseg-manual gmseg")
    | _named("gm", "softseg", "label-GM_softseg")
    | _named("wm", "seg", "label-WM_seg", "label-WM_mask wmseg-manual wmseg")
    | _named("wm", "softseg", "label-WM_softseg")
    | _named("csf", "seg", "label-CSF_seg", "label-CSF_mask csfseg-manual csfseg")
    | _named("canal", "seg", "label-canal_seg", "label-canal_mask canalseg-manual")
    | _named("lesion", "seg", "label-lesion label-lesion_seg", "lesion-manual lesion")
    | _named("lesion", "softseg", "label-lesion_softseg")
    | _named("oedema", "seg", "label-oedema_seg", "label-edema_seg")
    | _named("haemorrhage", "seg", "label-haemorrhage_seg", "label-hemorrhage_seg")
    | _named("regions", "dseg", "label-SCregions_dseg label-regions_dseg")
    | _named("tissue", "dseg", "label-tissue_dseg")
    | _named("rootlets", "dseg", "label-rootlets_dseg", "label-rootlet label-rootlet_dseg")
    | _named("rootlets", "seg", "label-rootlets_seg")
    | _named("rootlets", "softseg", "label-rootlets_softseg")
    | _named("spinal", "dseg", "label-spinal_dseg")
    | _named("vertebrae", "dseg", "label-vertebrae_dseg", "seg_labeled")
    | _named("discs", "dlabel", "label-discs_dlabel", "labels-disc-manual labels-disc")
    | _named("pmj", "pmj", "pmj label-PMJ_dlabel", "pmj-manual label-pmj")
)
_RATER = re.compile(r"rater-?([0-9A-Za-z+]+)\Z")
_DRAWERS = ("staple", "nnunet")  # raters that older rootlet names give as a bare word
_SOFT_BINARISED = "softseg_bin"


def label_of(parts: Sequence[str], folder_method: str) -> LabelName | None:
    """What was drawn and by whom, from the parts of a name behind the contrast.

    Parameters
    ----------
    parts : sequence of str
        ``("label-SC", "seg")``, with ``desc-...`` and rater parts anywhere among them.
    folder_method : str
        Method that the folder stands for.

    Returns
    -------
    LabelName or None
        With the method filled in; ``None`` for a name that is not in the table.

    Examples
    --------
    >>> label_of(("label-SC", "seg"), "manual")
    LabelName(structure='cord', kind='seg', method='manual', older=False)
    >>> label_of(("label-rootlet", "rater2"), "manual").method
    'rater-2'
    >>> label_of(("desc-thresholded", "label-SC", "seg"), "manual").method
    'desc-thresholded'
    """
    core: list[str] = []
    drawer, description = "", ""
    for part in parts:
        rater = _RATER.match(part)
        if rater:
            drawer = f"rater-{rater[1]}"
        elif part in _DRAWERS:
            drawer = part
        elif part.startswith("desc-"):
            description = part
        else:
            core.append(part)
    found = LABEL_NAMES.get("_".join(core))
    if found is None:
        return None
    method = drawer or found.method or _described(description, folder_method)
    if found.structure == "cord" and found.kind == "softseg" and found.older:
        method = method if method != MANUAL else "softseg"
    return LabelName(found.structure, found.kind, method, found.older)


def _described(description: str, folder_method: str) -> str:
    """Method of a mask with a ``desc-`` part: the folder's unless that would be ``manual``."""
    if description == "desc-softseg":
        return _SOFT_BINARISED if folder_method == MANUAL else folder_method
    if not description or description == "desc-manual":
        return folder_method
    return description if folder_method == MANUAL else f"{folder_method}_{description}"


def method_of_folder(name: str, labels_name: str) -> str | None:
    """Method of a derivative folder that lies beside the label folder, or is it.

    Parameters
    ----------
    name : str
        Folder name, for example ``labels_rater-2``.
    labels_name : str
        Name of the label folder, for example ``labels``.

    Returns
    -------
    str or None
        ``None`` if the folder is not of that family.

    Examples
    --------
    >>> [method_of_folder(n, "labels") for n in ("labels", "labels_rater2", "labels_softseg", "x")]
    ['manual', 'rater-2', 'softseg', None]
    """
    if name == labels_name:
        return MANUAL
    if not name.startswith(f"{labels_name}_"):
        return None
    rest = name[len(labels_name) + 1 :]
    rater = _RATER.match(rest)
    return f"rater-{rater[1]}" if rater else rest
