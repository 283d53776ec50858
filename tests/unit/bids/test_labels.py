from __future__ import annotations

import pytest
from cordcohort.bids.labels import label_of, method_of_folder

# The names of the public derivatives and of the authors' scripts: name, structure, kind, method.
NAMES = [
    ("label-SC_seg", "cord", "seg", "manual"),
    ("seg-manual", "cord", "seg", "manual"),
    ("label-SC_softseg", "cord", "softseg", "manual"),
    ("softseg", "cord", "softseg", "softseg"),
    ("softseg_bin", "cord", "seg", "softseg_bin"),
    ("desc-softseg_label-SC_seg", "cord", "seg", "softseg_bin"),
    ("label-GM_seg", "gm", "seg", "manual"),
    ("label-CSF_seg", "csf", "seg", "manual"),
    ("label-canal_seg", "canal", "seg", "manual"),
    ("label-lesion", "lesion", "seg", "manual"),
    ("label-lesion_seg", "lesion", "seg", "manual"),
    ("lesion-manual", "lesion", "seg", "manual"),
    ("label-rootlets_dseg", "rootlets", "dseg", "manual"),
    ("label-rootlet", "rootlets", "dseg", "manual"),
    ("label-rootlet_rater1", "rootlets", "dseg", "rater-1"),
    ("label-rootlet_rater4", "rootlets", "dseg", "rater-4"),
    ("label-rootlet_staple", "rootlets", "dseg", "staple"),
    ("label-rootlet_nnunet", "rootlets", "dseg", "nnunet"),
    ("label-discs_dlabel", "discs", "dlabel", "manual"),
    ("desc-warp_label-discs_dlabel", "discs", "dlabel", "desc-warp"),
    ("labels-disc-manual", "discs", "dlabel", "manual"),
    ("pmj", "pmj", "pmj", "manual"),
    ("pmj-manual", "pmj", "pmj", "manual"),
    ("label-SCregions_dseg", "regions", "dseg", "manual"),
    ("label-regions_dseg", "regions", "dseg", "manual"),
    ("desc-thresholded_label-SC_seg", "cord", "seg", "desc-thresholded"),
    ("label-SC_seg_rater-2", "cord", "seg", "rater-2"),
    ("rater-2_label-SC_seg", "cord", "seg", "rater-2"),
    ("label-SC_seg_rater2", "cord", "seg", "rater-2"),
]


@pytest.mark.parametrize(("name", "structure", "kind", "method"), NAMES)
def test_current_and_older_names_say_structure_kind_and_method(name, structure, kind, method):
    label = label_of(name.split("_"), "manual")
    assert (label.structure, label.kind, label.method) == (structure, kind, method)


@pytest.mark.parametrize("name", ["", "label-XX_seg", "seg_label-SC", "manual", "T2w"])
def test_a_name_outside_the_table_is_not_guessed(name):
    assert label_of(name.split("_"), "manual") is None


def test_a_folder_s_method_holds_for_plain_names_in_it():
    assert label_of(["seg-manual"], "toolbox").method == "toolbox"
    assert label_of(["softseg"], "labels2").method == "labels2"
    assert label_of(["desc-softseg", "label-SC", "seg"], "softseg_bin").method == "softseg_bin"
    assert label_of(["desc-x", "label-SC", "seg"], "toolbox").method == "toolbox_desc-x"


@pytest.mark.parametrize(
    ("folder", "method"),
    [
        ("labels", "manual"),
        ("labels_rater-2", "rater-2"),
        ("labels_rater2", "rater-2"),
        ("labels_softseg", "softseg"),
        ("labels_softseg_bin", "softseg_bin"),
        ("labelsX", None),
        ("fmriprep", None),
    ],
)
def test_folders_beside_the_label_folder_are_methods(folder, method):
    assert method_of_folder(folder, "labels") == method
