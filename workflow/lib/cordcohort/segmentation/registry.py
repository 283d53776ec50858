"""Models: folders with a card (``model.yaml``) and weights (``*.safetensors``), listed by sha256.

Loading a model executes nothing: the card is plain YAML of known keys, the architecture comes from
an allow-list, and weights are tensors only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from cordcohort.errors import ConfigError
from cordcohort.files import read_yaml, sha256_of
from cordcohort.root import workflow_root
from cordcohort.segmentation.card_limits import check_experimental, check_stage
from cordcohort.segmentation.networks import VOLUME_NETWORKS, build_network

CARD = "model.yaml"
REGISTRY = "registry.yaml"
SCHEMA = 1
MAX_WEIGHTS_BYTES = 2_000_000_000
CARD_KEYS = frozenset({
    "schema", "name", "task", "backend", "labels", "orientation", "localiser", "stages",
    "threshold", "training",
    "validation", "licence", "citation", "description", "history", "experimental",
})  # fmt: skip
CARD_NEEDED = ("schema", "name", "task", "labels", "orientation", "licence")
STAGE_KEYS = frozenset({
    "architecture", "options", "weights", "spacing_mm", "patch", "neighbour_mm", "normalisation",
    "activation", "logit_offset", "thresholds", "in_cord", "least_sure",
})  # fmt: skip
NETWORK, CLASSICAL = "network", "classical"
BACKENDS = (NETWORK, CLASSICAL)
LEAST_SURE = 0.7
SOFTMAX, THRESHOLDS = "softmax", "thresholds"
ACTIVATIONS = ("sigmoid", "relu_clip", "relu_normalised", SOFTMAX, THRESHOLDS)
LEAST_PEAK = 0.5
_SUFFIX = ".safetensors"
LOCALISER = "localiser"


@dataclass(frozen=True)
class Stage:
    """One network of a model with its grid.

    Attributes
    ----------
    network
        In evaluation mode.
    spacing_mm
        In-plane pixel of its input.
    patch
        Pixels per side of its crops; of a localiser, the least size of its slices.
    neighbour_mm
        Least distance of the neighbouring slices that it sees; 0 of a network of volumes.
    activation
        ``sigmoid``, ``relu_clip`` (linear outputs clipped to [0, 1]), ``relu_normalised`` (linear
        outputs from 0 on, divided by the largest of the volume), ``softmax`` (classes that exclude
        each other, background first) or ``thresholds`` (linear outputs, one threshold each).
    block
        Voxels (z, y, x) of the input of a network of volumes, whose spacing is isotropic; empty of
        a network of slices.
    logit_offset
        Added to the raw output before a sigmoid: below 0, contours move inwards. It corrects a
        constant bias of area that scans with known truth show.
    thresholds
        Of each output of the activation ``thresholds``.
    in_cord
        It draws lesions into the cord that the model's stage ``cord`` has drawn.
    least_sure
        What the surest fifth of a lesion must reach on average to be believed.
    """

    network: nn.Module
    spacing_mm: float
    patch: int
    neighbour_mm: float
    activation: str
    logit_offset: float = 0.0
    block: tuple[int, ...] = ()
    thresholds: tuple[float, ...] = ()
    in_cord: bool = False
    least_sure: float = LEAST_SURE

    def probability(self, logits: torch.Tensor) -> torch.Tensor:
        """Cord fraction in [0, 1] from raw outputs.

        The published normalised ReLU also stretches a volume without cord until its largest noise
        is 1; here a volume whose outputs all stay below 0.5 is not stretched.
        """
        if self.activation == "sigmoid":
            return torch.sigmoid(logits + self.logit_offset)
        if self.activation == "relu_normalised":
            peak = logits.amax() if logits.numel() else logits.new_zeros(())
            logits = torch.where(peak > LEAST_PEAK, logits / peak.clamp(min=LEAST_PEAK), logits)
        return logits.clamp(0, 1)


@dataclass(frozen=True)
class Model:
    """A loaded model.

    Attributes
    ----------
    name
        Its id.
    card
        Content of ``model.yaml``.
    stages
        Networks by the name of their stage; none for a method without learning.
    sha256
        Of all weights together; empty where there are none.
    device
        Where its networks are.
    backend
        What draws with it: one of :data:`BACKENDS`, or another one that brings its own ``drawer``.
    drawer
        From an image, and whether to mirror it, to what each structure looks like.
    """

    name: str
    card: dict[str, Any]
    stages: dict[str, Stage]
    sha256: str
    device: torch.device
    backend: str = NETWORK
    drawer: Callable[[Any, bool], dict[str, Any]] | None = None


def models_folder() -> Path:
    """Folder of the shipped models."""
    return workflow_root() / "models"


def list_models(folder: Path | None = None) -> dict[str, dict[str, Any]]:
    """Entries of the registry: id to folder and sha256 of each weights file.

    Raises
    ------
    ConfigError
        No registry, or not of the known form.
    """
    folder = folder or models_folder()
    path = folder / REGISTRY
    if not path.is_file():
        raise ConfigError(
            "models", str(folder), f"a file {REGISTRY}", "name a folder of models", str(path)
        )
    content = read_yaml(path)
    entries = content.get("models") if isinstance(content, dict) else None
    if not isinstance(entries, dict):
        raise ConfigError(
            "models", content, "a mapping id: {folder, weights}", "mend the registry", str(path)
        )
    return entries


def load_model(
    model: str | Path, device: str | torch.device = "cpu", folder: Path | None = None
) -> Model:
    """Load a model by its id in the registry, or from a folder.

    A folder outside the registry is loaded without a known sha256: it is the user's own.

    Raises
    ------
    ConfigError
        Unknown id, wrong sha256 (named), weights that are not safetensors, unknown architecture,
        or a card that lacks a key or has an unknown one.
    """
    known: dict[str, str] = {}
    path = Path(model)
    if not (isinstance(model, Path) or path.is_dir()):
        entries = list_models(folder)
        if str(model) not in entries:
            raise ConfigError("segmentation.models", model, "one of " + ", ".join(sorted(entries)),
                              "use a listed model or the path of a model folder")  # fmt: skip
        entry = entries[str(model)]
        path = (folder or models_folder()) / entry["folder"]
        known = dict(entry["weights"])
    return _load_folder(path, known, torch.device(device))


def _load_folder(path: Path, known: dict[str, str], device: torch.device) -> Model:
    """Card and stages of a model folder."""
    card_path = path / CARD
    if not card_path.is_file():
        raise ConfigError(
            "segmentation.models", str(path), f"a folder with {CARD}", "name a model folder"
        )
    card = check_card(read_yaml(card_path), str(card_path))
    digest = hashlib.sha256()
    stages: dict[str, Stage] = {}
    lender = str(card.get("localiser", ""))
    if lender:
        lent, their_digest = _lent(lender, str(card_path), device)
        in_cord = any(entry.get("in_cord") for entry in card.get("stages", {}).values())
        stages.update({n: s for n, s in lent.items() if n == LOCALISER or in_cord})
        digest.update(their_digest.encode())
    for name, entry in sorted(card.get("stages", {}).items()):
        weights = path / entry["weights"]
        found = _check_weights(weights, known)
        digest.update(found.encode())
        stages[name] = _stage(entry, weights, device)
    if any(stage.in_cord for stage in stages.values()) and "cord" not in stages:
        raise ConfigError("stages", sorted(stages), "a stage 'cord' beside one that is in_cord",
                          "name a model with a cord under localiser", str(card_path))  # fmt: skip
    return Model(
        str(card["name"]), card, stages, digest.hexdigest() if stages else "",
        device if stages else torch.device("cpu"), card.get("backend", NETWORK),
    )  # fmt: skip


def _lent(lender: str, where: str, device: torch.device) -> tuple[dict[str, Stage], str]:
    """Stages of a registered model with a localiser, and the sha256 of that model's weights."""
    entry = list_models().get(lender)
    if entry is None or f"{LOCALISER}{_SUFFIX}" not in entry["weights"]:
        raise ConfigError(LOCALISER, lender, "a registered model that has a localiser",
                          "correct the card", where)  # fmt: skip
    lent = load_model(lender, device)
    return lent.stages, lent.sha256


def check_card(card: Any, where: str) -> dict[str, Any]:
    """Check a model card's keys.

    Raises
    ------
    ConfigError
        Missing or unknown key, unknown schema, backend or activation, weights outside the folder.
    """
    if not isinstance(card, dict):
        raise ConfigError("model", card, "a mapping", "mend the card", where)
    for key in CARD_NEEDED:
        if key not in card:
            raise ConfigError(key, None, "a value", "add the key to the card", where)
    _refuse_unknown(card, CARD_KEYS, "", where)
    if card["schema"] != SCHEMA:
        raise ConfigError("schema", card["schema"], str(SCHEMA), "use a matching version", where)
    check_experimental(card, where)
    _check_backend(card, where)
    for name, stage in card.get("stages", {}).items():
        check_stage(str(name), stage, where)
        _refuse_unknown(stage, STAGE_KEYS, f"stages.{name}.", where)
        if stage.get("activation") not in ACTIVATIONS:
            raise ConfigError(
                f"stages.{name}.activation", stage.get("activation"),
                "one of " + ", ".join(ACTIVATIONS), "correct the card", where,
            )  # fmt: skip
        weights = str(stage.get("weights", ""))
        if Path(weights).name != weights or not weights.endswith(_SUFFIX):
            raise ConfigError(
                f"stages.{name}.weights", weights, f"a file name *{_SUFFIX} in the folder",
                "convert the weights to safetensors", where,
            )  # fmt: skip
    return card


def _check_backend(card: dict[str, Any], where: str) -> None:
    """Networks have stages, and what is no network has none."""
    backend = card.get("backend", NETWORK)
    if backend not in BACKENDS:
        raise ConfigError("backend", backend, "one of " + ", ".join(BACKENDS), "correct it", where)
    stages = card.get("stages", {})
    if (backend == NETWORK) != bool(stages) or not isinstance(stages, dict):
        expected = "stages with weights" if backend == NETWORK else "no stages"
        raise ConfigError("stages", card.get("stages"), expected, "correct the card", where)


def _refuse_unknown(
    entry: dict[str, Any], allowed: frozenset[str], prefix: str, where: str
) -> None:
    """Refuse keys that nothing reads."""
    for key, value in entry.items():
        if key not in allowed:
            raise ConfigError(f"{prefix}{key}", value, "one of " + ", ".join(sorted(allowed)),
                              "remove or correct the key", where)  # fmt: skip


def _check_weights(weights: Path, known: dict[str, str]) -> str:
    """Sha256 of a weights file, compared with the registry's."""
    if not weights.is_file() or weights.stat().st_size > MAX_WEIGHTS_BYTES:
        raise ConfigError(
            "weights", str(weights), "a readable weights file", "fetch the model again"
        )
    found = sha256_of(weights)
    wanted = known.get(weights.name)
    if known and found != wanted:
        raise ConfigError(
            "sha256 of " + weights.name, found, str(wanted),
            "the weights were changed or damaged: fetch the model again", REGISTRY,
        )  # fmt: skip
    return found


def _stage(entry: dict[str, Any], weights: Path, device: torch.device) -> Stage:
    """Build the network and fill it with tensors."""
    network = build_network(entry["architecture"], entry.get("options", {}))
    try:
        tensors = load_file(str(weights))
        network.load_state_dict({k: v.float() for k, v in tensors.items()})
    except (SafetensorError, RuntimeError) as error:
        raise ConfigError(
            "weights", weights.name, "a safetensors file that fits the architecture",
            f"convert or fetch the model again ({error})", str(weights),
        ) from error  # fmt: skip
    network.eval().to(device)
    block = tuple(int(n) for n in entry["patch"]) if _is_of_volumes(entry) else ()
    return Stage(
        network, float(entry["spacing_mm"]), max(block) if block else int(entry["patch"]),
        float(entry.get("neighbour_mm", 0.0)), str(entry["activation"]),
        float(entry.get("logit_offset", 0.0)), block,
        tuple(float(t) for t in entry.get("thresholds", ())), bool(entry.get("in_cord", False)),
        float(entry.get("least_sure", LEAST_SURE)),
    )  # fmt: skip


def _is_of_volumes(entry: dict[str, Any]) -> bool:
    return entry["architecture"] in VOLUME_NETWORKS
