"""Configuration of phantom studies: what is accepted, and what is refused by name."""

from __future__ import annotations

import pytest
from cordcohort.errors import ConfigError
from cordcohort.phantom.config import PhantomStudy, damage_levels, study_from_dict


def test_nothing_given_is_the_demo():
    assert study_from_dict({}) == PhantomStudy()


def test_nested_values_and_lists_are_read():
    study = study_from_dict(
        {
            "sites": [{"name": "a", "manufacturer": "GE", "model": "x", "field_strength_t": 3}],
            "protocols": [{"contrast": "T2w", "shape": [8, 8, 8], "spacing_mm": [1, 1, 2]}],
            "difficulty": {"lesion_cnr": [1, 2]},
        }
    )
    assert study.sites[0].field_strength_t == 3.0
    assert study.protocols[0].spacing_mm == (1.0, 1.0, 2.0)
    assert study.difficulty.lesion_cnr == (1.0, 2.0)


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"sede": 1}, "sede"),
        ({"difficulty": {"noise": 1}}, "difficulty.noise"),
        ({"seed": "one"}, "seed"),
        ({"seed": True}, "seed"),
        ({"region": "tail"}, "region"),
        ({"difficulty": 3}, "difficulty"),
        ({"difficulty": {"lesion_cnr": [1]}}, "difficulty.lesion_cnr"),
        ({"sites": "a"}, "sites"),
        ({"sites": [{"name": "a"}]}, "sites[0]"),
        ({"sites": []}, "sites"),
        ({"protocols": [{"contrast": "PET", "shape": [1, 1, 1], "spacing_mm": [1, 1, 1]}]},
         "protocols[0].contrast"),
        ({"protocols": [{"contrast": "T2w", "shape": [0, 1, 1], "spacing_mm": [1, 1, 1]}]},
         "protocols[0]"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_by_its_key(values: dict, key: str):
    with pytest.raises(ConfigError) as caught:
        study_from_dict(values, where="phantom.yaml")
    assert caught.value.key == key
    assert "phantom.yaml" in str(caught.value)


def test_the_regions_of_the_cord_put_view_and_damage_in_one_place():
    for region in ("cervical", "thoracic", "lumbar"):
        study = study_from_dict({"region": region})
        low, high = damage_levels(study.region)
        assert low < study.centre_level < high
