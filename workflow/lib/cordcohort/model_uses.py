"""What each model of a study draws, and on which scans; light, since every job on a node asks."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cordcohort import scan as paths
from cordcohort.files import read_yaml
from cordcohort.root import workflow_root
from cordcohort.scan_choice import Selectors, is_selected

if TYPE_CHECKING:
    from cordcohort.config import Config

CORD, LESION = "cord", "lesion"
LESION_PARTS = ("oedema", "haemorrhage")
"""Optional parts of a lesion: structures of their own, and lesion together."""
STRUCTURES = {
    "cord": ("cord",),
    "lesion": ("cord", "lesion"),
    "regions": ("regions",),
    "rootlets": ("rootlets", "pmj"),
}
"""Structures that a model of each task draws."""
POINT = "pmj"
"""A landmark: detected beside a mask, and nobody's to correct."""
IMAGE, FA = "image", "fa"
INPUTS = (IMAGE, FA)
"""What a model sees: the scan (of a diffusion series its mean b=0 image), or its FA map."""


def masks_of_task(task: str) -> tuple[str, ...]:
    """Masks and maps that a model of a task draws, without landmarks.

    Examples
    --------
    >>> masks_of_task("rootlets"), masks_of_task("lesion")
    (('rootlets',), ('cord', 'lesion'))
    """
    return tuple(name for name in STRUCTURES[task] if name != POINT)


@dataclass(frozen=True)
class ModelUse:
    """A model as a study uses it.

    Attributes
    ----------
    name : str
    task : str
        Key of :data:`STRUCTURES`.
    contrasts : tuple of str
        Contrasts of the scans that it is run on; empty for all.
    input : {"image", "fa"}
        What it sees.
    scans : sequence of mapping
        For a model of an experiment, which scans it is run on
        (:func:`cordcohort.scan_choice.is_selected`); empty for all.
    parts : tuple of str
        Parts of the lesion (:data:`LESION_PARTS`) that it draws besides.
    """

    name: str
    task: str = CORD
    contrasts: tuple[str, ...] = ()
    input: str = IMAGE
    scans: Selectors = ()
    parts: tuple[str, ...] = ()

    @property
    def structures(self) -> tuple[str, ...]:
        """What it draws."""
        return (*STRUCTURES[self.task], *self.parts)

    @property
    def finds_cord(self) -> bool:
        """Whether what follows the cord (tensor, discs, soft truth) may follow its mask.

        A model that sees the FA map draws after the tensor, which itself follows the cord. Nothing
        waits for the models of an experiment, which are what is studied.
        """
        return CORD in self.structures and self.input == IMAGE and not self.scans

    def takes(self, row: paths.Row) -> bool:
        """Whether it is run on a scan.

        Examples
        --------
        >>> use = ModelUse("net", "regions", ("dwi",))
        >>> use.takes({"contrast": "dwi"}), use.takes({"contrast": "T2w"})
        (True, False)
        """
        if self.input == FA and not paths.is_series(row):
            return False
        if self.scans and not is_selected(row, self.scans):
            return False
        return not self.contrasts or row["contrast"] in self.contrasts

    def records(self, row: paths.Row) -> list[str]:
        """Records that it leaves of a scan, one a structure."""
        return [paths.mask_record(row, self.name, structure) for structure in self.structures]

    def as_params(self) -> dict[str, Any]:
        """As plain values; :func:`uses_of_params` makes the way back.

        Which scans an experiment names is not among them: a job knows its scans, and one more of
        them must not draw the others again.
        """
        left_out = {"scans"} if self.parts else {"scans", "parts"}
        return {key: value for key, value in asdict(self).items() if key not in left_out}


def uses_of_params(values: Iterable[Mapping[str, Any]]) -> list[ModelUse]:
    """Models from the parameters of a rule."""
    return [
        ModelUse(v["name"], v["task"], tuple(v["contrasts"]), v["input"],
                 parts=tuple(v.get("parts", ()))) for v in values
    ]  # fmt: skip


def parts_of(about: Mapping[str, Any]) -> tuple[str, ...]:
    """Parts of the lesion that a declared model draws besides.

    Of a model from elsewhere those of its ``structures``, of a training those of the recipe's
    ``regions``.

    Examples
    --------
    >>> parts_of({"task": "lesion", "structures": {"cord": "sc", "lesion": "l", "oedema": "o"}})
    ('oedema',)
    """
    if about.get("task") != LESION:
        return ()
    path = Path(str(about.get("recipe", "")))
    recipe = (read_yaml(path) or {}) if path.is_file() else {}
    named = [*about.get("structures", ()), *(recipe.get("regions") or ())]
    return tuple(str(name) for name in named if name in LESION_PARTS)


@functools.lru_cache(maxsize=1)
def registered() -> Mapping[str, Mapping[str, Any]]:
    """Entries of ``models/registry.yaml`` by name; empty where there is no registry."""
    path = workflow_root() / "models" / "registry.yaml"
    content = (read_yaml(path) or {}) if path.is_file() else {}
    return content.get("models") or {}


def cord_lender(card: Mapping[str, Any]) -> str:
    """Model whose cord mask a model hands on as its own, as its card says; empty for none.

    Examples
    --------
    >>> cord_lender({"localiser": "cord-v1", "stages": {"lesion": {"in_cord": True}}})
    'cord-v1'
    >>> cord_lender({"localiser": "cord-v1", "stages": {"regions": {}}})
    ''
    """
    within = any(stage.get("in_cord") for stage in card.get("stages", {}).values())
    return str(card.get("localiser", "")) if within else ""


@functools.cache
def shipped_cord_lender(model: str) -> str:
    """As :func:`cord_lender`, of a model by its name; empty where it is not a shipped one."""
    about = registered().get(model, {})
    path = workflow_root() / "models" / str(about.get("folder", "")) / "model.yaml"
    return cord_lender(read_yaml(path) or {}) if about and path.is_file() else ""


def model_uses(config: Config) -> tuple[ModelUse, ...]:
    """What the models of a study draw, and where.

    ``segmentation.contrasts`` wins over what the registry, or the declaration of a model that the
    study trains or has from elsewhere, says.
    """
    declared = (*config.training, *config.segmentation.external_models)
    own = {str(entry["name"]): entry for entry in declared}
    uses: list[ModelUse] = []
    for name in config.segmentation.models:
        about = own.get(name) or registered().get(name, {})
        wanted = config.segmentation.contrasts.get(name, about.get("contrasts") or ())
        task, seen = str(about.get("task", CORD)), str(about.get("input", IMAGE))
        scans = about.get("scans", ())
        contrasts = tuple(str(c) for c in wanted)
        uses.append(ModelUse(name, task, contrasts, seen, scans, parts_of(about)))
    return tuple(uses)
