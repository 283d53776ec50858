"""The configuration of a study: typed, complete, and refused where it is wrong.

:func:`load_config` reads ``config/config.yaml`` and checks all that shows without walking a data
set; :func:`cordcohort.bids.prepare.prepare` checks the rest against the index.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cordcohort.bids.names import contrast_of
from cordcohort.errors import ConfigError
from cordcohort.exclusion_files import read_exclusions, require_lists
from cordcohort.scan import CONFIG_PATH
from cordcohort.validation import read_strict_yaml, validated

DATA_VARIABLE = "CORDCOHORT_DATA"
_PLACEHOLDER = re.compile(r"\$\{" + DATA_VARIABLE + r"(?::-([^}$]+))?\}")


@dataclass(frozen=True)
class Study:
    """What the study is called; ``title`` is never empty."""

    name: str
    title: str
    authors: tuple[str, ...]


@dataclass(frozen=True)
class Dataset:
    """One BIDS data set; the keys are those of the schema, ``root`` is the resolved path."""

    name: str
    path: str
    root: Path
    labels: str
    site: str | None
    vendor: str | None
    split: str
    site_column: str | None
    vendor_column: str | None
    person_column: str | None
    split_column: str | None
    external: Mapping[str, str]


@dataclass(frozen=True)
class Segmentation:
    """Masks drawn by models; ``use_manual`` is empty where the config says false.

    ``batch_size`` is that of the device.
    """

    models: tuple[str, ...]
    device: str
    batch_size: int
    mirror: bool
    use_manual: tuple[str, ...]
    contrasts: Mapping[str, tuple[str, ...]]
    external_models: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class SoftTruth:
    """Soft ground truth of the cord, averaged over the contrasts of a session."""

    make: bool
    masks: tuple[str, ...]
    reference_contrast: str
    alignment: str
    edge_mm: Mapping[str, float]
    min_dice: float


@dataclass(frozen=True)
class Images:
    """Images derived from images."""

    b0_threshold_s_per_mm2: float
    denoise: str
    motion_correction: bool
    tensor_fit: str
    dilate_mm: float
    soft_truth: SoftTruth


@dataclass(frozen=True)
class Followups:
    """How lesions are followed over the sessions of a person."""

    make: bool
    registration: str
    min_volume_mm3: float
    min_overlap: float
    tolerance_mm: float
    change: float


@dataclass(frozen=True)
class Rootlets:
    """How spinal levels are made from rootlets."""

    radius_mm: float
    radius_voxels: int
    rule: str
    levels: str
    pmj_confidence: float
    staple: bool


@dataclass(frozen=True)
class Measures:
    """What is measured in every scan."""

    reference: str
    batch_size: int
    levels: str | tuple[str, ...]
    disc_confidence: float
    level_ranges: tuple[str, ...]
    pmj_distances_mm: tuple[float, ...]
    pmj_extent_mm: float
    min_voxels: int
    per_slice: bool
    angle_correction: bool
    normalise_slices: bool
    thresholds: tuple[float, ...]
    voxel_sizes_mm: tuple[float, ...]
    voxel_size_contrasts: tuple[str, ...]
    voxel_size_datasets: tuple[str, ...]
    level_kind: str
    rootlets: Rootlets
    followups: Followups


@dataclass(frozen=True)
class Report:
    """The HTML report."""

    pictures: bool
    contact: str
    published: Mapping[str, str]


@dataclass(frozen=True)
class Config:
    """A validated study.

    Attributes
    ----------
    study, datasets, contrasts, segmentation, images, measures, report
        As in the schema.
    training : tuple of mapping
        Models that the study trains, with the paths of their recipes and folders resolved; those of
        the experiments, one a phase and seed, are among them and among the models that segment.
    experiments : tuple of mapping
        Declared experiments, alike.
    exclude : tuple of Path
        The exclusion lists; they may not exist.
    exclusions : tuple of dict
        Their entries, all text, checked against the schema.
    other_methods : tuple of str
        Methods that may be supplied from elsewhere.
    external_measures, analyses : tuple of dict
        As in the schema with defaults; ``file`` of a table is an absolute path.
    study_dir : Path
        Folder of the study.
    """

    study: Study
    datasets: tuple[Dataset, ...]
    contrasts: tuple[str, ...]
    segmentation: Segmentation
    images: Images
    measures: Measures
    training: tuple[Mapping[str, Any], ...]
    experiments: tuple[Mapping[str, Any], ...]
    exclude: tuple[Path, ...]
    exclusions: tuple[dict[str, str], ...]
    external_measures: tuple[dict[str, Any], ...]
    other_methods: tuple[str, ...]
    analyses: tuple[dict[str, Any], ...]
    report: Report
    study_dir: Path
    content: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """The whole configuration as plain data, with every default, paths as written."""
        return deepcopy(self.content)

    @property
    def digest(self) -> str:
        """SHA-256 of the whole configuration with every default."""
        text = json.dumps(self.content, sort_keys=True, default=str)
        return hashlib.sha256(text.encode("utf-8")).hexdigest()


def load_config(path: Path | str, *, check: bool = True) -> Config:
    """Read and check the configuration of a study.

    Parameters
    ----------
    path : path
        ``STUDY/config/config.yaml``.
    check : bool
        Also check what is outside of the file: data sets, models, tables (no data set is walked).

    Raises
    ------
    ConfigError
        Naming the key, its value, what was expected and the way out.
    SheetError
        If a file is no YAML.
    """
    path = Path(path)
    require_config(path)
    return make_config(read_strict_yaml(path), path.resolve().parent.parent, path.name, check=check)


def require_config(path: Path) -> None:
    """Refuse a folder that is no study.

    Raises
    ------
    ConfigError
        If the configuration is not there.
    """
    if not path.is_file():
        raise ConfigError(
            "the file", str(path), "a configuration", "make one with `cordcohort init`", "config"
        )


def make_config(
    content: Any, study_dir: Path | str, where: str = "config", *, check: bool = True
) -> Config:
    """Check a configuration that is already in memory (see :func:`load_config`).

    Parameters
    ----------
    content : mapping
        As read from YAML; it is not changed.
    study_dir : path
        Folder that ``config`` and relative paths lie in.
    where : str
        File name for messages.
    check : bool
        As in :func:`load_config`.
    """
    study_dir = Path(study_dir).resolve()
    plain = deepcopy(dict(content)) if isinstance(content, Mapping) else content
    filled: dict[str, Any] = validated(plain, "config", where)
    lists = exclusion_lists(filled["exclude"], study_dir)
    experiments = _experiments(filled, study_dir)
    phases = _trainings(experiments)
    config = Config(
        study=_study(filled["study"]),
        datasets=tuple(_dataset(d, i, study_dir) for i, d in enumerate(filled["datasets"])),
        contrasts=tuple(dict.fromkeys(contrast_of(c) for c in filled["contrasts"])),
        segmentation=_segmentation(
            filled["segmentation"], study_dir, [str(e["name"]) for e in phases]
        ),
        images=_images(filled["images"]),
        measures=_measures(filled["measures"]),
        training=(*_training(filled, study_dir), *phases),
        experiments=experiments,
        exclude=tuple(path for path, _ in lists),
        exclusions=tuple(entry for one in lists for entry in read_exclusions(*one)),
        external_measures=tuple(
            _external(table, i, study_dir) for i, table in enumerate(filled["external_measures"])
        ),
        other_methods=tuple(filled["other_methods"]),
        analyses=tuple(_analysis(a) for a in filled["analyses"]),
        report=Report(**filled["report"]),
        study_dir=study_dir,
        content=filled,
    )
    if check:
        from cordcohort.config_checks import check_config  # noqa: PLC0415 - it needs Config

        check_config(config)
        if "exclude" in content:  # only the default may be absent
            require_lists(config.exclude)
    return config


def exclusion_lists(given: Any, study_dir: Path) -> list[tuple[Path, str]]:
    """The exclusion lists, each with the data set that it is about (empty: it says so itself)."""
    folder = study_dir / CONFIG_PATH.parent
    lists = given if isinstance(given, list) else [given]
    named = [one if isinstance(one, Mapping) else {"file": one} for one in lists]
    return [(folder / one["file"], one.get("dataset", "")) for one in named]


def _study(block: Mapping[str, Any]) -> Study:
    return Study(block["name"], block["title"] or block["name"], tuple(block["authors"]))


def _dataset(block: Mapping[str, Any], number: int, study_dir: Path) -> Dataset:
    root = expand_path(block["path"], study_dir, f"datasets[{number}].path")
    return Dataset(root=root, **block)


def _segmentation(
    block: Mapping[str, Any], study_dir: Path, further: Sequence[str]
) -> Segmentation:
    return Segmentation(
        models=(*block["models"], *further),
        device=block["device"],
        batch_size=block["gpu_batch_size" if block["device"] == "cuda" else "batch_size"],
        mirror=block["mirror"],
        use_manual=tuple(block["use_manual"] or ()),
        contrasts={
            name: tuple(dict.fromkeys(contrast_of(c) for c in found))
            for name, found in block["contrasts"].items()
        },
        external_models=tuple(
            _external_model(one, i, study_dir) for i, one in enumerate(block["external_models"])
        ),
    )


def _external_model(block: Mapping[str, Any], number: int, study_dir: Path) -> dict[str, Any]:
    """A published model folder, its path resolved."""
    key = f"segmentation.external_models[{number}].folder"
    return {**block, "folder": str(expand_path(block["folder"], study_dir, key))}


def _images(block: Mapping[str, Any]) -> Images:
    values = dict(block)
    truth = dict(values.pop("soft_truth"))
    masks = tuple(truth.pop("masks"))
    return Images(**values, soft_truth=SoftTruth(**truth, masks=masks))


def _measures(block: Mapping[str, Any]) -> Measures:
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in block.items()}
    values["followups"] = Followups(**values["followups"])
    values["rootlets"] = Rootlets(**values["rootlets"])
    return Measures(**values)


def _training(filled: Mapping[str, Any], study_dir: Path) -> tuple[Mapping[str, Any], ...]:
    if not filled["training"]:
        return ()
    from cordcohort.trained_checks import resolved  # noqa: PLC0415 - few studies train

    names = [d["name"] for d in filled["datasets"]]
    return tuple(resolved(t, i, study_dir, names) for i, t in enumerate(filled["training"]))


def _experiments(filled: Mapping[str, Any], study_dir: Path) -> tuple[Mapping[str, Any], ...]:
    if not filled["experiments"]:
        return ()
    from cordcohort.experiments.checks import resolved_experiment  # noqa: PLC0415 - few have any

    return tuple(resolved_experiment(e, i, study_dir) for i, e in enumerate(filled["experiments"]))


def _trainings(experiments: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Trainings of all phases and seeds that can be trained now."""
    if not experiments:
        return []
    from cordcohort.experiments.declared import experiment_of, trainings  # noqa: PLC0415

    return [entry for block in experiments for entry in trainings(experiment_of(block))]


def _external(block: Mapping[str, Any], number: int, study_dir: Path) -> dict[str, Any]:
    """A table from elsewhere, its file resolved and its data set named."""
    file = expand_path(block["file"], study_dir, f"external_measures[{number}].file")
    return {**block, "file": str(file), "dataset": block["dataset"] or block["name"]}


def _analysis(block: Mapping[str, Any]) -> dict[str, Any]:
    """An analysis with a title; its other keys are checked by its kind."""
    return {**block, "title": block["title"] or block["name"]}


def expand_path(text: str, study_dir: Path, key: str) -> Path:
    """Resolve a path of the config: relative to the study, or below ``${CORDCOHORT_DATA}``.

    Raises
    ------
    ConfigError
        If the variable is used but not set, or another variable is used.
    """
    match = _PLACEHOLDER.search(text)
    if match:
        value = os.environ.get(DATA_VARIABLE) or match[1]
        if not value:
            raise ConfigError(
                key, text, f"the environment variable {DATA_VARIABLE}",
                f"set it to the folder of the data: export {DATA_VARIABLE}=...",
            )  # fmt: skip
        folder = Path(value) if os.environ.get(DATA_VARIABLE) else study_dir / value
        text = text.replace(match[0], str(folder.absolute()))
    if "$" in text:
        expected = f"no other variable than ${{{DATA_VARIABLE}}}"
        raise ConfigError(key, text, expected, "write the path out")
    return Path(os.path.normpath(study_dir / Path(text).expanduser()))
