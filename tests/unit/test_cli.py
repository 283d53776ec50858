from __future__ import annotations

import subprocess
import sys

import pytest
import yaml
from conftest import ROOT
from cordcohort import launch
from cordcohort.cli import app, main
from cordcohort.cluster import refusals
from cordcohort.config import load_config, make_config
from cordcohort.errors import CordcohortError
from cordcohort.files import read_yaml
from cordcohort.phantom.config import study_from_dict
from cordcohort.statistics.catalogue import check_analyses
from cordcohort.study_files import dataset_names, named_folders, published_studies
from typer.testing import CliRunner
from unit.bids.tree import POINTER, put, put_sheet, put_text

PHANTOMS_OF_ONE_PERSON = """
sites: [{name: a, manufacturer: GE, model: x, subjects: 1}]
protocols:
  - {contrast: dwi, shape: [20, 20, 3], spacing_mm: [1.0, 1.0, 5.0], average: true}
diffusion: {n_b0: 1, n_directions: 6}
traveller: false
missing: []
"""


@pytest.fixture
def sites(tmp_path):
    """Give two sites with the same subject label, one unfetched image and one stray file."""
    roots = [tmp_path / "a" / "bids", tmp_path / "b" / "bids"]
    for root in roots:
        put(root, "sub-01/anat/sub-01_T2w.nii.gz")
        put(root, "derivatives/labels/sub-01/anat/sub-01_T2w_label-SC_seg.nii.gz")
        put_sheet(root, "participants.tsv", "participant_id site", f"sub-01 {root.parent.name}")
    put(roots[1], "sub-01/anat/sub-01_T1w.nii.gz", content=POINTER)
    put(roots[1], "sub-01/anat/sub-01_label.nii.gz")
    return roots


def command(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments], env={"COLUMNS": "200"})


@pytest.fixture
def study(tmp_path, sites):
    folder = tmp_path / "study"
    command("init", folder, "--bids", sites[0], "--bids", sites[1])
    config = folder / "config" / "config.yaml"
    config.write_text(config.read_text().replace("models: [cord-v1]", "models: []"))
    return folder


def test_init_writes_a_commented_config_and_overwrites_nothing(tmp_path, sites):
    study = tmp_path / "study"
    done = command("init", study, "--bids", sites[0], "--bids", sites[1])
    assert done.exit_code == 0, done.output
    text = (study / "config" / "config.yaml").read_text()
    assert "name: a_bids" in text
    assert "name: b_bids" in text
    assert text.count("#") > 40
    put_text(study, "config/config.yaml", "mine")
    command("init", study, "--bids", sites[0])
    assert (study / "config" / "config.yaml").read_text() == "mine"


def test_a_published_study_takes_the_data_sets_given(tmp_path, sites):
    study = tmp_path / "study"
    put(sites[0], "sub-01/anat/sub-01_T1w.nii.gz")
    done = command("init", study, "--study", "contrast-agnostic", "--bids", sites[0])
    assert done.exit_code == 0, done.output
    config = load_config(study / "config" / "config.yaml")
    assert [d.root for d in config.datasets] == [sites[0]]
    assert "csa_by_method" in {a["kind"] for a in config.analyses}
    assert not (study / "data").exists()
    text = (study / "config" / "config.yaml").read_text()
    assert text.startswith("# How much does the cord's area move")


def test_experiments_that_name_phantoms_are_comments_where_data_sets_are_given(tmp_path, sites):
    study = tmp_path / "study"
    done = command("init", study, "--study", "sciseg", "--bids", sites[0])
    assert done.exit_code == 0, done.output
    path = study / "config" / "config.yaml"
    assert load_config(path).experiments == ()
    text = path.read_text().replace("\n# ", "\n")  # as somebody who wants them reads them
    first = text.index("experiments:\n")
    block = yaml.safe_load(text[first : text.index("\n\n", first)])
    assert [one["name"] for one in block["experiments"]] == ["sciseg", "sciseg-2d"]


@pytest.mark.parametrize(
    ("name", "kept", "left"),
    [
        ("sciseg", {"sciseg_2_scores", "normality"}, {"sciseg_4_dcm", "sites_compared"}),
        ("rootlets", {"table_inter_site", "heights"}, {"table_inter_session", "icc_over_raters"}),
    ],
)
def test_a_published_study_on_own_data_passes_check_and_says_what_is_to_be_chosen(
    tmp_path, sites, name, kept, left
):
    study = tmp_path / "study"
    done = command("init", study, "--study", name, "--bids", sites[0], "--bids", sites[1])
    assert done.exit_code == 0, done.output
    assert command("check", study).exit_code == 0
    config = load_config(study / "config" / "config.yaml")
    names = {analysis["name"] for analysis in config.analyses}
    assert kept <= names
    assert not left & names
    assert all("dataset" not in analysis["select"] for analysis in config.analyses)
    assert "cord-v1" in config.segmentation.models
    text = (study / "config" / "config.yaml").read_text()
    assert all(f"# - name: {one}\n" in text and f"{one} (" in done.output for one in left)


def methods_named(analysis):
    """Give the methods that an analysis compares or selects; not the rows of a table's layout."""
    asked = analysis["select"].get("method", [])
    compared = analysis.get("values", []) if analysis.get("compare") == "method" else []
    judges = [analysis[key] for key in ("against", "reference") if key in analysis]
    return {*([asked] if isinstance(asked, str) else asked), *compared, *judges}


@pytest.mark.parametrize("name", published_studies())
def test_a_published_study_on_own_data_compares_only_methods_that_draw_there(tmp_path, name):
    root = tmp_path / "site"
    for scan in ("anat/sub-01_T1w", "anat/sub-01_T2w", "dwi/sub-01_dwi"):
        put(root, f"sub-01/{scan}.nii.gz", f"derivatives/labels/sub-01/{scan}_label-SC_seg.nii.gz")
    study = tmp_path / "study"
    done = command("init", study, "--study", name, "--bids", root)
    assert done.exit_code == 0, done.exception
    assert command("check", study).exit_code == 0
    config = load_config(study / "config" / "config.yaml")
    drawn = {"manual", "soft-truth", *config.segmentation.models}
    assert len(config.analyses) > 2
    for analysis in config.analyses:
        assert methods_named(analysis) <= drawn, analysis["name"]
        assert "-phase" not in str(analysis), analysis["name"]
    assert "truth" not in config.other_methods  # phantoms alone have it


def test_methods_that_left_an_analysis_are_told_and_raters_that_drew_stay(tmp_path, sites):
    for folder in ("labels", "labels_rater-2"):
        path = f"derivatives/{folder}/sub-01/anat/sub-01_T2w_label-lesion_seg.nii.gz"
        put(sites[0], path)
    study = tmp_path / "study"
    done = command("init", study, "--study", "sciseg", "--bids", sites[0])
    told = "methods left out of analyses, because nothing draws them: "
    (line,) = [line for line in done.stderr.splitlines() if line.startswith(told)]
    lost = line.removeprefix(told).split(", ")
    assert {"sciseg-phase3", "deepseg2d"} <= set(lost)
    assert "rater-2" not in lost
    content = read_yaml(study / "config" / "config.yaml")
    analyses = {one["name"]: one for one in content["analyses"]}
    assert analyses["raters_agree"]["select"]["method"] == ["manual", "rater-2"]
    # Nobody is told apart by a group, so the biomarkers are those of everyone.
    assert "group" not in analyses["biomarkers_equivalent"]["select"]
    assert analyses["biomarkers_equivalent"]["values"] == ["sciseg-v1", "rater-2", "manual"]
    assert "false_positives" not in analyses
    assert "false_positives (column group)" in done.stderr
    # Methods that a centre may still supply are rows of the published layout.
    assert "deepseg2d" in analyses["sciseg_2_scores"]["methods"]
    assert "# --- Biomarkers ---" in (study / "config" / "config.yaml").read_text()


def test_a_study_of_contrasts_that_no_data_set_has_is_not_made(tmp_path, sites):
    (sites[0] / "sub-01/anat/sub-01_T1w.nii.gz").unlink(missing_ok=True)
    for name, words in (("scsnet", "scans of dwi"), ("contrast-agnostic", "two contrasts of T1w")):
        with pytest.raises(CordcohortError, match=f"--study {name}: expected .*{words}.* T2w"):
            CliRunner().invoke(
                app,
                ["init", str(tmp_path / "s"), "--study", name, "--bids", str(sites[0])],
                catch_exceptions=False,
            )
    assert not (tmp_path / "s").exists()


def test_a_published_study_tells_why_data_sets_could_not_be_looked_into(tmp_path, sites):
    put_sheet(sites[0], "participants.tsv", "subject site", "sub-01 a")
    study = tmp_path / "study"
    done = command("init", study, "--study", "sciseg", "--bids", sites[0])
    assert "cannot be looked into" in done.stderr
    assert "'participant_id'" in done.stderr
    assert f"remove {study / 'config' / 'config.yaml'} and init again" in done.stderr


def test_init_over_a_config_says_that_it_was_kept_and_nothing_of_one_that_it_did_not_write(
    tmp_path, sites
):
    study = tmp_path / "study"
    first = command("init", study, "--study", "sciseg", "--bids", sites[0])
    path = study / "config" / "config.yaml"
    assert "stand as comments" in first.stderr
    assert "kept" not in first.stdout
    path.write_text(path.read_text() + "# mine\n")
    again = command("init", study, "--study", "sciseg", "--bids", sites[0])
    assert path.read_text().endswith("# mine\n")
    assert f"kept {path} as it was; to have it made anew, remove it first" in again.stdout
    assert "stand as comments" not in again.stderr


def test_rootlets_without_any_cord_are_refused_with_the_way_out(tmp_path, sites):
    study = tmp_path / "study"
    for root in sites:
        (root / "derivatives/labels/sub-01/anat/sub-01_T2w_label-SC_seg.nii.gz").unlink()
    command("init", study, "--bids", sites[0])
    path = study / "config" / "config.yaml"
    path.write_text(path.read_text().replace("models: [cord-v1]", "models: [rootlets-v1]"))
    refused = command("check", study)
    assert isinstance(refused.exception, CordcohortError)
    assert "'rootlets-v1'; add a model that draws the cord, such as cord-v1" in str(
        refused.exception
    )
    with_cord = path.read_text().replace("[rootlets-v1]", "[cord-v1, rootlets-v1]")
    path.write_text(with_cord)
    assert command("check", study).exit_code == 0


def test_rootlets_are_placed_along_cords_drawn_by_hand_and_who_has_none_is_counted(tmp_path, sites):
    put(sites[0], "sub-02/anat/sub-02_T2w.nii.gz")
    study = tmp_path / "study"
    command("init", study, "--bids", sites[0])
    path = study / "config" / "config.yaml"
    path.write_text(path.read_text().replace("models: [cord-v1]", "models: [rootlets-v1]"))
    done = command("check", study)
    assert done.exit_code == 0, done.output
    assert "rootlets-v1: 1 of 2 scans have no cord mask" in done.output


def test_check_says_that_it_opened_no_image_and_deep_ends_with_1_where_one_is_damaged(study, sites):
    told = command("check", study).output
    assert "images and masks were not opened" in told
    image = sites[0] / "sub-01/anat/sub-01_T2w.nii.gz"
    image.write_bytes(image.read_bytes()[:-30])
    deep = command("check", study, "--deep")
    assert deep.exit_code == 1
    assert "were not opened" not in deep.output
    assert "the files have" in deep.output


def test_without_data_sets_a_published_study_makes_its_phantoms(tmp_path):
    study = tmp_path / "study"
    put_text(study, "config/phantom.yaml", PHANTOMS_OF_ONE_PERSON)
    done = command("init", study, "--study", "contrast-agnostic")
    assert done.exit_code == 0, done.output
    images = {p.name for p in study.glob("data/*/sub-*/ses-1/*/*.nii.gz")}
    assert images == {"sub-01_ses-1_rec-average_dwi.nii.gz"}


def test_every_published_study_fits_its_phantoms():
    for name in published_studies():
        folder = ROOT / "config" / "studies"
        config = make_config(read_yaml(folder / f"{name}.yaml"), folder, check=False)
        phantoms = folder / f"{name}.phantom.yaml"
        if phantoms.is_file():
            cohort = study_from_dict(read_yaml(phantoms), phantoms.name)
            assert [d.name for d in config.datasets] == [s.name for s in cohort.sites]
            assert list(dict.fromkeys(p.contrast for p in cohort.protocols)) == list(
                config.contrasts
            )
        check_analyses(config.analyses)


def test_init_refuses_an_unknown_study_and_no_data(tmp_path):
    with pytest.raises(CordcohortError, match="contrast-agnostic"):
        CliRunner().invoke(
            app,
            ["init", str(tmp_path / "s"), "--study", "contrast-agnostics"],
            catch_exceptions=False,
        )
    with pytest.raises(CordcohortError, match="--bids"):
        CliRunner().invoke(app, ["init", str(tmp_path / "s")], catch_exceptions=False)


@pytest.mark.parametrize("make", [False, True])
def test_init_refuses_what_is_no_data_set(tmp_path, make):
    if make:
        (tmp_path / "x").mkdir()
    with pytest.raises(CordcohortError, match="--bids"):
        CliRunner().invoke(
            app,
            ["init", str(tmp_path / "s"), "--bids", str(tmp_path / "x")],
            catch_exceptions=False,
        )


def test_check_tells_what_was_found_unreadable_and_not_matched(study):
    done = command("check", study, "--scans")
    assert done.exit_code == 0, done.output
    for words in ("a_bids", "T2w", "cord manual 1", "git-annex pointer", "no known contrast"):
        assert words in done.output, words
    assert (study / "results" / "bids" / "index.parquet").is_file()


def test_a_wrong_config_ends_with_one_line_and_status_1(study, monkeypatch, capsys):
    config = study / "config" / "config.yaml"
    config.write_text(config.read_text().replace("min_voxels: 5", "min_voxels: none"))
    monkeypatch.setattr(sys, "argv", ["cordcohort", "check", str(study)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "measures.min_voxels: expected a whole number, got 'none'" in lines[0]


@pytest.mark.parametrize(
    ("given", "seen"),
    [(["-pj4"], ["-p", "-j4"]), (["-np", "--cores=2"], ["-n", "-p", "--cores=2"])],
)
def test_flags_written_together_reach_the_refusals_and_the_engine_one_by_one(
    study, monkeypatch, given, seen
):
    asked = []
    monkeypatch.setattr(refusals, "refuse_early", lambda study, flags, *_: asked.append(flags))
    monkeypatch.setattr(launch, "run_study", lambda study, flags, *_: asked.append(flags) or 1)
    assert command("run", study, *given).exit_code == 1
    assert asked == [seen, seen]


def test_report_names_the_report_or_says_how_to_make_it(study):
    with pytest.raises(CordcohortError, match="cordcohort run"):
        CliRunner().invoke(app, ["report", str(study)], catch_exceptions=False)
    put_text(study, "results/report/index.html", "<html>")
    assert command("report", study).output.strip().endswith("results/report/index.html")


def test_every_kind_of_analysis_is_listed_with_its_keys():
    lines = command("analyses").output.splitlines()
    assert "kind: variability" in lines
    assert any(line.startswith("  ddof (default 1; one of [0, 1]): ") for line in lines)


def test_sources_are_folders_by_key(tmp_path):
    assert named_folders([f"atlas={tmp_path}"]) == {"atlas": tmp_path}
    for wrong in ("atlas", f"atlas={tmp_path}/none"):
        with pytest.raises(CordcohortError, match="KEY=FOLDER"):
            named_folders([wrong])


def test_names_of_data_sets_are_unique_whatever_the_folders(tmp_path):
    paths = [tmp_path / p for p in ("x/a b", "y/a-b", "z/A_B", "q/q/d", "q/q/d")]
    names = dataset_names(paths)
    assert len({name.casefold() for name in names}) == len(paths)


HEAVY = ("torch", "scipy", "matplotlib", "pingouin", "snakemake")


@pytest.mark.parametrize(
    ("arguments", "unwanted"),
    [(["--help"], (*HEAVY, "pandas", "nibabel")), (["check"], ("torch", "nibabel", "snakemake"))],
)
def test_commands_load_only_what_they_need(study, root, arguments, unwanted):
    if arguments == ["check"]:
        arguments = ["check", str(study)]
    code = (
        "import sys\nfrom cordcohort.cli import app\n"
        f"sys.argv = ['cordcohort', *{arguments!r}]\n"
        "try:\n    app()\nexcept SystemExit:\n    pass\n"
        f"print('LOADED', [m for m in {unwanted!r} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={"PYTHONPATH": str(root / "workflow" / "lib"), "PATH": ""},
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "LOADED []"


def test_init_from_a_table_maps_its_columns_and_check_tells_what_it_holds(tmp_path):
    put_text(
        tmp_path, "areas.csv", "participant_id,site,csa_mm2,age\nsub-1,a,70,30\nsub-1,b,71,30\n"
    )
    study = tmp_path / "study"
    assert command("init", study, "--table", tmp_path / "areas.csv").exit_code == 0
    done = command("check", study)
    assert done.exit_code == 0, done.output
    assert "areas" in done.output
    assert "csa_mm2" in done.output


def test_init_refuses_a_table_without_subjects_and_nothing_at_all(tmp_path):
    put_text(tmp_path, "t.csv", "a,b\n1,2\n")
    for arguments, words in ((["--table", str(tmp_path / "t.csv")], "subject"), ([], "--table")):
        with pytest.raises(CordcohortError, match=words):
            CliRunner().invoke(
                app, ["init", str(tmp_path / "s"), *arguments], catch_exceptions=False
            )


def test_init_from_a_table_keeps_a_column_with_one_wrong_cell_and_tells_what_it_leaves_out(
    tmp_path,
):
    rows = ["participant_id,site,n_slices,csa_mm2,remark"]
    rows += [f"sub-{i:02},x,4,{'n.a.' if i == 3 else 70 + i},fine" for i in range(1, 7)]
    (tmp_path / "areas.csv").write_text("\n".join(rows) + "\n")
    done = command("init", tmp_path / "s", "--table", tmp_path / "areas.csv")
    assert "remark" in done.stderr
    content = read_yaml(tmp_path / "s" / "config" / "config.yaml")
    table, analysis = content["external_measures"][0], content["analyses"][0]
    assert list(table["measures"]) == ["n_slices", "csa_mm2"]
    assert analysis["select"]["measure"] == "csa_mm2"
    told = str(command("check", tmp_path / "s").exception)
    assert "'n.a.' for csa_mm2 of subject 03" in told


def test_a_published_study_takes_the_contrasts_that_are_there_and_its_config_is_accepted(tmp_path):
    root = tmp_path / "site"
    for contrast in ("T1w", "T2starw"):
        put(root, f"sub-01/anat/sub-01_{contrast}.nii.gz")
        name = f"sub-01_{contrast}_label-SC_seg.nii.gz"
        put(root, f"derivatives/labels/sub-01/anat/{name}")
    study = tmp_path / "s"
    done = command("init", study, "--study", "contrast-agnostic", "--bids", root)
    assert "no scan has: T2w, MTon, MToff, dwi" in done.stderr
    assert load_config(study / "config" / "config.yaml").contrasts == ("T1w", "T2starw")
    done = command("check", study)
    assert done.exit_code == 0, done.exception


def test_init_selects_one_statistic_and_turns_on_agreement_where_cords_are_drawn(tmp_path, sites):
    command("init", tmp_path / "s", "--bids", sites[0])
    analyses = {a["name"]: a for a in read_yaml(tmp_path / "s/config/config.yaml")["analyses"]}
    areas = [a["select"] for a in analyses.values() if a["select"]["measure"] == "csa_mm2"]
    assert {(s["statistic"], s["level"]) for s in areas} == {("mean", "")}
    assert "overlap_with_manual" in analyses
    assert command("check", tmp_path / "s").exit_code == 0
    put(tmp_path / "bare", "sub-01/anat/sub-01_T2w.nii.gz")
    command("init", tmp_path / "t", "--bids", tmp_path / "bare")
    assert len(read_yaml(tmp_path / "t/config/config.yaml")["analyses"]) == 1
    assert command("check", tmp_path / "t").exit_code == 0


def test_a_contrast_that_no_scan_has_is_refused_with_those_that_are_there(tmp_path, sites):
    command("init", tmp_path / "s", "--bids", sites[0])
    config = tmp_path / "s/config/config.yaml"
    config.write_text(config.read_text().replace("contrasts: []", "contrasts: [T1w]", 1))
    told = str(command("check", tmp_path / "s").exception)
    assert "'T1w'" in told
    assert "choose among T2w" in told


def test_published_studies_judge_trained_networks_by_persons_that_they_have_not_seen():
    compared = [
        analysis
        for name in published_studies()
        for analysis in read_yaml(ROOT / "config" / "studies" / f"{name}.yaml")["analyses"]
        if "-phase" in str(analysis.get("values"))
    ]
    assert compared
    for analysis in compared:
        asked = analysis["select"]["split"]
        asked = [asked] if isinstance(asked, str) else asked
        # Whom no seed saw (external, or of a data set that is not trained on) tells no less.
        assert set(asked) <= {"test", "external", ""}, analysis["name"]
        assert analysis["average_over"] == ["seed"], analysis["name"]
