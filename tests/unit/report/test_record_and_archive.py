"""The record of the run (RO-Crate), the archive, the references, published values."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from cordcohort.errors import ConfigError, CordcohortError
from cordcohort.report.archive import write_archive
from cordcohort.report.build import build_index_page
from cordcohort.report.published import published_for, published_sets, source_of, with_published
from cordcohort.report.references import BY_KEY, Reference
from unit.report.small_study import Wanted, make_study

Entities = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def crate(report: Path) -> Entities:
    content = json.loads((report / "ro-crate-metadata.json").read_text())
    graph = content["@graph"]
    entities = {entity["@id"]: entity for entity in graph}
    assert len(entities) == len(graph), "every entity is described once"
    assert content["@context"][0] == "https://w3id.org/ro/crate/1.2/context"
    return entities


def references_in(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [value["@id"]] if set(value) == {"@id"} else []
    if isinstance(value, list):
        return [r for item in value for r in references_in(item)]
    return []


def test_the_record_has_what_the_specification_asks_for(crate: Entities) -> None:
    descriptor, root = crate["ro-crate-metadata.json"], crate["./"]
    assert descriptor["@type"] == "CreativeWork"
    assert descriptor["about"] == {"@id": "./"}
    assert descriptor["conformsTo"] == {"@id": "https://w3id.org/ro/crate/1.2"}
    assert root["@type"] == "Dataset"
    assert root["name"]
    assert root["description"]
    assert root["license"]["@id"] in crate
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", root["datePublished"])
    assert all("@type" in entity for entity in crate.values())


def test_every_reference_inside_the_record_is_described(crate: Entities) -> None:
    for entity in crate.values():
        for key, value in entity.items():
            for target in references_in(value):
                known = target in crate or target == "https://w3id.org/ro/crate/1.2"
                assert known, f"{entity['@id']}: {key}: {target}"


def test_parts_of_the_record_are_there_with_the_hashes_told(crate: Entities, report: Path) -> None:
    parts = [crate[r] for r in references_in(crate["./"]["hasPart"])]
    files = [p for p in parts if p["@type"] == "File"]
    assert {"index.html", "review.html", "tables/scans.tsv"} <= {p["@id"] for p in files}
    for part in files:
        data = (report / part["@id"]).read_bytes()
        assert part["sha256"] == hashlib.sha256(data).hexdigest()
        assert part["contentSize"] == str(len(data))
    assert all((report / p["@id"]).is_dir() for p in parts if p["@type"] == "Dataset")


def test_the_run_names_inputs_weights_settings_and_environment(
    crate: Entities, study: tuple[Path, dict[str, Any]]
) -> None:
    run = crate["#run"]
    used = [crate[r] for r in references_in(run["object"])]
    image = next(e for e in used if e["@id"].endswith("sub-01_ses-1_T1w.nii.gz"))
    path = next((study[0] / "bids" / "alpha").rglob("sub-01_ses-1_T1w.nii.gz"))
    assert image["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    weights = {"#model/cord-v1/cord.safetensors", "#model/discs-v1/discs.safetensors"}
    assert weights <= {e["@id"] for e in used}
    tool = crate[run["instrument"]["@id"]]
    needs = [crate[r] for r in references_in(tool["softwareRequirements"])]
    assert {"python", "numpy", "requirements.lock"} <= {e["name"] for e in needs}
    assert all(len(e["sha256"]) == 64 for e in needs if e["@type"] == "MediaObject")


def test_no_folder_user_or_host_is_in_the_record(report: Path) -> None:
    text = (report / "ro-crate-metadata.json").read_text()
    assert not re.search(r'"(/|[A-Za-z]:\\|file:)', text)
    assert str(report.parent.parent) not in text


def test_the_archive_holds_the_report_and_the_same_bytes_again(
    study: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    first = write_archive(study[0], tmp_path / "a.zip")
    assert first.read_bytes() == write_archive(study[0], tmp_path / "b.zip").read_bytes()
    with zipfile.ZipFile(first) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "site")
    assert names == sorted(names)
    assert "report/index.html" in names
    assert not [
        n for n in names if n.startswith(("/", "..")) or ("/pictures/" in n and ".json" in n)
    ]
    for page in (tmp_path / "site").rglob("*.html"):
        for link in re.findall(r'(?:src|href)="([^"#]+)', page.read_text()):
            assert link.startswith("https://doi.org/") or (page.parent / link).exists(), link


def test_an_archive_that_would_tell_a_folder_is_refused(tmp_path: Path) -> None:
    config = make_study(tmp_path, Wanted(n_subjects=1))
    with pytest.raises(CordcohortError, match="no report yet"):
        write_archive(tmp_path)
    index = build_index_page(tmp_path, config)
    index.write_text(f"<p>{tmp_path.resolve()}/x</p>")
    with pytest.raises(CordcohortError, match="no folder of this machine"):
        write_archive(tmp_path)
    assert not (tmp_path / "results/report.zip").exists()


def test_every_reference_is_a_whole_entry_of_bibtex() -> None:
    for work in BY_KEY.values():
        entry = work.bibtex
        assert entry.startswith(f"@article{{{work.key},\n")
        assert entry.count("{") == entry.count("}")
        place = ("doi",) if work.doi else ("volume", "pages")
        for field in ("author", "title", "journal", "year", *place):
            assert f"  {field} = {{" in entry, (work.key, field)
        assert re.fullmatch(r"(10\.\d{4,9}/\S+)?", work.doi)
        assert work.year in work.text


def test_a_title_cannot_break_the_bibtex_file() -> None:
    entry = Reference("x", "A, B", "50 % of {A} & B_1 }\\end", kind="misc").bibtex
    assert r"50 \% of A \& B\_1 end" in entry
    assert entry.count("{") == entry.count("}")


def test_published_values_stand_in_the_rows_that_they_fit() -> None:
    table = pd.DataFrame(
        {
            "structure": ["lesion", "lesion", "cord", "gm"], "measure": ["dice"] * 4,
            "site": ["all", "Zurich", "oslo", "all"], "mean": [0.6, 0.5, 0.9, 0.8],
        }
    )  # fmt: skip
    told = with_published(table, "sciseg")["published"].tolist()
    assert told == ["0.61 ± 0.27 (n = 130)", "0.51 ± 0.30 (n = 79)", "", ""]
    pd.testing.assert_frame_equal(with_published(table, ""), table)
    assert with_published(pd.DataFrame({"x": [1]}), "sciseg")["published"].tolist() == [""]


def test_every_published_set_has_a_source_and_values_of_known_measures() -> None:
    for name, told in published_sets().items():
        work, place = source_of(name)
        assert work.title, name
        assert place, name
        assert all(value["match"] and value["value"] for value in told["values"])


def test_an_unknown_set_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="did you mean sciseg"):
        published_for({"report": {"published": {"a": "scisseg"}}}, "a")
