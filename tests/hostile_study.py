"""A small study with every kind of broken scan; fixtures for tests/hostile and tests/workflow."""

from __future__ import annotations

import gzip
import json

import pytest
import yaml
from conftest import run_command
from cordcohort.phantom.config import PhantomStudy, Protocol, Site
from cordcohort.phantom.study import write_study

SITES = (
    Site("north", "Siemens", "Prisma", subjects=2),
    Site("south", "GE", "SIGNA", subjects=2),
)
PROTOCOLS = (
    Protocol("T2w", (40, 48, 40), (1.2, 1.2, 1.6)),
    Protocol("dwi", (36, 36, 6), (1.1, 1.1, 5.0), sessions=1),
)


def write_config(folder, content) -> None:
    """Write a study's config."""
    (folder / "config").mkdir(parents=True, exist_ok=True)
    (folder / "config" / "config.yaml").write_text(yaml.safe_dump(content))


def study_content(**changes) -> dict:
    """Config of the small study."""
    content = {
        "study": {"name": "small"},
        "datasets": [{"name": s.name, "path": f"data/{s.name}"} for s in SITES],
        "segmentation": {"models": [], "device": "cpu"},
        "analyses": [
            {
                "name": "area_over_sites",
                "kind": "variability",
                "select": {"measure": "csa_mm2", "structure": "cord", "statistic": "mean"},
                "over": "site",
            }
        ],
    }
    return content | changes


# Words that no file meant for sharing may hold; as scanners and sites leave them in a delivery.
SECRETS = ("SecretDoe", "SecretWard", "SecretDay")


def _name_a_person(dataset) -> None:
    """Leave a name, a place and a day in a sidecar, a header and the sheet of a data set."""
    image = sorted(dataset.glob("sub-*/**/anat/*_T2w.nii.gz"))[0]
    sidecar = image.with_name(image.name.replace(".nii.gz", ".json"))
    telling = {"PatientName": SECRETS[0], "StationName": SECRETS[1], "AcquisitionDate": SECRETS[2]}
    sidecar.write_text(json.dumps(json.loads(sidecar.read_text()) | telling))
    raw = bytearray(gzip.decompress(image.read_bytes()))
    raw[148:157] = SECRETS[0].encode()  # descrip
    image.write_bytes(gzip.compress(bytes(raw), mtime=0))
    sheet = dataset / "participants.tsv"
    head, *rows = sheet.read_text().splitlines()
    told = [f"{head}\tnotes", *(f"{row}\t{SECRETS[0]} {SECRETS[2]}" for row in rows)]
    sheet.write_text("\n".join(told) + "\n")


@pytest.fixture(scope="session")
def small_data(tmp_path_factory):
    """Folder with a small study, nothing run yet, some of its scans broken."""
    folder = tmp_path_factory.mktemp("small")
    study = PhantomStudy(sites=SITES, protocols=PROTOCOLS, sessions=1, missing=(), bad_input=True)
    write_study(study, folder / "data")
    _name_a_person(folder / "data" / "north")
    write_config(folder, study_content())
    return folder


@pytest.fixture(scope="session")
def broken_study(small_data):
    """The small study after a run with the shipped model."""
    write_config(small_data, study_content(segmentation={"models": ["cord-v1"], "device": "cpu"}))
    done = run_command("cordcohort", "run", small_data, "--cores", "2")
    return small_data, done
