"""Where a study lies and in which language its machine speaks changes nothing."""

from __future__ import annotations

import pytest
import yaml
from conftest import run_command
from unit.bids.tree import put

LONG = "x" * 60


@pytest.fixture
def study(tmp_path):
    """Give a study of one scan and mask below a path with blanks, umlauts and 250 characters."""
    folder = tmp_path / "étude à Zürich" / LONG / LONG / LONG / "study"
    assert len(str(folder)) > 200
    root = folder / "data" / "Klinik für Ärzte"
    put(root, "sub-01/anat/sub-01_T2w.nii.gz")
    put(root, "derivatives/labels/sub-01/anat/sub-01_T2w_label-SC_seg.nii.gz")
    (root / "participants.tsv").write_text("participant_id\tsite\nsub-01\tIĞDIR\n", "utf-8")
    content = {
        "study": {"name": "s"},
        "datasets": [{"name": "d", "path": "data/Klinik für Ärzte"}],
        "segmentation": {"models": []},
    }
    (folder / "config").mkdir()
    (folder / "config" / "config.yaml").write_text(yaml.safe_dump(content, allow_unicode=True))
    return folder


@pytest.mark.parametrize("language", ["C", "tr_TR.UTF-8", "C.UTF-8"])
def test_long_paths_with_blanks_and_umlauts_are_read_in_every_locale(study, language):
    environment = {"LC_ALL": language, "LANG": language}
    done = run_command("cordcohort", "check", study, env=environment)
    assert "cord manual 1" in done.stdout
    assert "Traceback" not in done.stderr


def test_nothing_is_ever_written_into_a_data_set(study):
    data = study / "data"
    places = [data, *data.rglob("*")]
    for place in places:
        place.chmod(place.stat().st_mode & ~0o222)
    before = {place: place.stat().st_mtime_ns for place in places}
    # Its images are no images, so the check ends with 1.
    assert run_command("cordcohort", "check", study, "--deep", check=False).returncode == 1
    assert {p: p.stat().st_mtime_ns for p in [data, *data.rglob("*")]} == before
    for place in places:
        place.chmod(place.stat().st_mode | 0o200)
