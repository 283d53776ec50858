"""Outputs of label and region models become the structures of a task."""

from __future__ import annotations

import numpy as np
import pytest
from cordcohort.errors import ConfigError
from cordcohort.nnunet.labels import check_structures, fraction_of, mask_of, read_labels
from cordcohort.nnunet.recipe import dataset_labels

REGIONS = read_labels(
    {"labels": {"background": 0, "cord": [1, 2], "lesion": 2}, "regions_class_order": [1, 2]}, ""
)
LABELS = read_labels({"labels": {"background": 0, "lesion": 2, "cord": 1}}, "")


def test_cord_includes_the_lesion_in_a_region_model_and_where_two_labels_are_joined():
    drawn = np.array([0, 1, 2, 1])
    assert mask_of(drawn, {1: ("cord",)}, REGIONS).tolist() == [0, 1, 1, 1]
    assert mask_of(drawn, {1: ("lesion",)}, REGIONS).tolist() == [0, 0, 1, 0]
    assert mask_of(drawn, {1: ("cord", "lesion")}, LABELS).tolist() == [0, 1, 1, 1]
    assert mask_of(drawn, {1: ("cord",)}, LABELS).tolist() == [0, 1, 0, 1]


def test_fractions_of_exclusive_labels_add_up():
    outputs = np.array([[0.2], [0.5], [0.3]])  # background, cord, lesion: by value, not by name
    assert fraction_of(outputs, ["cord", "lesion"], LABELS) == pytest.approx(0.8)
    assert fraction_of(outputs, ["lesion"], LABELS) == pytest.approx(0.3)


@pytest.mark.parametrize("seed", range(5))
def test_a_fraction_is_at_least_a_half_exactly_where_a_region_is_drawn(seed):
    outputs = np.random.default_rng(seed).random((2, 200))  # lesions beyond the cord among them
    drawn = np.where(outputs[1] > 0.5, 2, np.where(outputs[0] > 0.5, 1, 0))  # nnU-Net's own rule
    for name in ("cord", "lesion"):
        soft = fraction_of(outputs, [name], REGIONS)
        assert ((soft > 0.5) == mask_of(drawn, {1: (name,)}, REGIONS)).all()


def test_a_label_map_takes_the_codes_that_are_written():
    labels = read_labels({"labels": {"background": 0, "lvl-C2": 1, "lvl-C3": 2}}, "")
    codes = check_structures("rootlets", {"rootlets": {2: "lvl-C2", "3": "lvl-C3"}}, labels, "s")
    assert mask_of(np.array([0, 1, 2]), codes["rootlets"], labels).tolist() == [0, 2, 3]
    with pytest.raises(ConfigError, match="one of lvl-C2, lvl-C3"):
        check_structures("rootlets", {"rootlets": {2: "C2"}}, labels, "s")


def test_subclasses_of_the_lesion_merge_into_it():
    about = dataset_labels(("cord", "lesion", "oedema", "haemorrhage"))
    labels = read_labels(about, "")
    assert labels.regions
    drawn = np.arange(5)
    assert mask_of(drawn, {1: ("lesion",)}, labels).tolist() == [0, 0, 1, 1, 1]
    assert mask_of(drawn, {1: ("haemorrhage",)}, labels).tolist() == [0, 0, 0, 0, 1]
    assert not read_labels(dataset_labels(("cord",)), "").regions


def test_a_model_may_draw_parts_of_the_lesion_besides():
    labels = read_labels(dataset_labels(("cord", "lesion", "oedema", "haemorrhage")), "")
    given = {name: name for name in labels.ids}
    assert check_structures("lesion", given, labels, "s")["oedema"] == {1: ("oedema",)}
    two = {name: given[name] for name in ("cord", "lesion")}
    assert set(check_structures("lesion", two, labels, "s")) == {"cord", "lesion"}
    for wrong in ({"cord": "cord", "oedema": "oedema"}, two | {"gm": "lesion"}):
        with pytest.raises(ConfigError, match="cord and lesion, if it has them oedema and"):
            check_structures("lesion", wrong, labels, "s")
    with pytest.raises(ConfigError, match="structure"):
        check_structures("cord", {"cord": "cord", "oedema": "oedema"}, labels, "s")
