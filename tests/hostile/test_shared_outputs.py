"""What is meant for sharing names no person, user, host or folder; tables carry a version."""

from __future__ import annotations

import getpass
import gzip
import json
import os
from pathlib import Path

import nibabel as nib
import pyarrow.parquet as pq
import pytest
from conftest import run_command
from cordcohort.scan import COHORT, SCANS
from cordcohort.table import FOLDER_SCHEMA, SCHEMA_KEY
from hostile_study import SECRETS

SHARED = ("results/report", "results/cohort", "results/statistics", "results/provenance/run.json")
DERIVED = ("results/images", "results/segmentation")  # shared as the images are: their records


def _shared_files(study: Path) -> list[Path]:
    found = [file for name in SHARED for file in [study / name, *(study / name).rglob("*")]]
    found += [file for name in DERIVED for file in (study / name).rglob("*.json")]
    return sorted(file for file in found if file.is_file())


def _content(path: Path) -> bytes:
    """Bytes of a file with all text readable; of a Parquet file every cell."""
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pandas().to_csv().encode()
    return path.read_bytes()


@pytest.fixture(scope="module")
def shared(broken_study):
    """File to its content, of everything that is meant for sharing."""
    folder = broken_study[0]
    return {path.relative_to(folder): _content(path) for path in _shared_files(folder)}


def test_no_shared_file_holds_a_name_a_user_a_host_or_a_folder(broken_study, shared):
    assert len(shared) > 10
    words = [*SECRETS, str(broken_study[0]), str(Path.home()) + "/"]
    host, user = os.uname().nodename, getpass.getuser()
    # A name of three letters may be part of any word, or of the bytes of a picture.
    words += [name for name in (host, user) if len(name) > len("root")]
    words += [f"/{user}/", f"user {user}", f"@{host}"]
    found = [
        (str(path), word)
        for path, content in shared.items()
        for word in words
        if word.encode() in content
    ]
    assert found == []


def test_masks_and_maps_have_headers_without_text(broken_study):
    folder = broken_study[0] / "results"
    made = [*folder.glob("segmentation/**/*.nii.gz"), *folder.glob("images/**/*.nii.gz")]
    assert len(made) > 4
    for path in made:
        assert not nib.load(path).header.extensions, path.name
        head = gzip.decompress(path.read_bytes())[:352]
        for first, length in ((14, 18), (148, 80), (228, 24), (328, 16), (348, 4)):
            assert head[first : first + length].strip(b"\0") == b"", path.name


def test_every_table_and_record_carries_its_schema_version(broken_study):
    folder = broken_study[0] / "results"
    tables = list(folder.rglob("*.parquet"))
    assert len(tables) > 10
    for path in tables:
        assert SCHEMA_KEY in (pq.read_schema(path).metadata or {}), path
    for path in folder.rglob("*.tsv"):
        if path.parts[path.parts.index("results") + 1] in ("benchmarks", "logs"):
            continue
        record = path.with_name(path.name.split(".")[0] + ".json")
        stated = record if record.is_file() else path.parent / FOLDER_SCHEMA
        assert json.loads(stated.read_text())["schema"] >= 1, path
    for path in folder.glob("segmentation/**/*_seg.json"):
        assert json.loads(path.read_text())["schema"] >= 1, path


def test_the_run_record_has_the_hash_of_every_input_and_of_the_tables(broken_study):
    record = json.loads((broken_study[0] / "results/provenance/run.json").read_text())
    assert {Path(COHORT).name, Path(SCANS).name} <= set(record["tables"])
    assert set(record["models"]) == {"cord-v1", "discs-v1"}
    assert record["changed_inputs"] == []
    assert record["inputs"]["files"] > 30


def test_check_lists_what_names_a_person_without_its_value(broken_study):
    done = run_command("cordcohort", "check", broken_study[0], "--deep", check=False)
    assert done.returncode == 1
    for word in ("PatientName", "StationName", "AcquisitionDate", "descrip", "notes", "[empty]"):
        assert word in done.stdout
    for word in SECRETS:
        assert word not in done.stdout


def test_failures_are_gathered_by_code_on_the_page(broken_study):
    page = (broken_study[0] / "results/report/index.html").read_text()
    assert "[pointer]" in page
    assert "[empty]" in page
