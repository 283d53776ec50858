"""Nothing that stands in a delivery is executed, leaves its folder, or reaches a page unescaped."""

from __future__ import annotations

import json
import os
import pickle
import re
import zipfile
from pathlib import Path

import pandas as pd
import pytest
import yaml
from conftest import run_command
from cordcohort.bids.index import build_index
from cordcohort.config import make_config
from cordcohort.errors import CordcohortError, SheetError
from cordcohort.files import read_yaml
from cordcohort.report.analysis_tables import write_people_table
from cordcohort.report.pages import environment
from cordcohort.segmentation.registry import load_model
from unit.bids.tree import config_of, put, put_json, put_sheet

HOSTILE = [
    "a;touch owned", "$(touch owned)", "`touch owned`", "a|touch owned", "a&&touch owned",
    "-rf", "--help", "..", "a b", "a\ttouch", "x" * 300, "\u0430dmin", "a\u202eb", "%s%n",
    "{{7*7}}", "<script>alert(1)</script>", "=1+1", "a'b", 'a"b', "a\\b", "~", "*", "a\x00b",
    "01\n02",
]  # fmt: skip


@pytest.mark.parametrize("label", HOSTILE)
def test_a_hostile_subject_label_on_disk_reaches_no_scan_and_no_command(tmp_path, label):
    root = tmp_path / "site"
    put(root, "sub-01/anat/sub-01_T2w.nii.gz")
    try:
        put(root, f"sub-{label}/anat/sub-{label}_T2w.nii.gz")
    except (OSError, ValueError):
        pytest.skip("this file system refuses the name itself")
    index = build_index(config_of(tmp_path, root))
    assert index.scans["subject"].tolist() == ["01"]
    assert index.unmatched["reason"].str.contains("is not|outside|no known").any()
    assert all(path.isprintable() for path in index.unmatched["path"])
    assert not list(tmp_path.rglob("owned"))


@pytest.mark.parametrize("label", ["../../escape", "/etc/passwd", *HOSTILE[:8], HOSTILE[10]])
def test_a_hostile_subject_in_a_sheet_reaches_no_score_and_no_path(tmp_path, label):
    root = tmp_path / "site"
    put(root, "sub-01/anat/sub-01_T2w.nii.gz")
    (root / "participants.tsv").write_text(
        f"participant_id\tage\nsub-01\t30\n{json.dumps('sub-' + label)}\t40\n"
    )
    index = build_index(config_of(tmp_path, root))
    assert set(index.scores["subject"]) == {"01"}
    assert not list(tmp_path.rglob("escape*"))


@pytest.mark.parametrize(
    "name", ["../x", "a b", "a;b", "-x", "x" * 300, "a/b", "$(x)", "{x}", "<b>", ""]
)
def test_a_hostile_name_in_the_config_is_refused_before_any_path_is_made(tmp_path, name):
    root = tmp_path / "site"
    put(root, "sub-01/anat/sub-01_T2w.nii.gz")
    good = {
        "study": {"name": "s"},
        "datasets": [{"name": "site", "path": str(root)}],
        "segmentation": {"models": []},
    }
    make_config(good, tmp_path)
    for section in (
        {"datasets": [{"name": name, "path": str(root)}]},
        {"study": {"name": name}},
        {"analyses": [{"name": name, "kind": "variability", "over": "site"}]},
    ):
        with pytest.raises(CordcohortError):
            make_config(good | section, tmp_path)


def test_check_of_a_hostile_delivery_runs_nothing_and_names_its_faults(tmp_path):
    root = tmp_path / "site"
    put(root, "sub-01/anat/sub-01_T2w.nii.gz")
    put(root, "sub-a;touch owned/anat/sub-a;touch owned_T2w.nii.gz")
    put_json(root, "sub-01/anat/sub-01_T2w.json", {"Manufacturer": "$(touch owned)", "a": "`id`"})
    put_sheet(
        root, "participants.tsv", "participant_id site notes",
        "sub-01 <script>alert(1)</script> =HYPERLINK('http://x')", "sub-$(touch${IFS}owned) x y",
    )  # fmt: skip
    config = tmp_path / "config" / "config.yaml"
    config.parent.mkdir()
    config.write_text(
        yaml.safe_dump({
            "study": {"name": "s"},
            "datasets": [{"name": "site", "path": str(root)}],
            "segmentation": {"models": []},
        })
    )  # fmt: skip
    done = run_command("cordcohort", "check", tmp_path, "--deep", check=False, cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "is not [0-9A-Za-z+]+" in done.stdout
    assert "notes (2)" in done.stdout
    assert "HYPERLINK" not in done.stdout
    assert not list(tmp_path.rglob("owned"))


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("<img src=x onerror=alert(1)>", "&lt;img src=x onerror=alert(1)&gt;"),
        ("{{7*7}}{% raw %}", "{{7*7}}{% raw %}"),
        ("</script>", "&lt;/script&gt;"),
        ("\"'>", "&#34;&#39;&gt;"),
        ("a & b &lt;", "a &amp; b &amp;lt;"),
    ],
)
def test_templates_escape_whatever_a_site_is_called(text, escaped):
    shown = environment().from_string('<p title="{{ x }}">{{ x }}</p>').render(x=text)
    assert shown == f'<p title="{escaped}">{escaped}</p>'


@pytest.mark.parametrize(
    "cell", ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", '=cmd|" /C x"!A0']
)
def test_tables_for_people_hold_no_cell_that_a_spreadsheet_would_run(tmp_path, cell):
    path = tmp_path / "t.tsv"
    write_people_table(path, pd.DataFrame({"note": [cell, "plain", "-1.5"]}))
    cells = [line.strip('"') for line in path.read_text().splitlines()[1:]]
    assert not cells[0].startswith(("=", "+", "-", "@", "\t", "\r"))
    assert cells[1:] == ["plain", "-1.5"]


def _trap(target: Path) -> bytes:
    """Pickle, as PyTorch checkpoints are, that makes a file when it is loaded."""

    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(target),)

    return pickle.dumps({"state_dict": Trap()})


@pytest.mark.parametrize("name", ["cord.safetensors", "checkpoint_final.pth", "model.yaml"])
def test_a_malicious_checkpoint_does_nothing(tmp_path, name):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / name).write_bytes(_trap(tmp_path / "sprung"))
    if name == "cord.safetensors":
        card = {
            "schema": 1, "name": "x", "task": "cord", "labels": {"1": "cord"}, "orientation": "RAS",
            "licence": "MIT", "stages": {"cord": {
                "architecture": "slice_unet", "options": {"features": [4, 8]}, "weights": name,
                "spacing_mm": 1.0, "patch": 32, "neighbour_mm": 2.0, "normalisation": "z-score",
                "activation": "sigmoid",
            }},
        }  # fmt: skip
        (folder / "model.yaml").write_text(yaml.safe_dump(card))
    with pytest.raises(CordcohortError):
        load_model(folder)
    assert not (tmp_path / "sprung").exists()


def test_a_plans_file_that_names_a_function_does_nothing(tmp_path):
    folder = tmp_path / "nnunet"
    folder.mkdir()
    plans = {"network_arch_class_name": "os.system", "arch_kwargs": {"command": "touch sprung"}}
    (folder / "plans.json").write_text(json.dumps(plans))
    with pytest.raises(CordcohortError, match=r"model\.yaml"):
        load_model(folder)
    (folder / "model.yaml").write_text(yaml.safe_dump(plans))
    with pytest.raises(CordcohortError):
        load_model(folder)
    assert not list(tmp_path.rglob("sprung"))


@pytest.mark.parametrize(
    "architecture", ["os.system", "subprocess.Popen", "torch.load", "__import__", "slice_unet.x"]
)
def test_only_listed_networks_are_built(tmp_path, architecture):
    card = {
        "schema": 1, "name": "x", "task": "cord", "labels": {"1": "cord"}, "orientation": "RAS",
        "licence": "MIT", "stages": {"cord": {
            "architecture": architecture, "options": {"command": "touch sprung"},
            "weights": "cord.safetensors", "spacing_mm": 1.0, "patch": 32, "neighbour_mm": 2.0,
            "normalisation": "z-score", "activation": "sigmoid",
        }},
    }  # fmt: skip
    (tmp_path / "model.yaml").write_text(yaml.safe_dump(card))
    (tmp_path / "cord.safetensors").write_bytes(b"\0" * 16)
    with pytest.raises(CordcohortError):
        load_model(tmp_path)
    assert not list(tmp_path.rglob("sprung"))


@pytest.mark.parametrize("member", ["../../escape", "/tmp/escape-cordcohort", "model.yaml"])
def test_archives_are_no_models_and_nothing_of_them_is_unpacked(tmp_path, member):
    archive = tmp_path / "in" / "model.zip"
    archive.parent.mkdir()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(member, b"\0" * 50_000_000)  # 50 kB of bomb
    with pytest.raises(CordcohortError, match="folder"):
        load_model(archive)
    found = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert found == [archive]
    assert not Path("/tmp/escape-cordcohort").exists()


def test_no_module_of_the_package_can_run_or_unpack_what_it_reads(root):
    """Functions that execute or unpack data appear nowhere; no process gets a shell."""
    forbidden = (
        "torch.load", "pickle.load", "pickle.loads", "joblib", "extractall(",
        "tarfile",
        "unpack_archive", "os.system", "shell=True", "yaml.unsafe_load", "yaml.full_load",
        "allow_pickle=True",
    )  # fmt: skip
    found = [
        (path.name, word)
        for path in [*(root / "workflow").rglob("*.py"), *(root / "workflow").rglob("*.smk")]
        for word in forbidden
        if word in path.read_text(encoding="utf-8")
    ]
    # A checkpoint of nnU-Net is read in one place, as tensors and plain values of a list of types.
    assert found == [("checkpoint.py", "torch.load")]
    reader = (root / "workflow/lib/cordcohort/nnunet/checkpoint.py").read_text(encoding="utf-8")
    calls = re.findall(r"torch\.load\(([^)]*)\)", reader)
    assert calls
    assert all("weights_only=True" in call for call in calls)


@pytest.mark.parametrize("kind", ["exclude", "model", "config"])
def test_yaml_tags_that_make_objects_are_refused_wherever_yaml_is_read(tmp_path, kind):
    path = tmp_path / f"{kind}.yaml"
    path.write_text(f"a: !!python/object/apply:os.mkdir ['{tmp_path / 'sprung'}']\n")
    with pytest.raises(SheetError, match=kind):
        read_yaml(path)
    assert not (tmp_path / "sprung").exists()
