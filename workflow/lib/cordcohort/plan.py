"""What a study asks for: batches of scans with their inputs and outputs, from the index row by row.

Targets never come from a product of wildcards: a session that does not exist asks for no file.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cordcohort import followup_plan, truth_plan
from cordcohort import scan as paths
from cordcohort.batches import Batch, batch_records, batches, numbers_of
from cordcohort.bids.shards import rows_of_batches
from cordcohort.config import Config, make_config
from cordcohort.experiments.declared import Experiment, experiment_of, seeds_of_models
from cordcohort.experiments.plan import (
    CORRECTED_RULE,
    RANK_RULE,
    PhaseJob,
    corrected_jobs,
    ranking_jobs,
    tested_persons,
    training_files,
)
from cordcohort.files import read_yaml
from cordcohort.level_choice import DISC_MODEL
from cordcohort.level_plan import (
    ROOTLETS,
    is_searched,
    lent_labels,
    level_files,
    spinal_files,
)
from cordcohort.model_uses import (
    CORD,
    FA,
    LESION,
    LESION_PARTS,
    ModelUse,
    model_uses,
    registered,
)
from cordcohort.nnunet.paths import (
    NNUNET,
    TORCH,
    backend_of,
    fold_record,
    folder_files,
    n_folds,
    nnunet_outputs,
)
from cordcohort.prepared import just_prepared, may_keep
from cordcohort.report.links import PICTURES
from cordcohort.root import workflow_root
from cordcohort.scan import CONFIG_PATH, Row
from cordcohort.trained import (
    model_folder,
    model_outputs,
    model_split,
    scans_of,
    training_inputs,
    wants_truth,
)

REPORT_FOLDER = f"{paths.RESULTS}/report"
PICTURES_RECORD = f"{REPORT_FOLDER}/{PICTURES}/{{batch}}.json"
REPORTED_SECTIONS = (
    "study", "datasets", "segmentation", "images", "measures", "analyses", "report"
)  # fmt: skip
# Kind of measure to the module that holds its science.
MEASURE_KINDS = {
    "shape": "measures.shape",
    "agreement": "measures.agreement",
    "regions": "measures.regions",
    "lesion": "measures.lesions",
    "threshold": "measures.threshold",
    "resolution": "measures.resolution",
    "spinal": "measures.spinal_rows",
}
# Options of measures that concern one kind only: a change of them reruns nothing else.
OPTIONS_OF_KIND = {"thresholds": ("threshold",), "voxel_sizes_mm": ("resolution",)}
OPTIONS_OF_NONE = ("batch_size", "voxel_size_contrasts", "voxel_size_datasets", "followups")
LEVELLED_KINDS = frozenset({"shape", "regions", "threshold", "lesion"})
# Kinds of what must have been drawn.
DRAWN_KINDS = {"lesion": {LESION, *LESION_PARTS}, "spinal": {ROOTLETS}}
# Rules whose inputs are made from every scan.
WHOLE_STUDY_RULES = frozenset({"cohort", "subject_pages"})
TRAINING_RULE, NNUNET_RULE = "train_", "nnunet_"


@dataclass(frozen=True)
class Plan:
    """Everything that a study wants, derived from its config and its index.

    Attributes
    ----------
    config : Config
        The validated configuration.
    rows : list of dict
        The index, one row a scan; in a job that works on batches, their rows only.
    only : frozenset of str
        Names of the batches that are wanted, where a job on a node needs its own only; else empty.
    """

    config: Config
    rows: list[dict[str, Any]]
    only: frozenset[str] = frozenset()

    def forget_scans(self) -> None:
        """Free the rows, once all that follows from them has been asked for."""
        self.rows.clear()
        for kept in ("_by_name", "_before"):
            self.__dict__.pop(kept, None)

    def b0_batches(self) -> list[Batch]:
        """Mean b=0 images of diffusion series."""
        return self._batches(
            "mean_b0",
            self._diffusion_scans(),
            paths.image_files,
            lambda row: [paths.image_record(row, "b0")],
        )

    def segmentation_batches(self, model: str) -> list[Batch]:
        """Scans that go through one network: those with an image that take no manual mask."""
        return batches(
            f"segment_{model}",
            [row for row in self.rows if self._is_drawn(row, self.use(model))],
            self.config.segmentation.batch_size,
            lambda row: _inputs_of(self.use(model), row),
            self.use(model).records,
            only=self.only,
        )

    def resolution_batches(self, model: str) -> list[Batch]:
        """Scans that are brought to other voxel sizes and go through one model there."""
        sizes, use = self.config.measures.voxel_sizes_mm, self.use(model)
        return batches(
            f"segment_resampled_{model}",
            [r for r in self.rows if use.takes(r) and self._is_measured("resolution", r)],
            self.config.segmentation.batch_size,
            _network_inputs,
            lambda row: [f for s in sizes for f in use.records(paths.at_voxel_size(row, s))],
            only=self.only,
        )

    def soft_truth_batches(self) -> list[Batch]:
        """Soft ground truth, averaged over the scans of a session."""
        return batches(
            truth_plan.RULE,
            [row for row in self.rows if self._has_truth(row)],
            self.config.measures.batch_size,
            self._truth_inputs,
            lambda row: [paths.soft_truth_record(row)],
            only=self.only,
        )

    def withdraw_truths(self) -> None:
        """Remove the soft ground truth of scans that take part in none any more."""
        if self.config.images.soft_truth.make:
            truth_plan.withdraw(row for row in self.rows if not self._has_truth(row))

    def soft_truth_options(self) -> dict[str, Any]:
        """How the soft ground truth is made."""
        return truth_plan.options(self.config)

    def left_out_of_truth(self, batch: Batch) -> dict[str, str]:
        """Scans of a batch that the exclusion list keeps out of the average, with the reasons."""
        return truth_plan.left_out(self.config, [self._by_name[name] for name in batch.scans])

    def disc_batches(self) -> list[Batch]:
        """Scans in which discs are detected: those whose levels nobody labelled."""
        return batches(
            "discs",
            [row for row in self.rows if is_searched(row, self.config)],
            self.config.segmentation.batch_size,
            self._cord_state_of,
            lambda row: [paths.disc_record(row, DISC_MODEL)],
            only=self.only,
        )

    def tensor_batches(self) -> list[Batch]:
        """Tensor maps inside the dilated cord."""
        return self._batches(
            "tensor",
            self._diffusion_scans(),
            self._cord_state_of,
            lambda row: [paths.image_record(row, "tensor")],
        )

    def level_map_batches(self) -> list[Batch]:
        """Maps of spinal levels of the scans on which somebody draws rootlets."""
        return self._batches(
            "level_maps",
            self._measured("spinal"),
            self._drawn_state_of,
            lambda row: [paths.level_map_record(row)],
        )

    def measure_batches(self, kind: str) -> list[Batch]:
        """Small tables of one kind for every scan that has, or should have, a mask."""
        return self._batches(
            kind,
            self._measured(kind),
            lambda row: self._measure_inputs(kind, row),
            lambda row: [paths.measure_table(row, kind)],
        )

    def followup_batches(self) -> list[Batch]:
        """Scans whose lesions are followed from an earlier session."""
        return batches(
            followup_plan.RULE,
            self._followed(),
            self.config.measures.batch_size,
            lambda row: [
                *self._state_of(row), *self._state_of(self._before[paths.scan_id(row)]),
                *(str(one["image"]) for one in (row, self._before[paths.scan_id(row)])),
            ],
            lambda row: [paths.measure_table(row, followup_plan.KIND)],
            only=self.only,
        )  # fmt: skip

    def scans_before(self, batch: Batch) -> dict[str, str]:
        """Each scan of a batch with the scan of the session before."""
        return {name: paths.scan_id(self._before[name]) for name in batch.scans}

    def followup_options(self) -> dict[str, Any]:
        """How lesions are followed over sessions."""
        measures = self.config.as_dict()["measures"]
        return {**measures["followups"], "reference": measures["reference"]}

    def _followed(self) -> list[dict[str, Any]]:
        if not self.config.measures.followups.make:
            return []
        return [row for row in self.rows if self._is_followed(row)]

    @functools.cached_property
    def _before(self) -> dict[str, Row]:
        return followup_plan.earlier_scans(self.rows)

    @functools.cached_property
    def _by_name(self) -> dict[str, Row]:
        return {paths.scan_id(row): row for row in self.rows}

    def _is_followed(self, row: Row) -> bool:
        before = self._before.get(paths.scan_id(row))
        if before is None or row["status"] != "ok" or before["status"] != "ok":
            return False
        return self._is_measured("lesion", row) and self._is_measured("lesion", before)

    def picture_batches(self) -> list[Batch]:
        """Pictures of every mask of a scan, with one record a batch."""
        if not self.config.report.pictures:
            return []
        found = self._batches("pictures", self.rows, self._state_of, _no_files)
        return [replace(b, outputs=[PICTURES_RECORD.format(batch=b.name)]) for b in found]

    def picture_records(self) -> list[str]:
        """Records of the pictures of all batches."""
        return [record for batch in self.picture_batches() for record in batch.outputs]

    def report_settings(self) -> dict[str, Any]:
        """What the pages show of the config."""
        content = self.config.as_dict()
        return {key: content[key] for key in REPORTED_SECTIONS}

    def measure_records(self) -> list[str]:
        """Records of all batches of small tables, from which the cohort table is made."""
        size = self.config.measures.batch_size
        found = batch_records(followup_plan.RULE, self._followed(), size)
        for kind in MEASURE_KINDS:
            found += batch_records(kind, self._measured(kind), size)
        return found

    def series_options(self) -> dict[str, Any]:
        """How diffusion series are preprocessed."""
        images = self.config.images
        return {
            "b0_threshold_s_per_mm2": images.b0_threshold_s_per_mm2,
            "denoise": images.denoise,
            "motion_correction": images.motion_correction,
        }

    def tensor_options(self) -> dict[str, Any]:
        """Options of the tensor fit."""
        images = self.config.images
        return {
            "fit": images.tensor_fit,
            "dilate_mm": images.dilate_mm,
            "b0_threshold_s_per_mm2": images.b0_threshold_s_per_mm2,
        }

    def measure_options(self, kind: str) -> dict[str, Any]:
        """The section ``measures`` of the config, less what changes no number of a kind."""
        section = dict(self.config.as_dict()["measures"])
        others = {key for key, kinds in OPTIONS_OF_KIND.items() if kind not in kinds}
        for key in (*OPTIONS_OF_NONE, *others):
            section.pop(key)
        return section

    def model_files(self, model: str) -> list[str]:
        """Files of a model, so that a new model reruns what it drew."""
        if self._trains(model):
            return self._trained_files(model)
        if model in self._external:
            return folder_files(self._external[model])
        lender = registered().get(model, {}).get("localiser")
        folders = [workflow_root() / "models" / name for name in (model, lender) if name]
        return [
            str(file)
            for folder in folders
            for file in sorted(folder.iterdir())
            if file.suffix in (".yaml", ".safetensors")
        ]

    def model_source(self, model: str) -> str | dict[str, Any]:
        """Name of a registered model, folder of one that the study trains, or a declared folder."""
        if model in self._external:
            return dict(self._external[model])
        return model_folder(model) if self._trains(model) else model

    def torch_models(self) -> list[str]:
        """Models that the rules of the networks run."""
        return [m for m in self.config.segmentation.models if m not in self.nnunet_models()]

    def nnunet_models(self) -> list[str]:
        """Models that nnU-Net runs, in its own environment."""
        trained = {str(entry["name"]) for entry in self.trainings(NNUNET)}
        drawing = {*trained, *self._external}
        return [model for model in self.config.segmentation.models if model in drawing]

    def trainings(self, backend: str = TORCH) -> list[Mapping[str, Any]]:
        """Declared trainings of a backend."""
        return [entry for entry in self.config.training if backend_of(entry) == backend]

    def nnunet_folds(self, entry: Mapping[str, Any]) -> list[str]:
        """Records of the folds that a declared training trains."""
        return [fold_record(str(entry["name"]), fold) for fold in range(n_folds(entry))]

    @functools.cached_property
    def _external(self) -> dict[str, Mapping[str, Any]]:
        return {str(entry["name"]): entry for entry in self.config.segmentation.external_models}

    def _trained_files(self, model: str) -> list[str]:
        ours = {str(entry["name"]) for entry in self.trainings(NNUNET)}
        if model in ours:
            return nnunet_outputs(model)
        return model_outputs(model, self.use(model).task)

    def training_inputs(self, entry: Mapping[str, Any]) -> list[str]:
        """Recipes, scans and masks of a declared training; the study's soft truth where wanted."""
        if "experiment" in entry:
            return training_files(entry, self.rows)
        files = training_inputs(entry, self.rows)
        if wants_truth(entry):
            scans = [row for row in scans_of(entry, self.rows) if self._has_truth(row)]
            files += [paths.soft_truth_record(row) for row in scans]
        return files

    @functools.cached_property
    def experiments(self) -> list[Experiment]:
        """The declared experiments."""
        return [experiment_of(block) for block in self.config.experiments]

    def ranking_jobs(self) -> list[PhaseJob]:
        """Scans of experiments that are ranked and exported for correction."""
        return ranking_jobs(self.experiments, self.rows, self._is_drawn_by)

    def corrected_jobs(self) -> list[PhaseJob]:
        """Corrected masks that came back to experiments."""
        return corrected_jobs(self.experiments, self.rows)

    def experiment_tables(self) -> list[str]:
        """What experiments leave besides models, masks and measures."""
        return [file for job in (*self.ranking_jobs(), *self.corrected_jobs())
                for file in job.outputs]  # fmt: skip

    def seeds(self) -> dict[str, list[str]]:
        """Models of experiments to their method and seed in the long table."""
        return {m: list(told) for m, told in seeds_of_models(self.config.training).items()}

    def tested(self) -> dict[str, list[str]]:
        """Models of experiments to the persons whom their seed keeps for the test."""
        return tested_persons(self.experiments, self.rows)

    def _is_drawn_by(self, row: Row, model: str) -> bool:
        return self._is_drawn(row, self.use(model))

    def training_params(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        """What a training depends on besides files: not which scans its model is run on."""
        return {key: value for key, value in entry.items() if key != "scans"}

    def split_files(self) -> list[str]:
        """Who trained the study's own models, of those that segment."""
        models = self.config.segmentation.models
        return [model_split(model) for model in models if self._trains(model)]

    @functools.cached_property
    def uses(self) -> tuple[ModelUse, ...]:
        """What the models draw, and on which scans."""
        return model_uses(self.config)

    def models(self) -> list[dict[str, Any]]:
        """The models as parameters of a rule."""
        return [use.as_params() for use in self.uses]

    def not_drawn(self, kind: str, batch: Batch) -> dict[str, list[str]]:
        """Models by scan whose contrasts fit but that are not run on it; empty in most studies.

        A mask that such a model left there earlier must not be measured.
        """
        if not (self.config.segmentation.use_manual or any(use.scans for use in self.uses)):
            return {}
        rows = self._by_name
        runs_on = ModelUse.takes if kind == "resolution" else lambda u, r: self._is_drawn(r, u)
        left = {
            scan: [use.name for use in self.uses if not runs_on(use, rows[scan])]
            for scan in batch.scans
        }
        return {scan: names for scan, names in left.items() if names}

    def cord_models(self) -> list[str]:
        """Models whose cord mask is followed by the tensor, the discs and the soft ground truth."""
        return [use.name for use in self.uses if use.finds_cord]

    def use(self, model: str) -> ModelUse:
        """What a model draws, and on which scans."""
        return next(use for use in self.uses if use.name == model)

    def _trains(self, model: str) -> bool:
        return any(entry["name"] == model for entry in self.config.training)

    def exclusion_files(self) -> list[str]:
        """The exclusion lists that exist."""
        return [str(path) for path in self.config.exclude if path.is_file()]

    def external_files(self) -> list[str]:
        """Tables of measures from elsewhere."""
        return [str(table["file"]) for table in self.config.external_measures]

    def analyses(self) -> list[str]:
        """Names of the declared analyses."""
        return [str(analysis["name"]) for analysis in self.config.analyses]

    def analysis_options(self, name: str) -> dict[str, Any]:
        """Declaration of one analysis."""
        return next(dict(a) for a in self.config.analyses if a["name"] == name)

    def _batches(
        self,
        stage: str,
        scans: Sequence[Row],
        inputs: Callable[[Row], Sequence[str]],
        outputs: Callable[[Row], Sequence[str]],
    ) -> list[Batch]:
        size = self.config.measures.batch_size
        return batches(stage, scans, size, inputs, outputs, only=self.only)

    def _measured(self, kind: str) -> list[dict[str, Any]]:
        return [row for row in self.rows if self._is_measured(kind, row)]

    def _diffusion_scans(self) -> list[dict[str, Any]]:
        return [row for row in self.rows if _has_series(row)]

    def _is_drawn(self, row: Row, use: ModelUse) -> bool:
        """Whether a model is run on a scan; only cord masks stand back behind manual ones."""
        if row["status"] == "no_image" or not use.takes(row):
            return False
        return use.task != CORD or not self._takes_manual(row)

    def _takes_manual(self, row: Row) -> bool:
        wanted = self.config.segmentation.use_manual
        return (row["contrast"] in wanted or row["dataset"] in wanted) and any(
            mask["method"] == "manual" and mask["structure"] == "cord" and mask["status"] == "ok"
            for mask in paths.masks_of(row)
        )

    def _is_measured(self, kind: str, row: Row) -> bool:
        if kind == "regions":
            return _has_series(row)
        if kind in DRAWN_KINDS:
            return not self._structures_of(row).isdisjoint(DRAWN_KINDS[kind])
        if kind == "agreement":
            reference = self.config.measures.reference
            return reference in self._methods_of(row)
        if kind == "threshold":
            return bool(self.config.measures.thresholds)
        if kind == "resolution":
            return self._is_resampled(row)
        return True

    def _is_resampled(self, row: Row) -> bool:
        measures = self.config.measures
        wanted = measures.voxel_size_contrasts or (row["contrast"],)
        usable = row["status"] == "ok" and not paths.is_series(row)
        usable &= row["dataset"] in (measures.voxel_size_datasets or (row["dataset"],))
        return bool(measures.voxel_sizes_mm) and usable and row["contrast"] in wanted

    def _measure_inputs(self, kind: str, row: Row) -> list[str]:
        # The record of the tensor follows all that the regions are measured from.
        if kind == "resolution":
            sizes = self.config.measures.voxel_sizes_mm
            small = [paths.at_voxel_size(row, size) for size in sizes]
            drawn = [f for one in small for use in self.uses if use.takes(row)
                     for f in use.records(one)]  # fmt: skip
            return [*drawn, *_mask_files(row), *self._truth_of(row), *level_files(row, self.config)]
        own = self._state_of(row)
        if kind == "regions":  # levels may be carried by the registration of the soft ground truth
            regions = [use for use in self._uses_of(row) if not use.finds_cord]
            drawn = [record for use in regions for record in use.records(row)]
            own = [paths.image_record(row, "tensor"), *drawn, *self._truth_of(row)]
        if kind == "spinal":  # distances may start from a PMJ of another scan of the session
            own = [*own, *lent_labels(row, self.config)]
        if kind not in LEVELLED_KINDS:
            return own
        return [*own, *level_files(row, self.config), *spinal_files(row, self.config, self.uses)]

    def _state_of(self, row: Row) -> list[str]:
        """List the fewest files one of which is new whenever an image or a mask of a scan is.

        A model's record follows the image that it was drawn on, and the mean b=0 image its series;
        naming these as well would double what the engine has to compare.
        """
        return [*self._truth_of(row), *self._drawn_state_of(row)]

    def _truth_of(self, row: Row) -> list[str]:
        return [paths.soft_truth_record(row)] if self._has_truth(row) else []

    def _drawn_state_of(self, row: Row) -> list[str]:
        """As :meth:`_state_of`, of what people and models drew."""
        return self._state_by(row, self._uses_of(row))

    def _cord_state_of(self, row: Row) -> list[str]:
        """As :meth:`_drawn_state_of`, of what draws the cord: the tensor is fitted inside it."""
        return self._state_by(row, [use for use in self._uses_of(row) if use.finds_cord])

    def _state_by(self, row: Row, uses: Sequence[ModelUse]) -> list[str]:
        drawn = [record for use in uses for record in use.records(row)]
        seen = [] if drawn or row["status"] == "no_image" else _network_inputs(row)
        return [*drawn, *seen, *_mask_files(row)]

    def _uses_of(self, row: Row) -> list[ModelUse]:
        return [use for use in self.uses if self._is_drawn(row, use)]

    def _cord_models_of(self, row: Row) -> list[str]:
        return [use.name for use in self._uses_of(row) if use.finds_cord]

    def _structures_of(self, row: Row) -> set[str]:
        drawn = {structure for use in self._uses_of(row) for structure in use.structures}
        return drawn | {str(mask["structure"]) for mask in paths.masks_of(row)}

    def _has_truth(self, row: Row) -> bool:
        return truth_plan.takes_part(row, self.config, self._cord_models_of(row))

    def _truth_inputs(self, row: Row) -> list[str]:
        drawn = truth_plan.mask_files(row, self.config, self._cord_models_of(row))
        return [*drawn, *truth_plan.registered_images(row, self.config)]

    def _methods_of(self, row: Row) -> set[str]:
        """Who draws, or is to draw, on a scan."""
        truth = (paths.SOFT_TRUTH, paths.SOFT_TRUTH_BINARY) if self._has_truth(row) else ()
        given = (str(mask["method"]) for mask in paths.masks_of(row))
        return {*given, *(use.name for use in self._uses_of(row)), *truth}


def load_plan(
    content: Mapping[str, Any],
    *,
    refresh: bool,
    jobs: Sequence[tuple[str, str]] = (),
    study_dir: Path | str = ".",
) -> Plan:
    """Make the plan of the study in a folder.

    Parameters
    ----------
    content : mapping
        The configuration as the engine has read it.
    refresh : bool
        Walk the data sets, check everything and keep the index (the main process does this once);
        else read the index that lies there, as a job on a node does.
    jobs : sequence of (str, str)
        What a job on a node runs (:func:`cordcohort.batches.jobs_of_node`). Where all work on
        batches, the rows of these are read and nothing else.
    study_dir : path
        The study's folder.
    """
    if refresh:
        from cordcohort.bids.prepare import prepare  # noqa: PLC0415 - pandas, which no job needs

        if just_prepared(content, study_dir):
            return load_plan(content, refresh=False, study_dir=study_dir)
        with may_keep(study_dir) as may_write:
            config, index = prepare(study_dir, content, keep=may_write)
        return Plan(config, index.rows)
    config = make_config(content, study_dir, check=False)
    only = frozenset(name for _, name in jobs if name)
    if jobs and not any(_needs_every_row(rule) for rule, _ in jobs):
        return Plan(config, rows_of_batches(numbers_of(only), study_dir), only)
    from cordcohort.bids.index import read_index  # noqa: PLC0415

    return Plan(config, read_index(study_dir).rows, only)


def _needs_every_row(rule: str) -> bool:
    starts = (f"{RANK_RULE}_", f"{CORRECTED_RULE}_", TRAINING_RULE, NNUNET_RULE)
    return rule in WHOLE_STUDY_RULES or rule.startswith(starts)


def _no_files(row: Row) -> list[str]:
    return []


def read_content(study_dir: Path | str) -> Any:
    """Configuration of a study as it stands in its file, unchecked."""
    return read_yaml(Path(study_dir) / CONFIG_PATH)


def _has_series(row: Row) -> bool:
    return paths.is_series(row) and row["status"] != "no_image"


def _network_inputs(row: Row) -> list[str]:
    """List what a network sees: the scan, or the mean b=0 image of a diffusion series."""
    if paths.is_series(row):
        return [paths.image_record(row, "b0")]
    return [row["image"]] if row["status"] == "ok" else []


def _inputs_of(use: ModelUse, row: Row) -> list[str]:
    """List what one model sees of a scan."""
    return [paths.image_record(row, "tensor")] if use.input == FA else _network_inputs(row)


@functools.lru_cache(maxsize=1 << 12)
def _readable_masks(masks: str) -> tuple[str, ...]:
    found = paths.masks_of({"masks": masks})
    return tuple(mask["path"] for mask in found if mask["status"] == "ok")


def _mask_files(row: Row) -> tuple[str, ...]:
    """List the readable manual and external masks of a scan."""
    return _readable_masks(row["masks"])
