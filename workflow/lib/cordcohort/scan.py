"""A scan: the row of the index, its identity, and where everything made from it lies."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]

SCAN_KEY = ["dataset", "subject", "session", "acquisition", "run", "contrast"]
CONFIG_PATH = Path("config") / "config.yaml"
RESULTS = "results"
LISTED = "listed"  # on exclusions of a list of file names: the name as it stands there
RECORD_SCHEMA = 1  # of the JSON records beside masks, derived images and pictures
INDEX = f"{RESULTS}/bids/index.parquet"
MODULE_DIGESTS = f"{RESULTS}/bids/modules.json"
SCORES = f"{RESULTS}/bids/scores.parquet"
PARTICIPANTS = f"{RESULTS}/bids/participants.parquet"
COHORT = f"{RESULTS}/cohort/measures.parquet"
SCANS = f"{RESULTS}/cohort/scans.parquet"
SOFT_TRUTH, SOFT_TRUTH_BINARY = "soft-truth", "soft-truth-bin"
"""Methods of the soft ground truth that is averaged over contrasts, and of its binary version."""
NO_MASKS = "[]"  # in the index, as the text of no mask
AVERAGE = "recaverage"
"""What ``rec-average`` becomes in the acquisition of a scan."""
DIFFUSION_MAPS = ("fa", "md", "ad", "rd")
MASK_SUFFIX = {
    "cord": "label-SC_seg",
    "lesion": "label-lesion_seg",
    "oedema": "label-oedema_seg",
    "haemorrhage": "label-haemorrhage_seg",
    "regions": "label-regions_dseg",
    "rootlets": "label-rootlets_dseg",
    "pmj": "label-PMJ_dlabel",
    "discs": "label-discs_dlabel",
}


def scan_id(scan: Row) -> str:
    """Name of a scan, unique in a study: data set, folder and file stem.

    Examples
    --------
    >>> scan_id({"dataset": "a", "folder": "sub-01/anat", "stem": "sub-01_T2w"})
    'a/sub-01/anat/sub-01_T2w'
    """
    return f"{scan['dataset']}/{scan['folder']}/{scan['stem']}"


def subject_of(name: str) -> str:
    """Name of the subject, unique in a study, of a scan by :func:`scan_id`.

    Examples
    --------
    >>> subject_of("a/sub-01/ses-1/anat/sub-01_ses-1_T2w")
    'a/sub-01'
    """
    return "/".join(name.split("/", 2)[:2])


def is_series(scan: Row) -> bool:
    """Whether a scan is a diffusion series, not the mean image of one.

    A mean diffusion image (``rec-average_dwi`` without gradients, as spine-generic writes it) is
    segmented as it is; no tensor is fitted to it.

    Examples
    --------
    >>> mean = {"datatype": "dwi", "acquisition": "recaverage", "bval": "", "bvec": ""}
    >>> is_series(mean), is_series(mean | {"acquisition": ""})
    (False, True)
    """
    if str(scan["datatype"]) != "dwi":
        return False
    return AVERAGE not in str(scan["acquisition"]) or bool(scan["bval"] or scan["bvec"])


def image_files(scan: Row) -> list[str]:
    """Files of a scan's image, the gradient files of a diffusion series among them; none if unread.

    Examples
    --------
    >>> image_files({"image": "a_dwi.nii.gz", "bval": "a.bval", "bvec": "", "status": "ok"})
    ['a_dwi.nii.gz', 'a.bval']
    """
    return [scan[c] for c in ("image", "bval", "bvec") if scan[c] and scan["status"] == "ok"]


def at_voxel_size(scan: Row, size_mm: float) -> dict[str, Any]:
    """The row of a scan brought to another voxel size: its files get an entity ``res-``.

    Examples
    --------
    >>> at_voxel_size({"stem": "sub-01_T2w"}, 1.2)["stem"]
    'sub-01_res-1p2mm_T2w'
    """
    entities, _, suffix = str(scan["stem"]).rpartition("_")
    label = f"{size_mm:g}mm".replace(".", "p")
    return {**scan, "stem": f"{entities}_res-{label}_{suffix}"}


def masks_of(scan: Row) -> list[dict[str, Any]]:
    """Manual and external masks of a scan, as the index found them."""
    text = scan["masks"]
    return list(json.loads(text)) if text and text != NO_MASKS else []


def peers_of(scan: Row) -> list[dict[str, Any]]:
    """Other scans of the session, each with its labels of levels; paths are those of a scan."""
    text = scan.get("peers", "")
    return [peer | {"dataset": scan["dataset"]} for peer in _parsed(text)] if text else []


@functools.lru_cache(maxsize=64)  # planning asks for those of one scan again and again
def _parsed(text: str) -> list[dict[str, Any]]:
    return list(json.loads(text))


def image_file(scan: Row, description: str) -> str:
    """Path of an image derived from a scan, ``description`` being ``b0``, ``fa``, ``md`` ..."""
    folder = f"{RESULTS}/images/{scan['dataset']}/{scan['folder']}"
    return f"{folder}/{_derived_stem(scan, description)}.nii.gz"


def image_record(scan: Row, description: str) -> str:
    """Path of the record that is always written, also where the image could not be made."""
    return image_file(scan, description).removesuffix(".nii.gz") + ".json"


def mask_stem(scan: Row, method: str, structure: str = "cord") -> str:
    """Path, without extension, of the mask that a model draws on a scan."""
    folder = f"{RESULTS}/segmentation/{scan['dataset']}/{method}/{scan['folder']}"
    return f"{folder}/{scan['stem']}_{MASK_SUFFIX[structure]}"


def mask_record(scan: Row, method: str, structure: str = "cord") -> str:
    """Path of the record beside a model's mask, which is written whatever happened."""
    return mask_stem(scan, method, structure) + ".json"


def session_id(scan: Row) -> str:
    """Name of the session of a scan, unique in a study.

    Examples
    --------
    >>> session_id({"dataset": "a", "subject": "01", "session": "2"})
    'a/sub-01/ses-2'
    """
    return f"{scan['dataset']}/sub-{scan['subject']}/ses-{scan['session']}"


def soft_truth_files(scan: Row) -> dict[str, str]:
    """Paths of a scan's soft ground truth.

    Returns
    -------
    dict
        ``soft`` and ``mask`` (binarised) on the scan's own grid, and ``carried``: the scan's own
        mask aligned on the grid of the reference contrast (of the reference, its mask as it is).
    """
    base = f"{RESULTS}/images/{scan['dataset']}/{scan['folder']}/{scan['stem']}"
    return {
        "soft": f"{base}_label-SC_softseg.nii.gz",
        "mask": f"{base}_label-SC_desc-binarised_seg.nii.gz",
        "carried": f"{base}_space-reference_label-SC_softseg.nii.gz",
    }


def soft_truth_record(scan: Row) -> str:
    """Path of the record beside a scan's soft ground truth, which is written whatever happened."""
    return soft_truth_files(scan)["soft"].removesuffix(".nii.gz") + ".json"


def disc_record(scan: Row, model: str) -> str:
    """Path of the record of detected discs, which is written whatever happened."""
    return mask_record(scan, model, "discs")


def level_map_record(scan: Row) -> str:
    """Path of the record beside a scan's map of spinal levels, written whatever happened."""
    folder = f"{RESULTS}/images/{scan['dataset']}/{scan['folder']}"
    return f"{folder}/{scan['stem']}_label-spinal_dseg.json"


def measure_table(scan: Row, kind: str) -> str:
    """Path of the small table of one scan and one kind of measure."""
    folder = f"{RESULTS}/measures/{kind}/{scan['dataset']}/{scan['folder']}"
    return f"{folder}/{scan['stem']}_{kind}.parquet"


def _derived_stem(scan: Row, description: str) -> str:
    """``sub-01_dwi`` and ``fa`` give ``sub-01_desc-fa_dwi``, as BIDS orders entities."""
    entities, _, suffix = str(scan["stem"]).rpartition("_")
    return f"{entities}_desc-{description}_{suffix}"
