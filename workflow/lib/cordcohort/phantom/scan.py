"""One scan of a phantom study written: image, sidecar, gradients, masks, truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cordcohort.files import write_json, write_text
from cordcohort.nifti import write_image
from cordcohort.phantom import slices
from cordcohort.phantom.acquisition import Acquisition, acquire, stored
from cordcohort.phantom.cohort import PlannedScan, damage_of, pose_of, scale_of
from cordcohort.phantom.config import REGIONS_OF_CORD, PhantomStudy
from cordcohort.phantom.course import lesions_as_seen
from cordcohort.phantom.diffusion import Series, simulate
from cordcohort.phantom.imaging import Noise, lesion_fraction, structural_image
from cordcohort.phantom.parts import rootlet_levels, rootlet_volume
from cordcohort.phantom.person import Person
from cordcohort.phantom.rater import Drawing, Rater, as_rater_sees, draw, filled_half
from cordcohort.phantom.sheets import write_tsv
from cordcohort.phantom.signals import stream, tissue_signals
from cordcohort.phantom.tensors import Protocol as TensorProtocol
from cordcohort.phantom.tensors import region_table, tensor_truth
from cordcohort.phantom.tissues import GREY_MATTER, REGIONS
from cordcohort.phantom.truth import pmj_mm
from cordcohort.spinal_names import spinal_name

Array = NDArray[Any]

ISOTROPIC_RATIO = 1.5
LABEL_DATE = "2026-01-01"
GREY_CONTRASTS = ("T2starw",)
LEVEL_CONTRASTS = ("T1w", "T2w", "T2starw", "dwi", "MTon", "MToff")
POINT_CONTRASTS = ("T2w",)
SECOND_LABELS = ("_label-SC_seg", "_label-SCregions_dseg")
"""What a second rater draws."""


@dataclass(frozen=True)
class _Target:
    """Where the files of a scan go, and in which storage order."""

    dataset: Path
    scan: PlannedScan
    grid: Acquisition
    axes: str

    def path(self, root: str, ending: str) -> Path:
        """File of the scan: below the dataset itself or below one of its derivative folders."""
        base = self.dataset / "derivatives" / root if root else self.dataset
        return base / self.scan.folder / f"{self.scan.stem}{ending}"

    def write(self, path: Path, data: Array, dtype: Any) -> None:
        """Write a canonical volume in the scanner's storage order."""
        turned, affine = stored(data, self.grid.affine, self.axes)
        write_image(path, turned, affine, dtype=dtype)


def grid_of(study: PhantomStudy, scan: PlannedScan) -> Acquisition:
    """Grid of a scan: the person's place, the site's scale error, the protocol's field of view."""
    protocol, site = scan.protocol, scan.participant.site
    rng = stream(study.seed, "view", scan.key)
    aside = rng.uniform(-1.0, 1.0, 2) * study.difficulty.off_centre_mm
    return acquire(
        scan.participant.person,
        protocol.shape,
        protocol.spacing_mm,
        centre_level=protocol.centre_level or REGIONS_OF_CORD[scan.participant.region],
        pose=pose_of(study, scan),
        scale=scale_of(study, site),
        tilt=site.tilt and not _isotropic(protocol.spacing_mm),
        off_centre_mm=(float(aside[0]), float(aside[1])),
    )


def _isotropic(spacing_mm: tuple[float, float, float]) -> bool:
    return max(spacing_mm) / min(spacing_mm) < ISOTROPIC_RATIO


def write_scan(study: PhantomStudy, scan: PlannedScan, dataset: Path) -> None:
    """Write all files of a scan.

    Parameters
    ----------
    study : PhantomStudy
        The configuration.
    scan : PlannedScan
        Which scan.
    dataset : Path
        Folder of its dataset.
    """
    site = scan.participant.site
    volume = _isotropic(scan.protocol.spacing_mm)
    target = _Target(dataset, scan, grid_of(study, scan), site.volume_axes if volume else site.axes)
    if scan.datatype == "dwi":
        _write_diffusion(study, target)
    else:
        _write_structural(study, target)
    write_json(
        target.path("", ".json"),
        {
            "Manufacturer": site.manufacturer,
            "ManufacturersModelName": site.model,
            "MagneticFieldStrength": site.field_strength_t,
            "InstitutionName": site.name,
            "Modality": "MR",
            "Description": "simulated image of a parametric person; no real scan",
        },
    )
    _write_truth(study, target)
    if stream(study.seed, "manual", scan.key).random() < study.manual_share:
        _write_labels(study, target, study.raters[0], "labels")
        if scan.protocol.rater_2 and _drawn_twice(scan):
            _write_labels(study, target, study.raters[1], "labels_rater-2")
    for number in range(1, site.rootlet_raters + 1):
        _write_rootlets(study, target, study.raters[number - 1], f"labels_rater-{number}")


def _drawn_twice(scan: PlannedScan) -> bool:
    """Every other subject, first session only."""
    return scan.session == "1" and int(scan.participant.subject[-1]) % 2 == 1


def _write_structural(study: PhantomStudy, target: _Target) -> None:
    scan, contrast = target.scan, target.scan.protocol.contrast
    person = scan.participant.person
    signals = tissue_signals(contrast, scan.participant.site.manufacturer, study.seed, scan.key)
    image = structural_image(
        person,
        target.grid,
        signals,
        contrast=contrast,
        noise=Noise(snr=scan.protocol.snr, lesion_cnr=lesion_cnr(study, scan)),
        rng=stream(study.seed, "noise", scan.key),
    )
    target.write(target.path("", ".nii.gz"), np.rint(image), np.int16)


def lesion_cnr(study: PhantomStudy, scan: PlannedScan) -> float:
    """Contrast-to-noise ratio of a person's lesions on T2w: the same in all scans."""
    low, high = study.difficulty.lesion_cnr
    return float(stream(study.seed, "cnr", scan.participant.person_id).uniform(low, high))


def _write_diffusion(study: PhantomStudy, target: _Target) -> None:
    scan, grid = target.scan, target.grid
    table, hard = study.diffusion, study.difficulty
    protocol = TensorProtocol(
        table.n_b0, table.n_directions, table.b_value, hard.fa_sd, hard.motion_mm
    )
    person = scan.participant.person
    seed = int(stream(study.seed, "person tensor", scan.participant.person_id).integers(2**31))
    truth = tensor_truth(person, grid, protocol, seed)
    signals = tissue_signals("dwi", scan.participant.site.manufacturer, study.seed, scan.key)
    series = simulate(
        person,
        grid,
        truth,
        signals,
        protocol=protocol,
        snr=scan.protocol.snr,
        rng=stream(study.seed, "noise", scan.key),
    )
    if scan.protocol.average:
        weighted = series.data[..., series.bvals > 0.0]
        target.write(target.path("", ".nii.gz"), np.rint(weighted.mean(axis=3)), np.int16)
    else:
        target.write(target.path("", ".nii.gz"), np.rint(series.data), np.int16)
        _write_gradients(target, series)
    write_tsv(target.path("truth", "_regions.tsv"), region_table(truth))
    if hard.motion_mm > 0.0:
        write_tsv(target.path("truth", "_motion.tsv"), _motion_rows(series))


def _write_gradients(target: _Target, series: Series) -> None:
    """b-values and b-vectors by the FSL convention that BIDS prescribes."""
    _, affine = stored(series.data[..., 0], target.grid.affine, target.axes)
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    vectors = series.directions @ axes
    if np.linalg.det(axes) > 0.0:
        vectors[:, 0] *= -1.0
    bvals = " ".join(f"{b:g}" for b in series.bvals)
    rows = [" ".join(f"{v + 0.0:.6f}" for v in column) for column in vectors.T]
    write_text(target.path("", ".bval"), bvals + "\n")
    write_text(target.path("", ".bvec"), "\n".join(rows) + "\n")


def _motion_rows(series: Series) -> list[dict[str, float | int]]:
    n_volumes, n_slices, _ = series.shifts_mm.shape
    return [
        {
            "volume": volume,
            "slice": k,
            "shift_x_mm": float(series.shifts_mm[volume, k, 0]),
            "shift_y_mm": float(series.shifts_mm[volume, k, 1]),
        }
        for volume in range(n_volumes)
        for k in range(n_slices)
    ]


def _write_truth(study: PhantomStudy, target: _Target) -> None:
    scan, grid = target.scan, target.grid
    person = scan.participant.person
    shares = slices.true_shares(person, grid)
    write_tsv(target.path("truth", "_slices.tsv"), slices.slice_truth(person, grid, shares))
    parts = {
        "SC": shares[..., : len(REGIONS)].sum(axis=-1),
        "GM": shares[..., [int(g) - 1 for g in GREY_MATTER]].sum(axis=-1),
    }
    for name, share in parts.items():
        target.write(target.path("truth", f"_label-{name}_softseg.nii.gz"), share, np.float32)
    pose = pose_of(study, scan)
    write_json(
        target.path("truth", "_truth.json"),
        {
            "person_id": scan.participant.person_id,
            "damage": damage_of(person),
            "scale": grid.scale,
            "rotation_deg": pose.rotation_deg,
            "shift_mm": pose.shift_mm,
            "lesion_cnr": lesion_cnr(study, scan),
            "pmj_mm": pmj_mm(person),
            "rootlets_mm": {
                spinal_name(one.level): [one.lowest_mm, one.highest_mm]
                for one in rootlet_levels(person)
            },
        },
    )


def _write_labels(study: PhantomStudy, target: _Target, rater: Rater, root: str) -> None:
    """Masks of one rater, each with its sidecar."""
    scan = target.scan
    person, grid = scan.participant.person, target.grid
    drawing = draw(person, grid, rater, stream(study.seed, rater.name, scan.key))
    labels = _drawn(study, scan, grid, drawing)
    if root != "labels":
        labels = {name: labels[name] for name in SECOND_LABELS if name in labels}
        if study.lesion_masks_of_all and scan.protocol.contrast in POINT_CONTRASTS:
            rng = stream(study.seed, rater.name, "lesions", scan.key)
            labels["_label-lesion_seg"] = _lesions(lesions_as_seen(person, rater, rng), grid)
    for name, volume in labels.items():
        target.write(target.path(root, f"{name}.nii.gz"), volume, np.uint8)
        write_json(target.path(root, f"{name}.json"), {"Author": rater.name, "Date": LABEL_DATE})


def _write_rootlets(study: PhantomStudy, target: _Target, rater: Rater, root: str) -> None:
    """Rootlets as one of several raters draws them."""
    scan, grid = target.scan, target.grid
    rng = stream(study.seed, rater.name, "rootlets", scan.key)
    seen = as_rater_sees(scan.participant.person, rater, rng)
    volume = rootlet_volume(seen, grid.shape, grid.to_person)
    name = "_label-rootlets_dseg"
    target.write(target.path(root, f"{name}.nii.gz"), volume, np.uint8)
    write_json(target.path(root, f"{name}.json"), {"Author": rater.name, "Date": LABEL_DATE})


def _drawn(
    study: PhantomStudy, scan: PlannedScan, grid: Acquisition, drawing: Drawing
) -> dict[str, Array]:
    """Every label that this contrast gets, by the ending of its file name."""
    person, contrast = scan.participant.person, scan.protocol.contrast
    labels = {"_label-SC_seg": drawing.cord}
    if contrast in GREY_CONTRASTS:
        labels["_label-GM_seg"] = drawing.grey
    if contrast == "dwi":
        labels["_label-SCregions_dseg"] = drawing.regions
    if study.level_labels and contrast in LEVEL_CONTRASTS:
        labels["_label-vertebrae_dseg"] = slices.vertebra_labels(person, grid, drawing.cord)
    if contrast in POINT_CONTRASTS:
        labels |= _points(study, scan, grid, drawing)
    return labels


def _points(
    study: PhantomStudy, scan: PlannedScan, grid: Acquisition, drawing: Drawing
) -> dict[str, Array]:
    person = scan.participant.person
    labels = {"_label-canal_seg": drawing.canal}
    if study.level_labels:
        labels["_label-discs_dlabel"] = slices.disc_labels(person, grid)
    pmj = slices.pmj_label(person, grid)
    if pmj.any():
        labels["_pmj"] = pmj
    if study.rootlet_labels:
        labels["_label-rootlets_dseg"] = rootlet_volume(person, grid.shape, grid.to_person)
    if person.lesions or study.lesion_masks_of_all:
        labels["_label-lesion_seg"] = _lesions(person, grid)
    return labels


def _lesions(person: Person, grid: Acquisition) -> Array:
    return filled_half(lesion_fraction(person, grid)).astype(np.uint8)
