from __future__ import annotations

import os

import jsonschema
import pytest
import yaml
from cordcohort.config import load_config, make_config, read_exclusions
from cordcohort.errors import ConfigError, CordcohortError, SheetError
from cordcohort.files import read_yaml
from cordcohort.template import config_text
from cordcohort.validation import schema_of
from hypothesis import given
from hypothesis import strategies as st
from unit.bids.tree import put, put_text


@pytest.fixture
def study(tmp_path):
    put(tmp_path, "north/sub-01/anat/sub-01_T2w.nii.gz")
    return tmp_path


def content(**keys):
    return {
        "study": {"name": "test"},
        "datasets": [{"name": "north", "path": "north"}],
        "segmentation": {"models": []},
    } | keys


@pytest.mark.parametrize("name", ["config", "exclude"])
def test_shipped_schemas_are_schemas_and_read_alike_by_both_loaders(root, name):
    schema = schema_of(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema == read_yaml(root / "workflow" / "schemas" / f"{name}.schema.yaml")


def test_defaults_are_those_of_the_schema(study):
    config = make_config({k: content()[k] for k in ("study", "datasets")}, study, check=False)
    assert config.study.title == "test"
    assert config.segmentation.models == ("cord-v1",)
    assert (config.segmentation.device, config.segmentation.batch_size) == ("auto", 8)
    assert config.segmentation.use_manual == ()
    assert config.images.b0_threshold_s_per_mm2 == 50
    assert (config.measures.reference, config.measures.min_voxels) == ("manual", 5)
    assert config.datasets[0].labels == "derivatives/labels"
    assert config.exclusions == ()


@pytest.mark.parametrize(("device", "expected"), [("cpu", 3), ("auto", 3), ("cuda", 50)])
def test_the_size_of_a_batch_is_that_of_the_device(study, device, expected):
    sizes = {"batch_size": 3, "gpu_batch_size": 50}
    config = make_config(content(segmentation={"device": device, **sizes}), study)
    assert config.segmentation.batch_size == expected


def test_an_older_name_of_a_contrast_means_the_current_one(study):
    config = make_config(content(contrasts=["T2star", "T2starw", "T2w"]), study)
    assert config.contrasts == ("T2starw", "T2w")


def test_a_study_needs_a_data_set_or_a_table(study):
    put_text(study, "t.csv", "id,v\n1,2\n")
    table = {"name": "t", "file": "t.csv", "columns": {"subject": "id"}, "measures": {"v": {}}}
    config = make_config({"study": {"name": "test"}, "external_measures": [table]}, study)
    assert config.datasets == ()
    with pytest.raises(ConfigError, match="a data set, or a table under external_measures"):
        make_config({"study": {"name": "test"}}, study)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (
            {"contrast": ["T2w"]},
            r"contrast: expected a known key .* got \['T2w'\]; did you mean contrasts",
        ),
        ({"measures": {"min_voxel": 3}}, r"measures.min_voxel: .*did you mean min_voxels\?"),
        (
            {"datasets": [{"name": "n", "path": "north", "sites": "x"}]},
            r"datasets\[0\].sites: .*did you mean site",
        ),
        (
            {"measures": {"min_voxels": 0}},
            r"measures.min_voxels: expected at least 1, got 0; this key is",
        ),
        ({"measures": {"min_voxels": "5"}}, r"min_voxels: expected a whole number, got '5'"),
        (
            {"segmentation": {"models": [], "device": "gpu"}},
            r"device: expected one of \['auto', 'cpu', 'cuda'\], got 'gpu'",
        ),
        ({"segmentation": {"models": "cord-v1"}}, r"segmentation.models: expected a list"),
        ({"contrasts": ["T2w", "T2w"]}, r"contrasts: expected every entry once"),
        ({"contrasts": [1]}, r"contrasts\[0\]: expected text, got 1; put it in quotes: '1'"),
        ({"contrasts": ["T2/w"]}, r"contrasts\[0\]: expected text that matches"),
        ({"study": {"name": "a b"}}, r"study.name: expected text that matches"),
        ({"study": {}}, r"study.name: expected Short name"),
        ({"study": "x"}, r"study: expected a block of keys"),
        ({"datasets": []}, r"datasets: expected a data set, or a table"),
        ({"datasets": [{"name": "../x", "path": "north"}]}, r"datasets\[0\].name: "),
        ({"images": {"tensor_fit": "DKI"}}, r"images.tensor_fit: expected one of"),
        ({"measures": {"level_ranges": ["C2-C9"]}}, r"level_ranges: expected a range such as"),
        (
            {
                "analyses": [
                    {
                        "name": "a",
                        "kind": "variability",
                        "over": "site",
                        "select": {"measure": "csa_m2"},
                    }
                ]
            },
            r"analyses\[a\].select.measure: expected a measure .*did you mean csa_mm2",
        ),
        (
            {"datasets": [{"name": "n", "path": "south"}]},
            r"datasets\[0\].path: expected a folder that exists, got 'south'",
        ),
        (
            {"datasets": [{"name": "n", "path": "north"}, {"name": "N", "path": "north"}]},
            r"datasets\[1\].name: expected a name of its own",
        ),
        (
            {"datasets": [{"name": "n", "path": "north", "external": {"x": "nowhere"}}]},
            r"external.x: expected a folder inside",
        ),
        (
            {"datasets": [{"name": "n", "path": "north", "external": {"manual": "sub-01"}}]},
            r"external.manual: ",
        ),
        (
            {"datasets": [{"name": "n", "path": "north", "external": {"a/b": "sub-01"}}]},
            r"datasets\[0\].external",
        ),
        (
            {"segmentation": {"models": ["no-such-model"]}},
            r"segmentation.models\[0\]: expected a model .* got 'no-such-model'",
        ),
        ({"analyses": [{"name": "a", "kind": "anova"}]}, r"analyses\[0\].kind: .*'anova'"),
        (
            {"analyses": [{"name": "a", "kind": "variability", "over": "site", "dof": 1}]},
            r"analyses\[0\].*'dof'.*ddof",
        ),
        (
            {
                "analyses": [
                    {"name": "a", "kind": "variability", "over": "site", "select": {"subject": 1}}
                ]
            },
            r"select.subject: expected text, got 1; put it in quotes",
        ),
        (
            {"analyses": [{"name": n, "kind": "variability", "over": "site"} for n in "aA"]},
            r"analyses\[1\].name",
        ),
        (
            {"external_measures": [{"name": "x", "file": "no.csv", "columns": {"subject": "id"}}]},
            r"external_measures\[0\].file: expected a file that exists",
        ),
        (
            {"external_measures": [{"name": "x", "file": "t.csv", "columns": {"sbject": "id"}}]},
            r"columns.sbject: .*did you mean subject",
        ),
        (
            {
                "external_measures": [
                    {
                        "name": "x",
                        "file": "t.csv",
                        "columns": {"subject": "ID"},
                        "measures": {"csa_mm2": {}},
                    }
                ]
            },
            r"'ID'.*nearest",
        ),
        (
            {
                "external_measures": [
                    {"name": "north", "file": "t.csv", "columns": {"subject": "id"}}
                ]
            },
            r"external_measures\[0\].name: expected a name that no data set has",
        ),
    ],
)
def test_a_wrong_value_is_refused_with_key_value_and_way_out(study, keys, words):
    put_text(study, "t.csv", "id,csa_mm2\nx,70\n")
    with pytest.raises(ConfigError, match=words) as told:
        make_config(content(**keys), study)
    assert "\n" not in str(told.value)


words = st.text(max_size=5)
junk = st.recursive(
    st.none() | st.booleans() | st.integers() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)


@given(junk)
def test_anything_that_is_no_config_is_refused_in_one_line(junk):
    with pytest.raises(ConfigError) as told:
        make_config(junk, "/", check=False)
    assert "\n" not in str(told.value)


def test_a_config_is_not_changed_by_reading_it(study):
    given_content = content()
    make_config(given_content, study)
    assert given_content == content()


def test_a_file_that_is_no_config_is_refused_by_name(study):
    with pytest.raises(ConfigError, match="cordcohort init"):
        load_config(study / "config/config.yaml")
    put_text(study, "config/config.yaml", "study: [\n")
    with pytest.raises(SheetError, match=r"config\.yaml"):
        load_config(study / "config/config.yaml")


def test_a_key_that_is_there_twice_is_refused(study):
    put_text(
        study, "config/config.yaml", "study: {name: a}\nmeasures:\n  levels: auto\n  levels: none\n"
    )
    with pytest.raises(ConfigError, match=r"measures\.levels: expected each key once"):
        load_config(study / "config/config.yaml")


def test_an_alias_bomb_is_refused(study):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 12)}]" for n in range(1, 11)]
    put_text(study, "config/config.yaml", "\n".join(lines))
    with pytest.raises(CordcohortError, match="aliases"):
        load_config(study / "config/config.yaml")


def test_paths_may_stand_below_the_data_variable_and_no_other(study, monkeypatch):
    keys = {"datasets": [{"name": "n", "path": "${CORDCOHORT_DATA}/north"}]}
    monkeypatch.setenv("CORDCOHORT_DATA", str(study))
    assert make_config(content(**keys), study / "elsewhere").datasets[0].root == study / "north"
    monkeypatch.delenv("CORDCOHORT_DATA")
    with pytest.raises(ConfigError, match="export CORDCOHORT_DATA"):
        make_config(content(**keys), study)
    keys = {"datasets": [{"name": "n", "path": "${CORDCOHORT_DATA:-.}/north"}]}
    assert make_config(content(**keys), study).datasets[0].root == study / "north"
    for path in ("${HOME}/x", "$CORDCOHORT_DATA", "$(pwd)"):
        with pytest.raises(ConfigError, match="no other variable"):
            make_config(content(datasets=[{"name": "n", "path": path}]), study)


def test_labels_in_the_exclusion_list_stay_as_they_are_written(study):
    text = "- {subject: 01, session: no, run: 1e5, reason: 'yes', date: 2026-01-31, contrast: }\n"
    put_text(study, "config/exclude.yaml", "\ufeff" + text.replace("\n", "\r\n"))
    assert read_exclusions(study / "config/exclude.yaml") == [
        {"subject": "01", "session": "no", "run": "1e5", "reason": "yes", "date": "2026-01-31"}
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- {subject: '01'}", r"\[0\].reason: expected Why"),
        ("- {subject: '01', reason: ''}", r"\[0\].reason"),
        ("- {subjct: '01', reason: motion}", "did you mean subject"),
        ("- motion", r"\[0\]: expected a block of keys"),
        ("subject: '01'", "expected a list"),
        ("- {subject: [a, b], reason: motion}", r"\[0\].subject: expected text"),
    ],
)
def test_a_wrong_exclusion_is_refused(study, text, words):
    put_text(study, "config/exclude.yaml", text)
    with pytest.raises(ConfigError, match=words):
        read_exclusions(study / "config/exclude.yaml")


@pytest.mark.parametrize("text", ["", "[]", "# nothing yet\n"])
def test_an_empty_or_absent_exclusion_list_excludes_nothing(study, text):
    assert read_exclusions(study / "config/exclude.yaml") == []
    put_text(study, "config/exclude.yaml", text)
    assert read_exclusions(study / "config/exclude.yaml") == []


def _keys(schema, path=""):
    for key, about in schema.get("properties", {}).items():
        yield f"{path}{key}", about
        yield from _keys(about, f"{path}{key}.")


def _all_keys():
    schema = schema_of("config")
    yield from _keys(schema)
    for part in ("dataset", "external", "experiment", "phase", "correction"):
        yield from _keys(schema["$defs"][part])
    yield from ((k, a) for k, a in schema_of("exclude")["items"]["properties"].items())


def test_every_key_says_what_it_means_and_the_page_lists_it(root):
    page = (root / "config" / "README.md").read_text()
    for key, about in _all_keys():
        assert about.get("description"), key
        assert key.rsplit(".", 1)[-1] in page, f"{key} is not in config/README.md"


def test_every_parameter_of_an_analysis_is_on_the_page(root):
    from cordcohort.statistics.catalogue import kinds  # noqa: PLC0415 - slow to import

    page = (root / "config" / "README.md").read_text()
    for kind in ("agreement", "variability", "paired_test", "correlation"):
        for key in kinds()[kind].schema["properties"]:
            assert f"`{key}`" in page, f"{kind}.{key} is not in config/README.md"


def test_the_template_holds_every_key_with_its_default(study):
    text = config_text("test", [{"name": "north", "path": "north"}])
    given_keys = yaml.safe_load(text)
    for key, about in _keys(schema_of("config")):
        value = given_keys
        for part in key.split("."):
            value = value[part]
        if "default" in about and "properties" not in about and key not in ("analyses", "datasets"):
            assert value == about["default"], key
    del given_keys["segmentation"]["models"]
    put_text(study, "config/exclude.yaml", "[]\n")
    config = make_config(given_keys | {"segmentation": {"models": []}}, study)
    assert config.datasets[0].name == "north"


@pytest.mark.parametrize("path", ["/a b/c", "C:\\x", "no", "a: b", "#x", "é", "1e5"])
def test_the_template_quotes_what_yaml_would_misread(path):
    text = config_text("test", [{"name": "north", "path": path}])
    assert yaml.safe_load(text)["datasets"][0]["path"] == path


def test_the_demo_config_is_valid_and_complete(root):
    text = (root / "config" / "config.yaml").read_text()
    config = make_config(yaml.safe_load(text), root, check=False)
    assert [d.name for d in config.datasets] == ["amsterdam", "boston", "cordoba"]
    for key, _ in _keys(schema_of("config")):
        assert f"{key.rsplit('.', 1)[-1]}:" in text, f"{key} is not in config/config.yaml"
    assert read_exclusions(root / "config" / "exclude.yaml")[0]["dataset"] == "boston"


def test_relative_tables_are_resolved_from_the_study(study):
    put_text(study, "tables/t.csv", "id,csa_mm2\nx,70\n")
    table = {"name": "lab", "file": "tables/t.csv", "columns": {"subject": "id"}}
    keys = {"external_measures": [table | {"measures": {"csa_mm2": {"unit": "mm2"}}}]}
    config = make_config(content(**keys), study)
    assert config.external_measures[0]["file"] == os.path.join(study, "tables/t.csv")
    assert config.external_measures[0]["dataset"] == "lab"
